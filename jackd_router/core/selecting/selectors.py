"""Selectors: which ports a rule means. Compiled once, then asked for every port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from jackd_router.core.graph import Port, PortType
from jackd_router.core.names import bus_port
from jackd_router.core.selecting.patterns import NOTHING_CAUGHT, Caught, Form, Groups, Pattern
from jackd_router.core.selecting.templates import put

_AUDIO, _CV = PortType.AUDIO, PortType.CV
_NO_GROUPS: Groups = {}
_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PortSelector:
    """Ports by what they say of themselves: everything that is given must match."""

    name: Pattern | None = None
    client: Pattern | None = None
    port: Pattern | None = None
    alias: Pattern | None = None
    pretty_name: Pattern | None = None
    type: PortType | None = None
    physical: bool | None = None
    terminal: bool | None = None
    nth: frozenset[int] | None = None
    """Positions, from 1, among the ports that match the rest; who keeps all ports (membership) looks at these."""
    _hash: int = field(init=False, repr=False, compare=False)
    _properties: bool = field(init=False, repr=False, compare=False)
    """Whether it asks for anything but names."""
    _of_name: tuple[tuple[int, Pattern], ...] = field(init=False, repr=False, compare=False)
    """What is asked of the name as a whole (0), of the client (1) and of the short name (2)."""
    _catches: bool = field(init=False, repr=False, compare=False)
    """Whether it asks for more than that the patterns of the name fit, which catch nothing."""
    needs: frozenset[str] = field(init=False, repr=False, compare=False)
    """The groups of `from` that must be filled in first."""

    def __post_init__(self) -> None:
        """Work out what is asked for each port, or each time that something is looked up by the selector."""
        given, properties = self._given, (self.type, self.physical, self.terminal)
        object.__setattr__(self, "_hash", hash((*given, properties, self.nth)))
        object.__setattr__(self, "_properties", properties != (None, None, None))
        of_name = [(part, pattern) for part, pattern in enumerate(given[:3]) if pattern is not None]
        object.__setattr__(self, "_of_name", tuple(of_name))
        regexes = any(pattern.form is Form.REGEX for _, pattern in of_name)
        object.__setattr__(self, "_catches", regexes or self.alias is not None or self.pretty_name is not None)
        needed = [pattern.references for pattern in given if pattern is not None and pattern.references]
        object.__setattr__(self, "needs", _NO_NAMES.union(*needed) if needed else _NO_NAMES)

    def __hash__(self) -> int:
        return self._hash

    @property
    def _given(self) -> tuple[Pattern | None, ...]:
        return self.name, self.client, self.port, self.alias, self.pretty_name

    @property
    def asks_for_metadata(self) -> bool:
        """Whether it looks at what JACK's metadata says of a port: its pretty name, or that it is CV."""
        return self.type is _CV or self.pretty_name is not None

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns that are given; groups are numbered through them in this order."""
        return tuple(pattern for pattern in self._given if pattern is not None)

    @property
    def provides(self) -> frozenset[str]:
        """The groups that every match has."""
        if not self._catches:
            return _NO_NAMES
        counts, names = zip(*(pattern.provides for pattern in self.patterns), strict=True) if self.patterns else ((), ())
        return frozenset(str(number) for number in range(1, sum(counts) + 1)).union(*names)

    def filled(self, groups: Groups) -> PortSelector:
        """Give the selector with the groups filled in."""
        if not self.needs:
            return self
        return _filled(self, tuple((group, groups[group]) for group in sorted(self.needs)))

    def _filled(self, groups: Groups) -> PortSelector:
        name, client, port, alias, pretty_name = (None if each is None else each.filled(groups) for each in self._given)
        return PortSelector(name, client, port, alias, pretty_name, self.type, self.physical, self.terminal, self.nth)

    def groups(self, port: Port, name: str) -> Groups | None:
        """Give what the groups catch when the port goes by this name, one of its own; None where it does not match."""
        if self._properties and not self._has_properties(port):
            return None
        # Asked some ten thousand times when hundreds of rules meet thousands of ports.
        client, _, short_name = name.partition(":")
        parts = (name, client, short_name)
        if not self._catches:
            for part, pattern in self._of_name:
                if not pattern.fits(parts[part]):
                    return None
            return _NO_GROUPS
        caught: list[Caught] = []
        for part, pattern in self._of_name:
            found = pattern.catch(parts[part])
            if found is None:
                return None
            if found is not NOTHING_CAUGHT:
                caught.append(found)
        if self.alias is not None or self.pretty_name is not None:
            others = self._caught_elsewhere(port)
            if others is None:
                return None
            caught += others
        return _numbered(caught) if caught else _NO_GROUPS

    def _caught_elsewhere(self, port: Port) -> list[Caught] | None:
        """Give what is caught in an alias and in the pretty name; None where they do not match."""
        caught = []
        pretty_names = () if port.pretty_name is None else (port.pretty_name,)
        for pattern, texts in ((self.alias, port.other_names), (self.pretty_name, pretty_names)):
            if pattern is not None:
                found = next(filter(None, map(pattern.catch, texts)), None)
                if found is None:
                    return None
                caught.append(found)
        return caught

    def _has_properties(self, port: Port) -> bool:
        return (
            (self.type is None or self.type is port.type)
            and (self.physical is None or self.physical is port.is_physical)
            and (self.terminal is None or self.terminal is port.is_terminal)
        )


def _numbered(caught: Sequence[Caught]) -> Groups:
    """Give what several patterns caught, numbered through."""
    numbered: tuple[str, ...] = ()
    named: dict[str, str] = {}
    for texts, names in caught:
        if texts:
            numbered += texts
            named |= names
    return named | {str(number): text for number, text in enumerate(numbered, 1)} if numbered else _NO_GROUPS


class BusPorts(NamedTuple):
    """The channels of one bus."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    type: PortType = PortType.AUDIO


@dataclass(frozen=True, slots=True)
class BusSelector:
    """The ports of one of our buses, found among `buses` under the name of our client."""

    bus: str
    channel: str | None
    client: str
    references: frozenset[str] = frozenset()
    buses: tuple[BusPorts, ...] = field(default=(), compare=False, repr=False)
    _names: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Look the ports up."""
        channels = [
            (channel, is_source)
            for bus in self.buses
            if bus.name == self.bus
            for is_source, names in ((False, bus.inputs), (True, bus.outputs))
            for channel in names
        ]
        names = (
            f"{self.client}:{bus_port(self.bus, channel, is_source=is_source)}"
            for channel, is_source in channels
            if self.channel in (None, channel)
        )
        object.__setattr__(self, "_names", frozenset(names))

    @property
    def names(self) -> frozenset[str]:
        """The full names of the ports, our client called as the configuration calls it."""
        return self._names

    @property
    def type(self) -> PortType | None:
        """What its ports carry; None while nobody knows which bus it is."""
        return next((bus.type for bus in self.buses if bus.name == self.bus), None)

    @property
    def meaning(self) -> object:
        """What it means beside what it says: two that are equal, and mean the same, match the same ports."""
        return self.buses if self.references else self._names

    def among(self, buses: tuple[BusPorts, ...]) -> BusSelector:
        """Give the selector that finds its bus among these."""
        return replace(self, buses=buses)

    @property
    def provides(self) -> frozenset[str]:
        """No groups."""
        return frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """The groups of `from` that must be filled in first."""
        return self.references

    def filled(self, groups: Groups) -> BusSelector:
        """Give the selector with the groups filled in."""
        used = {group: groups[group] for group in self.references}
        channel = None if self.channel is None else put(self.channel, used)
        return replace(self, bus=put(self.bus, used), channel=channel, references=frozenset())

    def groups(self, port: Port, name: str) -> Groups | None:
        """Give no groups; None where this name of the port is not one of the bus."""
        return {} if name in self._names else None


@lru_cache(maxsize=4096)
def _filled(selector: PortSelector, values: tuple[tuple[str, str], ...]) -> PortSelector:
    # Kept: a reload has most of its keys from the one before.
    return selector._filled(dict(values))


@lru_cache(maxsize=4096)
def selector_of(**given: Pattern | PortType | bool | frozenset[int] | None) -> PortSelector:
    """Give the selector; the same one to all who ask the same, so that what is remembered of it is found at once."""
    return PortSelector(**given)  # type: ignore[arg-type]


Selector = PortSelector | BusSelector
Selectors = tuple[Selector, ...]
"""Alternatives: a port is meant when one of them matches."""


def match(selectors: Selectors, port: Port, counts: Callable[[Selector], bool] | None = None) -> Groups | None:
    """Give what the first match catches: the name is tried first, then the aliases in order; None where nothing matches.

    `counts` tells whether the port has the position that a selector asks for; without it every position is right.
    """
    for selector in selectors:  # nearly always found so, and asked thousands of times: the other names are not gathered for it
        groups = selector.groups(port, port.name)
        if groups is not None and (counts is None or counts(selector)):
            return groups
    for name in port.other_names:
        for selector in selectors:
            groups = selector.groups(port, name)
            if groups is not None and (counts is None or counts(selector)):
                return groups
    return None


def flow(port_type: PortType) -> PortType:
    """Give what the port can be connected to: CV is audio to JACK."""
    return _AUDIO if port_type is _CV else port_type
