"""Indices of selectors by port and of ports by selector, so that only those are compared that may match."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from itertools import chain
from operator import add
from typing import Any, Generic, NamedTuple, TypeVar

from jackd_router.core.graph import Port, PortName
from jackd_router.core.selecting.clues import (
    ANYTHING,
    Clue,
    Texts,
    certain_texts,
    is_whole,
    pairs_in,
    parts_of,
    properties_of,
    ways,
)
from jackd_router.core.selecting.selectors import Selector, Selectors

Owner = TypeVar("Owner")

_MOST_REMEMBERED = 30_000
"""Parts of names whose owners are remembered: a few more than 4,000 ports with two aliases have."""
_FEW = 4
"""A clue that costs no more finds so little that no better one is looked for."""
_MANY = 8
"""So many ports are sooner compared than sorted out by another clue."""
_FEW_PARTS = 24
"""So many parts of names are sooner looked through than found by two letters that fewer have."""
_SORTED_IN_AT_ONCE = 200
"""Parts of names: takes 1 ms."""
_FILED_AT_ONCE = 50
"""Owners with their selectors, at least: takes 1 ms."""
_PART_FILED = 16
"""One in so many, where there are more: whoever comes is compared with all that is left."""


class _Place(NamedTuple):
    """Where a selector is filed: the clue that finds it, and another text that must be in a name, too; "" where none must."""

    clue: Clue
    beside: str


class _Found(NamedTuple, Generic[Owner]):
    """What a part of a name finds: owners, and those that are meant only with another part, or with a text in one."""

    owners: frozenset[Owner]
    with_part: dict[str, set[Owner]]
    with_text: dict[str, set[Owner]]


_NOTHING: _Found[Any] = _Found(frozenset(), {}, {})


class SelectorIndex(Generic[Owner]):
    """Owners of selectors, found by port. Each alternative is filed under one clue: one that few ports and few others have."""

    __slots__ = ("_filed", "_looked_for", "_owners", "_pair", "_properties", "_remembered", "_unfiled")

    def __init__(self) -> None:
        self._unfiled: dict[tuple[Owner, Selectors], None] = {}
        """Filed when ports are compared, or when there is time: a reload that is only tried out needs none of it."""
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
        if not any(known == selectors for known, _ in self._filed.get(owner, ())):
            self._unfiled[owner, selectors] = None

    @property
    def is_tidy(self) -> bool:
        """Whether all that was added is filed: then `may_match` is quick."""
        return not self._unfiled

    def tidy_some(self) -> None:
        """File some of what was added."""
        for _ in range(min(max(_FILED_AT_ONCE, len(self._unfiled) // _PART_FILED), len(self._unfiled))):
            (owner, selectors), _none = self._unfiled.popitem()
            self._file_all(owner, selectors)

    def _file_all(self, owner: Owner, selectors: Selectors) -> None:
        places = [place for selector in selectors for place in self._best_places(selector)]
        self._filed.setdefault(owner, []).append((selectors, places))
        for place in places:
            self._file(place, owner)
        self._remembered.clear()

    def remove(self, owner: Owner, selectors: Selectors) -> None:
        """Remove what was added."""
        if (owner, selectors) in self._unfiled:
            del self._unfiled[owner, selectors]
            return
        filed = self._filed[owner]
        at = next(at for at, (known, _) in enumerate(filed) if known == selectors)
        _, places = filed.pop(at)
        if not filed:
            del self._filed[owner]
        for place in places:
            self._unfile(place, owner)
        self._remembered.clear()

    def may_match(self, port: Port, parts: Collection[str] | None = None) -> set[Owner]:
        """Give the owners of all selectors that may match, and of some that do not; `parts`: what `parts_of` gives for it."""
        parts = parts_of(port) if parts is None else parts
        names = ""
        self.tidy_some()
        found = {owner for owner, _ in self._unfiled}
        for part in parts:
            owners, with_part, with_text = self._remembered.get(part) or self._remember(part)
            found |= owners
            for other in with_part.keys() & parts if with_part else ():
                found |= with_part[other]
            if with_text:
                names = names or "".join(parts)
                for other, owners_then in with_text.items():
                    if other in names:
                        found |= owners_then
        if self._properties:
            for text in self._properties & properties_of(port):
                found.update(owner for owner, _ in self._owners[(text,)])
        return found

    def _remember(self, part: str) -> _Found[Owner]:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        filed = list(self._owners.get((part,), ()))
        # Not `pairs_in`, whose order nobody needs here: it takes twice as long.
        letters = set(map(add, part, part[1:])).union(part)
        for pair in self._looked_for.keys() & letters:
            for texts in self._looked_for[pair]:
                if texts[0] in part and (len(texts) == 1 or all(map(part.__contains__, texts))):
                    filed += self._owners[texts]
        if not filed:
            return self._remembered.setdefault(part, _NOTHING)
        found: _Found[Owner] = _Found(frozenset(owner for owner, beside in filed if not beside), {}, {})
        for owner, beside in filed:
            if beside:
                (found.with_part if is_whole(beside) else found.with_text).setdefault(beside, set()).add(owner)
        self._remembered[part] = found
        return found

    def _best_places(self, selector: Selector) -> list[_Place]:
        """Give the best place for each alternative of the best way."""
        best, least = [ANYTHING], 0
        for way in ways(selector):
            chosen = [clues[0] if len(clues) == 1 else min(clues, key=self._cost) for clues in way]
            cost = sum(map(self._cost, chosen))
            if not least or cost < least:
                best, least = chosen, cost
            if least <= _FEW:
                break
        certain = certain_texts(selector)
        return [_Place(clue, next((text for text in certain if text not in clue.texts), "")) for clue in best]

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
            for pair in reversed(pairs_in(text)):
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


_NO_PARTS: AbstractSet[str] = frozenset()
_NO_PORTS: AbstractSet[PortName] = frozenset()


def _union(several: Iterable[AbstractSet[PortName]]) -> AbstractSet[PortName]:
    found: set[PortName] = set()
    return found.union(*several)


class PortIndex:
    """Ports, found by the selectors that may mean them."""

    __slots__ = ("_names", "_parts", "_ports", "_remembered", "_unsorted")

    def __init__(self) -> None:
        self._names: set[PortName] = set()
        self._ports: dict[str, set[PortName]] = {}
        """Part of a name -> the ports that have it."""
        self._parts: defaultdict[str, set[str]] = defaultdict(set)
        """Two letters -> the parts of names that contain them, apart from those that are not sorted in yet."""
        self._unsorted: set[str] = set()
        self._remembered: dict[Texts, AbstractSet[PortName]] = {}
        """Texts -> the ports that have a part with all of them: the keys of a rule, and the rules for a client, share theirs."""

    def add(self, name: PortName, parts: Iterable[str]) -> None:
        """Add what is not there under this name; `parts`: what `parts_of` gives for it."""
        self._names.add(name)
        self._remembered.clear()
        for part in parts:
            ports = self._ports.get(part)
            if ports is None:
                self._ports[part] = {name}
                # Sorted in when somebody looks for a text: most rules know the whole, and thousands of ports come at once.
                self._unsorted.add(part)
            else:
                ports.add(name)

    def remove(self, name: PortName, parts: Iterable[str]) -> None:
        """Remove what was added."""
        self._names.discard(name)
        self._remembered.clear()
        for part in parts:
            ports = self._ports[part]
            ports.discard(name)
            if not ports:
                del self._ports[part]
                self._forget(part)

    @property
    def is_tidy(self) -> bool:
        """Whether all parts of names are sorted in: then `may_match` is quick."""
        return not self._unsorted

    def tidy_some(self) -> None:
        """Sort in some of the parts of names."""
        for _ in range(min(_SORTED_IN_AT_ONCE, len(self._unsorted))):
            part = self._unsorted.pop()
            for pair in pairs_in(part):
                self._parts[pair].add(part)

    def may_match(self, selectors: Selectors) -> AbstractSet[PortName]:
        """Give all ports that may match, and some that do not."""
        if not self._names:
            return set()
        if len(selectors) == 1:
            return self._may_be_meant(selectors[0])
        return _union(map(self._may_be_meant, selectors))

    def _may_be_meant(self, selector: Selector) -> AbstractSet[PortName]:
        found: AbstractSet[PortName] = self._names
        # Ways by the client come first, and are the shortest.
        for way in ways(selector):
            if len(found) <= _MANY and not way[0][0].is_whole:
                continue
            these = self._with_all(way[0]) if len(way) == 1 else _union(map(self._with_all, way))
            found = these if found is self._names else found & these
        return found

    def _with_all(self, clues: Iterable[Clue]) -> AbstractSet[PortName]:
        """Give the ports that have all these clues, or more."""
        found: AbstractSet[PortName] = self._names
        for clue in clues:
            if len(found) <= _MANY:
                break
            if clue.is_property:
                continue
            these = self._ports.get(clue.texts[0], _NO_PORTS) if clue.is_whole else self._with_texts(clue.texts)
            found = these if found is self._names else found & these
        return found

    def _with_texts(self, texts: Texts) -> AbstractSet[PortName]:
        """Give the ports that have a part with all these texts."""
        found = self._remembered.get(texts)
        if found is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[texts] = self._look_for(texts)
        return found

    def _look_for(self, texts: Texts) -> AbstractSet[PortName]:
        self.tidy_some()
        some: Collection[str] = self._ports
        # From the end, where names are numbered.
        for pair in chain.from_iterable(map(add, text[-2::-1], text[:0:-1]) for text in texts):
            these = self._parts.get(pair, _NO_PARTS)
            if len(these) < len(some):
                some = these
                if len(some) <= _FEW_PARTS:
                    break
        if self._unsorted:
            some = [*some, *self._unsorted]
        if len(texts) == 1:
            found = [part for part in some if texts[0] in part]
        else:
            found = [part for part in some if all(map(part.__contains__, texts))]
        return self._ports[found[0]] if len(found) == 1 else _union(map(self._ports.__getitem__, found))

    def _forget(self, part: str) -> None:
        if part in self._unsorted:
            self._unsorted.discard(part)
            return
        for pair in pairs_in(part):
            self._parts[pair].discard(part)
            if not self._parts[pair]:
                del self._parts[pair]
