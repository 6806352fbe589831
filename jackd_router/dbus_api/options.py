"""The `options` argument of methods: a misspelt option is an error, because it was written by hand."""

from __future__ import annotations

from collections.abc import Mapping

from jackd_router.core.names import nearest
from jackd_router.dbus_api.errors import INVALID_ARGS, CallError
from jackd_router.dbus_api.message_bus import Variant

_TYPE_WORDS = {
    "b": "a boolean",
    "d": "a number",
    "s": "a string",
    "u": "an unsigned number",
    "ad": "a list of numbers",
    "as": "a list of strings",
    "au": "a list of unsigned numbers",
    "aad": "a list of rows of numbers",
}


class Options:
    """The options that were given, checked against those that the method knows: name → signature, or some with blanks between."""

    def __init__(self, given: Mapping[str, Variant], known: Mapping[str, str] | None = None) -> None:
        known = known or {}
        for name, value in given.items():
            if name not in known:
                raise CallError(INVALID_ARGS, _unknown(name, known))
            allowed = known[name].split()
            if value.signature not in allowed:
                words = " or ".join(f"{_TYPE_WORDS[signature]} ({signature!r})" for signature in allowed)
                raise CallError(INVALID_ARGS, f"option {name!r} is {words}, not of type {value.signature!r}")
        self.values = {name: value.value for name, value in given.items()}

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Give a boolean."""
        return bool(self.values.get(name, default))

    def text(self, name: str) -> str:
        """Give a string, "" where it was not given."""
        return str(self.values.get(name, ""))

    def count(self, name: str) -> int | None:
        """Give a number, None where it was not given."""
        value = self.values.get(name)
        return None if value is None else int(value)


def _unknown(name: str, known: Mapping[str, str]) -> str:
    """Say what is wrong with an option that the method does not know."""
    if not known:
        return f"unknown option {name!r}: the method knows none"
    meant = nearest(name, known)
    guess = f" (did you mean {meant!r}?)" if meant else ""
    return f"unknown option {name!r}{guess}: the method knows {', '.join(known)}"
