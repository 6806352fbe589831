"""Indices of selectors by port and of ports by selector, so that only those are compared that may match.

Both go by clues: texts that stand in one part of a name and that every match of a selector has. The parts are the client, as
`NUL client:`, and the short name, as `:short name NUL`; so a text may tell where a part begins or ends, or all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from operator import add
from typing import Generic, NamedTuple, TypeVar

from jackd_router.core.graph import Port, PortName
from jackd_router.core.patterns import Pattern
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

_CLIENT, _IN_CLIENT, _SHORT_NAME, _IN_SHORT_NAME, _PROPERTY = 1, 1, 4, 16, 10**6
_VAGUE = 4
"""How much farther a text of one or two letters reaches."""
_ANYTHING = Clue(("\1",), _PROPERTY)


def ways(selector: Selector) -> list[Way]:
    """Give all ways to find a selector; none where any port may match."""
    if isinstance(selector, BusSelector):
        short_name = (f":{selector.bus}_",) if selector.channel is None else (f":{selector.bus}_", f"_{selector.channel}\0")
        return [[[_clue((f"\0{selector.client}:",), _CLIENT), _clue(short_name, _IN_SHORT_NAME)]]]
    return [
        *_by(selector.client, "\0", ":", _of_client),
        *_by(selector.port, ":", "\0", _of_short_name),
        *_by(selector.name, "\0", "\0", _of_name),
        *_by(selector.alias, "\0", "\0", _of_name),
        *([[Clue((text,), _PROPERTY)]] for text in _properties(selector.type, selector.physical, selector.terminal)),
    ]


def _by(pattern: Pattern | None, before: str, after: str, clues_of: Callable[[Runs], Iterable[Clue]]) -> Iterator[Way]:
    """Give the way by a pattern, if there is one."""
    if pattern is None:
        return
    way = [[clue for clue in clues_of(runs) if clue.texts] for runs in pattern.required(before, after)]
    if all(way):
        yield way


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
    texts = tuple(map(fold, runs))
    if not may_be_whole:
        # With another colon than the one before the short name, maybe.
        texts = tuple(text[1:] if text.startswith(":") and _is_whole(text) else text for text in texts)
    texts = tuple(text for text in texts if text.strip("\0:") or _is_whole(text))
    if len(texts) == 1 and _is_whole(texts[0]):
        return Clue(texts, _CLIENT if texts[0].endswith(":") else _SHORT_NAME)
    letters = max((len(text.strip("\0:")) for text in texts), default=0)
    return Clue(texts, reach * (_VAGUE if letters < 3 else 1))


def _is_whole(text: str) -> bool:
    """Whether the text is all of a part."""
    return f"{text[:1]}{text[-1:]}" in ("\0:", ":\0")


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


class SelectorIndex(Generic[Owner]):
    """Owners of selectors, found by port. Each alternative is filed under one clue: one that few ports and few others have."""

    __slots__ = ("_filed", "_looked_for", "_owners", "_pair", "_remembered")

    def __init__(self) -> None:
        self._filed: dict[Owner, list[tuple[Selectors, list[Clue]]]] = {}
        self._owners: dict[Texts, dict[Owner, int]] = {}
        """Texts of a clue -> its owners, each with how many of its selectors are filed there."""
        self._pair: dict[Texts, str] = {}
        """Texts that are to be looked for in a part -> the two letters of them by which they are found."""
        self._looked_for: dict[str, set[Texts]] = {}
        """... and back."""
        self._remembered: dict[object, frozenset[Owner]] = {}

    def add(self, owner: Owner, selectors: Selectors) -> None:
        """Add the owner of these selectors; twice is as good as once."""
        filed = self._filed.setdefault(owner, [])
        if any(known == selectors for known, _ in filed):
            return
        clues = [clue for selector in selectors for clue in self._best(selector)]
        filed.append((selectors, clues))
        for clue in clues:
            self._file(clue, owner)
        self._remembered.clear()

    def remove(self, owner: Owner, selectors: Selectors) -> None:
        """Remove what was added."""
        filed = self._filed[owner]
        at = next(at for at, (known, _) in enumerate(filed) if known == selectors)
        _, clues = filed.pop(at)
        if not filed:
            del self._filed[owner]
        for clue in clues:
            self._unfile(clue.texts, owner)
        self._remembered.clear()

    def may_match(self, port: Port) -> set[Owner]:
        """Give the owners of all selectors that may match, and of some that do not."""
        remembered = self._remembered
        properties = port.type, int(port.flags)
        owners = remembered.get(properties)
        found = set(self._remember(properties, ((text,) for text in _properties_of(port))) if owners is None else owners)
        for part in _parts(port):
            owners = remembered.get(part)
            found |= self._remember(part, self._clues_in(part)) if owners is None else owners
        return found

    def _remember(self, what: object, clues: Iterable[Texts]) -> frozenset[Owner]:
        """Find the owners of these clues, and keep them: ports share their client, and often their short name."""
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        owners = frozenset[Owner]().union(*(self._owners.get(texts, ()) for texts in clues))
        self._remembered[what] = owners
        return owners

    def _clues_in(self, part: str) -> Iterator[Texts]:
        yield (part,)
        for pair in self._looked_for.keys() & {*part, *_pairs(part)}:
            yield from (texts for texts in self._looked_for[pair] if all(map(part.__contains__, texts)))

    def _best(self, selector: Selector) -> list[Clue]:
        """Give the best clue of each alternative, on the best way."""

        def cost(clue: Clue) -> tuple[int, int]:
            return clue.reach * (1 + len(self._owners.get(clue.texts, ()))), -sum(map(len, clue.texts))

        chosen = ([min(clues, key=cost) for clues in way] for way in ways(selector))
        return min(chosen, key=lambda clues: sum(cost(clue)[0] for clue in clues), default=[_ANYTHING])

    def _file(self, clue: Clue, owner: Owner) -> None:
        owners = self._owners.setdefault(clue.texts, {})
        if not owners and not clue.is_whole and not clue.is_property:
            pairs = set().union(*map(_pairs, clue.texts))
            pair = min(pairs, key=lambda pair: (len(pair) == 1, len(self._looked_for.get(pair, ())), pair))
            self._pair[clue.texts] = pair
            self._looked_for.setdefault(pair, set()).add(clue.texts)
        owners[owner] = owners.get(owner, 0) + 1

    def _unfile(self, texts: Texts, owner: Owner) -> None:
        owners = self._owners[texts]
        owners[owner] -= 1
        if owners[owner]:
            return
        del owners[owner]
        if owners:
            return
        del self._owners[texts]
        pair = self._pair.pop(texts, None)
        if pair is not None:
            self._looked_for[pair].discard(texts)
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
        return set[PortName]().union(*map(self._may_be_meant, selectors))

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
