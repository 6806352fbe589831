"""Indices of selectors by port and of ports by selector, so that only those are compared that may match."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

from jackd_router.core.graph import Port, PortName
from jackd_router.core.selecting.clues import ANYTHING, Clue, Texts, is_whole, pairs_in, parts_of, properties_of, ways
from jackd_router.core.selecting.selectors import Selector, Selectors

Owner = TypeVar("Owner")

_MOST_REMEMBERED = 30_000
"""Parts of names whose owners are remembered: a few more than 4,000 ports with two aliases have."""
_MANY = 8
"""So many ports are sooner compared than sorted out by another clue."""
_SORTED_IN_AT_ONCE = 200
"""Parts of names: takes 1 ms."""


class _Place(NamedTuple):
    """Where a selector is filed: the clue that finds it, and another text that must be in a name, too; "" where none must."""

    clue: Clue
    beside: str


def _most_telling(texts: Iterable[str]) -> str:
    return max(texts, key=lambda text: (is_whole(text), len(text), text), default="")


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

    def may_match(self, port: Port, parts: Collection[str] | None = None) -> set[Owner]:
        """Give the owners of all selectors that may match, and of some that do not; `parts`: what `parts_of` gives for it."""
        parts = parts_of(port) if parts is None else parts
        names = ""
        found: set[Owner] = set()
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
        for pair in self._looked_for.keys() & {*part, *pairs_in(part)}:
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
        found = ways(selector)
        best, least = [ANYTHING], 0
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

    def add(self, name: PortName, parts: Iterable[str]) -> None:
        """Add what is not there under this name; `parts`: what `parts_of` gives for it."""
        self._names.add(name)
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
        for part in parts:
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
        self._sort_in()
        some: Collection[str] = self._ports
        for pair in (pair for text in texts if len(text) > 1 for pair in pairs_in(text)):
            parts = self._parts.get(pair, set[str]())
            if len(parts) < len(some):
                some = parts
        found = (part for part in chain(some, self._unsorted) if all(map(part.__contains__, texts)))
        return set[PortName]().union(*map(self._ports.__getitem__, found))

    def _sort_in(self) -> None:
        for _ in range(min(_SORTED_IN_AT_ONCE, len(self._unsorted))):
            part = self._unsorted.pop()
            for pair in pairs_in(part):
                self._parts.setdefault(pair, set()).add(part)

    def _forget(self, part: str) -> None:
        if part in self._unsorted:
            self._unsorted.discard(part)
            return
        for pair in pairs_in(part):
            self._parts[pair].discard(part)
            if not self._parts[pair]:
                del self._parts[pair]
