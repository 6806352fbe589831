"""How late a timer is: in the event loop of a daemon, and beside it in a program that does nothing else.

Both count in files, so that neither is asked anything while it runs. A period that was missed counts, with its own lateness.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.surroundings import Surroundings

PERIOD_S = 0.005
BUCKET_S = 0.0001
BUCKETS = 20_000
"""The last one counts everything from 2 s on, too."""

FOLDER_VARIABLE = "SOAK_LAG_FOLDER"
"""Tells the daemon where to count; it must be that of `METERED`."""

LATE, OWN, NATIVE = "lag-late", "lag-own", "lag-native"
"""The files: how late the daemon's timer is, how much of that is CPU time of its own thread, and the other program's timer."""

METERED = ("soak.metered_daemon",)


@dataclass(frozen=True, slots=True)
class Lag:
    """How many periods were late by how many buckets."""

    counts: NDArray[np.uint64]

    @staticmethod
    def read(file: Path) -> Lag:
        """Give what has been counted in a file so far."""
        return Lag(np.fromfile(file, np.uint64))

    def since(self, before: Lag) -> Lag:
        """Give what came after an earlier reading of the same file."""
        return Lag(self.counts - before.counts)

    @property
    def periods(self) -> int:
        """How many there were."""
        return int(self.counts.sum())

    def ms(self, percent: float) -> float:
        """Give the lateness, rounded up to a bucket, that so many percent of the periods did not exceed."""
        reached = np.cumsum(self.counts) >= self.periods * percent / 100
        return float((np.argmax(reached) + 1) * BUCKET_S * 1000)


@dataclass(frozen=True, slots=True)
class Lags:
    """That of the daemon, what its own work makes of it, and that of the machine."""

    late: Lag
    own: Lag
    native: Lag

    def since(self, before: Lags) -> Lags:
        """Give what came after an earlier reading."""
        return Lags(self.late.since(before.late), self.own.since(before.own), self.native.since(before.native))


class Clocks:
    """The three files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in (LATE, OWN, NATIVE):
            (folder / name).write_bytes(bytes(8 * BUCKETS))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the daemon needs to know."""
        return {FOLDER_VARIABLE: str(self._folder)}

    def read(self) -> Lags:
        """Give what has been counted so far."""
        return Lags(*(Lag.read(self._folder / name) for name in (LATE, OWN, NATIVE)))


@contextmanager
def clocks(around: Surroundings) -> Iterator[Clocks]:
    """Let the native timer run."""
    folder = around.fresh_folder("lag")
    files = Clocks(folder)
    arguments = [str(folder / NATIVE), *(str(round(seconds * 1e6)) for seconds in (PERIOD_S, BUCKET_S))]
    with around.native("timer", *arguments) as timer:
        assert timer.line() == "ready"
        yield files
