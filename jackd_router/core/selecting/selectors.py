"""Selectors: which ports a rule means. Compiled once, then asked for every port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from jackd_router.core.graph import Port, PortType
from jackd_router.core.names import bus_port
from jackd_router.core.selecting.patterns import Caught, Groups, Pattern, fill

_NO_GROUPS: Groups = {}


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

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns that are given; groups are numbered through them in this order."""
        given = (self.name, self.client, self.port, self.alias, self.pretty_name)
        return tuple(pattern for pattern in given if pattern is not None)

    @property
    def provides(self) -> frozenset[str]:
        """The groups that every match has."""
        counts, names = zip(*(pattern.provides for pattern in self.patterns), strict=True) if self.patterns else ((), ())
        return frozenset(str(number) for number in range(1, sum(counts) + 1)).union(*names)

    @property
    def needs(self) -> frozenset[str]:
        """The groups of `from` that must be filled in first."""
        return frozenset[str]().union(*(pattern.references for pattern in self.patterns))

    def filled(self, groups: Groups) -> PortSelector:
        """Give the selector with the groups filled in."""
        given = {"name": self.name, "client": self.client, "port": self.port, "alias": self.alias}
        given["pretty_name"] = self.pretty_name
        changed = {key: pattern.filled(groups) for key, pattern in given.items() if pattern is not None and pattern.references}
        return replace(self, **changed) if changed else self  # type: ignore[arg-type]

    def groups(self, port: Port, name: str) -> Groups | None:
        """Give what the groups catch when the port goes by this name, one of its own; None where it does not match."""
        if not self._has_properties(port):
            return None
        # Written out: asked some ten thousand times when hundreds of rules meet thousands of ports.
        caught: list[Caught] = []
        client, _, short_name = name.partition(":")
        if self.client is not None:
            found = self.client.catch(client)
            if found is None:
                return None
            caught.append(found)
        if self.port is not None:
            found = self.port.catch(short_name)
            if found is None:
                return None
            caught.append(found)
        if self.name is not None:
            found = self.name.catch(name)
            if found is None:
                return None
            caught.insert(0, found)
        if self.alias is not None or self.pretty_name is not None:
            others = self._caught_elsewhere(port)
            if others is None:
                return None
            caught += others
        return _numbered(caught)

    def _caught_elsewhere(self, port: Port) -> list[Caught] | None:
        """Give what is caught in an alias and in the pretty name; None where they do not match."""
        caught = []
        pretty_names = () if port.pretty_name is None else (port.pretty_name,)
        for pattern, texts in ((self.alias, port.aliases), (self.pretty_name, pretty_names)):
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

    def matches(self, port: Port) -> Groups | None:
        """Give what the groups catch; None where the port does not match."""
        return match((self,), port)


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
    def provides(self) -> frozenset[str]:
        """No groups."""
        return frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """The groups of `from` that must be filled in first."""
        return self.references

    def filled(self, groups: Groups) -> BusSelector:
        """Give the selector with the groups filled in."""
        used = self.references
        channel = None if self.channel is None else fill(self.channel, used, groups)
        return replace(self, bus=fill(self.bus, used, groups), channel=channel, references=frozenset())

    def groups(self, port: Port, name: str) -> Groups | None:
        """Give no groups; None where this name of the port is not one of the bus."""
        return {} if name in self._names else None

    def matches(self, port: Port) -> Groups | None:
        """Give no groups; None where the port does not match."""
        return match((self,), port)


Selector = PortSelector | BusSelector
Selectors = tuple[Selector, ...]
"""Alternatives: a port is meant when one of them matches."""


def match(selectors: Selectors, port: Port, counts: Callable[[Selector], bool] | None = None) -> Groups | None:
    """Give what the first match catches: the name is tried first, then the aliases in order; None where nothing matches.

    `counts` tells whether the port has the position that a selector asks for; without it every position is right.
    """
    for name in (port.name, *port.aliases):
        for selector in selectors:
            groups = selector.groups(port, name)
            if groups is not None and (counts is None or counts(selector)):
                return groups
    return None


def flow(port_type: PortType) -> PortType:
    """Give what the port can be connected to: CV is audio to JACK."""
    return PortType.AUDIO if port_type is PortType.CV else port_type
