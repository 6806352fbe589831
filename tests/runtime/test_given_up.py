"""A host that was opening, and never became our client."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackd_router.core.graph import PortFlags
from jackd_router.jack_host import memory
from jackd_router.jack_io.shared_memory import Event
from tests.runtime.in_process import loaded_router

pytestmark = pytest.mark.asyncio


async def test_what_it_heard_is_forgotten(tmp_path: Path) -> None:
    """Else the graph has ports of which the rules are never told: when they are read, they are known already."""
    came = Event(memory.EVENT_PORT, 7, 0, 1, int(PortFlags.OUTPUT), 0, b"32 bit float mono audio", b"router:main_out_1")
    async with loaded_router(tmp_path, "", "nobody") as router:
        router._mirror.begin_load()
        router._mirror.fold([came])
        router._events.given_up()
        assert not router._mirror.loading
        assert not router.graph.ports
