"""Indices of selectors by port and of ports by selector, so that only those are compared that may match.

Both go by clues: texts that stand in one part of a name and that every match of a selector has. The parts are the client, as
`NUL client:`, and the short name, as `:short name NUL`; so a text may tell where a part begins or ends, or all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from operator import add
from typing import Any, Generic, NamedTuple, TypeVar

from jackd_router.core.graph import Port, PortName
from jackd_router.core.required import Runs, fold
from jackd_router.core.selectors import BusSelector, Selector, Selectors, flow

Owner = TypeVar("Owner")

_MOST_REMEMBERED = 30_000
"""Parts of names whose owners are remembered: a few more than 4,000 ports with two aliases have."""
_MANY = 8
"""So many ports are sooner compared than sorted out by another clue."""

Texts = tuple[str, ...]


class Clue(NamedTuple):
    """Texts of which a part of the name has all, and a guess of how many ports that are, compared with other clues."""

    texts: Texts
    reach: int

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a part."""
        return len(self.texts) == 1 and _is_whole(self.texts[0])

    @property
    def is_property(self) -> bool:
        """Whether it is no part of a name."""
        return self.texts[0].startswith("\1")


Way = list[list[Clue]]
"""A way to find a selector: alternatives, of each of which all clues are true. One clue of each is enough to look for."""

_CLIENT, _IN_CLIENT, _IN_SHORT_NAME, _SHORT_NAME, _PROPERTY = 1, 1, 16, 1000, 10**6  # a whole short name serves beside others
_VAGUE = 4
"""How much farther a text of one or two letters reaches."""
_ANYTHING = Clue(("\1",), _PROPERTY)


def ways(selector: Selector) -> list[Way]:
    """Give all ways to find a selector; none where any port may match."""
    if isinstance(selector, BusSelector):
        return [[[_clue((f"\0{selector.client}:",), _CLIENT), *_of_bus(selector)]]]
    given = (
        (selector.client, "\0", ":", _of_client),
        (selector.port, ":", "\0", _of_short_name),
        (selector.name, "\0", "\0", _of_name),
        (selector.alias, "\0", "\0", _of_name),
    )
    found = [
        [[clue for clue in clues_of(runs) if clue.texts] for runs in pattern.required(before, after)]
        for pattern, before, after, clues_of in given
        if pattern is not None
    ]
    properties = _properties(selector.type, selector.physical, selector.terminal)
    return [way for way in found if all(way)] + [[[Clue((text,), _PROPERTY)]] for text in properties]


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


@lru_cache(maxsize=4096)
def _clue(runs: Runs, reach: int, *, may_be_whole: bool = True) -> Clue:
    # Kept: the keys of a rule differ in one pattern, and a reload has most of its selectors from the one before.
    texts = []
    letters = 0
    for text in map(fold, runs):
        whole = _is_whole(text)
        if whole and not may_be_whole and text[0] == ":":
            # With another colon than the one before the short name, maybe.
            text, whole = text[1:], False
        if whole:
            return Clue((text,), _CLIENT if text[0] == "\0" else _SHORT_NAME)
        length = len(text.strip("\0:"))
        if length:
            texts.append(text)
            letters = max(letters, length)
    return Clue(tuple(texts), reach if letters > 2 else reach * _VAGUE)


def _is_whole(text: str) -> bool:
    """Whether the text is all of a part."""
    return text[:1] + text[-1:] in ("\0:", ":\0")


def _parts(port: Port) -> set[str]:
    """Give the parts of every name that the port can be found by."""
    parts = set()
    for name in (port.name, *port.aliases):
        client, colon, short_name = fold(name).partition(":")
        parts.add(f"\0{client}:")
        parts.add(f":{short_name}\0")
        if not colon:  # an alias may be so
            parts.add(f"\0{client}\0")
    return parts


def _properties(*values: object) -> Iterator[str]:
    """Give the texts for properties, in a fixed order; None where a selector does not ask."""
    return (f"\1{at}{value}" for at, value in enumerate(values) if value is not None)


def _properties_of(port: Port) -> set[str]:
    given = (_properties(kind, port.is_physical, port.is_terminal) for kind in (port.type, flow(port.type)))
    return {*_ANYTHING.texts, *chain.from_iterable(given)}


def _pairs(text: str) -> set[str]:
    """Give every two letters that stand together in the text; of one letter, that."""
    return set(map(add, text, text[1:])) or {text}


class _Place(NamedTuple):
    """Where a selector is filed: the clue that finds it, and another text that must be in a name, too; "" where none must."""

    clue: Clue
    beside: str


def _most_telling(texts: Iterable[str]) -> str:
    return max(texts, key=lambda text: (_is_whole(text), len(text), text), default="")


class _Found(NamedTuple, Generic[Owner]):
    """What a part of a name finds: owners, and those that are meant only with another part, or with a text in one."""

    owners: frozenset[Owner]
    with_part: dict[str, set[Owner]]
    with_text: dict[str, set[Owner]]


_NOTHING: _Found[Any] = _Found(frozenset(), {}, {})


class SelectorIndex(Generic[Owner]):
    """Owners of selectors, found by port. Each alternative is filed under one clue: one that few ports and few others have."""

    __slots__ = ("_filed", "_looked_for", "_owners", "_pair", "_properties", "_remembered")

    def __init__(self) -> None:
        self._filed: dict[Owner, list[tuple[Selectors, list[_Place]]]] = {}
        self._owners: dict[Texts, dict[tuple[Owner, str], int]] = {}
        """Texts of a clue -> its owners, with what must be beside, each with how many of its selectors are filed there."""
        self._pair: dict[Texts, str] = {}
        """Texts that are to be looked for in a part -> the two letters of them by which they are found."""
        self._looked_for: dict[str, set[Texts]] = {}
        """... and back."""
        self._properties: set[str] = set()
        """Texts of clues that are properties."""
        self._remembered: dict[str, _Found[Owner]] = {}
        """Part of a name -> what was found by it: ports share their client, and often their short name."""

    def add(self, owner: Owner, selectors: Selectors) -> None:
        """Add the owner of these selectors; twice is as good as once."""
        filed = self._filed.setdefault(owner, [])
        if any(known == selectors for known, _ in filed):
            return
        places = [place for selector in selectors for place in self._best_places(selector)]
        filed.append((selectors, places))
        for place in places:
            self._file(place, owner)
        self._remembered.clear()

    def remove(self, owner: Owner, selectors: Selectors) -> None:
        """Remove what was added."""
        filed = self._filed[owner]
        at = next(at for at, (known, _) in enumerate(filed) if known == selectors)
        _, places = filed.pop(at)
        if not filed:
            del self._filed[owner]
        for place in places:
            self._unfile(place, owner)
        self._remembered.clear()

    def may_match(self, port: Port) -> set[Owner]:
        """Give the owners of all selectors that may match, and of some that do not."""
        parts = _parts(port)
        names = "".join(parts)
        found: set[Owner] = set()
        for part in parts:
            owners, with_part, with_text = self._remembered.get(part) or self._remember(part)
            found |= owners
            for other in with_part.keys() & parts if with_part else ():
                found |= with_part[other]
            for other in with_text:
                if other in names:
                    found |= with_text[other]
        if self._properties:
            for text in self._properties & _properties_of(port):
                found.update(owner for owner, _ in self._owners[(text,)])
        return found

    def _remember(self, part: str) -> _Found[Owner]:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        filed = list(self._owners.get((part,), ()))
        for pair in self._looked_for.keys() & {*part, *_pairs(part)}:
            for texts in self._looked_for[pair]:
                if texts[0] in part and (len(texts) == 1 or all(map(part.__contains__, texts))):
                    filed += self._owners[texts]
        if not filed:
            return self._remembered.setdefault(part, _NOTHING)
        found: _Found[Owner] = _Found(frozenset(owner for owner, beside in filed if not beside), {}, {})
        for owner, beside in filed:
            if beside:
                (found.with_part if _is_whole(beside) else found.with_text).setdefault(beside, set()).add(owner)
        self._remembered[part] = found
        return found

    def _best_places(self, selector: Selector) -> list[_Place]:
        """Give the best place for each alternative of the best way."""
        found = ways(selector)
        best, least = [_ANYTHING], 0
        for way in found:
            chosen = [clues[0] if len(clues) == 1 else min(clues, key=self._cost) for clues in way]
            cost = sum(map(self._cost, chosen))
            if not least or cost < least:
                best, least = chosen, cost
        certain = [text for way in found if len(way) == 1 for clue in way[0] if not clue.is_property for text in clue.texts]
        return [_Place(clue, _most_telling(set(certain) - set(clue.texts))) for clue in best]

    def _cost(self, clue: Clue) -> int:
        return clue.reach * (1 + len(self._owners.get(clue.texts, ())))

    def _file(self, place: _Place, owner: Owner) -> None:
        clue, beside = place
        owners = self._owners.setdefault(clue.texts, {})
        if not owners:
            if clue.is_property:
                self._properties.update(clue.texts)
            elif not clue.is_whole:
                pair = self._rarest_pair(clue.texts)
                self._pair[clue.texts] = pair
                self._looked_for.setdefault(pair, set()).add(clue.texts)
        owners[owner, beside] = owners.get((owner, beside), 0) + 1

    def _rarest_pair(self, texts: Texts) -> str:
        """Give the pair that fewest others are found by; rather one of the end, where names are numbered."""
        rarest, fewest = "", 0
        for text in texts:
            pairs: list[str] = list(map(add, text, text[1:])) or [text]
            for pair in reversed(pairs):
                others = len(self._looked_for.get(pair, ()))
                if not others and len(pair) > 1:
                    return pair
                if not rarest or others < fewest:
                    rarest, fewest = pair, others
        return rarest

    def _unfile(self, place: _Place, owner: Owner) -> None:
        clue, beside = place
        owners = self._owners[clue.texts]
        owners[owner, beside] -= 1
        if owners[owner, beside]:
            return
        del owners[owner, beside]
        if owners:
            return
        del self._owners[clue.texts]
        if clue.is_property:
            self._properties.difference_update(clue.texts)
        elif not clue.is_whole:
            pair = self._pair.pop(clue.texts)
            self._looked_for[pair].discard(clue.texts)
            if not self._looked_for[pair]:
                del self._looked_for[pair]


class PortIndex:
    """Ports, found by the selectors that may mean them."""

    __slots__ = ("_names", "_parts", "_ports", "_unsorted")

    def __init__(self) -> None:
        self._names: set[PortName] = set()
        self._ports: dict[str, set[PortName]] = {}
        """Part of a name -> the ports that have it."""
        self._parts: dict[str, set[str]] = {}
        """Two letters -> the parts of names that contain them, apart from those that are not sorted in yet."""
        self._unsorted: set[str] = set()

    def add(self, name: PortName, port: Port) -> None:
        """Add what is not there under this name; selectors look at it as `port`."""
        self._names.add(name)
        for part in _parts(port):
            ports = self._ports.get(part)
            if ports is None:
                self._ports[part] = {name}
                # Sorted in when somebody looks for a text: most rules know the client, and thousands of ports come at once.
                self._unsorted.add(part)
            else:
                ports.add(name)

    def remove(self, name: PortName, port: Port) -> None:
        """Remove what was added."""
        self._names.discard(name)
        for part in _parts(port):
            ports = self._ports[part]
            ports.discard(name)
            if not ports:
                del self._ports[part]
                self._forget(part)

    def may_match(self, selectors: Selectors) -> set[PortName]:
        """Give all ports that may match, and some that do not."""
        return set[PortName]().union(*map(self._may_be_meant, selectors)) if self._names else set()

    def _may_be_meant(self, selector: Selector) -> set[PortName]:
        found = self._names
        # Ways by the client come first, and are the shortest.
        for way in ways(selector):
            found = found & set[PortName]().union(*map(self._with_all, way))
            if len(found) <= _MANY:
                break
        return found

    def _with_all(self, clues: Iterable[Clue]) -> set[PortName]:
        """Give the ports that have all these clues, or more."""
        found = self._names
        for clue in sorted(clues, key=lambda clue: not clue.is_whole):
            if len(found) <= _MANY:
                break
            if clue.is_whole:
                found = found & self._ports.get(clue.texts[0], set())
            elif not clue.is_property:
                found = found & self._with_texts(clue.texts)
        return found

    def _with_texts(self, texts: Texts) -> set[PortName]:
        """Give the ports that have a part with all these texts."""
        for part in self._unsorted:
            for pair in _pairs(part):
                self._parts.setdefault(pair, set()).add(part)
        self._unsorted.clear()
        some: Collection[str] = self._ports
        for pair in (pair for text in texts if len(text) > 1 for pair in _pairs(text)):
            parts = self._parts.get(pair, set[str]())
            if len(parts) < len(some):
                some = parts
        return set[PortName]().union(*(self._ports[part] for part in some if all(map(part.__contains__, texts))))

    def _forget(self, part: str) -> None:
        if part in self._unsorted:
            self._unsorted.discard(part)
            return
        for pair in _pairs(part):
            self._parts[pair].discard(part)
            if not self._parts[pair]:
                del self._parts[pair]
