"""Levels: who is remembered, and for how long."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from jackd_router.core.config import DEFAULT_PROFILE, BusConfig
from jackd_router.jack_host.memory import METER_WINDOWS
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime import levels
from jackd_router.runtime.buses import Buses
from tests.support.eventually import eventually_async

pytestmark = pytest.mark.asyncio


async def test_plan_that_runs_is_known_however_many_are_refused() -> None:
    buses = Buses(lambda *changed: None)
    buses.load((BusConfig("main", ("1",), ("1",)),), DEFAULT_PROFILE, {})
    memory = SharedMemory()
    buses.begin_generation(memory)
    running = buses.running
    assert running is not None
    [(serial, ports)] = running.plans
    memory._windows["plan"] = serial
    memory._shared.windows = METER_WINDOWS
    for _ in range(5 * METER_WINDOWS):  # once a second, as long as the server refuses a port
        buses.plan()
        assert (serial, ports) in running.plans
        assert len(running.plans) <= 2 * METER_WINDOWS
    memory._windows["plan"] = running.plans[-1][0]
    buses.plan()
    assert serial not in dict(running.plans)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
async def test_window_that_is_not_finite_does_not_count_where_others_do(bad: float) -> None:
    """Here it is the only one of its plan."""
    buses = Buses(lambda *changed: None)
    buses.load((BusConfig("main", ("1",), ("1",)),), DEFAULT_PROFILE, {})
    memory = SharedMemory()
    buses.begin_generation(memory)
    buses.plan()
    running = buses.running
    assert running is not None
    (first, _), (second, _) = running.plans
    memory._shared.windows = 3
    memory._windows["frames"] = 480
    memory._windows["plan"][:3] = (first, second, first)
    memory._levels["sumsq"][:3] = np.array([480, bad, 480], np.float32)[:, np.newaxis]
    meters = levels.Levels(buses)
    assert [level.rms_dbfs for level in meters.read("applet")["main"]] == [0, 0]
    memory._levels["sumsq"][:3] = bad
    assert all(abs(level.rms_dbfs) == 200 for level in meters.read("applet")["main"])


async def test_who_asks_no_more_costs_no_wake_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "_PATIENCE_S", 0.6)
    monkeypatch.setattr(levels, "_COLLECT_S", 0.05)
    buses = Buses(lambda *changed: None)
    buses.load((BusConfig("main", ("1",), ("1",)),), DEFAULT_PROFILE, {})
    buses.begin_generation(SharedMemory())
    meters = levels.Levels(buses)
    meters.read("applet")
    await asyncio.sleep(0.1)
    assert meters._timer is not None, "it gave up before its time"

    async def is_left_alone() -> bool:
        return meters._timer is None

    await eventually_async(is_left_alone)
    assert meters.read("applet") == meters.read("panel")
