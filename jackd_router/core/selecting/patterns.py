"""Patterns: one text to compare names with, as a glob, a regular expression or literally."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from operator import methodcaller

from jackd_router.core.names import glob_segments, glob_source
from jackd_router.core.selecting.required import AS_BYTES, Runs, expression_of, regex_runs
from jackd_router.core.selecting.templates import REFERENCE, template_of

Groups = Mapping[str, str]
"""What the groups of a regular expression caught, by number and by name."""

Caught = tuple[tuple[str, ...], Groups]
"""What the groups of one pattern caught, by position and by name."""
_NO_NAMES: Groups = {}
NOTHING_CAUGHT: Caught = ((), _NO_NAMES)


class Form(StrEnum):
    """How the text of a pattern is read."""

    GLOB = "glob"
    REGEX = "regex"
    LITERAL = "literal"


_REGEX = Form.REGEX


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to compare names with. `references` name groups of `from` that stand in it as `{1}`; `values` fill them."""

    form: Form
    text: str
    references: frozenset[str] = frozenset()
    values: tuple[tuple[str, str], ...] = ()
    fits: Callable[[str], object] = field(init=False, repr=False, compare=False)
    """Gives something true for a name that matches; before a regular expression is asked, bytes that are not UTF-8 must be
    characters (see `catch`)."""
    _runs: tuple[Runs, ...] | None = field(init=False, repr=False, compare=False)
    """What `required` gives, apart from what is before and after; None where the expression is to be asked."""
    _expression: str = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        # Kept: what is remembered of a selector is looked up by it, several times in each reload.
        return self._hash

    def __post_init__(self) -> None:
        """Compile; raises re.error (and what else `re.compile` does) on a bad regular expression.

        One that is not filled in yet is compiled as a template, or with a letter in each place, to see whether it can be.
        """
        runs: tuple[Runs, ...] | None = None
        expression = ""
        fits: Callable[[str], object]
        if self.form is not Form.REGEX:
            segments = glob_segments(self._pieces())
            runs, fits = (tuple(chain.from_iterable(segments)),), _fits_glob(segments)
        elif self.references and (template := template_of(self.text, self.references)) is not None:
            fits, runs = template.filled(dict(self.values)) if self.values else (template.fullmatch, None)
        else:
            # What is filled in is compared as `catch` compares it.
            pieces = (re.escape(text.translate(AS_BYTES)) if literal else text for text, literal in self._pieces())
            expression = "".join(pieces)
            if self.values:
                fits = _Late(expression)
            else:
                compiled, runs = expression_of(expression)
                fits = compiled.fullmatch
        object.__setattr__(self, "_hash", hash((self.form, self.text, self.references, self.values)))
        object.__setattr__(self, "_runs", runs)
        object.__setattr__(self, "_expression", expression)
        object.__setattr__(self, "fits", fits)

    @property
    def provides(self) -> tuple[int, frozenset[str]]:
        """How many groups there are, and the names of those that have one; asked of `from`, in which nothing is filled."""
        if self.form is not Form.REGEX:
            return 0, frozenset()
        compiled, _ = expression_of(self._expression)
        return compiled.groups, frozenset(compiled.groupindex)

    def catch(self, name: str) -> Caught | None:
        """Give what the groups caught, by position and by name; None where the name does not match.

        A group that took no part caught nothing, which is what it is filled in as. Nobody refers to a pattern that is filled in:
        what its groups caught is not told.
        """
        if self.form is not _REGEX:
            return NOTHING_CAUGHT if self.fits(name) else None
        # A byte that is not UTF-8 is `\xNN` in a regular expression too: there that means the character U+00NN.
        found = self.fits(name if name.isascii() else name.translate(AS_BYTES))
        if not found:
            return None
        if not isinstance(found, re.Match) or not found.re.groups or self.values:
            return NOTHING_CAUGHT
        if found.string is name:
            return found.groups(""), found.groupdict("") if found.re.groupindex else _NO_NAMES
        caught = tuple(name[slice(*span)] for span in map(found.span, range(1, found.re.groups + 1)))
        return caught, {group: caught[index - 1] for group, index in found.re.groupindex.items()}

    def filled(self, groups: Groups) -> Pattern:
        """Give the pattern with the groups that it refers to filled in, literally."""
        if not self.references:
            return self
        return _filled(self, tuple((group, groups[group]) for group in sorted(self.references)))

    def required(self, before: str = "", after: str = "") -> tuple[Runs, ...]:
        """Give what `before` + name + `after` consists of for every match: runs of text, of one of these alternatives.

        The first run begins with `before` and the last one ends with `after`; where there is only one, it is the whole.
        """
        if self.references and not self.values:
            alternatives: tuple[Runs, ...] = (("", ""),)
        else:
            alternatives = regex_runs(self._expression) if self._runs is None else self._runs
        return tuple(_between(before, runs, after) for runs in alternatives)

    def _pieces(self) -> Iterator[tuple[str, bool]]:
        """Give the text in pieces: what is filled in is literal."""
        values = dict(self.values) or dict.fromkeys(self.references, "x")
        for index, piece in enumerate(REFERENCE.split(self.text)):
            if index % 2 == 0:
                yield piece, self.form is Form.LITERAL
            elif piece in values:
                yield values[piece], True
            else:
                yield f"{{{piece}}}", self.form is Form.LITERAL


@lru_cache(maxsize=4096)
def pattern_of(form: Form, text: str, used: frozenset[str]) -> Pattern:
    """Give the pattern; the same one to all who say the same, which are many where rules speak of the same clients."""
    return Pattern(form, text, used)


@lru_cache(maxsize=8192)
def _filled(pattern: Pattern, values: tuple[tuple[str, str], ...]) -> Pattern:
    # Kept: rules for programs of one kind have the same patterns with the same numbers.
    return Pattern(pattern.form, pattern.text, pattern.references, values)


def _between(before: str, runs: Runs, after: str) -> Runs:
    if len(runs) == 1:
        return (before + runs[0] + after,)
    return tuple(filter(None, (before + runs[0], *runs[1:-1], runs[-1] + after)))


class _Late:
    """A regular expression that is compiled when it is asked first: most that are filled in never are."""

    __slots__ = ("_fullmatch", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._fullmatch: Callable[[str], object] | None = None

    def __call__(self, name: str) -> object:
        if self._fullmatch is None:
            try:
                self._fullmatch = expression_of(self._source).compiled.fullmatch
            except (re.error, OverflowError, RecursionError):
                # `{1}*` is an expression with most of what {1} can be; where it is none, it matches nothing.
                self._fullmatch = _nothing
        return self._fullmatch(name)


def _fits_glob(segments: Sequence[Sequence[str]]) -> Callable[[str], object]:
    """Give what compares a name with a glob: compiling an expression takes as long as hundreds of comparisons."""
    if len(segments) == 1:
        return _fits_letters(segments[0])
    if any(len(texts) > 1 for texts in segments) or len(segments) > 3:
        return _Late(glob_source(segments))
    match [text for [text] in segments]:
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


def _fits_letters(texts: Sequence[str]) -> Callable[[str], object]:
    """Give what compares a name with texts that have one letter, any, between each two of them."""
    if len(texts) == 1:
        return texts[0].__eq__
    begins = itertools.accumulate((len(text) + 1 for text in texts), initial=0)
    # Those that tell most first.
    placed = sorted(((text, begin) for text, begin in zip(texts, begins, strict=False) if text), key=lambda each: -len(each[0]))
    length = sum(map(len, texts)) + len(texts) - 1
    return lambda name: len(name) == length and all(name.startswith(text, begin) for text, begin in placed)


def _nothing(_name: str) -> object:
    return None


def references(text: str) -> frozenset[str]:
    """Give what stands in braces in the text and may be a group of `from`."""
    return frozenset(REFERENCE.findall(text))
