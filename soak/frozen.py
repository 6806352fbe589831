"""A server stands still: what callers of the daemon notice meanwhile, and what is right again, and how soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.surroundings import Surroundings
from jackd_router.dbus_api import names
from jackd_router.dbus_api.errors import CallError
from jackd_router.dbus_api.names import bus_path
from soak.lag import METERED, Clocks
from soak.servers import Kind, of_rules
from soak.studio import GAINS_DB, NOTHING_BACK, Band, Look, band, config, why
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer

MOST_ANSWER_MS = 20
MOST_NOTICED_S = 3.0
MOST_BACK_S = 1.0
_PAUSE_S = 0.02
_ALL = f"{names.PROPERTIES}.GetAll"


@dataclass(slots=True)
class Freeze:
    """What was seen of one."""

    answers_us: dict[str, list[float]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """What callers were told who asked for something that only the server can do."""
    noticed_s: float = -1
    status: str = ""
    connected_s: float = -1
    look: Look = NOTHING_BACK
    missing: str = ""
    """What the daemon says of connections that are not there after all."""

    @property
    def back_s(self) -> float:
        """How long after its end everything was right, by the daemon's word and by ear; -1 for never."""
        if self.connected_s < 0 or not self.look.complete:
            return -1
        return max(self.connected_s, self.look.restored_us / 1e6, self.look.sound_us / 1e6)


@dataclass(slots=True)
class Freezes:
    """One that ended with a thaw, and one that ended with another server."""

    server: str
    seconds: float
    thawed: Freeze
    replaced: Freeze

    @property
    def both(self) -> tuple[tuple[str, Freeze], ...]:
        """Each with how it ended."""
        return ("thaw", self.thawed), ("another server", self.replaced)

    def facts(self) -> list[Bound]:
        """Give what must be so on any machine."""
        bounds = []
        for end, one in self.both:
            what = f"{self.server} frozen, then {end}"
            refused = len(one.refused)
            bounds += [
                Bound(f"{what}: told as {one.status!r}", "does not answer" in one.status),
                Bound(f"{what}: {refused} who wanted to connect were told why that cannot be (2)", refused == 2),
                Bound(f"{what}: every connection and all sound is back ({one.look}){one.missing}", one.back_s >= 0),
            ]
        return bounds

    def figures(self) -> list[Bound]:
        """Give what depends on the machine."""
        bounds = []
        for end, one in self.both:
            what = f"{self.server} frozen, then {end}"
            answer = percentile([us for times in one.answers_us.values() for us in times], 99) / 1000
            noticed, back = one.noticed_s, one.back_s
            bounds += [
                Bound(f"{what}: answers in {answer:.1f} ms at p99 (less than {MOST_ANSWER_MS})", answer < MOST_ANSWER_MS),
                Bound(f"{what}: noticed after {noticed:.2f} s (at most {MOST_NOTICED_S:g})", 0 <= noticed <= MOST_NOTICED_S),
                Bound(f"{what}: all right after {back:.2f} s (at most {MOST_BACK_S:g})", 0 <= back <= MOST_BACK_S),
            ]
        return bounds

    def table(self) -> str:
        """Give how long callers waited."""
        rows = [
            [f"{end}: {name}", str(len(times)), ms(median(times)), ms(percentile(times, 99)), ms(max(times))]
            for end, one in self.both
            for name, times in one.answers_us.items()
        ]
        return table([f"{self.server} {self.seconds:g} s frozen, answers in ms", "calls", "median", "p99", "slowest"], rows)


def run(around: Surroundings, clocks: Clocks, kind: Kind, seconds: float) -> Freezes:
    """Freeze a server twice for so long; the first one thaws, the second one is killed and followed by another."""
    thawed, replaced = Freeze(), Freeze()
    server = kind.server
    with around.router(config(), server, program=METERED, environment=clocks.environment):
        remote = around.remote()
        with band(around, server, kind.wanted, kind.second_names) as studio:
            server.start()
            assert studio.first_look()[1].complete, "everything is there before the server freezes"
            remote.write("Bus.Gain", "d", GAINS_DB["mix"] + 1, path=bus_path("mix"))
            with _frozen(around, server, remote, seconds, "system:playback_1", thawed):
                remote.write("Bus.Gain", "d", GAINS_DB["mix"], path=bus_path("mix"))
            _thaw(server, remote, studio, thawed)
            with _frozen(around, server, remote, seconds, "system:playback_2", replaced):
                pass
            server.kill()
        server.rate_hz, server.period_frames = 44_100, 512
        with band(around, server, kind.wanted, kind.second_names) as studio:
            server.start()
            began = time.monotonic()
            eventually(lambda: remote.connected() and remote.read("Server.SampleRate") == server.rate_hz)
            replaced.connected_s = time.monotonic() - began
            replaced.look = studio.first_look()[1]
            replaced.missing = why(remote, kind.wanted - of_rules(kind, remote.connections()))
            server.terminate()
    return Freezes(kind.name, seconds, thawed, replaced)


def _thaw(server: JackServer, remote: Remote, studio: Band, seen: Freeze) -> None:
    began = time.monotonic()
    server.resume()
    eventually(lambda: remote.connected() and remote.read("Manager.Status") == "ok")
    seen.connected_s = time.monotonic() - began
    seen.look = studio.look_again()


@contextmanager
def _frozen(
    around: Surroundings, server: JackServer, remote: Remote, seconds: float, destination: str, seen: Freeze
) -> Iterator[None]:
    """Freeze the server for so long, while others call the daemon; the body runs within that time.

    `destination` is a port that somebody wants to connect then.
    """
    end = threading.Event()
    callers = [
        threading.Thread(target=_ask, args=(around.remote(), seen, end)),
        threading.Thread(target=_want_connections, args=(around.remote(), destination, seen)),
    ]
    server.freeze()
    began = time.monotonic()
    for caller in callers:
        caller.start()
    try:
        eventually(lambda: remote.read("Server.State") == "unresponsive")
        seen.noticed_s = time.monotonic() - began
        seen.status = remote.read("Manager.StatusText")
        yield
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    finally:
        end.set()
        for caller in callers:
            caller.join()


def _ask(remote: Remote, seen: Freeze, end: threading.Event) -> None:
    """Ask for everything that an applet shows and sets, in turn."""
    mix = bus_path("mix")
    calls: dict[str, Callable[[], object]] = {
        "Manager.GetStatus": lambda: remote.call("Manager.GetStatus"),
        "Graph.GetGraph": lambda: remote.call("Graph.GetGraph", "t", 0),
        "Rules.ListRules": lambda: remote.call("Rules.ListRules"),
        "Rules.Explain": lambda: remote.call("Rules.Explain", "ss", "band:out_1", "router:takes_in_1"),
        "GetAll Server": lambda: remote.call(_ALL, "s", names.SERVER),
        "GetAll Bus": lambda: remote.call(_ALL, "s", names.BUS, path=mix),
        "Buses.GetLevels": lambda: remote.call("Buses.GetLevels", "a{sv}", NO_OPTIONS),
        "Bus.Mute": lambda: remote.write("Bus.Mute", "b", False, path=mix),
    }
    while not end.wait(_PAUSE_S):
        for name, call in calls.items():
            began = time.perf_counter_ns()
            call()
            seen.answers_us.setdefault(name, []).append((time.perf_counter_ns() - began) / 1000)
            if end.wait(_PAUSE_S):
                return


def _want_connections(remote: Remote, destination: str, seen: Freeze) -> None:
    """Ask for what only the server can do: at once, when nobody knows yet that it stands still, and later."""
    for _ in range(2):
        try:
            remote.call("Graph.Connect", "ssa{sv}", "band:out_15", destination, NO_OPTIONS)
        except CallError as error:
            seen.refused.append(str(error))
