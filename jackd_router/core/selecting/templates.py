"""Templates: regular expressions with places that are filled in later, without being parsed and compiled for each filling.

A place is a reference to a group that caught the value in front of the name: one match tells whether the name is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from jackd_router.core.selecting.required import AS_BYTES, Runs, compiled, parsed, regex_runs

REFERENCE = re.compile(r"\{([^\W\d]\w*|[1-9][0-9]*)\}")
_MAY_MEAN_ELSE = re.compile(r"\\[0-9BNU{]|\(\?P=|\(\?\(|\(\?#")
"""What may mean something else in a template: references to groups of the expression's own, which have other numbers there, an
octal number or a backslash that takes in the beginning of a value, an edge between a value and the name, a mark, comments."""
_IN_A_REPETITION = re.compile(r"\(\?P=\w+\)[*+?{]|\{[^{}]*\(\?P=")
_FIRST_MARK = 0xF0000
"""What stands for a value, a character for each reference: they are for private use, and nobody's text has them."""


class Template(NamedTuple):
    """What is compiled, to be matched with all values and the name; and what every match contains, with gaps for values."""

    fullmatch: Callable[[str], re.Match[str] | None]
    references: tuple[str, ...]
    runs: tuple[Runs, ...]

    def filled(self, values: Mapping[str, str]) -> tuple[Callable[[str], bool], tuple[Runs, ...]]:
        """Give what compares a name, and what every match contains."""
        # What is filled in is compared as the name is: see Pattern.catch.
        texts = [values[reference].translate(AS_BYTES) for reference in self.references]
        before = "".join(f"{text}\0" for text in texts)
        marked = dict(enumerate(texts, _FIRST_MARK))
        runs = tuple(tuple(run.translate(marked) for run in each) for each in self.runs)
        return lambda name: self.fullmatch(before + name) is not None, runs


@lru_cache(maxsize=1024)
def template_of(text: str, references: frozenset[str]) -> Template | None:
    """Give the template for an expression with places `{1}` for these references.

    None where a value may be more or less than a literal text there: so it is in a class, before a quantifier and without
    case; and what looks at the beginning would find the values. What is repeated is left alone, too: a literal text in it may
    be matched in one way where a group could be in several, and that many letters would multiply.
    """
    places = [reference for reference in REFERENCE.findall(text) if reference in references]
    used = tuple(sorted(set(places)))
    expression = put(text, {reference: f"(?P=r_{reference})" for reference in used})
    marks = {reference: chr(mark) for mark, reference in enumerate(used, _FIRST_MARK)}
    if _MAY_MEAN_ELSE.search(text) or _IN_A_REPETITION.search(expression) or any(mark in text for mark in marks.values()):
        return None
    template = "".join(rf"(?P<r_{reference}>[^\0]*)\0" for reference in used) + f"(?:{expression})"
    try:
        tree = parsed(template)
        operations, filling = list(_operations(tree)), compiled(template, tree)
    except (re.error, OverflowError, RecursionError, AttributeError):
        return None
    met = sum(name == "GROUPREF" for name, _ in operations)
    if filling.flags != re.UNICODE or met != len(places) or any(map(_means_else, operations)):
        return None
    return Template(filling.fullmatch, used, regex_runs(put(text, marks)))


def put(text: str, what: Mapping[str, str]) -> str:
    """Put something in the place of each reference; other braces stay as they are."""
    return REFERENCE.sub(lambda found: what.get(found[1], found[0]), text)


def _operations(tree: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """Give all operations of what Python's parser gives, with those inside others."""
    for operation, argument in tree:
        yield operation.name, argument
        for part in argument if isinstance(argument, tuple) else (argument,):
            for each in part if isinstance(part, list) else (part,):
                if hasattr(each, "data"):
                    yield from _operations(each)


def _means_else(operation: tuple[str, Any]) -> bool:
    """Tell whether an operation sees what stands before the name, has flags of its own, or repeats a value."""
    match operation:
        case "AT", where:
            return "BEGINNING" in where.name
        case (("ASSERT" | "ASSERT_NOT"), (direction, _)):
            return bool(direction < 0)
        case "SUBPATTERN", (_, added, removed, _):
            return bool(added or removed)
        case (("MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT"), (_, _, repeated)):
            return any(name == "GROUPREF" for name, _ in _operations(repeated))
        case _:
            return False
