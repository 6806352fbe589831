"""Buses that a reload changes, in a real kernel between numpy buffers: what stays sounds on, whichever cycle falls where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from jackd_router.core.config import DEFAULT_PROFILE, BusConfig, BusType
from jackd_router.core.mix import identity
from jackd_router.jack_host.memory import MAX_BUSES, MAX_CELLS, MAX_PORTS
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.kernel_plan import PlanMessage
from tests.jack_host.rig import Rig, Samples

FRAMES = 64
FADE_FRAMES = 960
"""20 ms, of which is the default."""

Matrix = Sequence[Sequence[float]]


class Desk:
    """One bus of several channels, in a kernel that runs it; every input port sounds with a value of its own, 1 and up."""

    def __init__(self, rig: Rig) -> None:
        self.buses = Buses(lambda name, *changed: None)
        self._rig = rig
        self._rows: dict[bytes, int] = {}
        for row in range(len(rig.x)):
            rig.x[row] = row + 1

    def load(self, *channels: str, matrix: Matrix = ()) -> None:
        """Put other channels in force, as a reload does before the host has their plan."""
        self.buses.load((BusConfig("b", channels, channels, matrix=tuple(map(tuple, matrix))),), DEFAULT_PROFILE, {})

    def begin(self) -> None:
        """Let a server be there."""
        self._hand_over(self.buses.begin_generation(self._rig.memory))

    def plan(self) -> None:
        """Let the kernel have the plan for what was loaded."""
        self._hand_over(self.buses.plan())

    def _hand_over(self, message: PlanMessage) -> None:
        serial, inputs, outputs, cells, _ = message
        # A port has one buffer as long as the kernel runs, as those of libjack.
        x, y = (
            [rows[self._row(name)].ctypes.data for name in names]
            for rows, names in ((self._rig.x, inputs), (self._rig.y, outputs))
        )
        self._rig.kernel.set_plan(serial, x, y, cells)

    def _row(self, port: bytes) -> int:
        return self._rows.setdefault(port, len(self._rows))

    def source(self, channel: str) -> float:
        """Give what sounds at an input."""
        return self._row(f"b_in_{channel}".encode()) + 1

    def cycle(self, channel: str) -> Samples:
        """Run one cycle, and give what came out of a channel."""
        return np.asarray(self._rig.cycle(FRAMES)[self._row(f"b_out_{channel}".encode())])

    def cycles(self, channel: str, count: int) -> Samples:
        """Run so many cycles, and give what came out of a channel."""
        return np.concatenate([self.cycle(channel) for _ in range(count)])


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Rig(16, 16) as rig:
        yield Desk(rig)


@pytest.mark.parametrize("channels", ["CL", "LC", "L", "RL", "LFRCX", "XYL"])
def test_channel_that_stays_does_not_notice_that_others_move(desk: Desk, channels: str) -> None:
    desk.load("F", "C", "L", "R")
    desk.begin()
    desk.cycle("L")
    desk.load(*channels)
    # The host has yet to make ports: the plan before runs with the new gains meanwhile.
    assert (desk.cycles("L", 3) == desk.source("L")).all()
    desk.plan()
    assert (desk.cycles("L", 3) == desk.source("L")).all()


def test_fade_goes_on_where_its_channel_moves(desk: Desk) -> None:
    desk.load("C", "L")
    desk.begin()
    desk.cycle("L")
    desk.buses.set_gain("b", -144.0)
    begin = desk.cycle("L")
    desk.load("L", "C")
    between = desk.cycle("L")
    desk.plan()
    level = np.concatenate([begin, between, desk.cycles("L", FADE_FRAMES // FRAMES)]) / desk.source("L")
    np.testing.assert_allclose(level[:FADE_FRAMES], 1 - np.arange(1, FADE_FRAMES + 1) / FADE_FRAMES, atol=1e-6)
    assert not level[FADE_FRAMES:].any()


def test_reload_that_mixes_more_into_a_channel_fades_that_in(desk: Desk) -> None:
    desk.load("L", "R")
    desk.begin()
    desk.cycle("L")
    desk.load("L", "R", matrix=[[1, 1], [0, 1]])
    desk.plan()
    added = (desk.cycles("L", FADE_FRAMES // FRAMES + 1) - desk.source("L")) / desk.source("R")
    np.testing.assert_allclose(added[:FADE_FRAMES], np.arange(1, FADE_FRAMES + 1) / FADE_FRAMES, atol=1e-6)
    assert (added[FADE_FRAMES:] == 1).all()


def test_new_channel_sounds_at_once_and_does_not_step_into_those_that_are_there(desk: Desk) -> None:
    desk.load("L")
    desk.begin()
    desk.cycle("L")
    desk.load("L", "R", matrix=identity(2, 2))
    desk.plan()
    assert (desk.cycle("R") == desk.source("R")).all()
    assert (desk.cycle("L") == desk.source("L")).all()


def test_channel_that_is_taken_away_and_comes_again_begins_anew(desk: Desk) -> None:
    desk.load("L", "R")
    desk.begin()
    desk.cycle("L")
    for channels in ("L", "LR"):
        desk.load(*channels)
        desk.plan()
        # No cycle runs in between: the kernel never sees the first of both plans.
    assert (desk.cycle("R") == desk.source("R")).all()


@pytest.mark.parametrize(
    ("count", "channels", "kind"), [(64, 1, BusType.AUDIO), (16, 64, BusType.AUDIO), (16, 64, BusType.MIDI)], ids=str
)
def test_all_that_there_can_be_is_replaced_at_once(count: int, channels: int, kind: BusType) -> None:
    """No slot is given twice, and none beyond the last: the kernel has no more."""
    names = tuple(map(str, range(channels)))
    matrix = ((1.0,) * channels,) * channels if kind is BusType.AUDIO else ()
    buses = Buses(lambda name, *changed: None)
    memory = SharedMemory()
    try:
        for name in ("one", "two", "three"):
            buses.load(
                [BusConfig(f"{name}{n}", names, names, matrix=matrix, type=kind) for n in range(count)], DEFAULT_PROFILE, {}
            )
            _, _, _, cells, midi = buses.begin_generation(memory) if name == "one" else buses.plan()
            slots = [cell[2] for cell in cells] or [pair[2] for pair in midi]
            assert len({*slots}) == len(slots) == count * len(matrix or [()]) * channels
            assert max(slots) < (MAX_CELLS if cells else MAX_PORTS)
            assert len({cell[3] for cell in cells} | {pair[3] for pair in midi}) == count
            assert max([*(cell[3] for cell in cells), *(pair[3] for pair in midi)]) < MAX_BUSES
    finally:
        memory.close_file()
