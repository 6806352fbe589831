"""Server after server dies, each another one than that before, beside one daemon that puts everything back each time."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.surroundings import Surroundings, hosts_settled
from jackd_router.core.graph import client_of
from soak.lag import METERED, Clocks
from soak.servers import Jack2, Kind, PipeWire, of_rules
from soak.studio import NOTHING_BACK, Band, Look, band, config, why
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import server_env
from tests.support.process import Counters, counters
from tests.support.router_process import RouterProcess

MOST_MEDIAN_MS = 150
MOST_GROWTH_KIB = 2048
_INTERRUPTED = 0.2
"""How many of the starts are preceded by one that ends while everything still comes back."""
_PIPEWIRES = 0.2
"""How many of the servers are not jackd."""
_SOME = 10
"""Starts of which the fewest descriptors and threads count."""
_MOST_TIME_S = 0.2
"""How long a server lives at most after everything is back, and one that is interrupted at all."""


@dataclass(frozen=True, slots=True)
class Return:
    """What was seen of one start of a server."""

    server: str
    before: str
    """How the server before this one ended."""
    ready_us: int
    look: Look
    wrong: str
    """What the daemon says that is not so."""
    crashed: bool
    """Whether the server had ended or hung by itself by then, or the band had ended: PipeWire 0.3.65 does so now and then."""
    daemon: Counters
    host: Counters

    @property
    def excused(self) -> bool:
        """Whether nothing can be said of it."""
        return self.crashed and self.server != Jack2.name


@dataclass(slots=True)
class Series:
    """Everything that was seen, start after start; the first one is after no death."""

    returns: list[Return] = field(default_factory=list)
    interrupted: int = 0
    hung: int = 0
    """Servers that had to be killed after a SIGTERM."""
    starts_told: int = 0
    ends_told: int = 0
    shared_files: list[int] = field(default_factory=list)

    def facts(self) -> list[Bound]:
        """Give what must be so on any machine."""
        first, *after = self.returns
        early, last = self._early, self.returns[-1]
        # The fewest of some: a file that is being written has a descriptor and a thread, for a moment. But a server that has
        # ended by itself leaves one less.
        held = [
            tuple(min(getattr(one.daemon, what) for one in some if not one.excused) for what in ("descriptors", "threads"))
            for some in (self.returns[: self.returns.index(early) + 1][-_SOME:], self.returns[-_SOME:])
        ]
        crashed = sum(one.excused for one in after)
        missed = [number for number, one in enumerate(after, 1) if not ((one.look.complete and not one.wrong) or one.excused)]
        came, went = self.starts_told, self.ends_told
        grown = last.daemon.rss_kib - early.daemon.rss_kib
        return [
            Bound(
                f"deaths: all was there at the first start, and again after {len(after) - len(missed) - crashed} of {len(after)} "
                f"(all but {crashed} with a PipeWire that crashed or hung by itself, or a band in its libjack)"
                + "".join(f"\n    not after death {number}: {after[number - 1]}" for number in missed[:5]),
                first.look.complete and not missed,
            ),
            Bound(
                f"deaths: the log tells of {came} servers that came and {went} that went (as many)",
                came == went >= len(self.returns) - crashed,
            ),
            Bound(
                f"deaths: {self.hung} servers had to be killed 10 s after a SIGTERM (at most 1 in 100)",
                100 * self.hung <= max(100, len(after)),
            ),
            Bound(f"deaths: {held[1]} descriptors and threads of the daemon (as early: {held[0]})", held[0] == held[1]),
            Bound(f"deaths: the daemon has grown by {grown} KiB (less than {MOST_GROWTH_KIB})", grown < MOST_GROWTH_KIB),
        ]

    def figures(self) -> list[Bound]:
        """Give what depends on the machine."""
        middle = median(one.look.restored_us for one in self.returns[1:] if one.look.complete) / 1000
        return [Bound(f"deaths: {middle:.0f} ms median until all is back (at most {MOST_MEDIAN_MS})", middle <= MOST_MEDIAN_MS)]

    def table(self) -> str:
        """Give both tables."""
        rows = []
        for server in dict.fromkeys(one.server for one in self.returns):
            seen = [one for one in self.returns[1:] if one.server == server and one.look.complete]
            for what, times in (
                ("own ports of the client", [one.ready_us for one in seen]),
                ("without pretty name", [one.look.others_us for one in seen]),
                ("all connected", [one.look.restored_us for one in seen]),
                ("all heard", [one.look.sound_us for one in seen]),
            ):
                figures = [ms(median(times)), ms(percentile(times, 99)), ms(max(times))] if times else ["-"] * 3
                rows.append([f"{server}: {what}", str(len(times)), *figures])
        back = table(["server accepts ->, ms", "times", "median", "p99", "slowest"], rows)
        held = table(["", "descriptors", "threads", "memory, KiB"], self._resources())
        more = f"{self.interrupted} more ended while everything came back"
        return (
            f"{back}\n\n{more}\n\n{held}\n\nfiles in /dev/shm: {self.shared_files[0]} early, {self.shared_files[-1]} at the end"
        )

    @property
    def _early(self) -> Return:
        """One from when everything has been done: the first tenth, with both kinds of servers, is over."""
        return self.returns[max(10, len(self.returns) // 10) if len(self.returns) > 20 else 0]

    def _resources(self) -> list[list[str]]:
        rows = []
        for who in ("daemon", "host"):
            for when, one in (("first start", self.returns[0]), ("early", self._early), ("last start", self.returns[-1])):
                held: Counters = getattr(one, who)
                rows.append([f"{who}, {when}", str(held.descriptors), str(held.threads), str(held.rss_kib)])
        return rows


def run(around: Surroundings, clocks: Clocks, deaths: int, seed: int) -> Series:
    """Let so many servers die beside one daemon, half of them by SIGKILL."""
    chance = random.Random(seed)
    ways = [*["SIGKILL", "SIGTERM"] * (deaths // 2), *["SIGKILL"] * (deaths % 2)]
    chance.shuffle(ways)
    jack2, pipewire = Jack2(around), PipeWire(around)
    kinds = [jack2 if at < 1 - _PIPEWIRES else pipewire for at in _places(deaths + 1)]
    series = Series()
    environment = {**clocks.environment, **server_env(pipewire.server.name), **server_env(jack2.server.name)}
    with around.router(config(), jack2.server, program=METERED, environment=environment) as router:
        remote = around.remote()
        for before, (kind, how) in zip(["", *ways], zip(kinds, [*ways, "SIGTERM"], strict=True), strict=True):
            router.notify.messages()  # read, as systemd does: a sender waits while ten are unread
            with band(around, kind.server, kind.wanted, kind.second_names) as studio:
                kind.server.start()
                with kind.company():
                    series.returns.append(_seen(before, studio, kind, router, remote))
                    time.sleep(chance.uniform(0, _MOST_TIME_S))
                    series.hung += not _end(kind.server, how)
            series.shared_files.append(len(list(Path("/dev/shm").iterdir())))
            if chance.random() < _INTERRUPTED:
                series.hung += not _interrupt(kind.server, chance)
                series.interrupted += 1
            kind.change(chance)
        eventually(lambda: not remote.connected())
        told = router.output()
    series.starts_told, series.ends_told = (told.count(text) for text in (" Connected to ", " The JACK server is gone: "))
    return series


def _places(starts: int) -> list[float]:
    """Give for each start how far it is within its part: ten parts of a long run, four or less of a short one."""
    length = max(10, starts // 10)
    return [number % length / length for number in range(starts)]


def _seen(before: str, studio: Band, kind: Kind, router: RouterProcess, remote: Remote) -> Return:
    """Wait for what comes back, and give it; `before`: how the server before this one ended."""
    try:
        ready_us, look = studio.first_look()
    except RuntimeError as error:  # the band has left: that counts, and the next one comes
        print(error, file=sys.stderr)
        ready_us, look = -1, NOTHING_BACK
    host = counters(hosts_settled(router))
    wrong = _wrongly_told(kind, remote)
    if wrong or not look.complete:
        wrong += f"\n    clients: {_clients(remote)}" + ", and the band has left" * studio.has_left
        told = router.output().splitlines()
        begin = max((number for number, line in enumerate(told) if " Connected to " in line), default=0)
        print(f"{kind.name}: not all is as it should be; the daemon says", *told[begin:], sep="\n  ", file=sys.stderr)
    crashed = not kind.server.is_running or studio.has_left or (bool(wrong) and not kind.answers)
    return Return(kind.name, before, ready_us, look, wrong, crashed, router.counters(), host)


def _wrongly_told(kind: Kind, remote: Remote) -> str:
    """Give what the daemon says that is not so: not these connections and no others, or not of this server. "" for nothing."""

    def told() -> tuple[object, list[tuple[str, str]], object]:
        connections = of_rules(kind, remote.connections())
        return remote.read("Server.State"), sorted(connections ^ kind.wanted), kind.told(remote)

    right: tuple[object, ...] = ("connected", [], kind.settings)
    try:
        eventually(lambda: told() == right)
    except AssertionError:
        found = told()
        return f"{found}, not {right}{why(remote, found[1])}"
    return ""


def _clients(remote: Remote) -> list[str]:
    """Give the clients that the daemon knows."""
    return sorted({client_of(name) for name in remote.call("Graph.ListPorts", "sa{sv}", "", NO_OPTIONS)})


def _end(server: JackServer, how: str) -> bool:
    """End a server; False where one had to be killed that did not end for 10 s, as a service manager does then."""
    if how == "SIGKILL":
        server.kill()
        return True
    try:
        server.terminate()
    except AssertionError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _interrupt(server: JackServer, chance: random.Random) -> bool:
    """Let a server begin, and end in the middle of whatever it is that others do then; False as in `_end`."""
    server.start()
    time.sleep(chance.uniform(0, _MOST_TIME_S))
    return _end(server, chance.choice(["SIGKILL", "SIGTERM"]))
