"""What outlives the daemon: as values, and as the JSON of the state file.

Whatever a file holds, reading it gives what is of use or raises ValueError; keys that nobody knows are left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from jackd_router.core.bus_values import BusValues, KeptValues, checked_values
from jackd_router.core.config import ALL_MIDI_CHANNELS, DEFAULT_PROFILE, BusConfig
from jackd_router.core.errors import UserError
from jackd_router.core.graph import Connection
from jackd_router.core.language.made_buses import read_made_bus
from jackd_router.core.language.parse_buses import bus_table
from jackd_router.core.names import parse_shown, shown

Kind = TypeVar("Kind")

_PER_PIECE = 100
_LAYOUT = 2
_EARLIER_LAYOUT = 1
"""Had no profile and nothing of a server run; the rest was as it is."""


@dataclass(frozen=True, slots=True)
class Contested:
    """Another program's quarrel with us: how many truces there were, and when the last one ends (µs since the epoch)."""

    truces: int
    until_usec: int


@dataclass(frozen=True, slots=True)
class ServerRun:
    """What was known of pairs of ports; of use only while the same server runs on. The containers may be live views."""

    server_run: str
    """As `Presence.server_run` gives it."""
    owned: Mapping[Connection, str] = field(default_factory=dict)
    """Which rule a connection belongs to."""
    held: Collection[Connection] = ()
    """Cut by hand."""
    kept: Collection[Connection] = ()
    """Made by hand, to stay."""
    contested: Mapping[Connection, Contested] = field(default_factory=dict)
    disowned: Collection[Connection] = ()
    """Of what `since` gives: pairs that were owned before."""

    def copy(self) -> ServerRun:
        """Give a copy that stays as things are now."""
        return replace(
            self,
            owned=dict(self.owned),
            held=tuple(self.held),
            kept=tuple(self.kept),
            contested=dict(self.contested),
        )

    def since(self, earlier: Collection[ServerRun | None]) -> ServerRun:
        """Give this without what is bulky and in each of the earlier ones the same; `after` any of them it is whole again."""
        before = [run.owned if run and run.server_run == self.server_run else {} for run in earlier]
        return replace(
            self,
            owned={pair: rule for pair, rule in self.owned.items() if any(pairs.get(pair) != rule for pairs in before)},
            disowned={pair for pairs in before for pair in pairs if pair not in self.owned},
            contested={},
        )

    def after(self, earlier: ServerRun | None) -> ServerRun:
        """Give this whole, where it was told `since` another one."""
        if earlier is None or earlier.server_run != self.server_run:
            return replace(self, disowned=())
        owned = {pair: rule for pair, rule in earlier.owned.items() if pair not in self.disowned}
        return replace(self, owned={**owned, **self.owned}, disowned=(), contested=earlier.contested)


@dataclass(slots=True)
class Kept:
    """Everything that is kept; its owners write into it."""

    profile: str = DEFAULT_PROFILE.name
    rules: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Rule -> {"enabled": as set, "configured": as the file had it}."""
    buses: dict[str, KeptValues] = field(default_factory=dict)
    made: dict[str, BusConfig] = field(default_factory=dict)
    """Buses that were made at run time, by their names and in this order; what was set on them since is in `buses`."""
    run: ServerRun | None = None
    serial: int = 0
    """Grows with every change, over all runs of the daemon."""

    def copy(self) -> Kept:
        """Give a copy that stays as things are now."""
        rules = {name: dict(entry) for name, entry in self.rules.items()}
        return Kept(self.profile, rules, dict(self.buses), dict(self.made), self.run and self.run.copy(), self.serial)


def newest(whole: Kept, recent: Kept) -> Kept:
    """Give what is kept now, of what was whole and what came since; the latter counts where it is the younger one."""
    if recent.serial <= whole.serial:
        return whole
    return replace(recent, run=recent.run and recent.run.after(whole.run))


# ---- as JSON


def kept_as_json(kept: Kept) -> Iterator[str]:
    """Give the text of the file in pieces, each quickly made: between two of them the event loop gets its turn."""
    separator = "{\n"
    for key, value in _document(kept):
        yield f'{separator}"{key}": '
        yield from _pieces(value)
        separator = ",\n"
    yield "\n}\n"


def _pieces(value: object) -> Iterator[str]:
    if not isinstance(value, Iterator):
        # Without `indent`, which is Python and takes ten times as long.
        yield json.dumps(value, allow_nan=False)
        return
    separator = "["
    while batch := list(islice(value, _PER_PIECE)):
        yield separator + json.dumps(batch)[1:-1]
        separator = ",\n "
    yield "]" if separator != "[" else "[]"


def _document(kept: Kept) -> Iterator[tuple[str, object]]:
    yield "layout", _LAYOUT
    yield "serial", kept.serial
    yield "profile", kept.profile
    yield "rules", kept.rules
    yield "buses", {name: {"set": _values(of.live), "configured": _values(of.configured)} for name, of in kept.buses.items()}
    yield "made", [bus_table(bus) for bus in kept.made.values()]
    if kept.run is not None:
        yield "server_run", kept.run.server_run
        yield "owned", ([*_pair(pair), rule] for pair, rule in kept.run.owned.items())
        if kept.run.disowned:
            yield "disowned", map(_pair, kept.run.disowned)
        yield "held", map(_pair, kept.run.held)
        yield "kept", map(_pair, kept.run.kept)
        yield "contested", ([*_pair(pair), of.truces, of.until_usec] for pair, of in kept.run.contested.items())


def _pair(pair: Connection) -> list[str]:
    return [shown(pair.source), shown(pair.destination)]


def _values(values: BusValues) -> dict[str, object]:
    return {
        "gain": values.gain_db,
        "mute": values.mute,
        "channel_gains": values.channel_gains_db,
        "matrix": values.matrix,
        "midi_channels": values.midi_channels,
    }


# ---- from JSON


def parse_kept(text: str) -> tuple[Kept, tuple[str, ...]]:
    """Give what the file keeps, and what of it is of no use; raise ValueError where the file is none of ours."""
    try:
        file = _File(json.loads(text), "the file")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    layout = file.integer("layout")
    if layout not in (_LAYOUT, _EARLIER_LAYOUT):
        raise ValueError(f"its layout is {layout}, not {_LAYOUT}")
    buses, remarks = _parse_buses(file.table("buses"))
    kept = Kept(rules={name: _parse_switch(entry) for name, entry in file.table("rules").tables()}, buses=buses)
    if layout == _LAYOUT:
        kept.profile = file.text("profile")
        kept.made, more = _parse_made(file)
        remarks += more
        kept.run = _parse_run(file) if "server_run" in file.values else None
        # A file of this layout may lack it: it was written before there was a second file.
        kept.serial = file.integer("serial") if "serial" in file.values else 0
    return kept, remarks


def _parse_switch(entry: _File) -> dict[str, bool]:
    return {key: entry.flag(key) for key in ("enabled", "configured")}


def _parse_buses(table: _File) -> tuple[dict[str, KeptValues], tuple[str, ...]]:
    """Give what is of use: of one bus that is not, the others know nothing."""
    found, remarks = {}, []
    for name, entry in table.tables():
        try:
            live, configured = (_parse_values(name, entry.table(key)) for key in ("set", "configured"))
            if live.shape != configured.shape:
                raise ValueError("'set' and 'configured' have not the same channels")
            found[name] = KeptValues(live, configured)
        except (ValueError, UserError) as error:
            remarks.append(f"what was kept of bus {name!r} is of no use: {error}")
    return found, tuple(remarks)


def _parse_made(file: _File) -> tuple[dict[str, BusConfig], tuple[str, ...]]:
    """Give the buses that were made at run time, and what of them is of no use.

    A file of this layout may lack them: it was written before there were any.
    """
    found: dict[str, BusConfig] = {}
    remarks = []
    for entry in file.array("made") if "made" in file.values else ():
        try:
            bus = read_made_bus(_typed(entry, dict, "an entry of made"))
        except UserError as error:
            remarks.append(f"a bus that was made at run time is of no use: {error}")
        else:
            found[bus.name] = bus
    return found, tuple(remarks)


def _parse_values(bus: str, table: _File) -> BusValues:
    values = BusValues(
        gain_db=table.number("gain"),
        mute=table.flag("mute"),
        channel_gains_db=tuple(_number(gain, "channel_gains") for gain in table.array("channel_gains")),
        matrix=tuple(tuple(_number(factor, "matrix") for factor in row) for row in table.rows("matrix")),
        # Earlier versions knew no MIDI, and wrote none.
        midi_channels=tuple(_integer(channel, "midi_channels") for channel in table.array("midi_channels"))
        if "midi_channels" in table.values
        else ALL_MIDI_CHANNELS,
    )
    return checked_values(bus, values)


def _parse_run(file: _File) -> ServerRun:
    return ServerRun(
        server_run=file.text("server_run"),
        owned={_parse_pair(ends): _text(rule, "owned") for *ends, rule in file.rows_of("owned", 3)},
        disowned={_parse_pair(ends) for ends in file.rows_of("disowned", 2)} if "disowned" in file.values else (),
        held=tuple(_parse_pair(ends) for ends in file.rows_of("held", 2)),
        kept=tuple(_parse_pair(ends) for ends in file.rows_of("kept", 2)),
        contested={
            _parse_pair(ends): Contested(_integer(truces, "contested"), _integer(until_usec, "contested"))
            for *ends, truces, until_usec in file.rows_of("contested", 4)
        },
    )


def _parse_pair(ends: list[object]) -> Connection:
    try:
        source, destination = (parse_shown(_text(end, "a port")) for end in ends)
    except UserError as error:
        raise ValueError(str(error)) from None
    return Connection(source, destination)


class _File:
    """An object of the file, whose values are asked for with the type that they must have."""

    def __init__(self, value: object, name: str) -> None:
        self.values: dict[str, object] = _typed(value, dict, name)
        self._name = name

    def get(self, key: str) -> object:
        if key not in self.values:
            raise ValueError(f"{self._name} has no {key!r}")
        return self.values[key]

    def text(self, key: str) -> str:
        return _text(self.get(key), key)

    def flag(self, key: str) -> bool:
        return _typed(self.get(key), bool, key)

    def integer(self, key: str) -> int:
        return _integer(self.get(key), key)

    def number(self, key: str) -> float:
        return _number(self.get(key), key)

    def array(self, key: str) -> list[object]:
        return _typed(self.get(key), list, key)

    def rows(self, key: str) -> list[list[object]]:
        return [_typed(row, list, f"an entry of {key}") for row in self.array(key)]

    def rows_of(self, key: str, length: int) -> list[list[object]]:
        rows = self.rows(key)
        if any(len(row) != length for row in rows):
            raise ValueError(f"an entry of {key} has not {length} values")
        return rows

    def table(self, key: str) -> _File:
        return _File(self.get(key), key)

    def tables(self) -> Iterator[tuple[str, _File]]:
        for key, value in self.values.items():
            yield _text(key, "a name"), _File(value, f"the entry {key!r} of {self._name}")


def _typed(value: object, kind: type[Kind], name: str) -> Kind:
    # To Python a boolean is a number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} is of the type {type(value).__name__}, not {kind.__name__}")
    return value


def _text(value: object, name: str) -> str:
    text = _typed(value, str, name)
    text.encode()  # a lone half of a surrogate pair is no text: UnicodeEncodeError is a ValueError
    return text


def _integer(value: object, name: str) -> int:
    number = _typed(value, int, name)
    if not 0 <= number < 2**63:
        raise ValueError(f"{name} is negative, or longer than any of ours")
    return number


def _number(value: object, name: str) -> float:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return _typed(value, float, name)
