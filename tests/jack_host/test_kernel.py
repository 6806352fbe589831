"""The sound of the kernel: bits, gains, fades and plans, without a server."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jackd_router.jack_host.memory import AT_TARGET, FROM_SILENCE, MAX_BUSES, MAX_CELLS, MAX_PORTS
from tests.jack_host.rig import FADE_FRAMES, FLOOR, MOST_FRAMES, Rig
from tests.support.samples import PATTERNS, bits

UNITY = [(0, 0, 0)]


def steps(out: NDArray[Any]) -> NDArray[Any]:
    """Give the difference of each frame to the one before."""
    return np.diff(out)


# ---- what passes


@pytest.mark.parametrize("frames", [1, 7, 16, 63, 64, 65, 100, 128, 441, 1024, 4096, MOST_FRAMES])
def test_unity_keeps_every_bit(frames: int) -> None:
    with Rig(2, 2) as rig:
        rig.set_gains(1, 1)
        rig.set_plan([(1, 0, 0), (0, 1, 1)])
        anything = np.random.default_rng(frames).integers(0, 2**32, (2, frames), dtype=np.uint32)
        anything[0] = np.resize(PATTERNS, frames)
        rig.x[:, :frames] = anything.view(np.float32)
        out = rig.cycle(frames)
        assert bits(out[0]) == anything[1].tolist()
        assert bits(out[1]) == anything[0].tolist()


@pytest.mark.parametrize("frames", [1, 15, 64, 441])
def test_every_output_of_an_input_at_unity_keeps_every_bit(frames: int) -> None:
    with Rig(2, 4) as rig:
        rig.set_gains(1, 1, 0.5, 1)
        rig.set_plan([(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 3, 3)])
        for copies in ([0, 1], [1]):
            rig.x[0, :frames] = np.resize(PATTERNS, frames)
            rig.x[1, :frames] = np.random.default_rng(frames).uniform(-1, 1, frames)
            out = rig.cycle(frames)
            assert all(bits(out[copy]) == bits(rig.x[0, :frames]) for copy in copies)
            np.testing.assert_array_equal(out[3], rig.x[1, :frames])
            rig.set_gains(0, 1, 0.5, 1)  # the first one turns away: now the second one is the first that has the input
            rig.cycle(FADE_FRAMES)


@pytest.mark.parametrize("frames", [127, 128, 129, 441, 1024])
def test_copy_beside_dense_mixes_keeps_every_bit(frames: int) -> None:
    inputs, rng = 16, np.random.default_rng(frames)
    with Rig(inputs, 3) as rig:
        rig.set_gains(1, *[0.25] * 2 * inputs)
        mixes = [(i, o, 1 + (o - 1) * inputs + i) for o in (1, 2) for i in range(inputs)]
        rig.set_plan([(3, 0, 0), *mixes])
        for _ in range(2):
            rig.x[:, :frames] = rng.uniform(-1, 1, (inputs, frames))
            out = rig.cycle(frames)
            assert bits(out[0]) == bits(rig.x[3, :frames])
            wanted = rig.x[:, :frames].astype(np.float64).sum(axis=0) / 4
            np.testing.assert_allclose(out[1:], [wanted, wanted], rtol=0, atol=2e-6 * inputs)


@pytest.mark.parametrize("frames", [1, 5, 64, 100, 441, 1024])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (2, 2), (2, 1), (3, 1), (4, 2), (5, 3), (7, 7), (64, 64)])
def test_matrix_is_the_product(inputs: int, outputs: int, frames: int) -> None:
    rng = np.random.default_rng(inputs * 1000 + frames)
    matrix = rng.uniform(-2, 2, (outputs, inputs)).astype(np.float32)
    with Rig(inputs, outputs) as rig:
        rig.set_gains(*matrix.ravel())
        rig.set_plan([(i, o, o * inputs + i) for o in range(outputs) for i in range(inputs)])
        for _ in range(2):
            rig.x[:, :frames] = rng.uniform(-1, 1, (inputs, frames))
            wanted = matrix.astype(np.float64) @ rig.x[:, :frames]
            np.testing.assert_allclose(rig.cycle(frames), wanted, rtol=0, atol=2e-6 * inputs)


def test_inverted_is_exact() -> None:
    with Rig() as rig:
        rig.set_gains(-1)
        rig.set_plan(UNITY)
        rig.x[0, :64] = np.random.default_rng(1).uniform(-1, 1, 64)
        assert (rig.cycle()[0] == -rig.x[0, :64]).all()


def test_silence_is_zero_whatever_comes_in() -> None:
    with Rig(2, 2) as rig:
        rig.set_gains(0, 0, 1)
        rig.set_plan([(0, 0, 0), (0, 1, 1), (1, 1, 2)])
        rig.x[0] = np.nan
        rig.x[1] = 0.5
        assert not any(bits(rig.cycle()[0]))
        assert (rig.y[1, :64] == 0.5).all(), "a silent cell spoils the sum that it is part of"


def test_output_without_cells_is_zero() -> None:
    with Rig(1, 3) as rig:
        rig.set_gains(1)
        rig.set_plan([(0, 1, 0)])
        rig.x[:] = 1
        assert rig.cycle()[:, 0].tolist() == [0, 1, 0]


def test_without_a_plan_a_cycle_touches_nothing() -> None:
    with Rig() as rig:
        assert (rig.cycle() == 7).all()
        assert rig.memory.cycles == 1


def test_denormals_are_flushed_where_there_is_arithmetic() -> None:
    with Rig() as rig:
        rig.set_gains(0.5)
        rig.set_plan(UNITY)
        rig.x[:] = np.float32(1e-39)
        assert not any(bits(rig.cycle()))


# ---- fades


@pytest.mark.parametrize("frames", [1, 16, 64, 100, 480, 1024])
@pytest.mark.parametrize(("before", "after"), [(1.0, 0.001), (0.001, 1.0), (0.5, -0.5), (0.0, 10.0)])
def test_fade_takes_its_frames_and_ends_at_the_target(before: float, after: float, frames: int) -> None:
    with Rig() as rig:
        rig.set_gains(before)
        rig.set_plan(UNITY)
        rig.x[:] = 1
        first = rig.cycle(frames)[0]
        assert (first == np.float32(before)).all()
        rig.set_gains(after)
        out = np.concatenate([first[-1:], rig.cycles(frames, 2 * FADE_FRAMES)[0]])
        assert (out[FADE_FRAMES:] == np.float32(after)).all()
        assert out[FADE_FRAMES - 1] != np.float32(after)
        taken = np.abs(steps(out[: FADE_FRAMES + 1].astype(np.float64)))
        change = abs(float(np.float32(after)) - float(np.float32(before))) / FADE_FRAMES
        ulp = np.spacing(np.float32(max(abs(before), abs(after))))
        np.testing.assert_allclose(taken, change, rtol=0, atol=ulp)


def test_fade_does_not_depend_on_the_period() -> None:
    sounds = []
    for frames in (1, 48, 64, 480):
        with Rig() as rig:
            rig.set_gains(1)
            rig.set_plan(UNITY)
            rig.x[:] = 1
            rig.cycle(frames)
            rig.set_gains(0.25)
            sounds.append(bits(rig.cycles(frames, 960)[:, :960]))
    assert all(sound == sounds[0] for sound in sounds)


def test_fade_turns_from_where_it_is() -> None:
    with Rig() as rig:
        rig.set_gains(0)
        rig.set_plan(UNITY)
        rig.x[:] = 1
        out = []
        for turn, quiet in itertools.product(range(20), (False, False, True)):
            if not quiet:
                rig.set_gains(turn % 2)
            out.append(rig.cycle()[0])
        assert np.abs(steps(np.concatenate(out))).max() < 1.001 / FADE_FRAMES
        assert max(map(np.max, out)) > 0.1, "nothing was heard at all"


def test_fade_to_silence_ends_in_zeros_under_nan() -> None:
    with Rig() as rig:
        rig.set_gains(1)
        rig.set_plan(UNITY)
        rig.x[:] = np.nan
        rig.cycle()
        rig.set_gains(0)
        out = rig.cycles(100, 2 * FADE_FRAMES)[0]
        assert np.isnan(out[: FADE_FRAMES - 1]).all()
        assert not any(bits(out[FADE_FRAMES - 1 :]))


def test_all_gains_change_in_the_same_cycle() -> None:
    with Rig(1, 3) as rig:
        rig.set_gains(1, 1, 1)
        rig.set_plan([(0, output, output) for output in range(3)])
        rig.x[:] = 1
        rig.cycle()
        rig.set_gains(0, 0, 0)
        out = rig.cycle()
        assert (out[0] == out[1]).all()
        assert (out[0] == out[2]).all()
        assert out[0, -1] < 1


def test_buffer_size_may_change_in_every_cycle() -> None:
    with Rig() as rig:
        rig.set_gains(0)
        rig.set_plan(UNITY)
        rig.x[:] = 1
        rig.cycle()
        rig.set_gains(1)
        out = np.concatenate([rig.cycle(frames)[0] for frames in (64, 16, 1, 333, 32, 1024)])
        assert (out[FADE_FRAMES - 1 :] == 1).all()
        np.testing.assert_allclose(out[:FADE_FRAMES], np.arange(1, FADE_FRAMES + 1) / FADE_FRAMES, rtol=0, atol=1e-6)


# ---- fades in dB


def ideal(start: float, end: float, frames: int) -> NDArray[np.float64]:
    """Give the gain of each frame of a fade that is linear in dB, where silence is -144 dB; the first is from before it."""
    start, end = max(start, FLOOR), max(end, FLOOR)
    return start * (end / start) ** (np.arange(frames + 1) / frames)


@pytest.mark.parametrize("frames", [64, 441, 8192])
@pytest.mark.parametrize(("start", "end"), [(1.0, 0.1), (0.01, 10.0), (1.0, 0.0), (0.0, 0.5), (0.7, 0.69)])
def test_fade_in_db_takes_its_frames_on_a_straight_line(start: float, end: float, frames: int) -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(start)
        rig.set_plan(UNITY)
        first = rig.cycle()[0, -1:]
        rig.fade_in_db(start, end, 48_000)
        out = np.concatenate([first, rig.cycles(frames, 50_000)[0]])[:48_002]
        wanted = ideal(start, end, 48_000)
        np.testing.assert_allclose(out[1:48_000], wanted[1:-1], rtol=1e-6)
        assert out[47_999] != np.float32(end), "it is there too early"
        assert (out[48_000:] == np.float32(end)).all()
        most = np.abs(steps(wanted)).max()
        assert np.abs(steps(out.astype(np.float64))).max() <= 1.01 * most + np.spacing(np.float32(max(start, end)))


def test_fade_in_db_of_minutes_ends_where_it_should() -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(10)
        rig.set_plan(UNITY)
        rig.cycle()
        frames = 300 * 48_000
        rig.fade_in_db(10, 1e-4, frames)
        last = np.float32(10)
        for number in range(1, frames // MOST_FRAMES + 1):
            out = rig.cycle(MOST_FRAMES)[0]
            assert out[0] == pytest.approx(last, rel=3e-6)
            last = out[-1]
            assert last == pytest.approx(10 * 1e-5 ** (number * MOST_FRAMES / frames), rel=1e-4), "0.001 dB beside"
        assert (rig.cycle(MOST_FRAMES)[0, frames % MOST_FRAMES - 1 :] == np.float32(1e-4)).all()


def test_fade_in_db_from_the_middle_of_another_change_makes_no_step() -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(-1)
        rig.set_plan(UNITY)
        out = [rig.cycle()[0]]
        rig.set_gains(1)
        out += [rig.cycle()[0], rig.cycle()[0]]  # somewhere below nothing, where no dB are
        rig.fade_in_db(1, 0.5, 4800)
        out.append(rig.cycles(64, 4800)[0])
        assert np.abs(steps(np.concatenate(out))).max() < 2.01 / FADE_FRAMES
        assert out[-1][-1] == 0.5


def test_change_ends_a_fade_in_db_where_it_is() -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(1)
        rig.set_plan(UNITY)
        rig.cycle()
        rig.fade_in_db(1, 0.001, 48_000)
        before = rig.cycles(64, 24_000)[0, -1]
        assert before == pytest.approx(0.001**0.5, rel=1e-3)
        rig.end_fade(0.001)
        out = rig.cycles(64, 2 * FADE_FRAMES)[0]
        assert out[0] == pytest.approx(before, rel=0.01)
        assert (out[FADE_FRAMES:] == np.float32(0.001)).all(), "to the same target, but now at once"


def test_other_buses_and_later_changes_do_not_fade_in_db() -> None:
    with Rig(1, 2) as rig:
        rig.x[:] = 1
        rig.set_gains(1, 1)
        rig.set_plan([(0, 0, 0), (0, 1, 1)])
        rig.cycle()
        rig.fade_in_db(1, 0.5, 100)
        rig.set_gains(0.5, 1)
        rig.cycles(64, 200)
        rig.set_gains(1, 0)
        np.testing.assert_allclose(steps(rig.cycle(FADE_FRAMES)[0]), 0.5 / FADE_FRAMES, rtol=0.01)
        np.testing.assert_allclose(steps(rig.y[1, :FADE_FRAMES]), -1 / FADE_FRAMES, rtol=0.01, atol=1e-6)


# ---- plans


@pytest.mark.parametrize(("start", "first"), [(AT_TARGET, 1.0), (FROM_SILENCE, 1 / FADE_FRAMES)])
def test_new_cell_starts_as_it_was_told(start: int, first: float) -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(1)
        rig.set_plan(UNITY, start)
        out = rig.cycles(64, 2 * FADE_FRAMES)[0]
        assert out[0] == pytest.approx(first, rel=1e-3)
        assert np.abs(steps(out)).max(initial=0) < 1.001 / FADE_FRAMES
        assert out[-1] == 1


def test_cell_that_goes_on_keeps_its_fade_over_a_new_plan() -> None:
    with Rig(2, 2) as rig:
        rig.x[:] = 1
        rig.set_gains(0)
        serial = rig.set_plan(UNITY)
        rig.cycle()
        rig.set_gains(1, 0.5)
        out = [rig.cycle()[0]]
        rig.set_plan([(0, 0, 0), (1, 1, 1)], owners=[serial, serial + 1])
        assert (rig.cycle()[1] == 0.5).all()
        out += [rig.y[0, :64].copy(), rig.cycles(64, 2 * FADE_FRAMES)[0]]
        np.testing.assert_allclose(steps(np.concatenate(out))[: FADE_FRAMES - 1], 1 / FADE_FRAMES, rtol=0, atol=1e-6)
        assert out[-1][-1] == 1


def test_plan_is_settled_when_a_cycle_has_run_it() -> None:
    with Rig(2, 2) as rig:
        rig.set_gains(1, 1)
        rig.x[0], rig.x[1] = 1, 2
        for inputs in itertools.islice(itertools.cycle([(0, 1), (1, 0)]), 200):
            rig.set_plan([(inputs[0], 0, 0), (inputs[1], 1, 1)])
            assert not rig.kernel.settled()
            assert rig.cycle()[:, 0].tolist() == [1 + inputs[0], 1 + inputs[1]]
            assert rig.kernel.settled()


def test_plans_that_no_cycle_has_seen_are_passed_over() -> None:
    with Rig(2, 1) as rig:
        rig.set_gains(1)
        rig.x[1] = 2
        for _ in range(100):
            rig.set_plan([(0, 0, 0)])
        rig.set_plan([(1, 0, 0)])
        assert not rig.kernel.settled()
        assert (rig.cycle() == 2).all()
        assert rig.kernel.settled()


@pytest.mark.parametrize(("start", "first"), [(AT_TARGET, 1.0), (FROM_SILENCE, 1 / FADE_FRAMES)])
def test_cell_of_a_plan_that_no_cycle_has_seen_begins_in_the_next_one(start: int, first: float) -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(1)
        serial = rig.set_plan(UNITY, start)
        rig.set_plan(UNITY, start, owners=[serial])
        assert rig.cycle()[0, 0] == pytest.approx(first, rel=1e-3)


def test_slot_with_another_owner_begins_anew() -> None:
    with Rig() as rig:
        rig.x[:] = 1
        rig.set_gains(1)
        rig.set_plan(UNITY)
        rig.cycle()
        rig.set_gains(0)
        rig.cycle()
        rig.set_gains(0.5)
        rig.set_plan(UNITY)
        assert (rig.cycle() == 0.5).all(), "it goes on with the fade of the one before"


def test_cells_may_come_in_any_order() -> None:
    with Rig(3, 3) as rig:
        rig.set_gains(1, 2, 4)
        rig.x[:] = 1
        rig.set_plan([(2, 2, 2), (0, 0, 0), (1, 0, 1), (1, 1, 1), (2, 0, 2)])
        assert rig.cycle()[:, 0].tolist() == [7, 2, 4]


@pytest.mark.parametrize(
    "cell",
    [(1, 0, 0, 0, 1), (0, 1, 0, 0, 1), (0, 0, MAX_CELLS, 0, 1), (0, 0, 0, MAX_BUSES, 1), (0, 0, 0, 0, 0)],
    ids=["input", "output", "slot", "bus", "fade"],
)
def test_plan_with_a_number_that_leads_out_of_an_array_is_refused(cell: tuple[int, ...]) -> None:
    with Rig() as rig:
        ports = [rig.x.ctypes.data], [rig.y.ctypes.data]
        rig.kernel.set_plan(1, *ports, [(0, 0, MAX_CELLS - 1, MAX_BUSES - 1, 1, AT_TARGET, 1)])
        with pytest.raises(MemoryError, match="more than there is room for"):
            rig.kernel.set_plan(2, *ports, [(*cell, AT_TARGET, 1)])


@pytest.mark.parametrize(("slot", "bus"), [(MAX_PORTS, 0), (0, MAX_BUSES)])
def test_midi_pair_that_leads_out_of_an_array_is_refused(slot: int, bus: int) -> None:
    with Rig(midi=1) as rig:
        rig.set_plan(midi=[(0, MAX_BUSES - 1)], midi_slots=[(MAX_PORTS - 1, 1)])
        with pytest.raises(MemoryError, match="more than there is room for"):
            rig.set_plan(midi=[(0, bus)], midi_slots=[(slot, 1)])


def test_largest_plan_runs_and_a_larger_one_is_refused() -> None:
    with Rig(MAX_PORTS, MAX_PORTS) as rig:
        rig.set_gains(*[1 / 64] * MAX_CELLS)
        largest = [(slot % 64, slot // 64, slot) for slot in range(MAX_CELLS)]
        rig.set_plan(largest)
        rig.x[:] = 1
        assert (rig.cycle(16) == 1).all()
        with pytest.raises(MemoryError, match="65537 cells is more than there is room for"):
            rig.set_plan([*largest, (0, 0, 0)])
        for many in ("x", "y"):
            with Rig(MAX_PORTS + (many == "x"), MAX_PORTS + (many == "y")) as larger, pytest.raises(MemoryError, match="1025"):
                larger.set_plan([])
        assert rig.kernel.settled()
        assert (rig.cycle(16) == 1).all(), "a refused plan left its mark"
