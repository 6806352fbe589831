"""The meters of the kernel, as the daemon reads them."""

from __future__ import annotations

import numpy as np
import pytest

from jackd_router.jack_host.memory import METER_WINDOWS
from tests.jack_host.rig import Rig

WINDOW_FRAMES = 480
"""10 ms at 48 kHz: no window is shorter."""


def test_peak_and_power_of_inputs_and_outputs() -> None:
    with Rig(2, 2) as rig:
        rig.set_gains(0.5, 1)
        plan = rig.set_plan([(0, 0, 0), (0, 1, 0), (1, 1, 1)])
        rig.x[0] = np.resize(np.array([0.5, -0.8]), rig.x.shape[1])
        rig.x[1] = 0.25
        rig.cycle(WINDOW_FRAMES)
        peaks, powers = rig.memory.read_levels(0, rig.memory.windows, plan, 4)
        assert peaks == pytest.approx([0.8, 0.25, 0.4, 0.5])
        wanted = [(0.25 + 0.64) / 2, 0.0625, (0.25 + 0.64) / 8, (0.5**2 + 0.15**2) / 2]
        assert powers == pytest.approx(wanted)


def test_peak_is_not_lost_while_it_freewheels() -> None:
    """All windows would have gone round in an instant: who reads them counts by the clock."""
    with Rig() as rig:
        rig.set_gains(1)
        plan = rig.set_plan([(0, 0, 0)])
        rig.notify("kernel_on_freewheel", 1)
        rig.x[:] = 0.5
        rig.cycle(WINDOW_FRAMES)
        rig.x[:] = 0.25
        for _ in range(METER_WINDOWS + 1):
            rig.cycle(WINDOW_FRAMES)
        rig.notify("kernel_on_freewheel", 0)
        rig.cycle(WINDOW_FRAMES)
        assert rig.memory.read_levels(0, rig.memory.windows, plan, 2)[0].tolist() == [0.5, 0.5]


def test_negative_gain_has_a_positive_level() -> None:
    with Rig() as rig:
        rig.set_gains(-0.5)
        plan = rig.set_plan([(0, 0, 0)])
        rig.x[:] = 0.5
        rig.cycle(WINDOW_FRAMES)
        peaks, powers = rig.memory.read_levels(0, 1, plan, 2)
        assert peaks.tolist() == [0.5, 0.25]
        assert powers.tolist() == [0.25, 0.0625]


def test_output_is_metered_in_the_middle_of_a_fade() -> None:
    with Rig() as rig:
        rig.set_gains(1)
        plan = rig.set_plan([(0, 0, 0)])
        rig.x[:] = 1
        rig.cycle(WINDOW_FRAMES)
        rig.set_gains(0)
        faded = rig.cycle(WINDOW_FRAMES)[0].astype(np.float64)
        peaks, powers = rig.memory.read_levels(1, 2, plan, 2)
        assert peaks == pytest.approx([1, faded.max()])
        assert powers == pytest.approx([1, (faded**2).mean()], rel=1e-5)


@pytest.mark.parametrize(("frames", "length"), [(64, 512), (480, 480), (1024, 1024), (479, 958)])
def test_window_ends_with_the_first_cycle_that_fills_10_ms(frames: int, length: int) -> None:
    with Rig() as rig:
        rig.set_gains(1)
        plan = rig.set_plan([(0, 0, 0)])
        cycles = length // frames
        for cycle in range(1, 3 * cycles + 1):
            rig.cycle(frames)
            assert rig.memory.windows == cycle // cycles
        last = rig.memory.windows
        assert rig.memory.frames_of(last - 1, last, plan) == length
        assert [rig.memory.first_of(count, last) for count in (1, length, length + 1, 9 * length)] == [2, 2, 1, 0]


def test_every_sample_is_metered_once() -> None:
    rng = np.random.default_rng(3)
    with Rig(1, 1) as rig:
        rig.set_gains(1)
        plan = rig.set_plan([(0, 0, 0)])
        rig.x[:] = 1
        frames = squares = 0.0
        total = seen = 0
        for _ in range(1500):
            cycle = int(rng.integers(1, 200))
            rig.cycle(cycle)
            total += cycle
            if rng.random() < 0.1 or rig.memory.windows - seen > METER_WINDOWS // 2:
                for window in range(seen, rig.memory.windows):
                    _, powers = rig.memory.read_levels(window, window + 1, plan, 2)
                    length = rig.shared.window[window % METER_WINDOWS].frames
                    frames, squares = frames + length, squares + powers[1] * length
                seen = rig.memory.windows
        assert squares == frames
        assert total - WINDOW_FRAMES - 200 < frames <= total
        assert seen > 2 * METER_WINDOWS, "too few windows to go round"


def test_nan_is_no_peak_and_does_not_stay() -> None:
    with Rig() as rig:
        rig.set_gains(0.5)
        plan = rig.set_plan([(0, 0, 0)])
        rig.x[0, 2], rig.x[0, WINDOW_FRAMES - 64 :] = 0.25, np.nan
        rig.cycle(WINDOW_FRAMES)
        peaks, _ = rig.memory.read_levels(0, 1, plan, 2)
        assert peaks.tolist() == [0.25, 0.125]
        rig.x[:] = 0.25
        rig.cycle(WINDOW_FRAMES)
        _, powers = rig.memory.read_levels(1, 2, plan, 2)
        assert powers.tolist() == [0.0625, 0.015625]


@pytest.mark.parametrize("beside", [0.0, np.nan, -np.nan], ids=["zeros", "nan", "-nan"])
@pytest.mark.parametrize("loudest", [-0.75, 3e38, -np.inf])
def test_loudest_is_the_peak_whatever_stands_beside_it(loudest: float, beside: float) -> None:
    with Rig() as rig:
        rig.set_gains(1)
        plan = rig.set_plan([(0, 0, 0)])
        rig.x[:] = 0.5
        rig.x[0, 1], rig.x[0, 3:5], rig.x[0, WINDOW_FRAMES - 1] = beside, beside, loudest
        rig.cycle(WINDOW_FRAMES)
        peaks, _ = rig.memory.read_levels(0, 1, plan, 2)
        assert peaks.tolist() == [abs(np.float32(loudest))] * 2


def test_window_belongs_to_one_plan() -> None:
    with Rig(2, 1) as rig:
        rig.set_gains(1)
        rig.x[0], rig.x[1] = 1, 0.5
        first = rig.set_plan([(0, 0, 0)])
        rig.cycle(WINDOW_FRAMES)
        rig.x[:] *= 2
        rig.cycle(100)  # begins a window that ends with its plan
        rig.x[:] /= 2
        second = rig.set_plan([(1, 0, 0)])
        rig.cycle(WINDOW_FRAMES)
        windows = rig.memory.windows
        assert windows == 3
        assert [rig.memory.frames_of(0, windows, plan) for plan in (first, second)] == [WINDOW_FRAMES + 100, WINDOW_FRAMES]
        assert rig.memory.plans_measured(0, windows) == {first, second}
        assert rig.memory.plans_measured(2, windows) == {second}
        assert rig.memory.read_levels(0, 1, first, 3)[0].tolist() == [1, 0.5, 1]
        assert rig.memory.read_levels(0, windows, first, 3)[0].tolist() == [2, 1, 2], "no peak is lost"
        assert rig.memory.read_levels(0, windows, second, 3)[0].tolist() == [1, 0.5, 0.5]
        assert rig.memory.read_levels(0, windows, 99, 3)[0].tolist() == [0, 0, 0]


def test_reading_covers_what_is_left_in_the_memory() -> None:
    with Rig() as rig:
        rig.set_gains(1)
        plan = rig.set_plan([(0, 0, 0)])
        rig.x[:] = 1
        rig.cycle(WINDOW_FRAMES)
        assert rig.memory.read_levels(0, 1, plan, 2)[0].tolist() == [1, 1]
        rig.x[:] = 0.5
        for _ in range(METER_WINDOWS):
            rig.cycle(WINDOW_FRAMES)
        assert rig.memory.read_levels(0, rig.memory.windows, plan, 2)[0].tolist() == [0.5, 0.5], "the loud window is gone"
        assert rig.memory.read_levels(3, 3, plan, 2)[0].tolist() == [0, 0]
