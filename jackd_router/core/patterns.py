"""Patterns: one text to compare names with, as a glob, a regular expression or literally."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import takewhile

from jackd_router.core.names import glob_source

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
        """Compile; raises re.error (and what else `re.compile` does) on a bad regular expression.

        One that is not filled in yet is compiled with a letter in each place, to see whether it can be.
        """
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
        # A byte that is not UTF-8 is `\xNN` in a regular expression too: there that means the character U+00NN.
        undecoded = self.form is Form.REGEX and not name.isascii()
        found = self._compiled.fullmatch(name.translate(_UNDECODED) if undecoded else name)
        if found is None:
            return None
        caught = tuple(name[slice(*span)] for span in map(found.span, range(1, self._compiled.groups + 1)))
        return caught, {group: caught[index - 1] for group, index in self._compiled.groupindex.items()}

    def filled(self, groups: Groups) -> Pattern:
        """Give the pattern with the groups that it refers to filled in, literally."""
        if not self.references:
            return self
        try:
            return replace(self, values=tuple(sorted((group, groups[group]) for group in self.references)))
        except re.error:
            # `{1}*` is an expression with most of what {1} can be; where it is none, it matches nothing.
            return Pattern(Form.REGEX, "(?!)")

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
        values = dict(self.values) or dict.fromkeys(self.references, "x")
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


def fill(text: str, used: frozenset[str], groups: Groups) -> str:
    """Give the text with the groups that it uses filled in."""
    return _REFERENCE.sub(lambda found: groups[found[1]] if found[1] in used else found[0], text)
