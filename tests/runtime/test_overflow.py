"""Notifications that were lost in a burst: the router reads the graph anew, whenever it was that they were lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from jackd_router.jack_host.memory import RING_RECORDS
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import ServerPhase
from tests.runtime.churn import Churn, churning
from tests.support.eventually import eventually, eventually_async
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

LOST = "were lost in a burst"


@pytest_asyncio.fixture
async def router(jack_server: JackServer, tmp_path: Path) -> AsyncIterator[Router]:
    """Give a router with a bus that waits for the server, its JACK host ready."""
    config = tmp_path / "router.toml"
    config.write_text('[[bus]]\nname = "main"\n')
    router = Router(config, tmp_path / "state", jack_server.name)
    router.load()
    router.start()

    async def ready() -> bool:
        return bool(router._keeper._spare and router._keeper._spare.version)

    await eventually_async(ready)
    yield router
    await asyncio.wait_for(router.stop(), 10)


async def connected(router: Router) -> bool:
    """Tell whether the router has a server."""
    return router.server.phase is ServerPhase.CONNECTED


async def opening(router: Router) -> bool:
    """Tell whether the router has asked a server to be its client."""
    return router._keeper.host is not None


def lose(server: JackServer, churn: Churn) -> None:
    """Keep the event loop from turning until more was told than the ring has room for."""
    with JackClient(server.name, "witness") as witness:
        eventually(lambda: "router:main_in_1" in witness.ports())
    churn.flood(RING_RECORDS)
    churn.begin(500)
    churn.wait()


async def follows(router: Router, server: JackServer) -> None:
    """Wait until the router's graph is what a fresh client sees."""
    with JackClient(server.name, "witness") as witness:
        ports, connections = witness.ports(), witness.connections()

    async def holds() -> bool:
        assert await connected(router)
        assert frozenset(router.graph.ports) ^ ports == frozenset()
        assert frozenset(router.graph.connections) ^ connections == frozenset()
        return True

    await eventually_async(holds)


@pytest.mark.jack2("PipeWire tells less than the ring has room for")
@pytest.mark.parametrize("when", [opening, connected])
async def test_router_reads_anew_what_it_lost(
    when: Callable[[Router], Awaitable[bool]], router: Router, jack_server: JackServer, caplog: pytest.LogCaptureFixture
) -> None:
    jack_server.start()
    with churning(jack_server.name) as churn, caplog.at_level(logging.WARNING):
        await eventually_async(lambda: when(router))
        lose(jack_server, churn)
        await follows(router, jack_server)
    assert LOST in caplog.text, "there were too few changes to lose any"
