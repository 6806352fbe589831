"""A JACK host whose events go into a mirror, as in the daemon, and nothing else: to be compared with what is really there."""

from __future__ import annotations

import asyncio

from jackd_router.jack_host import protocol
from jackd_router.jack_host.library import FOLDERS
from jackd_router.jack_io.host_process import HostProcess
from jackd_router.runtime.mirror import Mirror
from tests.runtime.churn import Churn
from tests.support.eventually import eventually_async
from tests.support.jack_server import JackServer

Seen = tuple[frozenset[str], frozenset[tuple[str, str]]]
"""Ports and connections."""

_FOLDS = 5


class Follower:
    """A host whose events go into a mirror, as the daemon does it."""

    def __init__(self, server: JackServer) -> None:
        self.mirror = Mirror()
        self.server = server
        self.host = HostProcess(FOLDERS[server.implementation][0])
        self.host.on_part = self.mirror.collect
        self.host.on_wake = self.take_events
        self.loaded = asyncio.Event()
        self.host.on_loaded = lambda version: self.loaded.set()
        self.ended = asyncio.Event()
        self.host.on_exit = lambda status: self.ended.set()
        self.folds = 0
        self.has_lost = False
        """Whether notifications found no room: only reading the graph anew helps then, which the daemon does."""

    def take_events(self) -> None:
        """Fold what has come."""
        self.folds += bool(self.mirror.fold(self.host.take_events()))
        self.has_lost |= self.host.memory.take_overflow()

    async def open(self) -> None:
        """Become a client, and have the graph."""
        self.mirror.begin_load()
        await self.host.request(
            protocol.OPEN, self.server.implementation.value, self.server.name, "router", (0, (), (), (), ()), deadline_s=10
        )
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
            assert differences == (frozenset(), frozenset()), differences
            return True

        await eventually_async(holds)


async def while_churning(churn: Churn) -> None:
    """Let the event loop turn until both programs are done."""
    await asyncio.to_thread(churn.wait)


async def open_while_churning(follower: Follower, churn: Churn, changes: int) -> None:
    """Change the graph before the generation begins, while it does, and until it has folded changes several times."""

    async def keep_churning() -> None:
        while follower.folds <= _FOLDS:
            churn.begin(changes)
            await while_churning(churn)

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_churning())
        await follower.open()
