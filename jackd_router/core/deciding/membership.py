"""Membership: which rules each port belongs to, and in which place of the rule, kept up to date port by port.

Where a rule refers to groups of `from`, it falls apart into one part for each key, that is for each combination of what
those groups caught. Whoever keeps the pairs is told of each part in which something came or went (`Listener`).

Rules are enrolled and dismissed while the ports stay. Here a rule is known by its slot, a number that it gets with its
enrolment and that no other rule has ever had: its rank is the business of the matchers that have it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from operator import attrgetter
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

_PORTS_IN_A_ROW = 20
"""Ports that are compared with one selector without a pause: less than a millisecond."""


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
# Kept by themselves, as in other modules: Python 3.11 takes longer to find a member of an enumeration than to compare it.
_DESTINATION, _PRESENT, _CV = Role.DESTINATION, Role.PRESENT, PortType.CV


@dataclass(eq=False, slots=True)
class Part:
    """What can be paired with each other: ports of one rule (by its slot), one type and one key; by place and client."""

    slot: int
    type: PortType
    key: Key
    places: dict[Place, dict[str, list[PortName]]] = field(default_factory=dict)
    """The ports in natural order: kept so, as every port that comes is paired anew."""
    keys: frozenset[Key] = field(init=False)
    """The key alone: one set for all ports of the part, which have no other one as a rule."""

    def __post_init__(self) -> None:
        self.keys = frozenset((self.key,))

    def ports(self, place: Place, client: str) -> Sequence[PortName]:
        """Give the ports of one client in one place, in natural order."""
        return self.places.get(place, {}).get(client, ())

    def clients(self, place: Place) -> Iterable[str]:
        """Give the clients that have a port in this place."""
        return self.places.get(place, ())


@dataclass(eq=False, slots=True)
class Asker:
    """Selectors that ask for ports, for one place of a rule. `key` is None where what they catch makes the key."""

    slot: int
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
    keys: dict[int, frozenset[Key]] = field(default_factory=dict)
    between: dict[int, int] = field(default_factory=dict)
    """In how many places of `via` it is, by rule."""

    def is_of(self, slot: int) -> bool:
        """Tell whether it is in any place of a rule, conditions aside."""
        return slot in self.keys or slot in self.between


@dataclass(eq=False, slots=True)
class _Enrolment:
    """A rule that is enrolled: its groups that other selectors refer to, who asks for it, and what that found."""

    rule: Rule
    groups: tuple[str, ...]
    for_partners: Sequence[tuple[SelectorIndex[Asker], Place, Selectors]]
    """The selectors that ask for partners of the sources, before they are filled with a key."""
    own: list[tuple[SelectorIndex[Asker], Asker]] = field(default_factory=list)
    """Who asks for it as long as it is enrolled."""
    partners: dict[Key, list[tuple[SelectorIndex[Asker], Asker]]] = field(default_factory=dict)
    """... and as long as there is a source with this key."""
    key_users: dict[Key, int] = field(default_factory=dict)
    parts: dict[tuple[PortType, Key], Part] = field(default_factory=dict)
    conditions: dict[Place, int] = field(default_factory=dict)
    """How many ports each entry of `when` matches."""
    matched: int = 0


class Listener(Protocol):
    """Who keeps the pairs."""

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Note that ports of the client came to this place, or that one left it."""

    def condition_changed(self, slot: int) -> None:
        """Note that an entry of the rule's `when` has its first match, or none any more."""

    def port_moved(self, name: PortName) -> None:
        """Note that a port has another position than before, and perhaps belongs to other rules."""


class _Nobody:
    """The listener of a membership that is out of use."""

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Nobody is told."""

    def condition_changed(self, slot: int) -> None:
        """Nobody is told."""

    def port_moved(self, name: PortName) -> None:
        """Nobody is told."""


class Membership:
    """The ports by rule, and the rules by port."""

    def __init__(self, listener: Listener) -> None:
        self.members: dict[PortName, Member] = {}
        self._listener: Listener = listener
        self._enrolled: dict[int, _Enrolment] = {}
        self._last_slot = 0
        self._outputs: SelectorIndex[Asker] = SelectorIndex()
        self._inputs: SelectorIndex[Asker] = SelectorIndex()
        self._known_inputs, self._known_outputs = PortIndex(), PortIndex()
        self._indices = (self._outputs, self._inputs, self._known_inputs, self._known_outputs)
        self._positions = Positions()

    # ---- rules

    def enrol(self, rule: Rule) -> int:
        """Take a rule in and give its slot; it has no ports before `ask_in_steps`."""
        self._last_slot += 1
        self._enrolled[self._last_slot] = _Enrolment(rule, _groups_used(rule), self._for_partners(rule))
        return self._last_slot

    def ask_in_steps(self, slot: int) -> Generator[None, None, None]:
        """Let the ports that are there join a new rule, and those that come from now on, with pauses.

        Ports may come and go meanwhile: who came is asked by then, and who went is passed over.
        """
        enrolment = self._enrolled[slot]
        rule = enrolment.rule
        index = self._inputs if rule.follows else self._outputs
        for level, selectors in enumerate((rule.sources, *rule.from_fallback)):
            yield from self._begin_and_ask(enrolment.own, index, Asker(slot, Place(Role.SOURCE, level), selectors, None))
        for role, entries in ((Role.PRESENT, rule.when.present), (Role.ABSENT, rule.when.absent)):
            for number, selectors in enumerate(entries):
                for each in (self._inputs, self._outputs):
                    yield from self._begin_and_ask(enrolment.own, each, Asker(slot, Place(role, number), selectors, NO_KEY))
        if not enrolment.groups:
            askers = enrolment.partners[NO_KEY] = []
            for each, place, selectors in enrolment.for_partners:
                yield from self._begin_and_ask(askers, each, Asker(slot, place, selectors, NO_KEY))

    def dismiss(self, slot: int) -> None:
        """Forget a rule. Nobody is told: nobody has it any more."""
        enrolment = self._enrolled.pop(slot)
        by_key: dict[Key | None, list[Part]] = {None: list(enrolment.parts.values())}
        for part in enrolment.parts.values():
            by_key.setdefault(part.key, []).append(part)
        for index, asker in (*enrolment.own, *(each for askers in enrolment.partners.values() for each in askers)):
            self._end(index, asker)
            if asker.place.role >= _PRESENT:
                for name in self._known(index).may_match(asker.selectors):
                    self.members[name].spots.pop(asker, None)
                continue
            places = (part.places.get(asker.place, {}) for part in by_key.get(asker.key, ()))
            for name in (name for clients in places for names in clients.values() for name in names):
                member = self.members[name]
                member.spots.pop(asker, None)
                member.keys.pop(slot, None)
                member.between.pop(slot, None)

    @property
    def is_tidy(self) -> bool:
        """Whether nothing is left for `tidy_in_steps`."""
        return all(index.is_tidy for index in self._indices)

    def tidy_in_steps(self) -> Generator[None, None, None]:
        """Sort rules and ports for those that come next, who else would have to wait for it; with pauses."""
        for index in self._indices:
            while not index.is_tidy:
                index.tidy_some()
                yield

    def parts(self, slot: int) -> Collection[Part]:
        """Give the parts of a rule."""
        return self._enrolled[slot].parts.values()

    def is_there(self, part: Part) -> bool:
        """Tell whether the part has any port: one that has none is forgotten."""
        return self._enrolled[part.slot].parts.get((part.type, part.key)) is part

    # ---- ports

    def add(self, port: Port, seen: Port) -> None:
        """Add a port that is not there; selectors look at it as `seen`."""
        member = self.members[port.name] = Member(port, seen, _order_in(port), port.client, flow(port.type))
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

    def matched(self, slot: int) -> int:
        """Give how many ports belong to the rule."""
        return self._enrolled[slot].matched

    def holds(self, slot: int) -> bool:
        """Tell whether the `when` of the rule holds."""
        return not any(True for _ in self.unmet_conditions(slot))

    def unmet_conditions(self, slot: int) -> Iterable[Place]:
        """Give the entries of `when` that keep it from holding."""
        enrolment = self._enrolled[slot]
        when = enrolment.rule.when
        for role, count in ((Role.PRESENT, len(when.present)), (Role.ABSENT, len(when.absent))):
            for index in range(count):
                if bool(enrolment.conditions.get(Place(role, index))) is (role is Role.ABSENT):
                    yield Place(role, index)

    def covers(self, slot: int, source: Member, destination: Member) -> bool:
        """Tell whether the selectors of the rule cover the pair."""
        keys = source.keys.get(slot)
        return keys is not None and not keys.isdisjoint(destination.keys.get(slot, ()))

    # ---- who asks for which ports

    def _for_partners(self, rule: Rule) -> Sequence[tuple[SelectorIndex[Asker], Place, Selectors]]:
        """Give which selectors ask for the partners of the rule's sources, and for which places."""
        ends = [
            (self._inputs, Place(Role.DESTINATION, level), selectors)
            for level, selectors in enumerate((rule.destinations, *rule.fallback))
        ]
        for number, selectors in enumerate(rule.via):
            ends.append((self._inputs, Place(Role.VIA_IN, number), selectors))
            ends.append((self._outputs, Place(Role.VIA_OUT, number), selectors))
        return ends

    def _ask_for_partners(self, slot: int, key: Key) -> None:
        """Let the rule's other selectors ask, filled with what the key says."""
        enrolment = self._enrolled[slot]
        groups = dict(zip(enrolment.groups, key, strict=True))
        askers = enrolment.partners[key] = []
        for index, place, selectors in enrolment.for_partners:
            asker = Asker(slot, place, tuple(selector.filled(groups) for selector in selectors), key)
            self._ask(asker, self._begin(askers, index, asker))

    def _begin_and_ask(
        self, askers: list[tuple[SelectorIndex[Asker], Asker]], index: SelectorIndex[Asker], asker: Asker
    ) -> Generator[None, None, None]:
        """Let selectors ask from now on, first of all the ports that are there, with pauses."""
        there = self._begin(askers, index, asker)
        self._ask(asker, there[:_PORTS_IN_A_ROW])
        for begin in range(_PORTS_IN_A_ROW, len(there), _PORTS_IN_A_ROW):
            yield
            row = there[begin : begin + _PORTS_IN_A_ROW]
            self._ask(asker, [each for each in row if asker not in each.spots and self.members.get(each.port.name) is each])

    def _begin(self, askers: list[tuple[SelectorIndex[Asker], Asker]], index: SelectorIndex[Asker], asker: Asker) -> list[Member]:
        """Let selectors ask every port that comes from now on; give those that are there, and are still to be asked."""
        askers.append((index, asker))
        index.add(asker, asker.selectors)
        for selector in asker.selectors:
            if isinstance(selector, PortSelector) and selector.nth is not None:
                counted = chain(self._known_outputs.may_match((selector,)), self._known_inputs.may_match((selector,)))
                self._positions.begin(selector, map(self.members.__getitem__, counted))
        # In order, so that each is put behind the one before.
        return sorted(map(self.members.__getitem__, self._known(index).may_match(asker.selectors)), key=_order_of)

    def _end(self, index: SelectorIndex[Asker], asker: Asker) -> None:
        index.remove(asker, asker.selectors)
        for selector in asker.selectors:
            if isinstance(selector, PortSelector) and selector.nth is not None:
                self._positions.end(selector)

    def _end_partners(self, slot: int, key: Key) -> None:
        enrolment = self._enrolled[slot]
        for index, asker in enrolment.partners.pop(key):
            self._end(index, asker)
            there = [
                name
                for part in enrolment.parts.values()
                if part.key == key
                for names in part.places.get(asker.place, {}).values()
                for name in names
            ]
            for name in there:
                self._leave(self.members[name], asker)

    def _known(self, index: SelectorIndex[Asker]) -> PortIndex:
        """Give the ports that the selectors of an index are compared with."""
        return self._known_outputs if index is self._outputs else self._known_inputs

    # ---- asking

    def _join_all(self, member: Member, parts: Collection[str]) -> None:
        for asker in (self._outputs if member.port.is_source else self._inputs).may_match(member.seen, parts):
            self._ask(asker, (member,))

    def _ask(self, asker: Asker, members: Iterable[Member]) -> None:
        """Let ports join where the selectors match them; the listener is told once of all that are of one client and key."""
        rows: dict[tuple[PortType, str, Key], list[Member]] = {}
        used = self._enrolled[asker.slot].groups if asker.key is None else ()
        for member in members:
            groups = self._match(asker, member)
            if groups is not None:
                caught = tuple(map(groups.__getitem__, used)) if used else asker.key or NO_KEY
                rows.setdefault((member.kind, member.client, caught), []).append(member)
        for (_, client, key), row in rows.items():
            if used:
                self._use_key(asker.slot, key, len(row))
            part = self._join(row, asker, key)
            if part is not None:
                self._listener.part_changed(part, asker.place, client)

    def _match(self, asker: Asker, member: Member) -> Groups | None:
        selectors, seen = asker.selectors, member.seen
        # Only what a rule connects must be named as CV: to `when` a port is there, whatever it carries.
        if seen.type is _CV and asker.place.role < _PRESENT and self._enrolled[asker.slot].rule.action is Action.CONNECT:
            selectors = tuple(s for s in selectors if isinstance(s, PortSelector) and s.type is _CV)
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

    def _use_key(self, slot: int, key: Key, more: int) -> None:
        """Note more sources with the key; with the first, its partners are asked for."""
        key_users = self._enrolled[slot].key_users
        users = key_users.get(key, 0)
        key_users[key] = users + more
        if not users:
            self._ask_for_partners(slot, key)

    def _release_key(self, slot: int, key: Key) -> None:
        """Note one source less with the key; with the last, its partners leave."""
        enrolment = self._enrolled[slot]
        if not enrolment.groups:
            return
        enrolment.key_users[key] -= 1
        if not enrolment.key_users[key]:
            del enrolment.key_users[key]
            self._end_partners(slot, key)

    # ---- joining and leaving

    def _join(self, members: Sequence[Member], asker: Asker, key: Key) -> Part | None:
        """Let ports of one client and type, in natural order, join; give the part, or None where it is a condition."""
        slot, place = asker.slot, asker.place
        if place.role >= _PRESENT:
            for member in members:
                member.spots[asker] = None
            self._count_condition(slot, place, len(members))
            return None
        enrolment, what = self._enrolled[slot], (members[0].kind, key)
        part = enrolment.parts.get(what)
        if part is None:
            part = enrolment.parts[what] = Part(slot, *what)
        is_end = place.role <= _DESTINATION
        for member in members:
            if not member.is_of(slot):
                enrolment.matched += 1
            member.spots[asker] = part
            if is_end:
                keys = member.keys.get(slot)
                member.keys[slot] = part.keys if keys is None else keys | part.keys
            else:
                member.between[slot] = member.between.get(slot, 0) + 1
        self._line_up(part.places.setdefault(place, {}), members)
        return part

    def _line_up(self, clients: dict[str, list[PortName]], members: Sequence[Member]) -> None:
        """Put ports of one client, in natural order, among those that are in a place."""
        client, names = members[0].client, [member.port.name for member in members]
        ports = clients.get(client)
        if ports is None:
            clients[client] = names
        elif self._order(ports[-1]) < members[0].order:
            ports += names  # most come in order
        else:
            for name in names:
                insort(ports, name, key=self._order)

    def _leave_all(self, member: Member) -> None:
        for asker in list(member.spots):
            self._leave(member, asker)

    def _leave(self, member: Member, asker: Asker) -> None:
        """Take a port out of one place of a rule, if it is there."""
        if asker not in member.spots:
            return
        slot, place, part = asker.slot, asker.place, member.spots.pop(asker)
        if part is None:
            self._count_condition(slot, place, -1)
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
            del self._enrolled[slot].parts[part.type, part.key]
        self._forget_slot(member, slot, place)
        self._listener.part_changed(part, place, client)
        if asker.key is None:
            self._release_key(slot, part.key)

    def _forget_slot(self, member: Member, slot: int, place: Place) -> None:
        """Note that the port left one place of a rule: perhaps the last one with that key, or of the rule."""
        if place.role <= _DESTINATION:
            ends = (each for each in member.spots.items() if each[0].slot == slot and each[0].place.role <= _DESTINATION)
            keys = frozenset(part.key for _, part in ends if part is not None)
            if keys:
                member.keys[slot] = keys
            else:
                member.keys.pop(slot, None)
        else:
            member.between[slot] -= 1
            if not member.between[slot]:
                del member.between[slot]
        if not member.is_of(slot):
            self._enrolled[slot].matched -= 1

    def _count_condition(self, slot: int, place: Place, step: int) -> None:
        conditions = self._enrolled[slot].conditions
        count = conditions[place] = conditions.get(place, 0) + step
        if count == max(step, 0):  # the first ones, or none any more
            self._listener.condition_changed(slot)

    def _order(self, name: PortName) -> NaturalKey:
        return self.members[name].order


_order_of = attrgetter("order")


def _order_in(port: Port) -> NaturalKey:
    """Give the key that puts ports in order: channels of a device in that of the device, where it is known. No two have the same.

    While a device is made anew, a port of it may have the system name that is still the name of an old one.
    """
    return natural_key(port.name) if port.system_name is None else (*natural_key(port.system_name), port.name)


def _groups_used(rule: Rule) -> tuple[str, ...]:
    """Give the groups of `from` that the rule's other selectors refer to."""
    entries = (rule.destinations, *rule.fallback, *rule.via)
    return tuple(sorted({group for entry in entries for selector in entry for group in selector.needs}))
