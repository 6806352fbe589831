"""What is back, and how soon, when the server is killed and started again: 20 rules, 40 connections, 2 buses, gains."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.surroundings import NativeProgram, Surroundings, hosts_settled
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.process import Counters, counters
from tests.support.router_process import RouterProcess

MOST_MEDIAN_MS = 150
RULES = 20
CHANNELS = 8
RESTART_PAUSE_S = 0.1
"""How long systemd waits by default before it starts again what died."""
GAINS_DB = {"takes": -7.5, "mix": -3.25}
PAIRS = [(f"system:capture_{n}", f"router:takes_in_{(n - 1) % CHANNELS + 1}") for n in range(1, 33)] + [
    (f"router:mix_out_{n}", f"system:playback_{n}") for n in range(1, CHANNELS + 1)
]
BUS_PORTS = 2 * len(GAINS_DB) * CHANNELS


def _config() -> str:
    """Give rules for two connections each: most with lists, some with a regular expression and its group."""
    buses = "".join(f'[[bus]]\nname = "{name}"\nchannels = {CHANNELS}\n' for name in GAINS_DB)
    rules = ""
    for one, two in zip(PAIRS[:32:2], PAIRS[1:32:2], strict=True):
        rules += f'[[rule]]\nname = "{one[0]}"\nfrom = ["{one[0]}", "{two[0]}"]\nto = ["{one[1]}", "{two[1]}"]\n'
    for n in range(1, CHANNELS + 1, 2):
        rules += f'[[rule]]\nname = "mix {n}"\nfrom = "/router:mix_out_({n}|{n + 1})/"\nto = "system:playback_{{1}}"\n'
    assert rules.count("[[rule]]") == RULES
    return buses + rules


@dataclass(frozen=True, slots=True)
class Return:
    """What the witness saw of one start of the server, and how long it took by the daemon's own log."""

    took_us: int
    took_by_log_us: int
    ports: int
    gains: tuple[float, ...]

    @property
    def complete(self) -> bool:
        """Whether every connection, every port of the buses and both gains are back."""
        wanted = [10 ** (gain / 20) for gain in GAINS_DB.values()]
        gains = all(math.isclose(gain, one, rel_tol=1e-4) for gain, one in zip(self.gains, wanted, strict=True))
        return self.took_us >= 0 and self.ports == BUS_PORTS and gains


@dataclass(slots=True)
class Series:
    """Everything that was seen, start after start."""

    returns: list[Return] = field(default_factory=list)
    holds_lost: int = 0
    daemon: list[Counters] = field(default_factory=list)
    host: list[Counters] = field(default_factory=list)


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the figures and give the bounds."""
    times = 5 if quick else 50
    print(f"{times} times SIGKILL of jackd and a new start: {RULES} rules, {len(PAIRS)} connections, {len(GAINS_DB)} buses\n")
    series = Series()
    server = around.server(captures=32, playbacks=32)
    with around.router(_config(), server) as router:
        for name, gain in GAINS_DB.items():
            assert router.cli("bus", name, "--gain", str(gain)).returncode == 0
        for number in range(times + 1):
            begin = len(router.output())
            router.notify.messages()  # read, as systemd does: a sender waits while ten are unread
            with _started(around, server) as witness:
                series.returns.append(_read(witness, router, begin))
                series.host.append(counters(hosts_settled(router)))
                series.daemon.append(counters(router.pid))
                _cut_by_hand(router, witness, number % len(PAIRS), begin)
            series.holds_lost += _told(router, f"The hold on {' -> '.join(PAIRS[number % len(PAIRS)])} was lost", begin)
    return _show(series)


@contextmanager
def _started(around: Surroundings, server: JackServer) -> Iterator[NativeProgram]:
    """Start the server under the eyes of the witness, and kill it."""
    ports = [f"router:{name}_{way}_1" for name in GAINS_DB for way in ("in", "out")]
    with around.native("witness", str(server.socket_path), "router", *ports, server=server) as witness:
        witness.tell("".join(f"{source} {destination}\n" for source, destination in PAIRS) + "\n")
        time.sleep(RESTART_PAUSE_S)
        server.start()
        yield witness
        server.kill()


def _read(witness: NativeProgram, router: RouterProcess, begin: int) -> Return:
    """Take what the witness says once all is back, or once it has waited for long enough."""
    listening = int(_word(witness, "listening"))
    took = int(_word(witness, "restored"))
    ports = int(_word(witness, "ports"))
    gains = tuple(float(_word(witness, "gain")) for _ in GAINS_DB)
    return Return(took, _by_log(router, listening, begin), ports, gains)


def _word(witness: NativeProgram, name: str) -> str:
    line = witness.line()
    assert line.startswith(f"{name} "), f"the witness says {line!r}, not {name}"
    return line.removeprefix(f"{name} ")


def _by_log(router: RouterProcess, listening_usec: int, begin: int) -> int:
    """Give the time from that moment to the last connection in the daemon's log; its clock has milliseconds."""
    stamps = re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) Connected \S+ -> ", router.output()[begin:], re.MULTILINE)
    listening = datetime.fromtimestamp(listening_usec / 1e6)  # local time, as in the log
    last = datetime.combine(listening.date(), datetime.strptime(stamps[-1], "%H:%M:%S.%f").time())
    return round((last - listening).total_seconds() * 1e6)


def _cut_by_hand(router: RouterProcess, witness: NativeProgram, number: int, begin: int) -> None:
    """Disconnect a pair as a user would, and wait until the router takes that as his will."""
    witness.tell(f"cut {number}\n")
    assert witness.line() == "cut"
    held = f"{' -> '.join(PAIRS[number])} is held"
    assert _told(router, held, begin), f"the daemon does not say: {held}"


def _told(router: RouterProcess, text: str, begin: int) -> bool:
    """Wait for a text in the daemon's log from that position on; tell whether it came."""
    try:
        return eventually(lambda: text in router.output()[begin:])
    except AssertionError:
        return False


def _show(series: Series) -> list[Bound]:
    """Print both tables. The first start is none after a kill: it is what the others are compared with."""
    first, returns = series.returns[0], series.returns[1:]
    seen = [one.took_us for one in returns if one.took_us >= 0]
    by_log = [one.took_by_log_us for one in returns]
    rows = [
        [name, ms(median(times)), ms(percentile(times, 99)), ms(max(times))]
        for name, times in (("seen by another client", seen), ("by the daemon's log", by_log))
    ]
    print(table(["server accepts -> all connected, ms", "median", "p99", "slowest"], rows), end="\n\n")
    print(table(["", "descriptors", "threads", "memory, KiB"], _resources(series)))
    whole = sum(one.complete for one in returns)
    middle = median(seen) / 1000
    same = series.daemon[0].descriptors == series.daemon[-1].descriptors and series.daemon[0].threads == series.daemon[-1].threads
    return [
        Bound(
            f"restart: {whole} of {len(returns)} complete (all), the first start is, too",
            whole == len(returns) and first.complete,
        ),
        Bound(f"restart: {middle:.0f} ms median (at most {MOST_MEDIAN_MS})", middle <= MOST_MEDIAN_MS),
        Bound(
            f"restart: {series.holds_lost} of {len(series.returns)} holds reported lost (all)",
            series.holds_lost == len(series.returns),
        ),
        Bound("restart: as many descriptors and threads of the daemon as at the first start", same),
    ]


def _resources(series: Series) -> list[list[str]]:
    """Give what the processes hold while all is connected: at the first start, early, at the end."""
    early = min(5, len(series.daemon) - 1)
    rows = []
    for who, held in (("daemon", series.daemon), ("host", series.host)):
        for when in (0, early, len(held) - 1):
            one = held[when]
            rows.append([f"{who}, start {when + 1}", str(one.descriptors), str(one.threads), str(one.rss_kib)])
    return rows
