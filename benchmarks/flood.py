"""How long others wait while one program sends calls as fast as the message bus takes them, and wants no answers, or all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.surroundings import Surroundings
from jackd_router.dbus_api.names import BUS_NAME
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.process import Process

CALLS = ("Manager.GetStatus", "Config.Reload")
ANSWERED = ("Manager.GetStatus?", "Graph.GetGraph?")
"""Of these the flood wants the answers, and takes them."""
ECHO = "nothing but an echo"
_PROGRAM = Path(__file__).parents[1] / "tests" / "dbus_api" / "flood_program.py"
_ECHO = Path(__file__).with_name("echo_program.py")
_MOST_MS = 300


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    seconds = 3 if quick else 10
    server = around.server()
    rows: list[list[str]] = []
    bounds: list[Bound] = []
    with server, around.router("[daemon]\nwatch = false\n", server) as router:
        remote = around.remote()
        echo = Process([sys.executable, str(_ECHO), around.bus_address], router.folder / "echo.log")
        try:
            name = eventually(lambda: echo.output().strip())
            calls = {call: _call(remote, call) for call in CALLS} | {ECHO: partial(_timed, remote, CALLS[0], destination=name)}
            rows += [_row("nobody floods", call, [ask() for _ in range(50)], "") for call, ask in calls.items()]
            # The echo is flooded last, with what floods the daemon first: its callers wait for the message bus alone.
            for flooded, arguments in (*((call, [call]) for call in (*CALLS, *ANSWERED)), (ECHO, [CALLS[0], name])):
                asked = {call: ask for call, ask in calls.items() if (call == ECHO) is (flooded == ECHO)}
                command = [sys.executable, str(_PROGRAM), around.bus_address, arguments[0], str(seconds), *arguments[1:]]
                waits, sent = _flooded(command, router.folder / f"flood-{len(bounds)}.log", asked)
                rows += [_row(flooded, call, times, f"{sent / seconds:,.0f}") for call, times in waits.items()]
                if flooded != ECHO:
                    slowest = max(waits[CALLS[0]])
                    told = f"flood: {ms(slowest)} ms for the slowest call under {flooded} (at most {_MOST_MS})"
                    bounds.append(Bound(told, slowest <= 1000 * _MOST_MS))
                    eventually(lambda: _timed(remote, CALLS[0]) < 1000 * _MOST_MS, timeout=60)
        finally:
            echo.kill()
    print(f"{seconds} s of each flood; what somebody else waits for an answer, in ms\n")
    print(table(["flood of", "call of somebody else", "median", "p99", "slowest", "calls", "sent a second"], rows))
    return bounds


def _flooded(command: Sequence[str], log: Path, asked: Mapping[str, Callable[[], float]]) -> tuple[dict[str, list[float]], int]:
    """Give how long each answer took while the flood lasted, in µs, and how many calls that sent."""
    flood = Process(command, log)
    eventually(lambda: "began" in flood.output())
    waits: dict[str, list[float]] = {name: [] for name in asked}
    while flood.status() is None:
        for name, times in waits.items():
            times.append(asked[name]())
    return waits, int(flood.output().split()[-1])


def _call(remote: Remote, name: str) -> Callable[[], float]:
    return partial(_timed, remote, name, *(("a{sv}", NO_OPTIONS) if name.endswith("Reload") else ()))


def _timed(remote: Remote, name: str, *arguments: Any, destination: str = BUS_NAME) -> float:
    """Give how long the answer took, in µs."""
    began = time.perf_counter_ns()
    remote.call(name, *arguments, destination=destination)
    return (time.perf_counter_ns() - began) / 1000


def _row(flooded: str, name: str, times: list[float], sent: str) -> list[str]:
    return [flooded, name, ms(median(times)), ms(percentile(times, 99)), ms(max(times)), str(len(times)), sent]
