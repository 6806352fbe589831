"""The configuration as values: what `parse` makes of the files and what everything else reads.

The meaning of each key is documented in jackd-router.toml(5); the names here are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jackd_router.core.errors import Problem
from jackd_router.core.selectors import Selectors

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


class Unmatched(StrEnum):
    """What becomes of connections that no rule speaks of."""

    KEEP = "keep"
    REMOVE = "remove"


class Manual(StrEnum):
    """What becomes of a wanted connection that somebody else cut by hand."""

    RESPECT = "respect"
    ENFORCE = "enforce"


class BusType(StrEnum):
    """What a bus carries."""

    AUDIO = "audio"
    MIDI = "midi"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `manual` is None where the policy of the whole configuration counts."""

    name: str
    sources: Selectors
    destinations: Selectors
    origin: Origin
    action: Action = Action.CONNECT
    pair: Pairing = Pairing.AUTO
    priority: int = 0
    enabled: bool = True
    manual: Manual | None = None
    same_client: bool = False


@dataclass(frozen=True, slots=True)
class BusConfig:
    """One passthrough bus: gains in dB, one of `channel_gains` per input."""

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


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the files say, with the defaults filled in. `server_name` is None where JACK's own default counts."""

    server_name: str | None = None
    library: str = "auto"
    client_name: str = "router"
    watch: bool = True
    unmatched: Unmatched = Unmatched.KEEP
    manual: Manual = Manual.RESPECT
    rules: tuple[Rule, ...] = ()
    buses: tuple[BusConfig, ...] = ()
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
