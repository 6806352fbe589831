"""What a bus costs, beside the least that any client that carries sound can cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.carriers import Carrier, Native, Router, Thru
from benchmarks.figures import Bound, percentile, table
from benchmarks.roundtrip import Run, listen, realtime_priority, told
from benchmarks.stopwatch import Stopwatch, stopwatch
from benchmarks.surroundings import Surroundings
from tests.support.jack_server import JackServer

CHANNELS = (2, 8, 32, 64)
FRAMES = (32, 64, 256)
RATE_HZ = 48_000
MOST_CPU = 1.10
MOST_CPU_OF_A_CELL = 1.25
MOST_MORE_US = 0.8
MOST_MORE_A_CHANNEL_US = 0.05
MOST_OF_PERIOD = 0.10


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured: each cell is one number of channels at one buffer size."""

    channels: tuple[int, ...] = CHANNELS
    frames: tuple[int, ...] = FRAMES
    runs: int = 5
    seconds: float = 3


@dataclass(slots=True)
class Cell:
    """The runs of all carriers with so many channels at that buffer size."""

    channels: int
    frames: int
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it."""
        return f"{self.channels} channels, {self.frames} frames"

    @property
    def period_us(self) -> float:
        """How long a period is."""
        return self.frames / RATE_HZ * 1e6

    def cpu_us(self, name: str) -> float:
        """Give the median of the runs of a carrier."""
        return median(run.cpu_us for run in self.runs[name])

    def took_us(self, name: str) -> list[float]:
        """Give how long each callback of a carrier took."""
        return [took for run in self.runs[name] for took in run.took_us]

    def cpu_ratio(self, name: str) -> float:
        """Compare with the native program."""
        return self.cpu_us(name) / self.cpu_us(Native.name)

    def more_us(self, name: str) -> float:
        """Give by how much the median callback is longer than that of the native program."""
        return median(self.took_us(name)) - median(self.took_us(Native.name))


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    scope = Scope(channels=(2, 64), frames=(64,), runs=3, seconds=1) if quick else Scope()
    print(f"{told(realtime_priority())}; {scope.runs} runs of {scope.seconds:g} s of each in turn. Times in µs\n", flush=True)
    with stopwatch() as watch:
        cells = [cell for frames in scope.frames for cell in _measure_at(around, watch, scope, frames)]
    print(table(_HEAD, [_row(cell, name) for cell in cells for name in cell.runs]))
    if not Thru.is_there():
        print("Not compared: jack_thru is not installed (Debian 12: jackd2, later: jack-example-tools)")
    return _bounds(cells)


def _measure_at(around: Surroundings, watch: Stopwatch, scope: Scope, frames: int) -> list[Cell]:
    """Let all take turns on one server: what else the machine does then falls on all of them alike."""
    server = around.server(period_frames=frames, realtime_priority=realtime_priority())
    cells = []
    with server:
        for channels in scope.channels:
            cell = Cell(channels, frames)
            _take_turns(around, server, watch, cell, scope)
            print(f"  {cell}: {cell.cpu_ratio(Router.name):.2f} x the CPU time of C", file=sys.stderr, flush=True)
            cells.append(cell)
    return cells


def _take_turns(around: Surroundings, server: JackServer, watch: Stopwatch, cell: Cell, scope: Scope) -> None:
    carriers: list[Carrier] = [Native(), Router()]
    if cell.channels == Thru.channels and Thru.is_there():
        carriers.append(Thru())
    for number in range(scope.runs):
        first = number % len(carriers)
        for carrier in carriers[first:] + carriers[:first]:
            with carrier.running(around, server, watch, cell.channels) as pid:
                run = listen(around, server, watch, carrier, pid, channels=cell.channels, seconds=scope.seconds)
            watch.forget(pid)
            cell.runs.setdefault(carrier.name, []).append(run)


_HEAD = ("who", "channels", "frames", "CPU a cycle", "x C", "callback", "p99", "p99.9", "longest", "missed of 100,000")


def _row(cell: Cell, name: str) -> list[str]:
    took, runs = cell.took_us(name), cell.runs[name]
    missed = sum(run.missed for run in runs) / sum(run.periods for run in runs)
    return [
        name,
        str(cell.channels),
        str(cell.frames),
        f"{cell.cpu_us(name):.1f}",
        f"{cell.cpu_ratio(name):.2f}",
        f"{median(took):.2f}",
        f"{percentile(took, 99):.1f}",
        f"{percentile(took, 99.9):.1f}",
        f"{max(took):.0f}",
        f"{1e5 * missed:.0f}",
    ]


def _bounds(cells: Sequence[Cell]) -> list[Bound]:
    name = Router.name
    ratio = median(cell.cpu_ratio(name) for cell in cells)
    worst = max(cells, key=lambda cell: cell.cpu_ratio(name))
    slowest = max(cells, key=lambda cell: cell.more_us(name) - most_more_us(cell.channels))
    slow = sum(cell.more_us(name) > most_more_us(cell.channels) for cell in cells)
    bounds = [
        Bound(f"passthrough: {ratio:.2f} x the CPU time of C, median of all cells (at most {MOST_CPU:.2f})", ratio <= MOST_CPU),
        Bound(
            f"passthrough: {worst.cpu_ratio(name):.2f} x the CPU time of C in the worst cell, {worst}"
            f" (at most {MOST_CPU_OF_A_CELL})",
            worst.cpu_ratio(name) <= MOST_CPU_OF_A_CELL,
        ),
        Bound(
            f"passthrough: median callback {slowest.more_us(name):.2f} µs longer than C's in the worst cell, {slowest}"
            f" (at most {most_more_us(slowest.channels):.2f}); too long in {slow} of {len(cells)} cells",
            not slow,
        ),
    ]
    for cell in cells:
        if cell.channels == max(CHANNELS) and cell.frames <= 64:
            late, most = percentile(cell.took_us(name), 99.9), MOST_OF_PERIOD * cell.period_us
            of_c = percentile(cell.took_us(Native.name), 99.9)
            text = f"passthrough: p99.9 of the callback {late:.0f} µs (C: {of_c:.0f}), {cell} (at most {most:.0f})"
            bounds.append(Bound(text, late <= most))
    return bounds


def most_more_us(channels: int) -> float:
    """Give how much longer than C a median callback with so many channels may take."""
    return MOST_MORE_US + MOST_MORE_A_CHANNEL_US * channels
