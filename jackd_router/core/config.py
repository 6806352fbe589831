"""The configuration as values: what `parse` makes of the files and what everything else reads.

The meaning of each key is documented in jackd-router.toml(5); the names here are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any

from jackd_router.core.errors import Problem
from jackd_router.core.graph import PortType
from jackd_router.core.selecting.patterns import Pattern
from jackd_router.core.selecting.selectors import BusPorts, BusSelector, Selector, Selectors

Path = tuple[str | int, ...]
"""Where a value stands in a TOML document: keys, and positions in arrays (from 0)."""


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file that was read: what it holds, and where each key and each value begins (line, column; from 1)."""

    file: str
    data: Mapping[str, Any]
    keys: Mapping[Path, tuple[int, int]]
    values: Mapping[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something of the configuration was written."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        """Give `file:line`."""
        return f"{self.file}:{self.line}"


class Action(StrEnum):
    """What a rule does with the pairs it speaks of."""

    CONNECT = "connect"
    FORBID = "forbid"
    LEAVE = "leave"


class Pairing(StrEnum):
    """Which sources of one client meet which destinations of one client."""

    AUTO = "auto"
    ORDER = "order"
    ALL = "all"
    NAME = "name"


ChannelMap = tuple[tuple[str, tuple[str, ...]], ...]
"""`pair` as a table: the ending of a source, and the endings of the destinations that it goes to."""


class Exclusive(StrEnum):
    """At which ports of a rule's connections others are removed."""

    FROM = "from"
    TO = "to"
    BOTH = "both"


class Unmatched(StrEnum):
    """What becomes of connections that no rule speaks of."""

    KEEP = "keep"
    REMOVE = "remove"


class Manual(StrEnum):
    """What becomes of a wanted connection that somebody else cut by hand."""

    RESPECT = "respect"
    ENFORCE = "enforce"


class Feedback(StrEnum):
    """What becomes of a wanted connection that would lead a microphone to a loudspeaker, or a bus into itself."""

    REFUSE = "refuse"
    ALLOW = "allow"


ALL_MIDI_CHANNELS = tuple(range(1, 17))


class BusType(StrEnum):
    """What a bus carries."""

    AUDIO = "audio"
    MIDI = "midi"


@dataclass(frozen=True, slots=True)
class When:
    """A condition: each of `present` matches a port of either direction, none of `absent` does."""

    present: tuple[Selectors, ...] = ()
    absent: tuple[Selectors, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `manual` is None where the policy of the whole configuration counts, `profiles` where all do.

    `sources` are the selectors of `from`, or those of `follow` (then `follows` is true, and they mean input ports).
    Each entry of `fallback`, `from_fallback` and `via` is one preference, or one member of the chain, with its alternatives.
    """

    name: str
    sources: Selectors
    destinations: Selectors
    origin: Origin
    action: Action = Action.CONNECT
    follows: bool = False
    pair: Pairing | ChannelMap = Pairing.AUTO
    complete: bool = False
    exclusive: Exclusive | None = None
    fallback: tuple[Selectors, ...] = ()
    from_fallback: tuple[Selectors, ...] = ()
    via: tuple[Selectors, ...] = ()
    when: When = When()
    profiles: frozenset[str] | None = None
    priority: int = 0
    enabled: bool = True
    manual: Manual | None = None
    allow_feedback: bool = False
    same_client: bool = False

    def says_the_same(self, other: Rule) -> bool:
        """Tell whether two rules say the same, wherever they stand in the file."""
        return _what_it_says(self) == _what_it_says(other)

    def means_the_same(self, other: Rule) -> bool:
        """Tell whether two rules say the same of the same ports of our buses."""
        return self.says_the_same(other) and _meanings(self.selectors) == _meanings(other.selectors)

    def among(self, buses: tuple[BusPorts, ...]) -> Rule:
        """Give the rule whose selectors find our buses among these."""
        when = When(*(_each_among(entries, buses) for entries in (self.when.present, self.when.absent)))
        return replace(
            self,
            sources=_among(self.sources, buses),
            destinations=_among(self.destinations, buses),
            fallback=_each_among(self.fallback, buses),
            from_fallback=_each_among(self.from_fallback, buses),
            via=_each_among(self.via, buses),
            when=when,
        )

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Every selector that stands anywhere in the rule."""
        groups = (*self.fallback, *self.from_fallback, *self.via, *self.when.present, *self.when.absent)
        return (*self.sources, *self.destinations, *(selector for group in groups for selector in group))


_what_it_says = attrgetter(*(field.name for field in fields(Rule) if field.name != "origin"))


def _meanings(selectors: Selectors) -> list[object]:
    return [selector.meaning for selector in selectors if isinstance(selector, BusSelector)]


def _among(selectors: Selectors, buses: tuple[BusPorts, ...]) -> Selectors:
    return tuple(selector.among(buses) if isinstance(selector, BusSelector) else selector for selector in selectors)


def _each_among(entries: tuple[Selectors, ...], buses: tuple[BusPorts, ...]) -> tuple[Selectors, ...]:
    return tuple(_among(entry, buses) for entry in entries)


@dataclass(frozen=True, slots=True)
class ProfileBus:
    """What a profile sets on one bus; None where it names no value."""

    gain_db: float | None = None
    mute: bool | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile: a scene of rules and of values on buses (by the name of the bus)."""

    name: str
    description: str = ""
    buses: Mapping[str, ProfileBus] = field(default_factory=dict)
    origin: Origin | None = field(default=None, compare=False)


DEFAULT_PROFILE = Profile("default")
"""Exists without being written, and is active at the first start."""


@dataclass(frozen=True, slots=True)
class BusConfig:
    """One passthrough bus: gains in dB, one of `channel_gains` per input. One of MIDI has neither gains nor a matrix.

    One that was made at run time has no `origin`.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    origin: Origin | None = field(default=None, compare=False)
    type: BusType = BusType.AUDIO
    gain_db: float = 0.0
    channel_gains_db: tuple[float, ...] = ()
    mute: bool = False
    matrix: tuple[tuple[float, ...], ...] | None = None
    fade_ms: float = 20.0
    midi_channels: tuple[int, ...] = ALL_MIDI_CHANNELS
    """From 1 to 16, in order."""

    @property
    def ports(self) -> BusPorts:
        """What selectors need of it."""
        return BusPorts(self.name, self.inputs, self.outputs, PortType(self.type))


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the files say, with the defaults filled in. `server_name` is None where JACK's own default counts."""

    server_name: str | None = None
    library: str = "auto"
    system: Pattern | None = None
    """The client whose ports are those of `system` on PipeWire."""
    client_name: str = "router"
    watch: bool = True
    unmatched: Unmatched = Unmatched.KEEP
    manual: Manual = Manual.RESPECT
    feedback: Feedback = Feedback.REFUSE
    rules: tuple[Rule, ...] = ()
    buses: tuple[BusConfig, ...] = ()
    profiles: tuple[Profile, ...] = (DEFAULT_PROFILE,)
    """`default` first, then in the order of the files."""
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def server(self) -> tuple[str, str | None, str]:
        """What decides of which server we are a client, and as who."""
        return self.library, self.server_name, self.client_name

    def profile(self, name: str) -> Profile:
        """Give the profile of this name; `default` where there is none."""
        return next((profile for profile in self.profiles if profile.name == name), self.profiles[0])
