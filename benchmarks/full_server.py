"""What a change of all 500 rules costs on a real server that is full of ports, as whoever calls the daemon sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

from benchmarks.figures import Bound, ms, table
from benchmarks.surroundings import Surroundings
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually

CROWDS = ("Calf Studio Gear 9", "ardour/Track 12", "jack_mixer 16", "qsynth.3", "REAPER#2")
PORTS_EACH = 760
"""A client of JACK2 has no more than 768."""
_TAILS = tuple(name[3:] for name in CROWDS)
_MOST_PLAN_MS = 150
_MOST_BLOCKED_MS = 20


def rules(shift: int) -> str:
    """Give 500 rules: 200 with globs, 150 with regular expressions and groups, 100 with tables, 50 with lists."""
    text = "[daemon]\nwatch = false\n"
    for number in range(500):
        source, destination = _TAILS[number % 5], _TAILS[(number + 1) % 5]
        port = 1 + (number + shift) % (PORTS_EACH // 2)
        glob = f"'*{source}:out_{port}'"
        match number % 10:
            case 0 | 1 | 2 | 3:
                written = f"from = {glob}\nto = '*{destination}:in_{port}'\n"
            case 4 | 5 | 6:
                written = f"from = '/.*({source.replace('.', '[.]')}):out_({port}|{port + 1})/'\nto = '*{destination}:in_{{2}}'\n"
            case 7 | 8:
                ports = f"{{ client = '*{source}', port = 'out_{port}', type = 'audio' }}"
                written = f"from = {ports}\nto = '*{destination}:in_{port}'\n"
            case _:
                written = f"from = [{glob}, 'nobody:*', '/absent.*/']\nto = ['*{destination}:in_{port}', 'nowhere']\n"
        text += f"[[rule]]\nname = 'rule {number}'\n{written}"
    return text


class _Caller:
    """Calls GetStatus without a pause, and notes the longest time that it took."""

    def __init__(self, address: str) -> None:
        self._remote = Remote(address)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.longest_us = 0.0
        self._thread.start()

    def _call(self) -> None:
        while not self._end.is_set():
            began = time.perf_counter_ns()
            self._remote.call("Manager.GetStatus")
            self.longest_us = max(self.longest_us, (time.perf_counter_ns() - began) / 1000)

    def close(self) -> float:
        """End, and give the longest time in µs."""
        self._end.set()
        self._thread.join()
        self._remote.close()
        return self.longest_us


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the figures and give the bounds."""
    server = around.server(port_max=4096)
    with server, ExitStack() as stack:
        for name in CROWDS:
            stack.enter_context(around.crowd(PORTS_EACH, server, name))
        router = stack.enter_context(around.router("", server))
        other = router.folder / "other.toml"
        assert router.bus_address is not None
        remote = stack.enter_context(closing(Remote(router.bus_address)))
        eventually(lambda: remote.call("Graph.ListPorts", "sa{sv}", "", NO_OPTIONS))  # they are read by then
        calm = longest_call(router.bus_address, lambda: time.sleep(1))
        plans, waits = _plans(remote, router.bus_address, other, rounds=3 if quick else 15)
    rows = [
        ["the plan of a file with 500 other rules", ms(median(plans)), ms(max(plans))],
        ["the longest call of somebody else meanwhile", ms(median(waits)), ms(max(waits))],
        ["... and while nothing is planned (1 s)", ms(calm), ""],
    ]
    print(f"500 rules, {len(CROWDS) * PORTS_EACH:,} ports on a real server, over D-Bus, in ms\n")
    print(table(["", "median", "slowest"], rows))
    return [
        Bound(f"full server: {ms(median(plans))} ms for a plan (at most {_MOST_PLAN_MS})", median(plans) <= 1000 * _MOST_PLAN_MS),
        Bound(
            f"full server: {ms(median(waits))} ms for the longest call meanwhile (at most {_MOST_BLOCKED_MS})",
            median(waits) <= 1000 * _MOST_BLOCKED_MS,
        ),
    ]


def _plans(remote: Remote, address: str, file: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Give how long each plan takes, and the longest call beside it, in µs."""
    plans, waits = [], []
    for number in range(rounds):
        file.write_text(rules(shift=number))

        def plan() -> None:
            began = time.perf_counter_ns()
            valid, _, report = remote.call("Config.Plan", "sa{sv}", str(file), NO_OPTIONS)
            plans.append((time.perf_counter_ns() - began) / 1000)
            assert valid
            assert len(report["connect"]) > 300

        waits.append(longest_call(address, plan))
    return plans, waits


def longest_call(address: str, work: Callable[[], None]) -> float:
    """Give the longest call of somebody else while something is done."""
    caller = _Caller(address)
    try:
        work()
    finally:
        longest = caller.close()
    return longest
