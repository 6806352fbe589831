"""The command `watch`: live events until Ctrl-C, over restarts of the daemon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, cast

from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.listing import with_underscores
from jackd_router.cli.records import AppliedRecord, Pair, PortRecord, ProblemRecord, pairs, records
from jackd_router.cli.remote import Daemon, Event, OwnerChanged, unwrapped
from jackd_router.cli.terminal import show, show_json
from jackd_router.dbus_api.messages import Signal
from jackd_router.dbus_api.names import BUS_NAME, unescape

_PROPERTIES_OF = {
    "Manager": "status",
    "Server": "server",
    "Config": "config",
    "Rules": "rules",
    "Profiles": "profile",
    "Bus": "bus",
}
"""Whose properties are worth a line, and the word for it; the version of the graph is not, its changes are told."""

_STRUCTS: Mapping[str, type[ProblemRecord | Pair]] = {"problems": ProblemRecord, "held": Pair, "kept": Pair, "contested": Pair}
"""Properties that are lists of structs, and what the structs are."""

_WORD_STARTS = re.compile("(?<=[a-z])(?=[A-Z])")


class Line(NamedTuple):
    """One event as it is shown: a word, what it says, and the same as text."""

    event: str
    fields: Mapping[str, object]
    text: str


async def watch(daemon: Daemon, *, json: bool) -> Exit:
    """Show what happens. The first line says how things stand, again after each start of the daemon."""

    async def take(event: Event) -> None:
        for line in lines_of(event):
            _show(line, json=json)
        if isinstance(event, OwnerChanged) and event.present:
            # It may be gone again already; then its leaving is the next event.
            with suppress(CommandFailed):
                await _tell(daemon, json=json)

    await _tell(daemon, json=json)
    await daemon.follow(take)


async def _tell(daemon: Daemon, *, json: bool) -> None:
    (reply,) = await daemon.call("Manager.GetStatus")
    told = with_underscores(cast("Mapping[str, object]", reply))
    text = f"{told.get('status')}: {told.get('status_text')}, JACK server: {told.get('server_state')}"
    _show(Line("status", told, text), json=json)


def _show(line: Line, *, json: bool) -> None:
    now = datetime.now().astimezone()
    if json:
        show_json({"time": now.isoformat(), "event": line.event, **line.fields}, compact=True)
    else:
        show(f"{now:%H:%M:%S}.{now.microsecond // 1000:03}  {line.event:<12}  {line.text}", flush=True)


def lines_of(event: Event) -> Iterator[Line]:
    """Give the lines that tell of one event; none where it is of no use to people."""
    match event:
        case OwnerChanged(present):
            yield Line("daemon", {"running": present}, "started" if present else "left")
        case Signal(path=path, member="PropertiesChanged", body=[str(interface), changed, *_]):
            name = _PROPERTIES_OF.get(interface.removeprefix(f"{BUS_NAME}."))
            if name and changed:  # nothing, where only is told that there is something to read
                yield _properties_line(name, path, unwrapped(changed))
        case Signal(member="GraphChanged", body=[_, _, added, removed, connected, disconnected, more]):
            yield from _graph_lines(added, removed, connected, disconnected, unwrapped(more))
        case Signal(member="Applied", body=[actions]):
            for applied in records(AppliedRecord, actions):
                pair = Pair(applied.source, applied.destination)
                yield Line("applied", applied._asdict(), f"{applied.action}: {pair}  (rule '{applied.rule}')")
        case Signal(member="RulesChanged", body=[list(names)]):
            yield Line("rules", {"names": names}, f"changed: {', '.join(map(str, names)) or 'all'}")
        case Signal(member="SnapshotsChanged"):
            yield Line("snapshots", {}, "changed; see `jackd-router snapshot`")
        case _:
            return


def _graph_lines(
    added: object, removed: object, connected: object, disconnected: object, more: Mapping[str, object]
) -> Iterator[Line]:
    if more.get("resync"):
        yield Line("graph", {"resync": True}, "changed too much to tell in a burst; see `jackd-router graph`")
    for pair in pairs(disconnected):
        yield Line("disconnected", pair._asdict(), str(pair))
    for name in cast("list[str]", removed):
        yield Line("port-removed", {"name": name}, name)
    for old, new in cast("list[tuple[str, str]]", more.get("renamed", [])):
        yield Line("port-renamed", {"old": old, "new": new}, f"{old} is now {new}")
    for port in records(PortRecord, added):
        yield Line("port-added", port._asdict(), f"{port.name}  ({port.type} {port.direction})")
    for pair in pairs(connected):
        yield Line("connected", pair._asdict(), str(pair))


def _properties_line(name: str, path: str, changed: Mapping[str, object]) -> Line:
    values = {_WORD_STARTS.sub("_", key).lower(): value for key, value in changed.items()}
    if name == "bus":
        values = {"bus": unescape(path.rpartition("/")[2]), **values}
    structs = {key: records(kind, values[key]) for key, kind in _STRUCTS.items() if key in values}
    fields = values | {key: [struct._asdict() for struct in those] for key, those in structs.items()}
    told = values | structs
    if name == "profile" and "profiles" in values:
        profiles = [_with_small_keys(one) for one in cast("list[Mapping[str, object]]", values["profiles"])]
        fields["profiles"], told["profiles"] = profiles, [one.get("name") for one in profiles]
    return Line(name, fields, ", ".join(f"{key}: {_shown(value)}" for key, value in told.items()))


def _with_small_keys(values: Mapping[str, object]) -> dict[str, object]:
    """Give the mapping with keys as those of the listings are."""
    return {key.lower(): value for key, value in values.items()}


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case [] | "":
            return "none"
        case list():
            return ", ".join(map(_shown, value))
        case _:
            return str(value)
