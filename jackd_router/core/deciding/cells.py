"""Cells: what each rule chooses between each two clients, kept up to date cell by cell.

What comes or goes makes the parts of rules stale that it belongs to; they are paired anew when somebody asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

from jackd_router.core.config import Rule
from jackd_router.core.deciding.chain import NO_CHAIN, Chain, Hop, chain_of, outside_of
from jackd_router.core.deciding.choices import Choice, Choices, most_wanted
from jackd_router.core.deciding.follow import Follows, Partner
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


_Chosen = dict[Connection, Choice]
_Sharers = dict[Cell, Choice]


class Cells:
    """The cells of all connect rules, and the chains that say which there are."""

    membership: Membership
    """Set before anything changes: it tells of what does."""

    def __init__(self, rules: Sequence[Rule], client_name: str, choices: Choices, active: Sequence[bool]) -> None:
        """Take the rules by rank, our client's name, where choices are noted, and which rules count (it may change)."""
        self._rules, self._client_name, self._choices, self._active = rules, client_name, choices, active
        following = {rank: rule for rank, rule in enumerate(rules) if rule.follows}
        self.follows = Follows(following, choices)
        self._chains: dict[Part, Chain] = {}
        self._cells: dict[Cell, _Chosen] = {}
        self._cells_of: dict[Part, dict[tuple[Place, str], set[Cell]]] = {}
        self._sharers: dict[tuple[Connection, int], _Sharers] = {}
        """Of rules with `via`: which cells choose the pair, and as what."""
        self._stale: dict[Part, set[tuple[Place, str]]] = {}
        self.via_version = 0
        """Grows whenever `via_passages` may give something else."""

    # ---- what changes

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Note that a port of the client came to or left this place of a connect rule."""
        rule = self._rules[part.rank]
        self._stale.setdefault(part, set()).add((place, client))
        is_way = place.role in (Role.VIA_IN, Role.VIA_OUT)
        if rule.complete or is_way or (rule.from_fallback and place.role is Role.SOURCE):
            # What is complete, who is a client of `via`, and which entry of `from_fallback` counts, is seen over all parts.
            for other in self.membership.parts[part.rank].values():
                self._stale.setdefault(other, set()).add((place, client))

    def rule_changed(self, rank: int) -> None:
        """Note that a connect rule counts now, or no longer."""
        for part in self.membership.parts[rank].values():
            self._stale.setdefault(part, set())

    @property
    def is_stale(self) -> bool:
        """Whether there is something to pair anew."""
        return bool(self._stale) or self.follows.is_stale

    def settle_in_steps(self, connections_of: Callable[[PortName], Iterable[Connection]]) -> Generator[None, None, None]:
        """Pair anew what is stale, and pause after each rule: thousands of ports that come at once take their time."""
        while self._stale:
            stale: dict[int, list[Part]] = {}
            for part in self._stale:
                stale.setdefault(part.rank, []).append(part)
            for rank, parts in stale.items():
                self._pair_anew(rank, [(part, self._stale.pop(part)) for part in parts if part in self._stale])
                yield
        self.follows.settle(connections_of, self._is_outside)

    # ---- what there is, as far as it is settled

    def chain(self, part: Part) -> Chain:
        """Give the chain of a part of a rule."""
        return self._chains.get(part, NO_CHAIN)

    def chosen_by(self, rank: int) -> frozenset[Connection]:
        """Give the pairs that a rule chooses to connect, whoever decides them."""
        cells = (cell for part in self.membership.parts[rank].values() for cell in self._all_cells_of(part))
        chosen = (self._cells[cell].items() for cell in cells if not self._is_followed(cell))
        paired = frozenset(pair for pairs in chosen for pair, choice in pairs if not choice.is_bypassed)
        return paired | self.follows.chosen_by(rank)

    def has_pairs(self, rank: int) -> bool:
        """Tell whether a rule pairs anything, be it that nothing feeds what it follows."""
        return any(self._cells_of.get(part) for part in self.membership.parts[rank].values())

    def via_passages(self) -> Iterator[tuple[PortName, PortName]]:
        """Give (input, output) of each client that an active rule leads sound through; of our buses the matrix tells more."""
        for part, chain in self._chains.items():
            if part.type is PortType.AUDIO:
                for number in {hop.destination.number for hop in chain.hops if hop.destination.role is Role.VIA_IN}:
                    for client in set(part.clients(Place(Role.VIA_IN, number))) - {self._client_name}:
                        outputs = part.ports(Place(Role.VIA_OUT, number), client)
                        yield from itertools.product(part.ports(Place(Role.VIA_IN, number), client), outputs)

    # ---- pairing

    def _pair_anew(self, rank: int, stale: list[tuple[Part, set[tuple[Place, str]]]]) -> None:
        """Pair parts of one rule."""
        before: dict[Cell, _Chosen] = {}
        outside = outside_of(self._rules[rank], self.membership.parts[rank].values(), self._client_name)
        for part, touched in stale:
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
        rule = self._rules[part.rank]
        parts = self.membership.parts[part.rank]
        is_there = parts.get((part.type, part.key)) is part
        active = is_there and self._active[part.rank]
        chain = chain_of(rule, part, parts.values(), outside) if active else NO_CHAIN
        self.via_version += bool(rule.via)
        everything = chain != self._chains.get(part, NO_CHAIN)
        if chain is NO_CHAIN:
            self._chains.pop(part, None)
        else:
            self._chains[part] = chain
        if everything:
            if rule.follows:
                self.follows.look_again()
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

    def _all_cells_of(self, part: Part) -> set[Cell]:
        return set().union(*self._cells_of.get(part, {}).values())

    def _paired(self, cell: Cell, chain: Chain) -> _Chosen:
        """Give what a rule chooses between two clients."""
        part, rule = cell.part, self._rules[cell.part.rank]
        hop = next((hop for hop in chain.hops if hop[:2] == (cell.source, cell.destination)), None)
        if hop is None:
            return {}
        pairs = self._pairs(part, chain, cell)
        if not pairs:
            return {}
        if not rule.complete:
            return {pair: Choice(is_rest, hop.is_bypassed) for pair, is_rest in pairs.items()}
        if not self._is_complete(cell, chain):
            return {}
        group = (part.rank, part.type, (cell.source, cell.destination), cell.source_client, cell.destination_client)
        return {pair: Choice(False, hop.is_bypassed, None if hop.is_bypassed else group) for pair in pairs}

    def _pairs(self, part: Part, chain: Chain, cell: Cell) -> Pairs:
        rule = self._rules[part.rank]
        sources = chain.ports(part, cell.source, cell.source_client)
        destinations = chain.ports(part, cell.destination, cell.destination_client)
        if cell.source_client == cell.destination_client and not (
            rule.same_client or self._is_followed(cell) or self._is_link(cell)
        ):
            sources, destinations = self._of_devices(part, sources), self._of_devices(part, destinations)
        return pair(sources, destinations, rule.pair) if sources and destinations else {}

    def _of_devices(self, part: Part, ports: Sequence[PortName]) -> Sequence[PortName]:
        """Give the ports of sound devices.

        JACK2 has all devices in one client, `system`: a microphone there and a loudspeaker are not one program that is
        connected to itself, and the feedback guard looks after them.
        """
        return [name for name in ports if part.type is PortType.AUDIO and self.membership.members[name].port.is_physical]

    def _is_complete(self, cell: Cell, chain: Chain) -> bool:
        """Tell whether every source of one client has its destination at the other, over all keys."""
        rule = self._rules[cell.part.rank]
        for part in self.membership.parts[cell.part.rank].values():
            sources = chain.ports(part, cell.source, cell.source_client)
            if part.type is cell.part.type and sources:
                destinations = chain.ports(part, cell.destination, cell.destination_client)
                if not is_complete(sources, destinations, rule.pair):
                    return False
        return True

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
        return self._rules[cell.part.rank].follows and cell.source.role is Role.SOURCE

    def _is_link(self, cell: Cell) -> bool:
        """Tell whether the cell joins one of our buses to another that is a member of `via`: one client, and meant so."""
        return cell.source_client == self._client_name and (
            cell.source.role is Role.VIA_OUT or cell.destination.role is Role.VIA_IN
        )

    def _is_outside(self, partner: Partner, source: PortName) -> bool:
        """Tell whether what feeds a followed port is a client of `via` itself."""
        spots = self.membership.members[partner.followed].spots
        parts = (part for asker, part in spots.items() if asker.rank == partner.rank and part is not None)
        return any({source, client_of(source)} & self.chain(part).outside for part in parts)

    def _drop(self, cell: Cell, pairs: Iterable[Connection]) -> None:
        rank = cell.part.rank
        is_followed, is_shared = self._is_followed(cell), bool(self._rules[rank].via)
        for connection in pairs:
            if is_followed:
                self.follows.remove(Partner(rank, *connection))
            elif is_shared:
                self._choose_shared(connection, cell, None)
            else:
                self._choices.drop(connection, rank)

    def _choose(self, cell: Cell) -> None:
        rank = cell.part.rank
        is_followed, is_shared = self._is_followed(cell), bool(self._rules[rank].via)
        for connection, choice in self._cells.get(cell, {}).items():
            if is_followed:
                self.follows.set(Partner(rank, *connection), choice)
            elif is_shared:
                self._choose_shared(connection, cell, choice)
            else:
                self._choices.choose(connection, rank, choice)

    def _choose_shared(self, connection: Connection, cell: Cell, choice: Choice | None) -> None:
        """Note what a cell chooses; others may choose the pair too: a client of `via` is there for the sources of each key."""
        rank = cell.part.rank
        sharers = self._sharers.setdefault((connection, rank), {})
        if choice is None:
            sharers.pop(cell, None)
        else:
            sharers[cell] = choice
        if sharers:
            self._choices.choose(connection, rank, most_wanted(sharers.values()))
        else:
            del self._sharers[connection, rank]
            self._choices.drop(connection, rank)


def _cells(part: Part, hop: Hop, sources: Iterable[str], destinations: Iterable[str]) -> set[Cell]:
    destinations = tuple(destinations)
    return {Cell(part, hop.source, hop.destination, source, destination) for source in sources for destination in destinations}
