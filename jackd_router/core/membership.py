"""Membership: which rules each port belongs to, kept up to date port by port.

A port belongs to a rule on one side only: as a source or as a destination, by its direction. Where `to` refers to groups
of `from`, the rule falls apart into one part for each key, that is for each combination of what those groups caught.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jackd_router.core.config import Action, Rule
from jackd_router.core.graph import Port, PortName, PortType
from jackd_router.core.names import NaturalKey, natural_key
from jackd_router.core.selector_index import PortIndex, SelectorIndex
from jackd_router.core.selectors import Selectors, flow, match

Key = tuple[str, ...]
"""What the groups that `to` refers to caught, in the order of their names; empty where it refers to none."""


class Part(NamedTuple):
    """What can be paired with each other: ports of one rule (by its rank), one type and one key."""

    rank: int
    type: PortType
    key: Key


class Cell(NamedTuple):
    """The smallest unit of pairing: a part of a rule, one source client and one destination client."""

    part: Part
    source_client: str
    destination_client: str


@dataclass(slots=True)
class Member:
    """A port with the rules that it belongs to, and its keys in each."""

    port: Port
    seen: Port
    order: NaturalKey
    keys: dict[int, set[Key]] = field(default_factory=dict)

    def parts(self) -> Iterable[Part]:
        """Give the parts that the port belongs to."""
        kind = flow(self.port.type)
        return (Part(rank, kind, key) for rank, keys in self.keys.items() for key in keys)


Side = dict[Part, dict[str, list[PortName]]]
"""Of each part the ports of each client, in natural order: kept so, as every port that comes is paired anew."""


class Membership:
    """The ports by rule, and the rules by port."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.members: dict[PortName, Member] = {}
        self.sources: Side = {}
        self.destinations: Side = {}
        self._rules = rules
        self._matched = [0] * len(rules)
        self._groups = [tuple(sorted(frozenset[str]().union(*(s.needs for s in rule.destinations)))) for rule in rules]
        self._from: SelectorIndex[int] = SelectorIndex()
        self._to: SelectorIndex[tuple[int, Key]] = SelectorIndex()
        self._filled: dict[tuple[int, Key], Selectors] = {}
        self._key_users: dict[tuple[int, Key], int] = {}
        self._known_destinations = PortIndex()
        for rank, rule in enumerate(rules):
            self._from.add(rank, rule.sources)
            if not self._groups[rank]:
                self._filled[rank, ()] = rule.destinations
                self._to.add((rank, ()), rule.destinations)

    def add(self, port: Port, seen: Port) -> None:
        """Add a port that is not there; selectors look at it as `seen`."""
        member = self.members[port.name] = Member(port, seen, natural_key(port.name))
        if port.is_source:
            for rank in self._from.may_match(seen):
                groups = match(self._rules[rank].sources, seen)
                if groups is not None:
                    key = tuple(groups[group] for group in self._groups[rank])
                    self._use_key(rank, key)
                    self._join(member, rank, key)
        else:
            self._known_destinations.add(port.name, seen)
            for rank, key in self._to.may_match(seen):
                if match(self._filled[rank, key], seen) is not None:
                    self._join(member, rank, key)

    def remove(self, name: PortName) -> None:
        """Remove a port that is there."""
        member = self.members[name]
        used = [(rank, key) for rank, keys in member.keys.items() for key in keys]
        for rank, key in used:
            self._leave(member, rank, key)
        del self.members[name]
        if member.port.is_source:
            for rank, key in used:
                self._release_key(rank, key)
        else:
            self._known_destinations.remove(name, member.seen)

    def matched(self, rank: int) -> int:
        """Give how many ports belong to the rule."""
        return self._matched[rank]

    def cells_of_port(self, name: PortName) -> Iterable[Cell]:
        """Give the cells that the port takes part in; only rules that connect have any."""
        member = self.members[name]
        client = member.port.client
        for part in member.parts():
            if self._rules[part.rank].action is not Action.CONNECT:
                continue
            if member.port.is_source:
                yield from (Cell(part, client, other) for other in self.destinations.get(part, ()))
            else:
                yield from (Cell(part, other, client) for other in self.sources.get(part, ()))

    def cells_of_rule(self, rank: int) -> Iterable[Cell]:
        """Give all cells of a rule."""
        for part, clients in self.sources.items():
            if part.rank == rank:
                for destination_client in self.destinations.get(part, ()):
                    yield from (Cell(part, client, destination_client) for client in clients)

    def in_order(self, side: Side, part: Part, client: str) -> Sequence[PortName]:
        """Give the ports of one client in one part, in natural order."""
        return side.get(part, {}).get(client, ())

    def covers(self, rank: int, source: Member, destination: Member) -> bool:
        """Give whether the selectors of the rule cover the pair."""
        keys = source.keys.get(rank)
        return keys is not None and not keys.isdisjoint(destination.keys.get(rank, ()))

    def _use_key(self, rank: int, key: Key) -> None:
        """Note one more source with the key; with the first, the destinations that the key means join."""
        if not self._groups[rank]:
            return
        users = self._key_users[rank, key] = self._key_users.get((rank, key), 0) + 1
        if users > 1:
            return
        groups = dict(zip(self._groups[rank], key, strict=True))
        selectors = tuple(selector.filled(groups) for selector in self._rules[rank].destinations)
        self._filled[rank, key] = selectors
        self._to.add((rank, key), selectors)
        for name in self._known_destinations.may_match(selectors):
            if match(selectors, self.members[name].seen) is not None:
                self._join(self.members[name], rank, key)

    def _release_key(self, rank: int, key: Key) -> None:
        """Note one source less with the key; with the last, its destinations leave."""
        if not self._groups[rank]:
            return
        self._key_users[rank, key] -= 1
        if self._key_users[rank, key]:
            return
        del self._key_users[rank, key]
        self._to.remove((rank, key), self._filled.pop((rank, key)))
        parts = [part for part in (Part(rank, kind, key) for kind in PortType) if part in self.destinations]
        for name in [name for part in parts for names in self.destinations[part].values() for name in names]:
            self._leave(self.members[name], rank, key)

    def _join(self, member: Member, rank: int, key: Key) -> None:
        if rank not in member.keys:
            member.keys[rank] = set()
            self._matched[rank] += 1
        if key in member.keys[rank]:
            return
        member.keys[rank].add(key)
        side = self.sources if member.port.is_source else self.destinations
        part = Part(rank, flow(member.port.type), key)
        ports = side.setdefault(part, {}).setdefault(member.port.client, [])
        insort(ports, member.port.name, key=self._order)

    def _leave(self, member: Member, rank: int, key: Key) -> None:
        member.keys[rank].discard(key)
        if not member.keys[rank]:
            del member.keys[rank]
            self._matched[rank] -= 1
        side = self.sources if member.port.is_source else self.destinations
        part = Part(rank, flow(member.port.type), key)
        clients = side[part]
        ports = clients[member.port.client]
        del ports[bisect_left(ports, member.order, key=self._order)]
        if not ports:
            del clients[member.port.client]
        if not clients:
            del side[part]

    def _order(self, name: PortName) -> NaturalKey:
        return self.members[name].order
