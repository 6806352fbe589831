"""Runs the benchmarks: `python -m benchmarks [--quick] [reaction | burst | restart | idle | matching ...]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks import (
    burst,
    cold,
    deadlines,
    flood,
    full_server,
    get_graph,
    idle,
    matching,
    passthrough,
    reaction,
    replans,
    restart,
)
from benchmarks.figures import Bound
from benchmarks.machine import chapter, describe
from benchmarks.surroundings import Surroundings, surroundings

MEASUREMENTS: dict[str, Callable[..., list[Bound]]] = {
    "reaction": reaction.measure,
    "burst": burst.measure,
    "restart": restart.measure,
    "idle": idle.measure,
    "matching": matching.measure,
    "full-server": full_server.measure,
    "get-graph": get_graph.measure,
    "flood": flood.measure,
    "replans": replans.measure,
    "passthrough": passthrough.measure,
    "cold": cold.measure,
    "deadlines": deadlines.measure,
}


def main() -> int:
    """Measure what is asked for; 1 when a bound is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the router on private servers.")
    parser.add_argument("what", nargs="*", metavar="|".join(MEASUREMENTS), help="only these (all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a glance, not a measurement")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.what) - MEASUREMENTS.keys()):
        parser.error(f"there is no benchmark {unknown[0]!r}")
    bounds: list[Bound] = []
    with surroundings() as around:
        print(describe())
        for name in arguments.what or MEASUREMENTS:
            bounds += _measured(name, around, quick=arguments.quick)
    print("\n" + "\n".join(map(str, bounds)))
    return 0 if all(bound.kept for bound in bounds) else 1


def _measured(name: str, around: Surroundings, *, quick: bool) -> list[Bound]:
    with chapter(name):
        return MEASUREMENTS[name](around, quick=quick)


if __name__ == "__main__":
    sys.exit(main())
