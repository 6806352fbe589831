"""Patterns: one text to compare names with, as a glob, a regular expression or literally."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from operator import methodcaller

from jackd_router.core.names import glob_segments, glob_source
from jackd_router.core.selecting.required import AS_BYTES, Runs, regex_runs

Groups = Mapping[str, str]
"""What the groups of a regular expression caught, by number and by name."""

_REFERENCE = re.compile(r"\{([^\W\d]\w*|[1-9][0-9]*)\}")
Caught = tuple[tuple[str, ...], Groups]
"""What the groups of one pattern caught, by position and by name."""
_NOTHING_CAUGHT: Caught = ((), {})


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
    _fits: Callable[[str], object] = field(init=False, repr=False, compare=False)
    _runs: Runs = field(init=False, repr=False, compare=False)
    _expression: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile; raises re.error (and what else `re.compile` does) on a bad regular expression.

        One that is not filled in yet is compiled with a letter in each place, to see whether it can be.
        """
        runs: Runs = ()
        expression = ""
        fits: Callable[[str], object]
        if self.form is not Form.REGEX:
            segments = glob_segments(self._pieces())
            runs, fits = tuple(chain.from_iterable(segments)), _fits_glob(segments)
        else:
            # What is filled in is compared as `catch` compares it.
            pieces = (re.escape(text.translate(AS_BYTES)) if literal else text for text, literal in self._pieces())
            expression = "".join(pieces)
            fits = _Late(expression) if self.values else _compiled(expression).fullmatch
        object.__setattr__(self, "_runs", runs)
        object.__setattr__(self, "_expression", expression)
        object.__setattr__(self, "_fits", fits)

    @property
    def provides(self) -> tuple[int, frozenset[str]]:
        """How many groups there are, and the names of those that have one."""
        if self.form is not Form.REGEX:
            return 0, frozenset()
        compiled = _compiled(self._expression)
        return compiled.groups, frozenset(compiled.groupindex)

    def catch(self, name: str) -> Caught | None:
        """Give what the groups caught, by position and by name; None where the name does not match.

        A group that took no part caught nothing, which is what it is filled in as.
        """
        if self.form is not Form.REGEX:
            return _NOTHING_CAUGHT if self._fits(name) else None
        # A byte that is not UTF-8 is `\xNN` in a regular expression too: there that means the character U+00NN.
        found = self._fits(name if name.isascii() else name.translate(AS_BYTES))
        if not found:
            return None
        if not isinstance(found, re.Match) or not found.re.groups:
            return _NOTHING_CAUGHT
        if found.string is name:
            return found.groups(""), found.groupdict("")
        caught = tuple(name[slice(*span)] for span in map(found.span, range(1, found.re.groups + 1)))
        return caught, {group: caught[index - 1] for group, index in found.re.groupindex.items()}

    def filled(self, groups: Groups) -> Pattern:
        """Give the pattern with the groups that it refers to filled in, literally."""
        if not self.references:
            return self
        return Pattern(self.form, self.text, self.references, tuple((group, groups[group]) for group in sorted(self.references)))

    def required(self, before: str = "", after: str = "") -> tuple[Runs, ...]:
        """Give what `before` + name + `after` consists of for every match: runs of text, of one of these alternatives.

        The first run begins with `before` and the last one ends with `after`; where there is only one, it is the whole.
        """
        if self.references and not self.values:
            alternatives: tuple[Runs, ...] = (("", ""),)
        elif self.form is Form.REGEX:
            alternatives = regex_runs(self._expression)
        else:
            alternatives = (self._runs,)
        return tuple(_between(before, runs, after) for runs in alternatives)

    def _pieces(self) -> Iterator[tuple[str, bool]]:
        """Give the text in pieces: what is filled in is literal."""
        values = dict(self.values) or dict.fromkeys(self.references, "x")
        for index, piece in enumerate(_REFERENCE.split(self.text)):
            if index % 2 == 0:
                yield piece, self.form is Form.LITERAL
            elif piece in values:
                yield values[piece], True
            else:
                yield f"{{{piece}}}", self.form is Form.LITERAL


def _between(before: str, runs: Runs, after: str) -> Runs:
    if len(runs) == 1:
        return (before + runs[0] + after,)
    return tuple(filter(None, (before + runs[0], *runs[1:-1], runs[-1] + after)))


@lru_cache(maxsize=4096)
def _compiled(source: str) -> re.Pattern[str]:
    # Kept, beyond what `re` itself keeps: a reload has most of its expressions from the one before.
    with warnings.catch_warnings():
        # What Python's `re` may mean otherwise one day is no reason to refuse a pattern that works.
        warnings.simplefilter("ignore")
        return re.compile(source)


class _Late:
    """A regular expression that is compiled when it is asked first: most that are filled in never are."""

    __slots__ = ("_fullmatch", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._fullmatch: Callable[[str], object] | None = None

    def __call__(self, name: str) -> object:
        if self._fullmatch is None:
            try:
                self._fullmatch = _compiled(self._source).fullmatch
            except (re.error, OverflowError, RecursionError):
                # `{1}*` is an expression with most of what {1} can be; where it is none, it matches nothing.
                self._fullmatch = _nothing
        return self._fullmatch(name)


def _fits_glob(segments: Sequence[Sequence[str]]) -> Callable[[str], object]:
    """Give what compares a name with a glob: compiling an expression takes as long as hundreds of comparisons."""
    if any(len(texts) > 1 for texts in segments) or len(segments) > 3:
        return _Late(glob_source(segments))
    match [text for [text] in segments]:
        case [text]:
            return text.__eq__
        case [beginning, ""]:
            return methodcaller("startswith", beginning)
        case ["", end]:
            return methodcaller("endswith", end)
        case [beginning, end]:
            shortest = len(beginning) + len(end)
            return lambda name: len(name) >= shortest and name.startswith(beginning) and name.endswith(end)
        case ["", text, ""]:
            return methodcaller("__contains__", text)
        case _:
            return _Late(glob_source(segments))


def _nothing(_name: str) -> object:
    return None


def references(text: str) -> frozenset[str]:
    """Give what stands in braces in the text and may be a group of `from`."""
    return frozenset(_REFERENCE.findall(text))


def fill(text: str, used: frozenset[str], groups: Groups) -> str:
    """Give the text with the groups that it uses filled in."""
    return _REFERENCE.sub(lambda found: groups[found[1]] if found[1] in used else found[0], text)
