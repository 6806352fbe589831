"""Fades: what the kernel is told to do, without a server that runs cycles."""

from __future__ import annotations

import pytest

from jackd_router.core.config import DEFAULT_PROFILE, BusConfig
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime.buses import Buses

pytestmark = pytest.mark.asyncio


def told(memory: SharedMemory) -> tuple[float, int]:
    """Give the gain of the first slot that was published last, and the frames of its fade in dB."""
    targets = memory._shared.targets[memory._shared.ready & 3]
    return float(targets.gain[0]), int(targets.bus[0].frames)


async def test_fade_to_where_another_one_is_ends_that_one() -> None:
    buses, memory = Buses(lambda *changed: None), SharedMemory()
    buses.load((BusConfig("main", ("1",), ("1",)),), DEFAULT_PROFILE, {})
    buses.begin_generation(memory)
    assert buses.begin_fade("main", -10.0, 5000) is None, "nothing sounds yet: it is there at once"
    buses.set_gain("main", 0.0)
    memory._shared.cycles = 1
    assert buses.begin_fade("main", -20.0, 5000) is not None
    gain, frames = told(memory)
    assert gain == pytest.approx(0.1)
    assert frames == 240_000
    # No cycle has run since: the first fade is still where it began.
    assert buses.begin_fade("main", 0.0, 1000) is None
    assert told(memory) == (1.0, 0)
