"""The busctl lines of the reference, in the order in which they are run: what one changes the next ones see.

`N` and `R` are the bus name and the path of the object, as the page says at its top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.api.contract import Interface

BUS_NAME = "io.github.jackd_router.Router1"
ROOT = "/io/github/jackd_router/Router1"
_PLACES = {"Bus": "$R/bus/main", "LogControl1": "/org/freedesktop/LogControl1"}

CONFIG = """\
[client]
name = "router"

[daemon]
watch = false

[[rule]]
name = "synth to desk"
from = "synth:*"
to   = "desk:*"

[[rule]]
name   = "never across"
action = "forbid"
from   = "synth:right"
to     = "desk:left"

[[bus]]
name     = "main"
channels = ["L", "R"]
gain     = -6.0

[[profile]]
name        = "live"
description = "on the stage"
[profile.bus.main]
gain = 3.0
"""
"""What the daemon runs with, beside the clients synth (left, right) and desk (left, right)."""

CALLS: tuple[tuple[str, str], ...] = (
    ("Manager.GetStatus", "| cut -c 1-99"),
    ("Manager.Inhibit", "'ssa{sv}' patchbay 'dragging a cable' 0"),
    ("Manager.Uninhibit", "u 1"),
    ("Server.Reconnect", "'a{sv}' 0"),
    ("Graph.GetGraph", "t 0 | cut -d ' ' -f 1-20"),
    ("Graph.GetMetadata", ""),
    ("Graph.ListPorts", "'sa{sv}' 'system:*' 1 direction s input"),
    ("Graph.ListConnections", "'sa{sv}' desk:left 0"),
    ("Graph.Connect", "'ssa{sv}' synth:left desk:right 0"),
    ("Graph.Connect", "'ssa{sv}' synth:right desk:left 0"),
    ("Graph.Connect", "'ssa{sv}' synth:left desk:top 0"),
    ("Graph.Disconnect", "'ssa{sv}' synth:left desk:left 0"),
    ("Rules.ReleaseHold", "'ssa{sv}' synth:left desk:left 0"),
    ("Graph.Apply", "'a(ss)a(ss)a{sv}' 1 synth:left system:playback_1 1 synth:left desk:right 0"),
    ("Manager.Undo", "'a{sv}' 0"),
    ("Rules.ListRules", ""),
    ("Rules.ListOwned", ""),
    ("Rules.GetRule", "s 'never across' | cut -c 1-100"),
    ("Rules.Explain", "ss synth:left desk:left"),
    ("Rules.ExplainPort", "s desk:left"),
    ("Rules.SetRuleEnabled", "'sba{sv}' 'never across' false 1 persist b false"),
    ("Rules.Reapply", "'a{sv}' 1 dry-run b true"),
    ("Config.Validate", "'sa{sv}' '' 0"),
    ("Config.Plan", "'sa{sv}' '' 0"),
    ("Config.GetEffective", "| cut -c 1-60"),
    ("Config.Reload", "'a{sv}' 0"),
    ("Buses.GetBus", "s main"),
    ("Buses.CreateBus", "'sa{sv}' talk 2 channels as 1 1 gain d -6"),
    ("Buses.GetLevels", "'a{sv}' 0"),
    ("Buses.RemoveBus", "s talk"),
    ("Bus.FadeTo", "du -12.5 200"),
    ("Snapshots.Save", "'sa{sv}' evening 0"),
    ("Snapshots.List", ""),
    ("Snapshots.Get", "s evening"),
    ("Snapshots.GetSnapshot", "s evening"),
    ("Snapshots.Restore", "'sa{sv}' evening 1 dry-run b true"),
    ("Snapshots.Delete", "s evening"),
    ("Server.ResetXruns", ""),
)
"""Interface.Method, and what busctl takes after it."""

SETTINGS: tuple[tuple[str, str], ...] = (
    ("Rules.Enabled", "b true"),
    ("Profiles.ActiveProfile", "s live"),
    ("Profiles.ActiveProfile", "s lvie"),
    ("Bus.Gain", "d -6.5"),
    ("Bus.Gain", "d 1e9"),
    ("Bus.Mute", "b true"),
    ("Bus.ChannelGains", "ad 2 0 -1.5"),
    ("Bus.Matrix", "aad 2 2 1 0 2 0 1"),
    ("Bus.MidiChannels", "au 1 10"),
    ("LogControl1.LogLevel", "s debug"),
    ("LogControl1.LogLevel", "s chatty"),
    ("LogControl1.LogTarget", "s auto"),
)
"""Interface.Property that can be set, and the value."""

READINGS: tuple[tuple[str, str], ...] = (("Manager.UndoSteps", ""),)
"""Interface.Property that says more after all that."""

VARYING = frozenset({"Manager.GetStatus", "Buses.GetLevels", "Server", "Graph"})
"""What measures something: every number in the answer may be another one the next time. An interface means its properties."""


@dataclass(frozen=True, slots=True)
class Example:
    """One line, which interface it is about, and what it shows there: a method or property, "" for all its properties."""

    interface: str
    member: str
    line: str

    @property
    def varies(self) -> bool:
        """Whether the numbers of its answer say nothing."""
        return (f"{self.interface}.{self.member}" if self.member else self.interface) in VARYING


def examples(contract: list[Interface]) -> Iterator[Example]:
    """Give all lines: reading the properties of each interface, then setting some, calling methods, reading again."""
    by_title = {interface.title: interface for interface in contract}
    for interface in contract:
        names = [member.name for member in interface.of_kind("property")]
        if names:
            yield Example(interface.title, "", _line("get-property", interface, " ".join(names)))
    for command, those in (("set-property", SETTINGS), ("call", CALLS), ("get-property", READINGS)):
        for name, rest in those:
            title, _, member = name.partition(".")
            yield Example(title, member, _line(command, by_title[title], f"{member} {rest}".rstrip()))


def _line(command: str, interface: Interface, rest: str) -> str:
    # After -- what begins with a dash is no option, but a number.
    dashes = " --" if re.search(r" -\d", rest) else ""
    name = interface.name.replace(BUS_NAME, "$N")
    return f"busctl --user{dashes} {command} $N {_PLACES.get(interface.title, '$R')} {name} {rest}"
