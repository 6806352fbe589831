"""The daemon is killed at any moment: what it has answered is kept, and what it was about to do is done, or not, but never half.

Changes are made one after the other through D-Bus, while clients come and go, until a SIGKILL comes out of the blue. `Known` is
what they make of the daemon's state, as far as they were answered. KILLS and KILL_SEED in the environment make it longer, and
the same again.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import pytest

from jackd_router.dbus_api.errors import CallError
from jackd_router.dbus_api.message_bus import variant
from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("KILL_SEED", "1"))

MAIN = bus_path("main")
WANT = """
[[rule]]
name = "synth to desk"
from = "synth:*"
to = "desk:*"
"""
REST = """
[[rule]]
name = "switched"
from = "synth:left"
to = "system:playback_1"

[[rule]]
name = "live only"
from = "synth:right"
to = "system:playback_2"
profiles = ["live"]

[[rule]]
name = "those that come and go"
from = "synth:left"
to = "guest:*"

[[bus]]
name = "main"
gain = -6.0

[[profile]]
name = "live"
bus.main.mute = true
"""
LEFT, RIGHT = ("synth:left", "desk:left"), ("synth:right", "desk:right")
SWITCHED, LIVE = ("synth:left", "system:playback_1"), ("synth:right", "system:playback_2")
FOREIGN = ("synth:left", "desk:right")
ENDS = {end for pair in (LEFT, RIGHT, SWITCHED, LIVE) for end in pair}
"""Of the pairs that are watched."""


@dataclass(frozen=True)
class Known:
    """What is kept."""

    gain: float = -6.0
    is_on: bool = True
    profile: str = "default"
    held: bool = False
    made: bool = False

    @property
    def connections(self) -> set[tuple[str, str]]:
        """What of the pairs that are watched is connected."""
        wanted = {RIGHT, FOREIGN}
        wanted |= {LEFT} if not self.held else set()
        wanted |= {SWITCHED} if self.is_on else set()
        wanted |= {LIVE} if self.profile == "live" else set()
        return wanted


class Change(NamedTuple):
    """One change: what is kept after it, and what makes it."""

    after: Known
    make: Callable[[], object]
    is_undo: bool = False


class Studio:
    """The daemon, those who change it, and what is known of it."""

    def __init__(self, router: RouterProcess, remote: Remote, desk: JackClient, chance: random.Random) -> None:
        self.router, self.remote, self._desk, self._chance = router, remote, desk, chance
        self.known = Known()
        self.undoable: list[Known] = []

    def next_change(self) -> Change:
        """Choose what is done next."""
        call, write, now = self.remote.call, self.remote.write, self.known
        gain = round(self._chance.uniform(-60.0, 6.0), 3)
        profile = self._chance.choice(("default", "live"))
        held = now.held and profile == now.profile  # in another one the rules decide again about what was cut by hand
        kind = self._chance.choice(("gain", "switch", "profile", "hold", "bus", "undo"))
        match kind:
            case "switch":
                after = replace(now, is_on=not now.is_on)
                return Change(after, lambda: call("Rules.SetRuleEnabled", "sba{sv}", "switched", after.is_on, NO_OPTIONS))
            case "profile":
                after = replace(now, profile=profile, held=held)
                return Change(after, lambda: write("Profiles.ActiveProfile", "s", profile))
            case "hold":
                member = "Rules.ReleaseHold" if now.held else "Graph.Disconnect"
                return Change(replace(now, held=not now.held), lambda: call(member, "ssa{sv}", *LEFT, NO_OPTIONS))
            case "bus" if now.made:
                return Change(replace(now, made=False), lambda: call("Buses.RemoveBus", "s", "fx"))
            case "bus":
                options = {"channels": variant("as", ["x"])}
                return Change(replace(now, made=True), lambda: call("Buses.CreateBus", "sa{sv}", "fx", options))
            case "undo" if self.undoable:
                before = self.undoable[-1]
                after = replace(now, is_on=before.is_on, profile=before.profile, held=before.held)
                return Change(after, lambda: call("Manager.Undo", "a{sv}", NO_OPTIONS), is_undo=True)
            case _:
                return Change(replace(now, gain=gain), lambda: write("Bus.Gain", "d", gain, path=MAIN))

    def note(self, change: Change) -> None:
        """Take over that a change was made."""
        if change.is_undo:
            self.undoable.pop()
        elif replace(change.after, gain=0.0, made=False) != replace(self.known, gain=0.0, made=False):
            self.undoable.append(self.known)  # gains and buses are no steps
        self.known = change.after

    def seen(self) -> Known:
        """Give what the daemon says of itself."""
        return Known(
            gain=self.remote.read("Bus.Gain", path=MAIN),
            is_on=next(on for name, on, *_ in self.remote.call("Rules.ListRules") if name == "switched"),
            profile=self.remote.read("Profiles.ActiveProfile"),
            held=[*LEFT] in self.remote.read("Rules.Held"),
            made=self._has_bus("fx"),
        )

    def _has_bus(self, name: str) -> bool:
        try:
            self.remote.call("Buses.GetBus", "s", name)
        except CallError:
            return False
        return True

    def has_none_of(self, pairs: set[tuple[str, str]]) -> bool:
        """Whether none of these is connected."""
        assert self.connections() & pairs == set()
        return True

    def is_as_known(self) -> bool:
        """Whether connected is what follows from what is kept, and nothing else of the pairs that are watched."""
        assert self.connections() == self.known.connections
        return True

    def connections(self) -> set[tuple[str, str]]:
        """Give those of the pairs that are watched, as somebody else sees them."""
        return {pair for pair in self._desk.connections() if set(pair) <= ENDS}


@contextmanager
def coming_and_going(client: JackClient) -> Iterator[None]:
    """Let ports of a client come and go all the time."""
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            # No output: JACK2 loses itself in a circle where an input takes its place in the table before the next cycle.
            client.register("in", flow="input")
            is_over.wait(0.02)
            client.unregister("in")

    guest = threading.Thread(target=come_and_go)
    guest.start()
    try:
        yield
    finally:
        is_over.set()
        guest.join()


def change_until_killed(studio: Studio, delay_s: float) -> tuple[Known, Known]:
    """Make changes until the daemon dies, after so long; give what is known, and what it is if the last change was made."""
    killer = threading.Timer(delay_s, os.kill, (studio.router.pid, signal.SIGKILL))
    killer.start()
    try:
        while True:
            change = studio.next_change()
            try:
                change.make()
            except CallError as error:
                if not error.name.endswith((".NoReply", ".ServiceUnknown")):
                    raise
                return studio.known, change.after
            studio.note(change)
    finally:
        killer.join()
        with suppress(ProcessLookupError):
            studio.router.kill()


@pytest.mark.jack2("PipeWire's libjack crashes in a client whose ports come and go")
@pytest.mark.timeout(60 + 10 * KILLS)
def test_whatever_was_answered_is_kept(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    chance = random.Random(SEED)
    start_client("synth", outputs=["left", "right"])
    desk = start_client("desk", inputs=["left", "right"])
    desk.connect(*FOREIGN)
    guest = start_client("guest")
    router = start_router("[daemon]\nwatch = false\n" + WANT + REST)
    studio = Studio(router, remote, desk, chance)
    for kill in range(KILLS):
        where = f"kill {kill + 1} with seed {SEED}"
        eventually(studio.is_as_known, what=f"before {where}")
        with coming_and_going(guest):
            old, new = change_until_killed(studio, chance.expovariate(1 / 0.15))
        without_rule = chance.random() < 0.3
        if without_rule:
            router.write_config("[daemon]\nwatch = false\n" + REST)
        studio.undoable.clear()
        router.start()
        eventually(remote.connected)
        if without_rule:
            # What it was about to connect may stay, and be nobody's: whose it is is noted when the server has done it.
            gone = {LEFT, RIGHT} & old.connections
            eventually(partial(studio.has_none_of, gone), what=f"what the rule had goes after {where}")
            assert FOREIGN in studio.connections()
            router.write_config("[daemon]\nwatch = false\n" + WANT + REST)
            remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
            old, new = (replace(known, held=False) for known in (old, new))
        eventually(lambda: remote.read("Rules.Held") == [] or studio.seen().held, what="the holds are known")
        seen = studio.seen()
        assert seen in (old, new), f"after {where}: neither {old} nor {new}"
        studio.known = seen
        eventually(studio.is_as_known, what=f"all is right after {where}")
