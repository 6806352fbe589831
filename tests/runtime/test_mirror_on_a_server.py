"""The mirror on a real server under heavy churn: at rest it is what a fresh client sees, to the last connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from jackd_router.jack_host.memory import RING_RECORDS
from tests.runtime.churn import Churn, churning
from tests.runtime.follower import Follower, Seen, open_while_churning, while_churning
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def follower(running_server: JackServer) -> AsyncIterator[Follower]:
    """Give a host with a mirror that has not opened anything."""
    follower = Follower(running_server)
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


@pytest.mark.jack2("PipeWire 0.3 refuses clients and ports, and lists what is gone, while the graph changes as fast as it can")
@pytest.mark.parametrize("round_number", range(10))
async def test_generation_that_begins_in_the_middle_of_churn(
    round_number: int, running_server: JackServer, churn: Churn, follower: Follower
) -> None:
    churn.begin(150 + 17 * round_number)
    await while_churning(churn)
    await open_while_churning(follower, churn, 400)
    ports, connections = now = truth(running_server)
    assert len(ports) > 10
    assert connections
    await follower.rests(now)
    assert not await follower.read_anew(), "flags or types were not those of the server's own list"


@pytest.mark.jack2("PipeWire 0.3 refuses clients and ports, and lists what is gone, while the graph changes as fast as it can")
async def test_overflow_is_told_and_mended_by_reading_anew(running_server: JackServer, churn: Churn, follower: Follower) -> None:
    await follower.open()
    follower.host.on_wake = lambda: None  # a daemon that does not come to read
    churn.flood(RING_RECORDS)
    churn.begin(200)
    await while_churning(churn)
    follower.host.on_wake = follower.take_events
    follower.take_events()
    assert follower.has_lost
    churn.begin(1000)
    assert await follower.read_anew()
    await while_churning(churn)
    await follower.rests(truth(running_server))
