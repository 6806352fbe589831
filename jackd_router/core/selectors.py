"""Selectors: which ports a rule means. Compiled once, then asked for every port."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple

from jackd_router.core.graph import Port, PortType
from jackd_router.core.names import bus_port, glob_source

Groups = Mapping[str, str]
"""What the groups of a regular expression caught, by number and by name."""

_REFERENCE = re.compile(r"\{([^\W\d]\w*|[1-9][0-9]*)\}")
_UNDECODED = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}
_PLAIN = re.compile(r"[A-Za-z0-9 _:-]")


class Form(StrEnum):
    """How the text of a pattern is read."""

    GLOB = "glob"
    REGEX = "regex"
    LITERAL = "literal"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to compare names with. `references` name groups of `from` that stand in it as `{1}`; `values` fill them."""

    form: Form
    text: str
    references: frozenset[str] = frozenset()
    values: tuple[tuple[str, str], ...] = ()
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile; raises re.error (and what else `re.compile` does) on a bad regular expression."""
        with warnings.catch_warnings():
            # What Python's `re` may mean otherwise one day is no reason to refuse a pattern that works.
            warnings.simplefilter("ignore")
            object.__setattr__(self, "_compiled", re.compile(self._source()))

    @property
    def provides(self) -> tuple[int, frozenset[str]]:
        """How many groups there are, and the names of those that have one."""
        if self.form is not Form.REGEX:
            return 0, frozenset()
        return self._compiled.groups, frozenset(self._compiled.groupindex)

    def catch(self, name: str) -> tuple[tuple[str, ...], Groups] | None:
        """Give what the groups caught, by position and by name; None where the name does not match.

        A group that took no part caught nothing, which is what it is filled in as.
        """
        if self.form is not Form.REGEX:
            return ((), {}) if self._compiled.fullmatch(name) else None
        # A byte that is not UTF-8 is `\xNN` in a regular expression too: there that means the character U+00NN.
        found = self._compiled.fullmatch(name if name.isascii() else name.translate(_UNDECODED))
        if found is None:
            return None
        caught = tuple(name[slice(*span)] for span in found.regs[1:])
        return caught, {group: caught[index - 1] for group, index in self._compiled.groupindex.items()}

    def filled(self, groups: Groups) -> Pattern:
        """Give the pattern with the groups that it refers to filled in, literally."""
        return replace(self, values=tuple(sorted((group, groups[group]) for group in self.references)))

    def beginning(self) -> str:
        """Give the literal text that every match begins with, as far as that is plain to see."""
        if self.form is Form.LITERAL:
            return "".join(text for text, _ in self._pieces())
        if self.form is Form.GLOB:
            characters = [(character, literal) for text, literal in self._pieces() for character in text]
            return "".join(character for character, _ in takewhile(lambda pair: pair[1] or pair[0] not in "*?", characters))
        if "|" in self.text or self.values:
            return ""
        plain = "".join(takewhile(_PLAIN.match, self.text))
        # `ab*`: the b is optional.
        return plain[:-1] if self.text[len(plain) : len(plain) + 1] in ("*", "?", "{") else plain

    @property
    def is_fixed(self) -> bool:
        """Whether only one name can match, the one that `beginning` gives."""
        match self.form:
            case Form.LITERAL:
                return True
            case Form.GLOB:
                return not any(character in "*?" for text, literal in self._pieces() if not literal for character in text)
            case Form.REGEX:
                return not self.values and self.beginning() == self.text

    def _pieces(self) -> Iterator[tuple[str, bool]]:
        """Give the text in pieces: what is filled in is literal."""
        values = dict(self.values)
        for index, piece in enumerate(_REFERENCE.split(self.text)):
            if index % 2 == 0:
                yield piece, self.form is Form.LITERAL
            elif piece in values:
                yield values[piece], True
            else:
                yield f"{{{piece}}}", self.form is Form.LITERAL

    def _source(self) -> str:
        match self.form:
            case Form.REGEX:
                return "".join(re.escape(text) if literal else text for text, literal in self._pieces())
            case Form.GLOB | Form.LITERAL:
                return glob_source(self._pieces())


def references(text: str) -> frozenset[str]:
    """Give what stands in braces in the text and may be a group of `from`."""
    return frozenset(_REFERENCE.findall(text))


class Beginning(NamedTuple):
    """What the name of a matching client begins with; `whole`: it is the name."""

    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class PortSelector:
    """Ports by what they say of themselves: everything that is given must match."""

    name: Pattern | None = None
    client: Pattern | None = None
    port: Pattern | None = None
    alias: Pattern | None = None
    type: PortType | None = None
    physical: bool | None = None
    terminal: bool | None = None

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns that are given; groups are numbered through them in this order."""
        return tuple(pattern for pattern in (self.name, self.client, self.port, self.alias) if pattern is not None)

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

        def fill(pattern: Pattern | None) -> Pattern | None:
            return None if pattern is None else pattern.filled(groups)

        return replace(self, name=fill(self.name), client=fill(self.client), port=fill(self.port), alias=fill(self.alias))

    def beginning(self) -> Beginning:
        """Give what to find the selector by."""
        if self.client is not None:
            return Beginning(self.client.beginning(), self.client.is_fixed)
        if self.name is not None:
            client, colon, _ = self.name.beginning().partition(":")
            return Beginning(client, bool(colon))
        return Beginning("", whole=False)

    def groups(self, port: Port, name: str) -> Groups | None:
        """Give what the groups catch when the port goes by this name, one of its own; None where it does not match."""
        if self.type is not None and self.type is not flow(port.type):
            return None
        if self.physical not in (None, port.is_physical) or self.terminal not in (None, port.is_terminal):
            return None
        client, _, short_name = name.partition(":")
        numbered: list[str] = []
        named: dict[str, str] = {}
        for pattern, candidates in (
            (self.name, (name,)),
            (self.client, (client,)),
            (self.port, (short_name,)),
            (self.alias, port.aliases),
        ):
            if pattern is None:
                continue
            caught = next(filter(None, map(pattern.catch, candidates)), None)
            if caught is None:
                return None
            numbered += caught[0]
            named.update(caught[1])
        return named | {str(number): text for number, text in enumerate(numbered, 1)}

    def matches(self, port: Port) -> Groups | None:
        """Give what the groups catch; None where the port does not match."""
        return match((self,), port)


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
    def provides(self) -> frozenset[str]:
        """No groups."""
        return frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """The groups of `from` that must be filled in first."""
        return self.references

    def filled(self, groups: Groups) -> BusSelector:
        """Give the selector with the groups filled in."""

        def fill(text: str) -> str:
            return _REFERENCE.sub(lambda found: groups[found[1]] if found[1] in self.references else found[0], text)

        return replace(self, bus=fill(self.bus), channel=self.channel and fill(self.channel), references=frozenset())

    def beginning(self) -> Beginning:
        """Give what to find the selector by."""
        return Beginning(self.client, whole=True)

    def groups(self, port: Port, name: str) -> Groups | None:
        """Give no groups; None where this name of the port is not one of the bus."""
        return {} if name in self._names else None

    def matches(self, port: Port) -> Groups | None:
        """Give no groups; None where the port does not match."""
        return match((self,), port)


Selector = PortSelector | BusSelector
Selectors = tuple[Selector, ...]
"""Alternatives: a port is meant when one of them matches."""


def match(selectors: Selectors, port: Port) -> Groups | None:
    """Give what the first match catches: the name is tried first, then the aliases in order; None where nothing matches."""
    for name in (port.name, *port.aliases):
        for selector in selectors:
            groups = selector.groups(port, name)
            if groups is not None:
                return groups
    return None


def flow(port_type: PortType) -> PortType:
    """Give what the port can be connected to: CV is audio to JACK."""
    return PortType.AUDIO if port_type is PortType.CV else port_type
