"""What comes over the message bus, as values: calls, replies, signals, and what says which signals somebody wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jackd_router.dbus_api.names import DBUS, DBUS_PATH

Body = list[Any]
"""The arguments of a message: of the types that its signature tells at run time, so no type checker knows them."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method call that came."""

    sender: str
    path: str
    interface: str | None
    member: str
    signature: str
    body: Body
    serial: int
    wants_reply: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a call of ours. `error_name` is "" where it is no error."""

    serial: int
    error_name: str
    body: Body


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal that came."""

    sender: str
    path: str
    interface: str
    member: str
    body: Body


@dataclass(frozen=True, slots=True)
class SignalMatch:
    """Which signals are wanted: None is any. `arguments` pairs positions in the body with strings that must stand there."""

    sender: str | None = None
    path: str | None = None
    interface: str | None = None
    member: str | None = None
    arguments: tuple[tuple[int, str], ...] = ()

    @property
    def rule(self) -> str:
        """The match rule, as AddMatch of the message bus takes it."""
        keys = (("sender", self.sender), ("path", self.path), ("interface", self.interface), ("member", self.member))
        wanted = [("type", "signal"), *((key, text) for key, text in keys if text is not None)]
        wanted += [(f"arg{position}", text) for position, text in self.arguments]
        return ",".join(f"{key}={_quoted(text)}" for key, text in wanted)

    def matches(self, signal: Signal) -> bool:
        """Tell whether this is such a signal.

        A well-known name as sender is left to the message bus: what comes bears the unique name of its owner.
        """
        return (
            (self.sender != DBUS or self.sender == signal.sender)
            and self.path in (None, signal.path)
            and self.interface in (None, signal.interface)
            and self.member in (None, signal.member)
            and all(position < len(signal.body) and signal.body[position] == text for position, text in self.arguments)
        )


NAMES_LOST = SignalMatch(DBUS, DBUS_PATH, DBUS, "NameOwnerChanged", ((2, ""),))
"""Matches when any name loses its owner, so also when any connection leaves the bus: the first argument is its name."""


def name_owner_match(name: str) -> SignalMatch:
    """Give what matches when the name gets, changes or loses its owner: the body is name, old owner, new owner."""
    return SignalMatch(DBUS, DBUS_PATH, DBUS, "NameOwnerChanged", ((0, name),))


def _quoted(text: str) -> str:
    """Quote a value of a match rule: an apostrophe cannot stand inside of apostrophes."""
    return "'" + text.replace("'", "'\\''") + "'"
