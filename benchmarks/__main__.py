"""Runs the benchmarks: `python -m benchmarks [--quick] [reaction | burst | restart | idle | matching ...]`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import burst, full_server, idle, matching, reaction, restart
from benchmarks.figures import Bound
from benchmarks.surroundings import Surroundings, surroundings

MEASUREMENTS: dict[str, Callable[..., list[Bound]]] = {
    "reaction": reaction.measure,
    "burst": burst.measure,
    "restart": restart.measure,
    "idle": idle.measure,
    "matching": matching.measure,
    "full-server": full_server.measure,
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
        print(_machine())
        for name in arguments.what or MEASUREMENTS:
            bounds += _measured(name, around, quick=arguments.quick)
    print("\n" + "\n".join(map(str, bounds)))
    return 0 if all(bound.kept for bound in bounds) else 1


def _measured(name: str, around: Surroundings, *, quick: bool) -> list[Bound]:
    print(f"\n== {name} ==", flush=True)
    began, waited = time.monotonic(), _waited_s()
    bounds = MEASUREMENTS[name](around, quick=quick)
    share = (_waited_s() - waited) / (time.monotonic() - began)
    print(f"\n({time.monotonic() - began:.0f} s; in {share:.0%} of them something on this machine waited for a CPU)", flush=True)
    return bounds


def _waited_s() -> float:
    """Give for how long since its start something on the machine waited for a CPU; 0 where the kernel does not count that."""
    try:
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("=")[2]) / 1e6


def _machine() -> str:
    policy = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_RR: "SCHED_RR", os.SCHED_FIFO: "SCHED_FIFO"}.get(
        os.sched_getscheduler(0), "?"
    )
    load = f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before, {policy}"
    return f"{platform.platform()}, {load}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
