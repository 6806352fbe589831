"""Listings as tables and lines for people: pure functions from records to text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jackd_router.cli.records import (
    BusRecord,
    LevelRecord,
    Pair,
    PeerRecord,
    PortRecord,
    ProfileRecord,
    Report,
    RestoredReport,
    RuleRecord,
    SnapshotRecord,
    StepRecord,
    UndoRecord,
)
from jackd_router.cli.terminal import Table
from jackd_router.core.language.reading import counted
from jackd_router.core.names import natural_key

SILENCE_DB = -144.0
METER_FLOOR_DB = -60.0
METER_WIDTH = 40
_COUNTS = ("held", "kept", "contested", "refused")
"""What connections are counted by in the status: left cut or connected by hand, fought over, stopped by the feedback guard."""


def ports_table(ports: Iterable[PortRecord]) -> Table:
    """Give one row a port."""
    rows = [
        (port.name, port.direction, port.type, "physical" if port.physical else "", ", ".join(port.aliases)) for port in ports
    ]
    return Table(("PORT", "DIRECTION", "TYPE", "PHYSICAL", "ALIASES"), rows)


def connections_table(connections: Iterable[Pair]) -> Table:
    """Give one row a connection."""
    return Table(("SOURCE", "DESTINATION"), list(connections))


def rules_table(rules: Iterable[RuleRecord], inactive: Mapping[str, str]) -> Table:
    """Give one row a rule, in the order in which the rules decide; `inactive`: why some do not count now."""
    rows = [
        (
            rule.name,
            _rule_state(rule, inactive),
            rule.action,
            str(rule.ports),
            str(rule.connections),
            moment(rule.last_applied_usec),
            from_home(rule.origin),
            inactive.get(rule.name, "") if rule.enabled else "",
        )
        for rule in rules
    ]
    return Table(("RULE", "STATE", "ACTION", "PORTS", "CONNECTIONS", "LAST APPLIED", "WRITTEN AT", "REMARK"), rows)


def _rule_state(rule: RuleRecord, inactive: Mapping[str, str]) -> str:
    if not rule.enabled:
        return "disabled"
    return "inactive" if rule.name in inactive else "enabled"


def steps_table(steps: Iterable[StepRecord]) -> Table:
    """Give one row a rule that has something to say of two ports."""
    return Table(("RULE", "OUTCOME", "REASON", "WRITTEN AT"), [(s.rule, s.outcome, s.reason, from_home(s.origin)) for s in steps])


def peers_table(peers: Iterable[PeerRecord]) -> Table:
    """Give one row a port that a rule speaks of together with the one asked for."""
    return Table(("PEER", "STATE", "RULE", "REASON"), list(peers))


def profiles_table(profiles: Iterable[ProfileRecord]) -> Table:
    """Give one row a profile."""
    rows = [(profile.name, "active" if profile.active else "", profile.description) for profile in profiles]
    return Table(("PROFILE", "STATE", "DESCRIPTION"), rows)


def snapshots_table(snapshots: Iterable[SnapshotRecord]) -> Table:
    """Give one row a snapshot."""
    rows = [(one.name, moment(one.created_usec), str(one.connections), one.description) for one in snapshots]
    return Table(("SNAPSHOT", "SAVED", "CONNECTIONS", "DESCRIPTION"), rows)


def buses_table(buses: Iterable[BusRecord]) -> Table:
    """Give one row a bus."""
    rows = [
        (
            bus.name,
            bus.type,
            f"{len(bus.inputs)} in, {len(bus.outputs)} out",
            "" if bus.type == "midi" else decibels(bus.gain),
            "muted" if bus.mute else "",
            ", ".join(_remarks(bus)),
        )
        for bus in buses
    ]
    return Table(("BUS", "TYPE", "CHANNELS", "GAIN", "MUTE", "REMARK"), rows)


def _remarks(bus: BusRecord) -> Iterator[str]:
    if not bus.origin:
        yield "made"
    if not bus.active:
        yield "no server"
    if 0 < len(bus.midi_channels) < 16:
        yield f"channel{'s' if len(bus.midi_channels) > 1 else ''} {' '.join(map(str, bus.midi_channels))}"


def levels_table(levels: Mapping[str, Sequence[LevelRecord]]) -> Table:
    """Give one row a port of a bus, as numbers."""
    rows = [(bus, level.port, f"{level.peak:.1f}", f"{level.rms:.1f}") for bus, those in levels.items() for level in those]
    return Table(("BUS", "PORT", "PEAK DBFS", "RMS DBFS"), rows)


def meter(level: LevelRecord, *, ascii_only: bool = False) -> str:
    """Give the level as a bar of fixed width: full up to the RMS, a mark at the peak."""
    full, mark, empty = ("#", "|", ".") if ascii_only else ("█", "┃", "·")
    bar = [full if cell < _cells(level.rms) else empty for cell in range(METER_WIDTH)]
    if peak := _cells(level.peak):
        bar[peak - 1] = mark
    return "".join(bar)


def _cells(dbfs: float) -> int:
    share = (dbfs - METER_FLOOR_DB) / -METER_FLOOR_DB
    return round(METER_WIDTH * min(max(share, 0.0), 1.0))


def graph_lines(ports: Iterable[PortRecord], connections: Iterable[Pair]) -> Iterator[str]:
    """Give the whole graph as lines: each client, its ports, and below each port what it is connected with."""
    others: defaultdict[str, list[str]] = defaultdict(list)
    for pair in connections:
        others[pair.source].append(f"-> {pair.destination}")
        others[pair.destination].append(f"<- {pair.source}")
    by_client: defaultdict[str, list[PortRecord]] = defaultdict(list)
    for port in sorted(ports, key=lambda port: natural_key(port.name)):
        by_client[port.client].append(port)
    for client, those in by_client.items():
        yield client
        for port in those:
            yield f"    {port.name.partition(':')[2]}  ({port.type} {port.direction})"
            yield from (f"        {other}" for other in sorted(others[port.name], key=natural_key))


def undo_table(steps: Iterable[UndoRecord]) -> Table:
    """Give one row a step that can be taken back."""
    return Table(("WHEN", "CHANGE"), [(moment(step.usec), step.what) for step in steps])


def report_lines(report: Report) -> Iterator[str]:
    """Give one line a change and one a remark; none where nothing changes and there is nothing to say."""
    yield from (f"+ {pair}" for pair in report.connect)
    yield from (f"- {pair}" for pair in report.disconnect)
    yield from (f"! {pair} (failed)" for pair in report.failed)
    yield from (f"refused: {r.source} -> {r.destination} of rule '{r.rule}': {r.reason}" for r in report.refused)
    yield from (f"unmet: rule '{name}' has no partners now" for name in report.unmet)
    yield from (f"shadowed: rule '{name}' never decides: earlier rules speak first" for name in report.shadowed)


def restored_lines(report: RestoredReport) -> Iterator[str]:
    """Give one line a connection that was made, cut, or could not be."""
    yield from (f"+ {pair}" for pair in report.connected)
    yield from (f"- {pair}" for pair in report.disconnected)
    yield from (f"missing: {pair}" for pair in report.missing)
    yield from (f"! {failed.source} -> {failed.destination} (failed: {failed.reason})" for failed in report.failed)


def status_fields(status: Mapping[str, object]) -> dict[str, str]:
    """Give the status as names and values, for people."""

    def told(key: str) -> str:
        return str(status.get(key, "?"))

    def many(key: str, one: str) -> str:
        number = status.get(key)
        return counted(number, one) if isinstance(number, int) else f"? {one}s"

    server = f"{told('server-state')}, server '{told('server-name')}'"
    if status.get("server-state") == "connected":
        server += (
            f" ({told('implementation')}), {told('sample-rate')} Hz, {told('buffer-size')} frames, {_realtime(status)}"
            f", {many('xruns', 'xrun')}, we are '{told('client-name')}'"
        )
    remark = "" if status.get("config-valid", True) else " (INVALID: an older one is in force; see `jackd-router check`)"
    return {
        "Status": f"{told('status')}: {told('status-text')}",
        "JACK": server,
        **_load(status),
        **_hints(status),
        "Graph": f"{many('ports', 'port')}, {many('connections', 'connection')}",
        "Profile": told("profile"),
        "Rules": f"{many('rules', 'rule')}; connections: {', '.join(f'{told(key)} {key}' for key in _COUNTS)}",
        "Buses": told("buses"),
        "File": told("config-path") + remark,
        "Version": told("version"),
    }


def _realtime(status: Mapping[str, object]) -> str:
    match status.get("realtime"), status.get("client-realtime"):
        case True, True:
            return "realtime"
        case True, _:
            return "realtime without us"
        case _:
            return "not realtime"


def _load(status: Mapping[str, object]) -> dict[str, str]:
    """Give what sound costs: of the server's whole graph, and of our own part of it against the time that there is."""
    match status:
        case {
            "dsp-load": float(dsp_load),
            "cycles": int(cycles),
            "cycle-median-usec": float(median),
            "cycle-max-usec": float(most),
            "buffer-size": int(frames),
            "sample-rate": int(rate),
        } if cycles and rate:
            ours = f"{median:.1f} us (median), {most:.1f} us (most) of {1_000_000 * frames / rate:.0f} us"
            return {"Load": f"DSP {dsp_load:.1f} %; our part of a cycle: {ours}, {cycles} cycles"}
        case _:
            return {}


def _hints(status: Mapping[str, object]) -> dict[str, str]:
    match status.get("hints"):
        case [only]:
            return {"Hint": str(only)}
        case [*several]:
            return {f"Hint {number}": str(hint) for number, hint in enumerate(several, 1)}
        case _:
            return {}


def decibels(gain: float) -> str:
    """Give a gain for people."""
    return "silent" if gain <= SILENCE_DB else f"{gain:+.1f} dB"


def moment(usec: int) -> str:
    """Give a time of D-Bus (microseconds since the epoch, 0 for never) in local time."""
    return datetime.fromtimestamp(usec / 1_000_000).strftime("%Y-%m-%d %H:%M:%S") if usec else "never"


def from_home(path: str) -> str:
    """Give a path as people write it: `~` for their home."""
    home = f"{Path.home()}/"
    return f"~/{path.removeprefix(home)}" if path.startswith(home) else path


def with_underscores(values: Mapping[str, object]) -> dict[str, object]:
    """Give the mapping with keys that jq and JavaScript take without quotes."""
    return {key.replace("-", "_"): value for key, value in values.items()}
