"""Cells: what one rule chooses between each two clients, kept up to date cell by cell.

What comes or goes makes the parts of the rule stale that it belongs to; they are paired anew when somebody asks. Two matchers
may have the rule at the same time, during a reload that leaves it as it is: whoever asks first pairs for both.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from jackd_router.core.config import Rule
from jackd_router.core.deciding.chain import NO_CHAIN, Chain, Hop, chain_of, outside_of
from jackd_router.core.deciding.choices import Choice, most_wanted
from jackd_router.core.deciding.membership import Membership, Part, Place, Role
from jackd_router.core.deciding.pairing import Pairs, is_complete, pair
from jackd_router.core.graph import Connection, PortName, PortType, client_of


class Cell(NamedTuple):
    """The smallest unit of pairing: a part of a rule, a hop of its chain, one source client and one destination client."""

    part: Part
    source: Place
    destination: Place
    source_client: str
    destination_client: str


_WAYS = frozenset((Role.VIA_IN, Role.VIA_OUT))
_Chosen = dict[Connection, Choice]
_Sharers = dict[Cell, Choice]


class User(Protocol):
    """Who has the rule: it knows it by a rank."""

    def rule_is_stale(self, cells: RuleCells) -> None:
        """Note that the rule may choose something else."""

    def rule_is_settled(self, cells: RuleCells) -> None:
        """Note that what it chooses is known again."""

    def way_changed(self) -> None:
        """Note that sound may pass through other clients of `via`."""

    def followed_changed(self) -> None:
        """Note that whoever feeds what the rule follows may be somebody else to it."""

    def choose(self, rank: int, connection: Connection, choice: Choice) -> None:
        """Note that the rule chooses a pair, as this now."""

    def drop(self, rank: int, connection: Connection) -> None:
        """Note that the rule chooses a pair no longer."""

    def pair_partner(self, rank: int, connection: Connection, choice: Choice) -> None:
        """Note that the rule pairs a followed port with one that shall get whatever the followed one gets."""

    def drop_partner(self, rank: int, connection: Connection) -> None:
        """Note that it does so no longer."""


class RuleCells:
    """The cells of one connect rule, and the chains that say which there are."""

    def __init__(self, slot: int, rule: Rule, client_name: str, membership: Membership, *, counts: bool) -> None:
        """Take the rule, under its slot in the membership, our client's name, and whether the rule counts."""
        self.slot = slot
        self.rule = rule
        self.counts = counts
        """Whether the rule is switched on, and of the active profile; else, and while its `when` fails, nothing is paired."""
        self._client_name, self._membership = client_name, membership
        self._active = counts and membership.holds(slot)
        self._users: list[tuple[User, int]] = []
        self._chains: dict[Part, Chain] = {}
        self._cells: dict[Cell, _Chosen] = {}
        self._cells_of: dict[Part, dict[tuple[Place, str], set[Cell]]] = {}
        self._sharers: dict[Connection, _Sharers] = {}
        """Of a rule with `via`: which cells choose the pair, and as what."""
        self._stale: dict[Part, set[tuple[Place, str]]] = {}

    # ---- who has it

    def join(self, user: User, rank: int) -> None:
        """Tell somebody what the rule chooses, now and from now on."""
        self._users.append((user, rank))
        if self._stale:
            user.rule_is_stale(self)
        for cell, chosen in self._cells.items():
            is_followed = self._is_followed(cell)
            for connection, choice in chosen.items():
                if is_followed:
                    user.pair_partner(rank, connection, choice)
                else:
                    shared = self._sharers.get(connection)
                    user.choose(rank, connection, choice if shared is None else most_wanted(shared.values()))

    def leave(self, user: User) -> None:
        """Tell somebody nothing any more."""
        self._users = [each for each in self._users if each[0] is not user]

    # ---- what changes

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Note that a port of the client came to or left this place."""
        stale = {part}
        is_way = place.role in _WAYS
        if self.rule.complete or is_way or (self.rule.from_fallback and place.role is Role.SOURCE):
            # What is complete, who is a client of `via`, and which entry of `from_fallback` counts, is seen over all parts.
            stale.update(self._membership.parts(self.slot))
        self._make_stale(stale, (place, client))

    def set_counts(self, counts: bool) -> None:
        """Let the rule count, or not any longer."""
        self.counts = counts
        self.condition_changed()

    def condition_changed(self) -> None:
        """Note that `when` of the rule may hold now, or not any more."""
        active = self.counts and self._membership.holds(self.slot)
        if active is not self._active:
            self._active = active
            self._make_stale(self._membership.parts(self.slot))

    def _make_stale(self, parts: Iterable[Part], *touched: tuple[Place, str]) -> None:
        was_stale = bool(self._stale)
        for part in parts:
            self._stale.setdefault(part, set()).update(touched)
        if self._stale and not was_stale:
            for user, _ in self._users:
                user.rule_is_stale(self)

    def settle(self) -> None:
        """Pair anew what is stale."""
        stale, self._stale = self._stale, {}
        self._pair_anew(stale)
        for user, _ in self._users:
            user.rule_is_settled(self)

    # ---- what there is, as far as it is settled

    def chain(self, part: Part) -> Chain:
        """Give the chain of a part."""
        return self._chains.get(part, NO_CHAIN)

    def chain_if_active(self, part: Part) -> Chain:
        """Give the chain that a part has, or would have if the rule were active."""
        parts = self._membership.parts(self.slot)
        return chain_of(self.rule, part, parts, outside_of(self.rule, parts, self._client_name))

    def chosen_in(self, cell: Cell) -> Collection[Connection]:
        """Give what is chosen between two clients."""
        return self._cells.get(cell, {}).keys()

    def is_complete(self, cell: Cell) -> bool:
        """Tell whether every source of one client has its destination at the other, over all keys."""
        chain = self.chain(cell.part)
        for part in self._membership.parts(self.slot):
            sources = chain.ports(part, cell.source, cell.source_client)
            if part.type is cell.part.type and sources:
                destinations = chain.ports(part, cell.destination, cell.destination_client)
                if not is_complete(sources, destinations, self.rule.pair):
                    return False
        return True

    @property
    def chosen(self) -> frozenset[Connection]:
        """The pairs that are chosen to be connected, without those that are made by following."""
        cells = ((self._is_followed(cell), chosen) for cell, chosen in self._cells.items())
        return frozenset(
            pair for is_followed, chosen in cells if not is_followed for pair, choice in chosen.items() if not choice.is_bypassed
        )

    @property
    def has_pairs(self) -> bool:
        """Whether anything is paired, be it that nothing feeds what is followed."""
        return bool(self._cells)

    def via_passages(self) -> Iterator[tuple[PortName, PortName]]:
        """Give (input, output) of each client that sound is led through; of our buses the matrix tells more."""
        for part, chain in self._chains.items():
            if part.type is PortType.AUDIO:
                for number in {hop.destination.number for hop in chain.hops if hop.destination.role is Role.VIA_IN}:
                    for client in set(part.clients(Place(Role.VIA_IN, number))) - {self._client_name}:
                        outputs = part.ports(Place(Role.VIA_OUT, number), client)
                        yield from itertools.product(part.ports(Place(Role.VIA_IN, number), client), outputs)

    def is_outside(self, followed: PortName, source: PortName) -> bool:
        """Tell whether what feeds a followed port is a client of `via` itself."""
        spots = self._membership.members[followed].spots
        parts = (part for asker, part in spots.items() if asker.slot == self.slot and part is not None)
        return any({source, client_of(source)} & self.chain(part).outside for part in parts)

    # ---- pairing

    def _pair_anew(self, stale: dict[Part, set[tuple[Place, str]]]) -> None:
        """Pair some parts."""
        before: dict[Cell, _Chosen] = {}
        outside = outside_of(self.rule, self._membership.parts(self.slot), self._client_name)
        for part, touched in stale.items():
            for cell, chain in self._cells_to_pair(part, touched, outside).items():
                before[cell] = self._cells.get(cell, {})
                self._set_cell(cell, self._paired(cell, chain))
        # What moves from one cell to another is dropped here and chosen there: all drops come first.
        for cell, old in before.items():
            self._drop(cell, old.keys() - self._cells.get(cell, {}).keys())
        for cell in before:
            self._choose(cell)

    def _cells_to_pair(self, part: Part, touched: set[tuple[Place, str]], outside: frozenset[str]) -> dict[Cell, Chain]:
        """Give the cells that may be other ones than before: those that there were and those that there are now."""
        active = self._active and self._membership.is_there(part)
        chain = chain_of(self.rule, part, self._membership.parts(self.slot), outside) if active else NO_CHAIN
        if self._set_chain(part, chain):
            cells = self._all_cells_of(part)
            for hop in chain.hops:
                cells |= _cells(part, hop, chain.clients(part, hop.source), chain.clients(part, hop.destination))
        else:
            known = self._cells_of.get(part, {})
            cells = set().union(*(known.get(each, ()) for each in touched))
            for place, client in touched:
                for hop in chain.hops:
                    if place == hop.source:
                        cells |= _cells(part, hop, (client,), chain.clients(part, hop.destination))
                    elif place == hop.destination:
                        cells |= _cells(part, hop, chain.clients(part, hop.source), (client,))
        return dict.fromkeys(cells, chain)

    def _set_chain(self, part: Part, chain: Chain) -> bool:
        """Note the chain of a part; tell whether it is another one than before."""
        before = self._chains.pop(part, NO_CHAIN)
        if chain is not NO_CHAIN:
            self._chains[part] = chain
        for user, _ in self._users:
            if self.rule.via:
                user.way_changed()
            if self.rule.follows and chain != before:
                user.followed_changed()
        return chain != before

    def _all_cells_of(self, part: Part) -> set[Cell]:
        return set().union(*self._cells_of.get(part, {}).values())

    def _paired(self, cell: Cell, chain: Chain) -> _Chosen:
        """Give what is chosen between two clients."""
        part = cell.part
        hop = next((hop for hop in chain.hops if hop[:2] == (cell.source, cell.destination)), None)
        if hop is None:
            return {}
        pairs = self._pairs(part, chain, cell)
        if not pairs:
            return {}
        if not self.rule.complete:
            made, rest = Choice(False, hop.is_bypassed), Choice(True, hop.is_bypassed)
            return {pair: rest if is_rest else made for pair, is_rest in pairs.items()}
        if not self.is_complete(cell):
            return {}
        group = (self.slot, part.type, (cell.source, cell.destination), cell.source_client, cell.destination_client)
        return {pair: Choice(False, hop.is_bypassed, None if hop.is_bypassed else group) for pair in pairs}

    def _pairs(self, part: Part, chain: Chain, cell: Cell) -> Pairs:
        rule = self.rule
        sources = chain.ports(part, cell.source, cell.source_client)
        destinations = chain.ports(part, cell.destination, cell.destination_client)
        if cell.source_client == cell.destination_client and not (
            rule.same_client or self._is_followed(cell) or self.is_link(cell)
        ):
            sources, destinations = self._of_devices(part, sources), self._of_devices(part, destinations)
        return pair(sources, destinations, rule.pair) if sources and destinations else {}

    def _of_devices(self, part: Part, ports: Sequence[PortName]) -> Sequence[PortName]:
        """Give the ports of sound devices.

        JACK2 has all devices in one client, `system`: a microphone there and a loudspeaker are not one program that is
        connected to itself, and the feedback guard looks after them.
        """
        return [name for name in ports if part.type is PortType.AUDIO and self._membership.members[name].port.is_physical]

    def _set_cell(self, cell: Cell, chosen: _Chosen) -> None:
        ends = ((cell.source, cell.source_client), (cell.destination, cell.destination_client))
        if chosen:
            self._cells[cell] = chosen
            index = self._cells_of.setdefault(cell.part, {})
            for end in ends:
                index.setdefault(end, set()).add(cell)
        elif self._cells.pop(cell, None) is not None:
            index = self._cells_of[cell.part]
            for end in ends:
                index[end].discard(cell)
                if not index[end]:
                    del index[end]
            if not index:
                del self._cells_of[cell.part]

    def _is_followed(self, cell: Cell) -> bool:
        """Tell whether the sources of the cell are not connected themselves, but followed."""
        return self.rule.follows and cell.source.role is Role.SOURCE

    def is_link(self, cell: Cell) -> bool:
        """Tell whether the cell joins one of our buses to another that is a member of `via`: one client, and meant so."""
        return cell.source_client == self._client_name and (
            cell.source.role is Role.VIA_OUT or cell.destination.role is Role.VIA_IN
        )

    # ---- telling who has the rule

    def _drop(self, cell: Cell, pairs: Iterable[Connection]) -> None:
        is_followed = self._is_followed(cell)
        for connection in pairs:
            if is_followed:
                for user, rank in self._users:
                    user.drop_partner(rank, connection)
            elif self.rule.via:
                self._choose_shared(connection, cell, None)
            else:
                for user, rank in self._users:
                    user.drop(rank, connection)

    def _choose(self, cell: Cell) -> None:
        is_followed = self._is_followed(cell)
        for connection, choice in self._cells.get(cell, {}).items():
            if is_followed:
                for user, rank in self._users:
                    user.pair_partner(rank, connection, choice)
            elif self.rule.via:
                self._choose_shared(connection, cell, choice)
            else:
                for user, rank in self._users:
                    user.choose(rank, connection, choice)

    def _choose_shared(self, connection: Connection, cell: Cell, choice: Choice | None) -> None:
        """Note what a cell chooses; others may choose the pair too: a client of `via` is there for the sources of each key."""
        sharers = self._sharers.setdefault(connection, {})
        if choice is None:
            sharers.pop(cell, None)
        else:
            sharers[cell] = choice
        if not sharers:
            del self._sharers[connection]
        for user, rank in self._users:
            if sharers:
                user.choose(rank, connection, most_wanted(sharers.values()))
            else:
                user.drop(rank, connection)


def _cells(part: Part, hop: Hop, sources: Iterable[str], destinations: Iterable[str]) -> set[Cell]:
    destinations = tuple(destinations)
    return {Cell(part, hop.source, hop.destination, source, destination) for source in sources for destination in destinations}
