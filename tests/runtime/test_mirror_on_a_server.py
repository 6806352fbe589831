"""The mirror on a real server under heavy churn: at rest it is what a fresh client sees, to the last connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from jackd_router.jack_host import protocol
from jackd_router.jack_host.memory import RING_RECORDS
from jackd_router.jack_io.host_process import HostProcess
from jackd_router.runtime.mirror import Mirror
from tests.runtime.churn import Churn, churning
from tests.support.eventually import eventually_async
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

Seen = tuple[frozenset[str], frozenset[tuple[str, str]]]


class Follower:
    """A host whose events go into a mirror, as the daemon does it."""

    def __init__(self) -> None:
        self.mirror = Mirror()
        self.host = HostProcess()
        self.host.on_part = self.mirror.collect
        self.host.on_wake = self.take_events
        self.loaded = asyncio.Event()
        self.host.on_loaded = lambda version: self.loaded.set()
        self.ended = asyncio.Event()
        self.host.on_exit = lambda status: self.ended.set()
        self.folds = 0

    def take_events(self) -> None:
        """Fold what has come."""
        self.folds += bool(self.mirror.fold(self.host.take_events()))

    async def open(self, server: str) -> None:
        """Become a client, and have the graph."""
        self.mirror.begin_load()
        await self.host.request(protocol.OPEN, server, "router", (), (0, (), (), ()), deadline_s=10)
        self.take_events()
        assert not self.mirror.finish_load().torn

    async def read_anew(self, *, after_loss: bool = True) -> bool:
        """Read the graph beside the events and tell whether anything was wrong."""
        self.mirror.begin_load(after_loss=after_loss)
        await self.host.request(protocol.READ_GRAPH, deadline_s=10)
        self.take_events()
        return bool(self.mirror.finish_load())

    async def close(self) -> None:
        """Leave the server."""
        if self.host.alive:
            self.host.close(say_goodbye=True, deadline_s=2)
            await self.ended.wait()

    def seen(self) -> Seen:
        """Give what the mirror shows."""
        graph = self.mirror.graph
        return frozenset(graph.ports), frozenset((source, destination) for source, destination in graph.connections)

    async def rests(self, truth: Seen) -> None:
        """Wait until the mirror is the truth."""

        async def holds() -> bool:
            ports, connections = self.seen()
            differences = (ports ^ truth[0], connections ^ truth[1])
            assert differences == (frozenset(), frozenset())
            return True

        await eventually_async(holds)


@pytest_asyncio.fixture
async def follower() -> AsyncIterator[Follower]:
    """Give a host with a mirror that has not opened anything."""
    follower = Follower()
    await asyncio.wait_for(follower.loaded.wait(), 10)
    yield follower
    await follower.close()


@pytest.fixture
def churn(running_server: JackServer) -> Iterator[Churn]:
    """Give the two programs."""
    with churning(running_server.name) as churn:
        yield churn


def truth(server: JackServer) -> Seen:
    """Give what a fresh client of its own kind sees."""
    with JackClient(server.name, "witness") as witness:
        return witness.ports(), witness.connections()


async def while_churning(churn: Churn) -> None:
    """Let the event loop turn until both programs are done."""
    await asyncio.to_thread(churn.wait)


async def keep_churning(churn: Churn, follower: Follower) -> None:
    """Change the graph before the generation begins, while it does, and until it has folded changes several times."""
    while follower.folds <= 5:
        churn.begin(400)
        await while_churning(churn)


@pytest.mark.parametrize("round_number", range(10))
async def test_generation_that_begins_in_the_middle_of_churn(
    round_number: int, running_server: JackServer, churn: Churn, follower: Follower
) -> None:
    churn.begin(150 + 17 * round_number)
    await while_churning(churn)
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_churning(churn, follower))
        await follower.open(running_server.name)
    ports, connections = now = truth(running_server)
    assert len(ports) > 10
    assert connections
    await follower.rests(now)
    assert not await follower.read_anew(), "flags or types were not those of the server's own list"


async def test_overflow_is_told_and_mended_by_reading_anew(running_server: JackServer, churn: Churn, follower: Follower) -> None:
    await follower.open(running_server.name)
    follower.host.on_wake = lambda: None  # a daemon that does not come to read
    churn.flood(RING_RECORDS)
    churn.begin(200)
    await while_churning(churn)
    follower.host.on_wake = follower.take_events
    follower.take_events()
    assert follower.host.memory.take_overflow()
    churn.begin(1000)
    assert await follower.read_anew()
    await while_churning(churn)
    await follower.rests(truth(running_server))
