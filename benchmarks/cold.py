"""What a cycle of the kernel costs when the caches hold little or nothing of it, without a server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

from benchmarks.figures import Bound, table
from benchmarks.passthrough import CHANNELS, FRAMES, most_more_us
from benchmarks.surroundings import NATIVE, Surroundings, compile_native
from jackd_router.jack_host import memory

_HOST = Path(memory.__file__).parent
_KERNEL = _HOST / "_kernel.so"
_UNITY = Path(__file__).parents[1] / "tests/jack_host"
"""Where the header of a bus without a server is."""
_CYCLES = {16: 130, 128: 40}
"""By the megabytes of other memory that are read before each cycle: more than a second-level cache has, and than any has."""
_RUNS = 5
"""Each with its own pages, some of which share a place in the cache."""


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bound."""
    program = around.fresh_folder("cold") / "cold"
    compile_native(NATIVE / "cold.c", program, f"-I{_HOST}", f"-I{_UNITY}", str(_KERNEL), f"-Wl,-rpath,{_HOST}", "-lpthread")
    rows, more = [], {}
    for frames in FRAMES[-1:] if quick else FRAMES:
        for channels in CHANNELS:
            row = [str(channels), str(frames)]
            for megabytes in _CYCLES:
                copy, kernel = _median_us(program, channels, frames, megabytes, runs=1 if quick else _RUNS)
                more[channels, frames, megabytes] = kernel - copy
                row += [f"{copy:.2f}", f"{kernel:.2f}", f"{kernel - copy:+.2f}"]
            rows.append(row)
    print("Medians of a cycle, in µs, of memcpy and the kernel, when so much other memory was read since the one before\n")
    head = [text for megabytes in _CYCLES for text in (f"memcpy, {megabytes} MB", "kernel", "more")]
    print(table(["channels", "frames", *head], rows))
    little = min(_CYCLES)
    over = {cell: us - most_more_us(cell[0]) for cell, us in more.items() if cell[2] == little}
    worst = max(over, key=lambda cell: over[cell])
    return [
        Bound(
            f"cold: {more[worst]:+.2f} µs more than memcpy after {little} MB, {worst[0]} channels, {worst[1]} frames, the worst"
            f" cell (at most {most_more_us(worst[0]):.2f})",
            over[worst] <= 0,
        )
    ]


def _median_us(program: Path, channels: int, frames: int, megabytes: int, runs: int) -> tuple[float, float]:
    command = [str(program), str(channels), str(frames), str(_CYCLES[megabytes]), str(megabytes)]
    printed = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(runs)]
    copy, kernel = zip(*printed, strict=True)
    return median(map(int, copy)) / 1000, median(map(int, kernel)) / 1000
