"""What the daemon answers, as typed values: each field is a key of the JSON that `--json` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from jackd_router.cli.exits import CommandFailed
from jackd_router.core.errors import Problem
from jackd_router.core.graph import PortFlags


class PortRecord(NamedTuple):
    """One port."""

    name: str
    direction: str
    type: str
    physical: bool
    terminal: bool
    aliases: list[str]

    @classmethod
    def of(cls, name: str, flags: int, type_: str, aliases: list[str]) -> PortRecord:
        """Give the record for what D-Bus says of a port: (susas)."""
        known = PortFlags(flags)
        direction = "input" if PortFlags.INPUT in known else "output"
        return cls(name, direction, type_, PortFlags.PHYSICAL in known, PortFlags.TERMINAL in known, aliases)

    @property
    def client(self) -> str:
        """The name of the client: what stands before the first colon."""
        return self.name.partition(":")[0]


class MetadataRecord(NamedTuple):
    """What JACK's metadata says of one port; "" is nothing."""

    port: str
    pretty_name: str
    signal_type: str


class Pair(NamedTuple):
    """An output port and an input port, connected or not."""

    source: str
    destination: str

    def __str__(self) -> str:
        """Give `source -> destination`."""
        return f"{self.source} -> {self.destination}"


class RuleRecord(NamedTuple):
    """One rule of the configuration in force."""

    name: str
    enabled: bool
    action: str
    origin: str
    ports: int
    connections: int
    last_applied_usec: int


class StepRecord(NamedTuple):
    """What one rule says of two ports."""

    rule: str
    origin: str
    outcome: str
    reason: str


class PeerRecord(NamedTuple):
    """What the rules say of a port and one other."""

    peer: str
    state: str
    rule: str
    reason: str


class ProblemRecord(NamedTuple):
    """One thing that is wrong with the configuration."""

    severity: str
    file: str
    line: int
    column: int
    text: str

    @classmethod
    def of_problem(cls, problem: Problem) -> ProblemRecord:
        """Give the record for a problem that was found here."""
        return cls(str(problem.severity), problem.file, problem.line, problem.column, problem.text)

    def __str__(self) -> str:
        """Give `file:line:column: text`, a warning called so."""
        what = "" if self.severity == "error" else f"{self.severity}: "
        return f"{self.file}:{self.line}:{self.column}: {what}{self.text}"


class AppliedRecord(NamedTuple):
    """What a rule did."""

    rule: str
    action: str
    source: str
    destination: str


class RefusedRecord(NamedTuple):
    """A connection that the feedback guard stops."""

    rule: str
    source: str
    destination: str
    reason: str


class Report(NamedTuple):
    """What was changed, or would be."""

    connect: list[Pair]
    disconnect: list[Pair]
    failed: list[Pair]
    unmet: list[str]
    shadowed: list[str]
    refused: list[RefusedRecord]

    def as_json(self) -> dict[str, object]:
        """Give the report with pairs as objects."""
        pairs = {key: [pair._asdict() for pair in value] for key, value in zip(self._fields[:3], self[:3], strict=True)}
        refused = [record._asdict() for record in self.refused]
        return {**pairs, "unmet": self.unmet, "shadowed": self.shadowed, "refused": refused}


class UndoRecord(NamedTuple):
    """Something that was changed by hand and can be taken back."""

    usec: int
    what: str


class SnapshotRecord(NamedTuple):
    """One snapshot."""

    name: str
    created_usec: int
    connections: int
    description: str
    path: str


class FailedRecord(NamedTuple):
    """A connection that could not be made, or cut."""

    source: str
    destination: str
    reason: str


class RestoredReport(NamedTuple):
    """What restoring a snapshot changed, or would change."""

    connected: list[Pair]
    disconnected: list[Pair]
    missing: list[Pair]
    failed: list[FailedRecord]

    def as_json(self) -> dict[str, object]:
        """Give the report with pairs as objects."""
        pairs = {key: [pair._asdict() for pair in value] for key, value in zip(self._fields[:3], self[:3], strict=True)}
        return {**pairs, "failed": [record._asdict() for record in self.failed]}


class BusRecord(NamedTuple):
    """One passthrough bus; gains in dB."""

    name: str
    type: str
    inputs: list[str]
    outputs: list[str]
    gain: float
    channel_gains: list[float]
    matrix: list[list[float]]
    mute: bool
    midi_channels: list[int]
    active: bool
    origin: str
    """Where the configuration defines it; "" for one that was made at run time."""

    @property
    def ports(self) -> list[str]:
        """The full names in the order of its levels: each input, then each output."""
        return self.inputs + self.outputs

    def as_table(self) -> dict[str, object]:
        """Give what the [[bus]] of a configuration would have to say, but for the time of fades."""
        sides = {"channels": (self.inputs, "in"), "outputs": (self.outputs, "out")}
        names = {
            key: [port.partition(":")[2].removeprefix(f"{self.name}_{way}_") for port in ports]
            for key, (ports, way) in sides.items()
        }
        gains = {"gain": self.gain, "channel_gains": self.channel_gains, "mute": self.mute, "matrix": self.matrix}
        return {"name": self.name, "type": self.type, **names, **gains}


class ProfileRecord(NamedTuple):
    """One profile of the configuration."""

    name: str
    description: str
    active: bool


class LevelRecord(NamedTuple):
    """The level of one port of a bus in dBFS; -200 is silence."""

    port: str
    peak: float
    rms: float


Record = TypeVar("Record")


def records(kind: type[Record], reply: object) -> list[Record]:
    """Give each struct of a reply as a value of that kind."""
    make = cast("Any", getattr(kind, "of", kind))
    try:
        return [make(*struct) for struct in cast("Iterable[Iterable[object]]", reply)]
    except (TypeError, ValueError) as error:
        raise CommandFailed("the running daemon is of another version than this program: restart it") from error


def pairs(reply: object) -> list[Pair]:
    """Give each connection of a reply."""
    return records(Pair, reply)


def report(reply: object) -> Report:
    """Give the report of a plan, a reload or a reapply; what it does not speak of is empty."""
    told = cast("Mapping[str, Any]", reply)
    connect, disconnect, failed = (pairs(told.get(key, [])) for key in ("connect", "disconnect", "failed"))
    refused = records(RefusedRecord, told.get("refused", []))
    return Report(connect, disconnect, failed, list(told.get("unmet", [])), list(told.get("shadowed", [])), refused)


def profiles(reply: object, active: object) -> list[ProfileRecord]:
    """Give each profile of the property `Profiles`, the active one marked."""
    told = cast("Iterable[Mapping[str, Any]]", reply)
    return [ProfileRecord(one["Name"], one.get("Description", ""), one["Name"] == active) for one in told]


def snapshot(reply: object) -> SnapshotRecord:
    """Give a snapshot for what GetSnapshot says."""
    told = cast("Mapping[str, Any]", reply)
    return SnapshotRecord(told["name"], told["created-usec"], told["connections"], told.get("description", ""), told["path"])


def restored(reply: object) -> RestoredReport:
    """Give the report of a restoration; what it does not speak of is empty."""
    told = cast("Mapping[str, Any]", reply)
    connected, disconnected, missing, failed = (
        pairs(told.get(key, [])) for key in ("connected", "disconnected", "missing", "failed")
    )
    refused = [FailedRecord(*pair, reason) for pair, reason in zip(failed, told.get("reasons", []), strict=True)]
    return RestoredReport(connected, disconnected, missing, refused)


def bus(properties: Mapping[str, object]) -> BusRecord:
    """Give a bus for the properties of its object."""
    told = cast("Mapping[str, Any]", properties)
    return BusRecord(
        name=told["Name"],
        type=told["Type"],
        inputs=list(told["Inputs"]),
        outputs=list(told["Outputs"]),
        gain=told["Gain"],
        channel_gains=list(told["ChannelGains"]),
        matrix=[list(row) for row in told["Matrix"]],
        mute=told["Mute"],
        midi_channels=list(told["MidiChannels"]),
        active=told["Active"],
        origin=told["Origin"],
    )
