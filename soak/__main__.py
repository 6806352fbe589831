"""Runs the soak: `python -m soak [deaths | frozen | frozen-pipewire | mirror ...]`.

The environment says how much of it: SOAK_DEATHS, SOAK_FROZEN (seconds), SOAK_ROUNDS (of churn), and SOAK_SEED.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.figures import Bound, table
from benchmarks.machine import chapter, describe
from benchmarks.surroundings import Surroundings, surroundings
from soak import deaths, frozen, mirror
from soak.lag import Clocks, Lags, clocks
from soak.servers import Jack2, PipeWire
from soak.studio import NATIVE

MOST_LAG_MS = 20


class Found(Protocol):
    """What a chapter has found."""

    def facts(self) -> list[Bound]:
        """Give what must be so on any machine."""

    def figures(self) -> list[Bound]:
        """Give what depends on the machine."""

    def table(self) -> str:
        """Give the figures for people."""


def _asked(variable: str, otherwise: int) -> int:
    """Give what the environment asks for."""
    return int(os.environ.get(variable) or otherwise)


def _deaths(around: Surroundings, files: Clocks) -> Found:
    count, seed = _asked("SOAK_DEATHS", 500), _asked("SOAK_SEED", time.time_ns() // 1_000_000_000)
    print(f"{count} deaths, seed {seed}\n", flush=True)
    return deaths.run(around, files, count, seed)


def _frozen(around: Surroundings, files: Clocks) -> Found:
    return frozen.run(around, files, Jack2(around), _asked("SOAK_FROZEN", 60))


def _frozen_pipewire(around: Surroundings, files: Clocks) -> Found:
    return frozen.run(around, files, PipeWire(around, is_managed=False), _asked("SOAK_FROZEN", 60))


def _mirror(around: Surroundings, files: Clocks) -> Found:
    return mirror.run(around, files, around.server(), _asked("SOAK_ROUNDS", 1_000))


CHAPTERS: dict[str, Callable[[Surroundings, Clocks], Found]] = {
    "deaths": _deaths,
    "frozen": _frozen,
    "frozen-pipewire": _frozen_pipewire,
    "mirror": _mirror,
}


def main() -> int:
    """Run what is asked for; 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m soak", description="Let private servers die, freeze and churn.")
    parser.add_argument("what", nargs="*", metavar="|".join(CHAPTERS), help="only these (all)")
    chosen: list[str] = parser.parse_args().what or list(CHAPTERS)
    if unknown := sorted(set(chosen) - CHAPTERS.keys()):
        parser.error(f"there is no chapter {unknown[0]!r}")
    bounds: list[Bound] = []
    lags: dict[str, Lags] = {}
    with surroundings(NATIVE) as around, clocks(around) as files:
        print(describe())
        for name in chosen:
            before = files.read()
            with chapter(name):
                found = CHAPTERS[name](around, files)
                print(found.table())
            lags[name] = files.read().since(before)
            bounds += [*found.facts(), *found.figures()]
    print(f"\n{_lag_table(lags)}")
    bounds += [_lag_bound(name, one) for name, one in lags.items()]
    print("\n" + "\n".join(map(str, bounds)))
    return 0 if all(bound.kept for bound in bounds) else 1


def _lag_table(lags: dict[str, Lags]) -> str:
    percents = (50, 99, 99.9, 100)
    rows: list[Sequence[str]] = []
    for name, all_of_it in lags.items():
        for who, lag in (
            ("the daemon's event loop", all_of_it.late),
            ("of that by its own work", all_of_it.own),
            ("an idle native timer", all_of_it.native),
        ):
            rows.append([f"{name}: {who}", str(lag.periods), *(f"{lag.ms(percent):.1f}" for percent in percents)])
    return table(["how late a timer is, ms", "periods", "median", "p99", "p99.9", "latest"], rows)


def _lag_bound(name: str, lags: Lags) -> Bound:
    late, own, native = (lag.ms(99.9) for lag in (lags.late, lags.own, lags.native))
    text = f"{name}: the event loop is {late:.1f} ms late at p99.9 (at most {MOST_LAG_MS})"
    return Bound(f"{text}, {own:.1f} by its own work; an idle native timer {native:.1f}", late <= MOST_LAG_MS)


if __name__ == "__main__":
    sys.exit(main())
