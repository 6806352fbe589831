"""Membership: which rules each port belongs to, and in which place of the rule, kept up to date port by port.

Where a rule refers to groups of `from`, it falls apart into one part for each key, that is for each combination of what
those groups caught. Whoever keeps the pairs is told of each part in which something came or went (`Listener`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

from jackd_router.core.config import Action, Rule
from jackd_router.core.graph import Port, PortName, PortType
from jackd_router.core.names import NaturalKey, natural_key
from jackd_router.core.selecting.clues import parts_of
from jackd_router.core.selecting.patterns import Groups
from jackd_router.core.selecting.positions import Positions
from jackd_router.core.selecting.selector_index import PortIndex, SelectorIndex
from jackd_router.core.selecting.selectors import PortSelector, Selectors, flow, match

Key = tuple[str, ...]
"""What the groups that a rule refers to caught, in the order of their names; empty where it refers to none."""
NO_KEY: Key = ()


class Role(IntEnum):
    """What ports can be to a rule."""

    __hash__ = int.__hash__  # Enum's own is written in Python

    SOURCE = 0  # of `from` (or `follow`), then of each entry of `from_fallback`
    DESTINATION = 1  # of `to`, then of each entry of `fallback`
    VIA_IN = 2  # inputs of each member of `via`
    VIA_OUT = 3  # ... and its outputs
    PRESENT = 4  # of each entry of `when.present`
    ABSENT = 5  # ... and of `when.absent`


class Place(NamedTuple):
    """One role, and the number of the entry that gives it."""

    role: Role
    number: int = 0


FROM, TO = Place(Role.SOURCE), Place(Role.DESTINATION)


@dataclass(eq=False, slots=True)
class Part:
    """What can be paired with each other: ports of one rule (by its rank), one type and one key; by place and client."""

    rank: int
    type: PortType
    key: Key
    places: dict[Place, dict[str, list[PortName]]] = field(default_factory=dict)
    """The ports in natural order: kept so, as every port that comes is paired anew."""

    def ports(self, place: Place, client: str) -> Sequence[PortName]:
        """Give the ports of one client in one place, in natural order."""
        return self.places.get(place, {}).get(client, ())

    def clients(self, place: Place) -> Iterable[str]:
        """Give the clients that have a port in this place."""
        return self.places.get(place, ())


@dataclass(eq=False, slots=True)
class Asker:
    """Selectors that ask for ports, for one place of a rule. `key` is None where what they catch makes the key."""

    rank: int
    place: Place
    selectors: Selectors
    key: Key | None


@dataclass(slots=True)
class Member:
    """A port with the rules that it belongs to: where, and its keys as a source or destination of each."""

    port: Port
    seen: Port
    order: NaturalKey
    client: str
    kind: PortType
    spots: dict[Asker, Part | None] = field(default_factory=dict)
    """Where it joined; conditions have no part."""
    ranks: dict[int, int] = field(default_factory=dict)
    """In how many places of each rule it is."""
    keys: dict[int, set[Key]] = field(default_factory=dict)


class Listener(Protocol):
    """Who keeps the pairs."""

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Note that a port of the client came to or left this place."""

    def condition_changed(self, rank: int) -> None:
        """Note that an entry of the rule's `when` has its first match, or none any more."""

    def port_moved(self, name: PortName) -> None:
        """Note that a port has another position than before, and perhaps belongs to other rules."""


class _Nobody:
    """The listener of a membership that is out of use."""

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Nobody is told."""

    def condition_changed(self, rank: int) -> None:
        """Nobody is told."""

    def port_moved(self, name: PortName) -> None:
        """Nobody is told."""


class Membership:
    """The ports by rule, and the rules by port."""

    def __init__(self, rules: Sequence[Rule], listener: Listener) -> None:
        self.members: dict[PortName, Member] = {}
        self.parts: list[dict[tuple[PortType, Key], Part]] = [{} for _ in rules]
        self._rules = rules
        self._listener: Listener = listener
        self._matched = [0] * len(rules)
        self._conditions: dict[tuple[int, Place], int] = {}
        self._groups = [_groups_used(rule) for rule in rules]
        self._outputs: SelectorIndex[Asker] = SelectorIndex()
        self._inputs: SelectorIndex[Asker] = SelectorIndex()
        self._askers: dict[tuple[int, Key], list[Asker]] = {}
        self._key_users: dict[tuple[int, Key], int] = {}
        self._known_inputs, self._known_outputs = PortIndex(), PortIndex()
        self._positions = Positions()
        for rank, rule in enumerate(rules):
            self._ask_for_sources(rank, rule)
            if not self._groups[rank]:
                self._ask_for_partners(rank, NO_KEY)

    # ---- ports

    def add(self, port: Port, seen: Port) -> None:
        """Add a port that is not there; selectors look at it as `seen`."""
        member = self.members[port.name] = Member(port, seen, natural_key(port.name), port.client, flow(port.type))
        parts = parts_of(seen)
        (self._known_outputs if port.is_source else self._known_inputs).add(port.name, parts)
        moved = self._positions.add(port.name, seen, member.order)
        self._join_all(member, parts)
        self._ask_anew(moved)

    def remove(self, name: PortName) -> None:
        """Remove a port that is there."""
        member = self.members[name]
        self._leave_all(member)
        del self.members[name]
        (self._known_outputs if member.port.is_source else self._known_inputs).remove(name, parts_of(member.seen))
        self._ask_anew(self._positions.remove(name, member.seen, member.order))

    def forget_listener(self) -> None:
        """Tell nobody any more, who then can go without waiting for the garbage collector."""
        self._listener = _Nobody()

    def matched(self, rank: int) -> int:
        """Give how many ports belong to the rule."""
        return self._matched[rank]

    def holds(self, rank: int) -> bool:
        """Tell whether the `when` of the rule holds."""
        when = self._rules[rank].when
        present = (Place(Role.PRESENT, index) for index in range(len(when.present)))
        absent = (Place(Role.ABSENT, index) for index in range(len(when.absent)))
        return all(self._conditions.get((rank, place)) for place in present) and not any(
            self._conditions.get((rank, place)) for place in absent
        )

    def unmet_conditions(self, rank: int) -> Iterable[Place]:
        """Give the entries of `when` that keep it from holding."""
        when = self._rules[rank].when
        for role, count in ((Role.PRESENT, len(when.present)), (Role.ABSENT, len(when.absent))):
            for index in range(count):
                if bool(self._conditions.get((rank, Place(role, index)))) is (role is Role.ABSENT):
                    yield Place(role, index)

    def covers(self, rank: int, source: Member, destination: Member) -> bool:
        """Tell whether the selectors of the rule cover the pair."""
        keys = source.keys.get(rank)
        return keys is not None and not keys.isdisjoint(destination.keys.get(rank, ()))

    # ---- who asks for which ports

    def _ask_for_sources(self, rank: int, rule: Rule) -> None:
        index = self._inputs if rule.follows else self._outputs
        for level, selectors in enumerate((rule.sources, *rule.from_fallback)):
            self._begin(index, Asker(rank, Place(Role.SOURCE, level), selectors, None))
        for role, entries in ((Role.PRESENT, rule.when.present), (Role.ABSENT, rule.when.absent)):
            for number, selectors in enumerate(entries):
                for each in (self._inputs, self._outputs):
                    self._begin(each, Asker(rank, Place(role, number), selectors, NO_KEY))

    def _ask_for_partners(self, rank: int, key: Key) -> None:
        """Let the rule's other selectors ask, filled with what the key says."""
        rule, groups = self._rules[rank], dict(zip(self._groups[rank], key, strict=True))
        wanted: list[tuple[SelectorIndex[Asker], Place, Selectors]] = [
            (self._inputs, Place(Role.DESTINATION, level), selectors)
            for level, selectors in enumerate((rule.destinations, *rule.fallback))
        ]
        for number, selectors in enumerate(rule.via):
            wanted.append((self._inputs, Place(Role.VIA_IN, number), selectors))
            wanted.append((self._outputs, Place(Role.VIA_OUT, number), selectors))
        askers = self._askers[rank, key] = []
        for index, place, selectors in wanted:
            filled = tuple(selector.filled(groups) for selector in selectors) if groups else selectors
            asker = Asker(rank, place, filled, key)
            askers.append(asker)
            self._begin(index, asker)
            known = self._known_outputs if index is self._outputs else self._known_inputs
            for name in known.may_match(filled) if self.members else ():
                self._ask(asker, self.members[name])

    def _begin(self, index: SelectorIndex[Asker], asker: Asker) -> None:
        index.add(asker, asker.selectors)
        for selector in asker.selectors:
            if isinstance(selector, PortSelector) and selector.nth is not None:
                self._positions.begin(selector, self.members.values())

    def _end_partners(self, rank: int, key: Key) -> None:
        for asker in self._askers.pop((rank, key)):
            outputs = asker.place.role is Role.VIA_OUT
            (self._outputs if outputs else self._inputs).remove(asker, asker.selectors)
            for selector in asker.selectors:
                if isinstance(selector, PortSelector) and selector.nth is not None:
                    self._positions.end(selector)
            there = [
                name
                for part in self._parts_of(rank, key)
                for names in part.places.get(asker.place, {}).values()
                for name in names
            ]
            for name in there:
                self._leave(self.members[name], asker)

    def _parts_of(self, rank: int, key: Key) -> list[Part]:
        return [part for (_, other), part in self.parts[rank].items() if other == key]

    # ---- asking

    def _join_all(self, member: Member, parts: Collection[str]) -> None:
        for asker in (self._outputs if member.port.is_source else self._inputs).may_match(member.seen, parts):
            self._ask(asker, member)

    def _ask(self, asker: Asker, member: Member) -> None:
        """Let a port join where the selectors match it."""
        groups = self._match(asker, member)
        if groups is None:
            return
        key = asker.key
        if key is None:
            key = NO_KEY
            if self._groups[asker.rank]:
                key = tuple(groups[group] for group in self._groups[asker.rank])
                self._use_key(asker.rank, key)
        self._join(member, asker, key)

    def _match(self, asker: Asker, member: Member) -> Groups | None:
        selectors, seen = asker.selectors, member.seen
        if seen.type is PortType.CV and self._rules[asker.rank].action is Action.CONNECT:
            selectors = tuple(s for s in selectors if isinstance(s, PortSelector) and s.type is PortType.CV)
        if not self._positions:
            return match(selectors, seen)
        return match(selectors, seen, lambda selector: self._positions.counts(selector, member.port.name, seen, member.order))

    def _ask_anew(self, names: Iterable[PortName]) -> None:
        """Match ports again that are other ones to selectors than before."""
        for name in names:
            member = self.members[name]
            self._listener.port_moved(name)
            self._leave_all(member)
            self._join_all(member, parts_of(member.seen))

    def _use_key(self, rank: int, key: Key) -> None:
        """Note one more source with the key; with the first, its partners are asked for."""
        users = self._key_users[rank, key] = self._key_users.get((rank, key), 0) + 1
        if users == 1:
            self._ask_for_partners(rank, key)

    def _release_key(self, rank: int, key: Key) -> None:
        """Note one source less with the key; with the last, its partners leave."""
        if not self._groups[rank]:
            return
        self._key_users[rank, key] -= 1
        if not self._key_users[rank, key]:
            del self._key_users[rank, key]
            self._end_partners(rank, key)

    # ---- joining and leaving

    def _join(self, member: Member, asker: Asker, key: Key) -> None:
        rank, place = asker.rank, asker.place
        if place.role >= Role.PRESENT:
            member.spots[asker] = None
            self._count_condition(rank, place, 1)
            return
        parts, what = self.parts[rank], (member.kind, key)
        part = parts.get(what)
        if part is None:
            part = parts[what] = Part(rank, *what)
        member.spots[asker] = part
        places = member.ranks.get(rank, 0)
        member.ranks[rank] = places + 1
        if not places:
            self._matched[rank] += 1
        if place.role <= Role.DESTINATION:
            member.keys.setdefault(rank, set()).add(key)
        client = member.client
        clients = part.places.get(place)
        if clients is None:
            clients = part.places[place] = {}
        ports = clients.get(client)
        if ports is None:
            clients[client] = [member.port.name]
        elif self._order(ports[-1]) < member.order:
            ports.append(member.port.name)  # most come in order
        else:
            insort(ports, member.port.name, key=self._order)
        self._listener.part_changed(part, place, client)

    def _leave_all(self, member: Member) -> None:
        for asker in list(member.spots):
            self._leave(member, asker)

    def _leave(self, member: Member, asker: Asker) -> None:
        """Take a port out of one place of a rule, if it is there."""
        if asker not in member.spots:
            return
        rank, place, part = asker.rank, asker.place, member.spots.pop(asker)
        if part is None:
            self._count_condition(rank, place, -1)
            return
        clients = part.places[place]
        client = member.client
        ports = clients[client]
        del ports[bisect_left(ports, member.order, key=self._order)]
        if not ports:
            del clients[client]
        if not clients:
            del part.places[place]
        if not part.places:
            del self.parts[rank][part.type, part.key]
        self._forget_rank(member, rank, place)
        self._listener.part_changed(part, place, client)
        if asker.key is None:
            self._release_key(rank, part.key)

    def _forget_rank(self, member: Member, rank: int, place: Place) -> None:
        """Note that the port left one place of a rule: perhaps the last one with that key, or of the rule."""
        member.ranks[rank] -= 1
        if not member.ranks[rank]:
            del member.ranks[rank]
            self._matched[rank] -= 1
        if place.role <= Role.DESTINATION:
            ends = (each for each in member.spots.items() if each[0].rank == rank and each[0].place.role <= Role.DESTINATION)
            keys = {part.key for _, part in ends if part is not None}
            if keys:
                member.keys[rank] = keys
            else:
                member.keys.pop(rank, None)

    def _count_condition(self, rank: int, place: Place, step: int) -> None:
        count = self._conditions[rank, place] = self._conditions.get((rank, place), 0) + step
        if count == max(step, 0):  # the first, or none any more
            self._listener.condition_changed(rank)

    def _order(self, name: PortName) -> NaturalKey:
        return self.members[name].order


def _groups_used(rule: Rule) -> tuple[str, ...]:
    """Give the groups of `from` that the rule's other selectors refer to."""
    entries = (rule.destinations, *rule.fallback, *rule.via)
    return tuple(sorted(frozenset[str]().union(*(selector.needs for entry in entries for selector in entry))))
