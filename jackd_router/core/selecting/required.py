"""Text that every match of a regular expression contains: by it a pattern is found without being tried."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

AS_BYTES = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}
"""For str.translate: a byte that is not UTF-8 is the character of the same number to a regular expression."""
# To `(?i)` the letters ı and İ are an i; to str.casefold they are not.
_FOLDED: dict[int, int | str] = AS_BYTES | {ord("ı"): "i", ord("İ"): "i"}


def fold(text: str) -> str:
    """Give the text so that what a pattern takes for equal is equal: without case, bytes that are not UTF-8 as characters.

    Character by character: what a text contains, its folded form contains folded.
    """
    return text.lower() if text.isascii() else text.translate(_FOLDED).casefold()


Runs = tuple[str, ...]
"""Runs of text that stand one after the other, with anything between: the first begins a match, the last one ends it."""

_MOST_ALTERNATIVES = 16
_UNKNOWN: Runs = ("", "")


class Expression(NamedTuple):
    """A regular expression, compiled, and what its matches consist of (see `regex_runs`)."""

    compiled: re.Pattern[str]
    runs: tuple[Runs, ...]


@lru_cache(maxsize=4096)
def expression_of(source: str) -> Expression:
    """Compile an expression; raises re.error and what else `re.compile` does."""
    # Parsed once for both: that is most of what compiling takes. Kept, beyond what `re` itself keeps, from reload to reload.
    try:
        tree = parsed(source)
    except AttributeError:
        return Expression(compiled(source), (_UNKNOWN,))
    return Expression(compiled(source, tree), _runs(tree))


@lru_cache(maxsize=4096)
def regex_runs(source: str) -> tuple[Runs, ...]:
    """Give what the matches of the regular expression consist of, apart from case: each of one of these alternatives.

    Runs are empty where what matches is not plain.
    """
    try:
        return _runs(parsed(source))
    except (re.error, OverflowError, RecursionError, AttributeError):
        return (_UNKNOWN,)  # not an expression, or a Python that has no such parser


def _runs(tree: Any) -> tuple[Runs, ...]:
    try:
        return tuple(dict.fromkeys(_collected(tree, [("",)])))
    except (RecursionError, AttributeError, TypeError, ValueError):  # a Python whose parser gives something else
        return (_UNKNOWN,)


def parsed(source: str) -> Any:
    """Give the expression as Python's own parser does: operations with their arguments (3.11 to 3.14 alike)."""
    with without_complaints():
        # Private: where it is missing one day, that is an AttributeError like any other.
        return getattr(re, "_parser", None).parse(source)  # type: ignore[union-attr]


def compiled(source: str, tree: Any = None) -> re.Pattern[str]:
    """Compile an expression, of which `tree` may be what `parsed` gave: it is not parsed again then."""
    compiler = getattr(re, "_compiler", None)
    with without_complaints():
        result: re.Pattern[str] = re.compile(source) if tree is None or compiler is None else compiler.compile(tree)
        return result


@contextmanager
def without_complaints() -> Iterator[None]:
    """Do without warnings: what Python's `re` may mean otherwise one day is no reason to refuse a pattern that works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _collected(tree: Any, found: list[Runs]) -> list[Runs]:
    """Give the alternatives with what these operations surely take, and another run after what they may take."""
    letters = ""
    for operation, argument in tree.data:
        name = operation.name
        if name == "LITERAL":
            letters += chr(argument)
            continue
        if letters:
            found, letters = _with_text(found, letters), ""
        match name:
            case "SUBPATTERN":
                found = _collected(argument[3], found)
            case "ATOMIC_GROUP":
                found = _collected(argument, found)
            case "BRANCH":
                found = _either([_collected(option, found) for option in argument[1]], found)
            case "IN" if all(kind.name == "LITERAL" for kind, _ in argument):
                found = _either([_with_text(found, chr(letter)) for _, letter in argument], found)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, repeated = argument
                found = _collected(repeated, found) if least > 0 else found
                found = found if (least, most) == (1, 1) else _with_gap(found)
            case "AT" | "ASSERT" | "ASSERT_NOT":
                pass  # takes nothing
            case _:
                found = _with_gap(found)
    return _with_text(found, letters) if letters else found


def _with_text(found: list[Runs], text: str) -> list[Runs]:
    return [(*runs[:-1], runs[-1] + text) for runs in found]


def _with_gap(found: list[Runs]) -> list[Runs]:
    return [(*runs, "") for runs in found]


def _either(options: list[list[Runs]], before: list[Runs]) -> list[Runs]:
    """Give all options, or nothing of them where they would be too many."""
    alternatives = list(dict.fromkeys(chain.from_iterable(options)))
    return alternatives if len(alternatives) <= _MOST_ALTERNATIVES else _with_gap(before)
