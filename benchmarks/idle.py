"""How often the daemon and its JACK host wake up while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.figures import Bound, table
from benchmarks.surroundings import Surroundings, hosts_settled
from tests.support.process import switches
from tests.support.router_process import RouterProcess

MOST_PER_SECOND = 3.0
_SETTLE_S = 3.0
"""The daemon's last work after a change: files written, a spare host that stands by, memory given back."""

_ONE_RULE = '[[rule]]\nname = "one"\nfrom = "synth:*"\nto = "system:playback_*"\n'
_MANY_RULES = "".join(f'[[rule]]\nname = "{n}"\nfrom = "synth-{n}:*"\nto = "system:playback_*"\n' for n in range(500))


@dataclass(frozen=True, slots=True)
class Case:
    """What there is while nothing happens."""

    name: str
    config: str = _ONE_RULE
    server: bool = True
    ports: int = 0


CASES = (
    Case("no server", server=False),
    Case("server"),
    Case("server, 1,500 other ports", ports=1500),
    Case("server, 500 rules", config=_MANY_RULES),
)


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    seconds = 5 if quick else 20
    print(f"Wake-ups per second over {seconds} s: context switches of all threads but the realtime thread of the host\n")
    rows: list[list[str]] = []
    bounds: list[Bound] = []
    for case in CASES:
        with _running(around, case) as (router, host):
            time.sleep(_SETTLE_S)
            daemon = _rates(router.pid, seconds)
            *threads, busiest = sorted(_rates(host, seconds))
        # The realtime thread is the one that wakes up for every cycle; without a server there is none.
        realtime = busiest if case.server else 0.0
        both = sum(daemon) + sum(threads, busiest - realtime)
        rows.append([case.name, f"{sum(daemon):.2f}", f"{both - sum(daemon):.2f}", f"{both:.2f}", f"{realtime:.0f}"])
        bounds.append(
            Bound(f"idle: {both:.2f} wake-ups a second, {case.name} (at most {MOST_PER_SECOND:g})", both <= MOST_PER_SECOND)
        )
    print(table(["", "daemon", "host", "both", "(realtime thread)"], rows))
    return bounds


@contextmanager
def _running(around: Surroundings, case: Case) -> Iterator[tuple[RouterProcess, int]]:
    """Give the daemon in that case, and the process of its JACK host: the spare one where there is no server."""
    # Long periods: the server sends every client a message for each xrun, and on a busy machine short ones are late.
    server = around.server(period_frames=4096)
    if case.server:
        server.start()
    with around.crowd(case.ports, server), around.router(case.config, server) as router:
        yield router, hosts_settled(router)
    if case.server:
        server.terminate()


def _rates(pid: int, seconds: int) -> list[float]:
    """Give the context switches per second of each thread of a process."""
    before = switches(pid)
    time.sleep(seconds)
    return [(count - before.get(thread, 0)) / seconds for thread, count in switches(pid).items()]
