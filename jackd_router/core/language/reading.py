"""Reading one table of a TOML file: checked values, and every problem with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeGuard, TypeVar

from jackd_router.core.config import Document, Origin, Path
from jackd_router.core.errors import Problem, Severity
from jackd_router.core.language.vocabulary import KNOWN
from jackd_router.core.names import nearest

Choice = TypeVar("Choice", bound=StrEnum)

TEXT = "a string, not empty, without control characters"
"""What every name and every pattern is."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Table:
    """One table of one document. A wrong value is noted among the problems, and the default is given in its place."""

    def __init__(self, document: Document, path: Path, values: Mapping[str, object], problems: list[Problem]) -> None:
        self.values = values
        self._document = document
        self._path = path
        self._problems = problems

    @property
    def origin(self) -> Origin:
        """Where the table begins."""
        return Origin(self._document.file, *self._position(self._document.keys, ()))

    def complain(self, text: str, *path: str | int, of_key: bool = False, severity: Severity = Severity.ERROR) -> None:
        """Note a problem with the value at this path in the table, or with its key."""
        line, column = self._position(self._document.keys if of_key else self._document.values, path)
        self._problems.append(Problem(self._document.file, line, column, text, severity))

    def wrong(self, key: str, value: object, allowed: str, *path: str | int) -> None:
        """Note a value that is not allowed."""
        self.complain(f"{key}: found {found(value)}; allowed: {allowed}", *(path or (key,)))

    def check_keys(self, kind: str) -> None:
        """Note every key that this kind of table does not have."""
        known = KNOWN[kind]
        for key in self.values:
            if key not in known:
                near = nearest(key, known)
                meant = f"did you mean '{near}'? " if near else ""
                self.complain(f"unknown key {found(key)}; {meant}known here: {', '.join(known)}", key, of_key=True)

    def text(self, key: str, default: str) -> str:
        """Give a string that is a text."""
        if key not in self.values:
            return default
        value = self.values[key]
        if is_text(value):
            return value
        self.wrong(key, value, TEXT)
        return default

    def flag(self, key: str, default: bool) -> bool:
        """Give a boolean."""
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        self.wrong(key, value, "true, false")
        return default

    def moment(self, key: str) -> datetime | None:
        """Give a moment, if one is written."""
        value = self.values.get(key)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value
        if key in self.values:
            self.wrong(key, value, "a date and a time with its offset, 2026-05-01T20:00:00Z")
        return None

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Give an integer within the limits."""
        value = self.values.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.wrong(key, value, f"an integer from {low} to {high}")
        return default

    def number(self, key: str, default: float, low: float, high: float, *, unit: str = "") -> float:
        """Give a number within the limits."""
        value = self.values.get(key, default)
        number = in_range(value, low, high)
        if number is None:
            self.wrong(key, value, limits(low, high, unit))
            return default
        return number

    def choice(self, key: str, default: Choice, also: Sequence[str] = ()) -> Choice:
        """Give one of the words that the default's type has; `also` says what is allowed besides, and read elsewhere."""
        if key not in self.values:
            return default
        value, words = self.values[key], list(type(default))
        if isinstance(value, str) and value in words:
            return type(default)(value)
        self.wrong(key, value, ", ".join([*(f'"{word}"' for word in words), *also]) + perhaps_meant(value, words))
        return default

    def names(self, key: str) -> list[str]:
        """Give a list of names; each that is none is noted."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not value:
            self.wrong(key, value, "a list of names, not empty")
            return []
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item:
                self.wrong(key, item, "names", key, index)
        return [item for item in value if isinstance(item, str) and item]

    def knows(self, name: str, known: Iterable[str], kind: str, *path: str | int) -> bool:
        """Tell whether the name that stands at this path, or is a key here, is a known one; one that is not is noted."""
        known = [each for each in dict.fromkeys(known) if each]
        if name in known:
            return True
        near = nearest(name, known)
        meant = f'did you mean "{near}"? ' if near else ""
        listed = ", ".join(f'"{each}"' for each in known) or "none"
        self.complain(f"there is no {kind} {found(name)}; {meant}there are: {listed}", *(path or (name,)), of_key=not path)
        return False

    def table(self, key: str) -> Table:
        """Give the table at this key, an empty one when it is not there."""
        value = self.values.get(key, {})
        if not isinstance(value, Mapping):
            names = (str(part) for part in (*self._path, key) if not isinstance(part, int))
            self.wrong(key, value, f"a table, [{'.'.join(names)}]")
            value = {}
        return Table(self._document, (*self._path, key), value, self._problems)

    def tables(self, key: str) -> Iterator[Table]:
        """Give each table of the array at this key."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self.wrong(key, value, f"an array of tables; write [[{key}]]")
            return
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield Table(self._document, (*self._path, key, index), item, self._problems)
            else:
                self.wrong(key, item, f"tables; write [[{key}]]", key, index)

    def inner(self, values: Mapping[str, object], *path: str | int) -> Table:
        """Give a table that stands somewhere in this one."""
        return Table(self._document, (*self._path, *path), values, self._problems)

    def _position(self, positions: Mapping[Path, tuple[int, int]], path: Path) -> tuple[int, int]:
        """Give line and column: of the nearest thing around it whose place is known, where its own is not."""
        whole = (*self._path, *path)
        if whole in positions:
            return positions[whole]
        for length in range(len(whole), 0, -1):
            for known in (self._document.values, self._document.keys):
                if whole[:length] in known:
                    return known[whole[:length]]
        return (1, 1)


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether it is a string, not empty, without control characters."""
    # Not isprintable(): it has no blank but the common one, no joined emoji and no letters of private use, which names have.
    return isinstance(value, str) and value != "" and _CONTROL.search(value) is None


def in_range(value: object, low: float, high: float) -> float | None:
    """Give the value as a number; None where it is none, or not within the limits."""
    # `not a number` fails the comparison, an integer too large for a float never gets to float().
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    return None


def limits(low: float, high: float, unit: str = "") -> str:
    """Give the words for a number within limits."""
    words = f"a number up to {high:g}" if low == float("-inf") else f"a number from {low:g} to {high:g}"
    return f"{words} {unit}".rstrip()


def perhaps_meant(value: object, known: Iterable[str]) -> str:
    """Give the words that ask whether one of the known ones was meant; "" where none is near."""
    near = nearest(value, known) if isinstance(value, str) else None
    return f' (did you mean "{near}"?)' if near else ""


def unknown_bus(name: str, known: Iterable[str]) -> str:
    """Give the words for a bus that no file defines: that is no error, for buses are made at run time too."""
    return f"no [[bus]] is called {found(name)}{perhaps_meant(name, known)}: it means nothing until one is made at run time"


def found(value: object) -> str:
    """Give a value in a few words, however large it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{in_short(value)}"'
        # Python refuses to write out an integer of more than 4300 digits.
        case int() if abs(value) >= 10**18:
            return "a huge number"
        case float():
            short = f"{value:g}"
            # 1.0 must not look like the integer that is allowed.
            return short if float(short) == value and not short.lstrip("-").isdigit() else str(value)
        case int():
            return str(value)
        case Mapping():
            return "a table"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "a date or a time"


def in_short(text: str) -> str:
    """Give a text as it can stand in a line with others."""
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return "".join(c if c.isprintable() else "\\u" + format(ord(c), "04x") for c in text)


def found_many(value: object, one: str) -> str:
    """Give how many there are in a list; what is no list in a few words."""
    return counted(len(value), one) if isinstance(value, list) and value else found(value)


def counted(number: int, one: str, many: str = "") -> str:
    """Give a number with its noun."""
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


def unique(problems: list[Problem], kind: str, named: Iterable[tuple[str, Origin]]) -> None:
    """Note every name that is given twice, with both places."""
    first: dict[str, Origin] = {}
    for name, origin in named:
        if name in first:
            text = f"a {kind} named {found(name)} already stands at {first[name]}; give one of them another name"
            problems.append(Problem(origin.file, origin.line, origin.column, text))
        first.setdefault(name, origin)
