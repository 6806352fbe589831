"""Clues: what every port that a selector matches has, and that is easily looked for.

They are texts that stand in one part of a name. The parts are the client, as `NUL client:`, and the short name, as
`:short name NUL`; so a text may tell where a part begins or ends, or all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from operator import add
from typing import NamedTuple

from jackd_router.core.graph import Port
from jackd_router.core.selecting.patterns import Pattern
from jackd_router.core.selecting.required import Runs, fold
from jackd_router.core.selecting.selectors import BusSelector, Selector, flow

Texts = tuple[str, ...]


class Clue(NamedTuple):
    """Texts of which a part of the name has all, and a guess of how many ports that are, compared with other clues."""

    texts: Texts
    reach: int
    is_whole: bool = False
    """Whether it is all of a part."""
    is_property: bool = False
    """Whether it is no part of a name."""


Way = list[list[Clue]]
"""A way to find a selector: alternatives, of each of which all clues are true. One clue of each is enough to look for.

Those that are all of a part come first: they are looked up at once.
"""

_CLIENT, _IN_CLIENT, _IN_SHORT_NAME, _SHORT_NAME, _PROPERTY = 1, 1, 16, 1000, 10**6  # a whole short name serves beside others
_VAGUE = 4
"""How much farther a text of one or two letters reaches."""
ANYTHING = Clue(("\1",), _PROPERTY, is_property=True)


def ways(selector: Selector) -> Iterator[Way]:
    """Give all ways to find a selector, those by its client first; none where any port may match."""
    if isinstance(selector, BusSelector):
        yield [[_clue((f"\0{selector.client}:",), _CLIENT), *_of_bus(selector)]]
        return
    for pattern, before, after, clues_of in (
        (selector.client, "\0", ":", _of_client),
        (selector.port, ":", "\0", _of_short_name),
        (selector.name, "\0", "\0", _of_name),
        (selector.alias, "\0", "\0", _of_name),
        (selector.pretty_name, "\0", "\0", _of_name),
    ):
        if pattern is not None and (way := _way(pattern, before, after, clues_of)):
            yield way
    for text in _properties(selector.type, selector.physical, selector.terminal):
        yield [[Clue((text,), _PROPERTY, is_property=True)]]


@lru_cache(maxsize=8192)
def certain_texts(selector: Selector) -> Texts:
    """Give what stands in a name of every port that the selector matches, what tells most first."""
    certain = (way[0] for way in ways(selector) if len(way) == 1)
    texts = {text for clues in certain for clue in clues if not clue.is_property for text in clue.texts}
    return tuple(sorted(texts, key=lambda text: (is_whole(text), len(text), text), reverse=True))


@lru_cache(maxsize=8192)
def _way(pattern: Pattern, before: str, after: str, clues_of: Callable[[Runs], Iterable[Clue]]) -> Way:
    """Give the way to find who has a name that the pattern fits; empty where some alternative has no clue."""
    # Kept: hundreds of keys, and of rules, have the same pattern for a client or a short name.
    way = [
        sorted((clue for clue in clues_of(runs) if clue.texts), key=lambda clue: not clue.is_whole)
        for runs in pattern.required(before, after)
    ]
    return way if all(way) else []


def _of_bus(selector: BusSelector) -> Iterable[Clue]:
    if selector.references:
        return ()
    end = () if selector.channel is None else (f"_{selector.channel}\0",)
    return (_clue((f":{selector.bus}_", *end), _IN_SHORT_NAME),)


def _of_client(runs: Runs) -> Iterable[Clue]:
    return (_clue(runs, _IN_CLIENT),)


def _of_short_name(runs: Runs) -> Iterable[Clue]:
    return (_clue(runs, _IN_SHORT_NAME, may_be_whole=len(runs) == 1),)


def _of_name(runs: Runs) -> Iterator[Clue]:
    """Give clues for a name as a whole: what follows some colon stands in the short name, what is before may do so."""
    for at, run in enumerate(runs):
        before, colon, after = run.partition(":")
        yield _clue((before + colon,), _IN_CLIENT)
        if colon:
            yield _clue((colon + after, *runs[at + 1 :]), _IN_SHORT_NAME, may_be_whole=len(runs) == 1)
            return


def _clue(runs: Runs, reach: int, *, may_be_whole: bool = True) -> Clue:
    texts = []
    letters = 0
    for text in map(fold, runs):
        whole = is_whole(text)
        if whole and not may_be_whole and text[0] == ":":
            # With another colon than the one before the short name, maybe.
            text, whole = text[1:], False
        if whole:
            return Clue((text,), _CLIENT if text[0] == "\0" else _SHORT_NAME, is_whole=True)
        length = len(text.strip("\0:"))
        if length:
            texts.append(text)
            letters = max(letters, length)
    return Clue(tuple(texts), reach if letters > 2 else reach * _VAGUE)


def is_whole(text: str) -> bool:
    """Whether the text is all of a part."""
    return text[:1] + text[-1:] in ("\0:", ":\0")


def parts_of(port: Port) -> frozenset[str]:
    """Give the parts of every name that the port can be found by."""
    return _parts_of(port.name, port.other_names, port.pretty_name)


@lru_cache(maxsize=16384)
def _parts_of(name: str, aliases: tuple[str, ...], pretty_name: str | None) -> frozenset[str]:
    # Kept: the ports of a graph are the same from one reload to the next.
    parts: list[str] = []
    for each in (name, *aliases) if pretty_name is None else (name, *aliases, pretty_name):
        client, colon, short_name = fold(each).partition(":")
        parts += (f"\0{client}:", f":{short_name}\0")
        if not colon:  # an alias may be so
            parts.append(f"\0{client}\0")
    return frozenset(parts)


def _properties(*values: object) -> Iterator[str]:
    """Give the texts for properties, in a fixed order; None where a selector does not ask."""
    return (f"\1{at}{value}" for at, value in enumerate(values) if value is not None)


def properties_of(port: Port) -> set[str]:
    """Give the texts for what the port is."""
    given = (_properties(kind, port.is_physical, port.is_terminal) for kind in (port.type, flow(port.type)))
    return {*ANYTHING.texts, *chain.from_iterable(given)}


def pairs_in(text: str) -> dict[str, None]:
    """Give every two letters that stand together in the text, in order; of one letter, that."""
    return dict.fromkeys(map(add, text, text[1:])) or {text: None}
