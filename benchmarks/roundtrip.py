"""One run of a carrier: two clients play through it and record, while its callback and its realtime thread are timed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from benchmarks.carriers import Carrier
from benchmarks.stopwatch import Stopwatch
from benchmarks.surroundings import Surroundings
from tests.support.jack_server import JackServer

REALTIME_PRIORITY = 70
_WARM_MS = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """What one run showed."""

    took_us: list[float]
    """Of each process callback."""
    cpu_us: float
    """Of the realtime thread, a cycle: the callback, libjack, waking up and going to sleep."""
    periods: int
    missed: int
    """Periods in which the recorder did not get the very sound that was played in them."""


def realtime_priority() -> int | None:
    """Give the priority for a server where this process may use one, None where it may not."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    except PermissionError:
        return None
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return REALTIME_PRIORITY


def listen(
    around: Surroundings, server: JackServer, stopwatch: Stopwatch, carrier: Carrier, pid: int, *, channels: int, seconds: float
) -> Run:
    """Play through a carrier that runs as this process, for so long."""
    times = [str(_WARM_MS), str(round(1000 * seconds))]
    with around.native("roundtrip", *carrier.ports, str(channels), *times, server=server) as roundtrip:
        began_ns = _moment(roundtrip.line(), "begin")
        timed = stopwatch.timed(pid)
        before = timed.spent()
        if server.realtime_priority is not None and not timed.is_realtime():
            raise RuntimeError(f"the thread of {carrier.name} has no realtime priority, though the server has one")
        ended_ns = _moment(roundtrip.line(), "end")
        after = timed.spent()
        counts = {name: int(count) for name, count in map(str.split, roundtrip.rest())}
    intact = counts.pop("intact")
    if not intact:
        raise RuntimeError(f"no sound came through {carrier.name}: {counts}")
    missed = sum(counts.values())
    cpu_us = (after.cpu_us - before.cpu_us) / (after.cycles - before.cycles)
    return Run(timed.took_us(began_ns, ended_ns), cpu_us, intact + missed, missed)


def told(server_priority: int | None) -> str:
    """Say how the server runs."""
    if server_priority is None:
        return "jackd -r: realtime priorities are not to be had here, and without them the figures are those of the machine"
    return f"jackd -R -P {server_priority}, clients at {server_priority - 5}"


def _moment(line: str, what: str) -> int:
    word, time_ns = line.split()
    assert word == what, line
    return int(time_ns)
