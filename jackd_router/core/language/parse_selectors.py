"""From the values of `from`, `to` and the other keys that choose ports to selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from jackd_router.core.config import Path
from jackd_router.core.errors import Severity, UserError
from jackd_router.core.graph import PortType
from jackd_router.core.language.reading import TEXT, Table, found, is_text, perhaps_meant, unknown_bus
from jackd_router.core.language.vocabulary import KNOWN
from jackd_router.core.names import parse_shown
from jackd_router.core.selecting.patterns import Form, Pattern, pattern_of, references
from jackd_router.core.selecting.selectors import BusPorts, BusSelector, PortSelector, Selector, Selectors, selector_of

MAX_NTH = 65_535

_TYPES = (PortType.AUDIO, PortType.MIDI, PortType.CV)
_FORMS = 'a string "client:port", a "/regular expression/", a table, or a list of these'


class Side(Enum):
    """Which ports of a bus a selector may mean."""

    OUTPUTS = auto()
    INPUTS = auto()
    EITHER = auto()


class Surroundings(NamedTuple):
    """What selectors may name besides ports: our client, our buses (all of them, when every file was read)."""

    client_name: str
    buses: tuple[BusPorts, ...]
    all_read: bool = True


def read_selectors(
    table: Table, key: str, around: Surroundings, groups: frozenset[str] = frozenset(), side: Side = Side.EITHER
) -> Selectors:
    """Give the selectors at this key, in which `groups` may be referred to; what is wrong is noted."""
    return _alternatives(_Reader(table, key, around, groups, side), (key,), table.values.get(key))


def read_each(
    table: Table, key: str, around: Surroundings, groups: frozenset[str] = frozenset(), side: Side = Side.EITHER
) -> tuple[Selectors, ...]:
    """Give the entries of a list at this key, each with its alternatives; a selector that is no list is the only entry."""
    value = table.values.get(key)
    reader = _Reader(table, key, around, groups, side)
    if not isinstance(value, list):
        entries = [_alternatives(reader, (key,), value)]
    else:
        if not value:
            table.wrong(key, value, f"{_FORMS}, not empty")
        entries = [_alternatives(reader, (key, index), item) for index, item in enumerate(value)]
    return tuple(entry for entry in entries if entry)


def offered(*sources: Selectors) -> frozenset[str]:
    """Give the groups of `from` that other keys of the rule may refer to: what any of these selectors catches."""
    return frozenset[str]().union(*(selector.provides for selectors in sources for selector in selectors))


def _alternatives(reader: _Reader, path: Path, value: object) -> Selectors:
    if isinstance(value, list):
        if not value:
            reader.refuse(path, value)
        selectors = [reader.read((*path, index), item) for index, item in enumerate(value)]
    else:
        selectors = [reader.read(path, value)]
    return tuple(selector for selector in selectors if selector is not None)


class _Reader:
    """Reads the selectors at one key in the table of a rule."""

    def __init__(self, table: Table, key: str, around: Surroundings, groups: frozenset[str], side: Side) -> None:
        self._table = table
        self._key = key
        self._around = around
        self._groups = groups
        self._side = side
        self._path: Path = (key,)

    def read(self, path: Path, value: object) -> Selector | None:
        """Give the selector that stands at this path; None where it is wrong."""
        self._path = path
        match value:
            case str() if value and not is_text(value):
                self._table.wrong(self._key, value, TEXT, *path)
                return None
            case str() if value:
                return self._read_text(value)
            case Mapping():
                return self._read_table(value)
            case _:
                self.refuse(path, value)
                return None

    def refuse(self, path: Path, value: object) -> None:
        """Note what is no selector."""
        self._table.wrong(self._key, value, f"{_FORMS}, not empty" if value == [] else _FORMS, *path)

    def _read_text(self, text: str) -> PortSelector | None:
        if _is_regex(text):
            name = self._pattern(text)
            return None if name is None else selector_of(name=name)
        if text.startswith("/"):
            what = f"{found(text)} is taken as a plain name; a regular expression ends with a slash, too"
            self._table.complain(what, *self._path, severity=Severity.WARNING)
        client_text, colon, port_text = text.partition(":")
        client = self._pattern(client_text, Form.GLOB)
        port = self._pattern(port_text, Form.GLOB) if colon else None
        return None if client is None or (colon and port is None) else selector_of(client=client, port=port)

    def _read_table(self, values: Mapping[str, object]) -> Selector | None:
        table = self._table.inner(values, *self._path)
        table.check_keys("selector")
        if not values:
            table.complain(f"an empty table means no port; allowed: {', '.join(KNOWN['selector'])}")
            return None
        if "bus" in values or "channel" in values:
            return self._read_bus(table)
        patterns = {key: self._table_pattern(table, key) for key in ("exact", "client", "port", "alias", "pretty_name")}
        selector = selector_of(
            name=patterns["exact"],
            client=patterns["client"],
            port=patterns["port"],
            alias=patterns["alias"],
            pretty_name=patterns["pretty_name"],
            type=_port_type(table),
            physical=table.flag("physical", default=True) if "physical" in values else None,
            terminal=table.flag("terminal", default=True) if "terminal" in values else None,
            nth=_positions(table),
        )
        # Only now, so that every mistake in the table is told.
        return None if any(key in values and pattern is None for key, pattern in patterns.items()) else selector

    def _table_pattern(self, table: Table, key: str) -> Pattern | None:
        text = table.text(key, "")
        if not text:
            return None
        if key != "exact":
            return self._pattern(text, None if _is_regex(text) else Form.GLOB, key)
        if ":" not in text and not references(text) & self._groups:
            table.wrong("exact", text, 'a full name, "client:port"')
            return None
        return self._pattern(text, Form.LITERAL, key)

    def _pattern(self, text: str, form: Form | None = None, *path: str) -> Pattern | None:
        """Give the compiled pattern; a regular expression when no other form is given."""
        return _pattern(self._table, (*self._path, *path), text, form, references(text) & self._groups)

    def _read_bus(self, table: Table) -> BusSelector | None:
        for key in table.values:
            if key not in ("bus", "channel"):
                table.complain(f"'{key}' cannot stand beside 'bus'; allowed: bus, channel", key, of_key=True)
        bus, channel = table.text("bus", ""), table.text("channel", "") or None
        if "bus" not in table.values:
            table.complain("'channel' needs a 'bus'", "channel", of_key=True)
            return None
        used = (references(bus) | references(channel or "")) & self._groups
        if not used:
            self._check_bus(table, bus, channel)
        return BusSelector(bus, channel, self._around.client_name, used, self._around.buses)

    def _check_bus(self, table: Table, bus: str, channel: str | None) -> None:
        """Note a channel that a bus does not have, and warn of a bus that may come at run time, or is a mistake."""
        if not bus or not self._around.all_read:
            return
        buses = {known.name: known for known in self._around.buses}
        if bus not in buses:
            table.complain(unknown_bus(bus, buses), "bus", severity=Severity.WARNING)
            return
        known = buses[bus]
        channels = {Side.OUTPUTS: known.outputs, Side.INPUTS: known.inputs}.get(self._side, known.inputs + known.outputs)
        if channel is not None and channel not in channels:
            table.wrong("channel", channel, ", ".join(f'"{name}"' for name in dict.fromkeys(channels)))


def client_pattern(table: Table, key: str) -> Pattern | None:
    """Give the pattern for the names of clients that stands at a key outside of rules; None where there is none."""
    text = table.text(key, "")
    return _pattern(table, (key,), text, None if _is_regex(text) else Form.GLOB) if text else None


def _pattern(table: Table, path: Path, text: str, form: Form | None, used: frozenset[str] = frozenset()) -> Pattern | None:
    try:
        if form is not None:
            return pattern_of(form, parse_shown(text), used)
        return pattern_of(Form.REGEX, text[1:-1], used)
    except UserError as error:
        table.complain(str(error), *path)
    except (re.error, OverflowError, RecursionError) as error:
        table.complain(f"not a regular expression: {found(text)}: {error}", *path)
    return None


def _is_regex(text: str) -> bool:
    return len(text) > 1 and text.startswith("/") and text.endswith("/")


def _port_type(table: Table) -> PortType | None:
    value = table.values.get("type")
    match value:
        case None:
            return None
        case str() if value in _TYPES:
            return PortType(value)
        case _:
            table.wrong("type", value, ", ".join(f'"{kind}"' for kind in _TYPES) + perhaps_meant(value, _TYPES))
    return None


def _positions(table: Table) -> frozenset[int] | None:
    """Give what `nth` says: a position, or several."""
    if "nth" not in table.values:
        return None
    value = table.values["nth"]
    words = f"a position from 1 to {MAX_NTH}, or a list of positions"
    if not isinstance(value, list) or not value:
        items: list[tuple[Path, object]] = [(("nth",), value)]
    else:
        items = [(("nth", index), item) for index, item in enumerate(value)]
    right = set()
    for path, item in items:
        if isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= MAX_NTH:
            right.add(item)
        else:
            table.wrong("nth", item, words, *path)
    return frozenset(right)
