"""The matcher: which pairs the rules want, forbid or leave alone, kept up to date event by event.

Invariant: after any history of ports, connections and switched rules it answers as one that was built anew from what
there is now. Forbidden and left pairs are never listed, only looked up; so `*` to `*` costs nothing over thousands of ports.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from jackd_router.core.chain import NO_CHAIN, Chain, Hop, chain_of, outside_of
from jackd_router.core.choices import Choice, Choices, Group, most_wanted
from jackd_router.core.config import DEFAULT_PROFILE, Action, Config, Exclusive, Rule
from jackd_router.core.errors import NoSuchRule
from jackd_router.core.follow import Follows, Partner
from jackd_router.core.graph import Connection, Graph, Port, PortName, PortType
from jackd_router.core.membership import FROM, TO, Member, Membership, Part, Place, Role
from jackd_router.core.names import nearest
from jackd_router.core.pairing import Pairs, is_complete, pair
from jackd_router.core.selectors import PortSelector, flow
from jackd_router.core.steps import run_at_once


class Verdict(StrEnum):
    """What the rules say of a pair."""

    WANTED = "wanted"
    FORBIDDEN = "forbidden"
    LEFT = "left"
    BYPASSED = "bypassed"  # a client of `via` stands in between
    WITHHELD = "withheld"  # of a rule that wants all its pairs or none, and cannot have all
    UNSPOKEN = "unspoken"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, and the rule that gave it. `blocker`: the pair because of which the others are withheld."""

    verdict: Verdict
    rule: Rule | None = None
    blocker: Connection | None = None


UNSPOKEN = Decision(Verdict.UNSPOKEN)
_VERDICTS = {Action.CONNECT: Verdict.WANTED, Action.FORBID: Verdict.FORBIDDEN, Action.LEAVE: Verdict.LEFT}


class Cell(NamedTuple):
    """The smallest unit of pairing: a part of a rule, a hop of its chain, one source client and one destination client."""

    part: Part
    source: Place
    destination: Place
    source_client: str
    destination_client: str


_Chosen = dict[Connection, Choice]
_Sharers = dict[Cell, Choice]


class Matcher:
    """All ports against all rules. Ports are added and removed at once; pairs are made when somebody asks."""

    def __init__(
        self, config: Config, *, client_name: str, graph: Graph | None = None, profile: str = DEFAULT_PROFILE.name
    ) -> None:
        """Take the rules, the name of our client, and the graph whose connections rules may follow."""
        # The deciding order; sorted() keeps ties in file order. From here on a rule is known by its rank.
        self.rules: tuple[Rule, ...] = tuple(sorted(config.rules, key=lambda rule: -rule.priority))
        self.profile = profile
        self._client_name, self._graph = client_name, graph or Graph()
        self._names = {client_name: config.client_name, config.client_name: client_name}
        self._ranks = {rule.name: rank for rank, rule in enumerate(self.rules)}
        self._enabled = [rule.enabled for rule in self.rules]
        self.choices = Choices()
        """What rules choose, as far as it is settled; read by explanations only."""
        following = {rank: rule for rank, rule in enumerate(self.rules) if rule.follows}
        self._follows = Follows(following, self.choices)
        self._chains: dict[Part, Chain] = {}
        self._cells: dict[Cell, _Chosen] = {}
        self._cells_of: dict[Part, dict[tuple[Place, str], set[Cell]]] = {}
        self._sharers: dict[tuple[Connection, int], _Sharers] = {}
        """Of rules with `via`: which cells choose the pair, and as what."""
        self._stale: dict[Part, set[tuple[Place, str]]] = {}
        self._active: list[bool] = [False] * len(self.rules)
        self._cv_is_named = False
        self.via_version = 0
        """Grows whenever `via_passages` may give something else."""
        self.membership = Membership(self.rules, self)
        for rank in range(len(self.rules)):
            self._active[rank] = self._is_active(rank)
        self._deniers = self._find_deniers()
        self._look_for_cv()

    # ---- what changes

    def add_port(self, port: Port) -> None:
        """Add the port, or replace what was known under its name."""
        known = self.membership.members.get(port.name)
        if known is not None:
            if known.port == port or replace(known.port, registration=port.registration) == port:
                known.port = port
                return
            self.remove_port(port.name)
        self.membership.add(port, self._seen(port))
        # A rule that forbids may decide otherwise about pairs that are chosen already.
        self.choices.touch(self.choices.at(port.name))

    def remove_port(self, name: PortName) -> None:
        """Remove the port, if it is there."""
        if name in self.membership.members:
            self.choices.touch(self.choices.at(name))
            self.membership.remove(name)

    def connection_changed(self, connection: Connection) -> None:
        """Note that a connection of the graph came or went: there may be rules that follow it."""
        self._follows.fed(connection.destination)

    def all_connections_changed(self) -> None:
        """Note that connections came and went without being told of one by one."""
        self._follows.look_again()

    def set_rule_enabled(self, name: str, enabled: bool) -> None:
        """Switch a rule on or off: one that is off says nothing."""
        rank = self._rank(name)
        self._enabled[rank] = enabled
        self._refresh(rank)
        self._look_for_cv()

    def set_profile(self, name: str) -> None:
        """Make another profile the active one."""
        self.profile = name
        for rank in range(len(self.rules)):
            self._refresh(rank)
        self._look_for_cv()

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Note that a port came to or left a place of a rule (called by the membership)."""
        rule = self.rules[part.rank]
        if rule.action is not Action.CONNECT:
            return
        self._stale.setdefault(part, set()).add((place, client))
        is_way = place.role in (Role.VIA_IN, Role.VIA_OUT)
        if rule.complete or is_way or (rule.from_fallback and place.role is Role.SOURCE):
            # What is complete, who is a client of `via`, and which entry of `from_fallback` counts, is seen over all parts.
            for other in self.membership.parts[part.rank].values():
                self._stale.setdefault(other, set()).add((place, client))

    def condition_changed(self, rank: int) -> None:
        """Note that `when` of a rule may hold now, or not any more (called by the membership)."""
        self._refresh(rank)

    def port_moved(self, name: PortName) -> None:
        """Note that a port is another one to selectors with `nth` (called by the membership)."""
        self.choices.touch({*self.choices.at(name), *self._graph.connections_of(name)})

    def _is_active(self, rank: int) -> bool:
        return self._enabled[rank] and self.is_in_profile(self.rules[rank]) and self.membership.holds(rank)

    def _refresh(self, rank: int) -> None:
        active = self._is_active(rank)
        if active is self._active[rank]:
            return
        self._active[rank] = active
        self._deniers = self._find_deniers()
        if self.rules[rank].action is Action.CONNECT:
            for part in self.membership.parts[rank].values():
                self._stale.setdefault(part, set())
        else:
            self.settle()
            pairs = {*self.choices, *self._graph.connections}
            self.choices.touch([connection for connection in pairs if self._covers(rank, connection)])

    def _find_deniers(self) -> frozenset[int]:
        """Give the active rules that forbid or leave alone."""
        return frozenset(rank for rank, rule in enumerate(self.rules) if self._active[rank] and rule.action is not Action.CONNECT)

    @property
    def asks_for_metadata(self) -> bool:
        """Whether a rule that is switched on, in this profile, names a pretty name or CV: else nobody has to read metadata."""
        return any(selector.type is PortType.CV or selector.pretty_name is not None for selector in self._port_selectors())

    def _port_selectors(self) -> Iterator[PortSelector]:
        """Give the selectors of the rules that are switched on, in this profile."""
        for rank, rule in enumerate(self.rules):
            if self._enabled[rank] and self.is_in_profile(rule):
                yield from (selector for selector in rule.selectors if isinstance(selector, PortSelector))

    def _look_for_cv(self) -> None:
        """Let CV be a type of its own while a rule that is switched on, in this profile, names it."""
        named = any(selector.type is PortType.CV for selector in self._port_selectors())
        if named is self._cv_is_named:
            return
        self._cv_is_named = named
        for name in [name for name, member in self.membership.members.items() if member.port.type is PortType.CV]:
            port = self.membership.members[name].port
            self.remove_port(name)
            self.add_port(port)

    def retire(self) -> None:
        """Let go of everything, once another matcher has taken over.

        The parts know each other, so that only the garbage collector would find them: a stop of 0.1 s with 4,000 ports.
        """
        self.membership.forget_listener()

    # ---- what can be asked

    def is_enabled(self, name: str) -> bool:
        """Whether the rule is switched on."""
        return self._enabled[self._rank(name)]

    def is_active(self, rule: Rule) -> bool:
        """Whether the rule is switched on, of the active profile, and its `when` holds."""
        return self._active[self.rank(rule)]

    @property
    def looks_at_connections(self) -> bool:
        """Whether what an active rule says depends on what is connected."""
        return any(
            active and (rule.follows or rule.exclusive or rule.complete)
            for active, rule in zip(self._active, self.rules, strict=True)
        )

    @property
    def has_exclusive(self) -> bool:
        """Whether an active rule has ports for its connections alone."""
        return any(active and rule.exclusive for active, rule in zip(self._active, self.rules, strict=True))

    def is_in_profile(self, rule: Rule) -> bool:
        """Whether the rule counts in the active profile."""
        return rule.profiles is None or self.profile in rule.profiles

    def take_changed(self) -> set[Connection]:
        """Give the pairs that are or were chosen by a connect rule and may be decided otherwise since the last call.

        Of what is connected and no rule has chosen, what another port has changed is among them (by `when` or `nth`). Look at
        what is connected too when a rule was switched or the aliases of a port have changed.
        """
        self.settle()
        return self.choices.take_changed()

    def decide(self, connection: Connection) -> Decision:
        """Give what the first rule that speaks of the pair says."""
        self.settle()
        return self._decide(connection)

    def _decide(self, connection: Connection) -> Decision:
        choices = self.choices.of(connection)
        chooser = min(choices, default=None)
        denier = self._first_denier(connection, len(self.rules) if chooser is None else chooser)
        if denier is not None:
            return Decision(_VERDICTS[self.rules[denier].action], self.rules[denier])
        if chooser is None:
            return UNSPOKEN
        rule, choice = self.rules[chooser], choices[chooser]
        if choice.is_bypassed:
            return Decision(Verdict.BYPASSED, rule)
        blocker = None if choice.group is None else self._blocker(choice.group, chooser)
        return Decision(Verdict.WANTED, rule) if blocker is None else Decision(Verdict.WITHHELD, rule, blocker)

    def _blocker(self, group: Group, rank: int) -> Connection | None:
        """Give the first pair of a group that an earlier rule keeps from being made."""
        for connection in sorted(self.choices.group(group)):
            choices = self.choices.of(connection)
            chooser = min(choices)
            denied = self._first_denier(connection, chooser) is not None
            # An earlier rule may want the pair, too: that is as good. It is asked for its own group only, so this ends.
            if denied or (chooser < rank and self._decide(connection).verdict is not Verdict.WANTED):
                return connection
        return None

    def chosen(self) -> tuple[Connection, ...]:
        """Give every pair that some rule chooses, whoever decides it."""
        self.settle()
        return tuple(self.choices)

    def wanted(self) -> dict[Connection, Rule]:
        """Give every wanted pair with the rule that decided so."""
        decisions = {connection: self._decide(connection) for connection in self.chosen()}
        return {
            connection: decision.rule
            for connection, decision in decisions.items()
            if decision.rule is not None and decision.verdict is Verdict.WANTED
        }

    def together(self, connection: Connection) -> frozenset[Connection]:
        """Give the pairs without which this wanted one is not made: those of its group, and of the groups that these are of."""
        self.settle()
        return self._spread(connection, lambda choices: choices[min(choices)].group and [choices[min(choices)].group])

    def entangled(self, connection: Connection) -> frozenset[Connection]:
        """Give the pairs that may depend on this one: `together` the other way round, and some more."""
        self.settle()
        return self._spread(connection, lambda choices: [choice.group for choice in choices.values()])

    def _spread(
        self, connection: Connection, groups_of: Callable[[Mapping[int, Choice]], Iterable[Group | None] | None]
    ) -> frozenset[Connection]:
        """Give the pairs that are reached from one by way of groups, without it."""
        reached, waiting = {connection}, [connection]
        while waiting:
            choices = self.choices.of(waiting.pop())
            for group in (choices and groups_of(choices)) or ():
                further = set(self.choices.group(group)) - reached if group is not None else ()
                reached.update(further)
                waiting += further
        return frozenset(reached - {connection})

    def is_exclusive(self, connection: Connection, port: PortName) -> bool:
        """Tell whether the rule that wants the pair has this port of it for its connections alone."""
        decision = self.decide(connection)
        if decision.verdict is not Verdict.WANTED or decision.rule is None:
            return False
        side = Exclusive.FROM if port == connection.source else Exclusive.TO
        return decision.rule.exclusive in (side, Exclusive.BOTH)

    def is_fan_out(self, connection: Connection) -> bool:
        """Whether every rule that chose the pair did so only as the rest of a fan-out."""
        self.settle()
        choices = self.choices.of(connection)
        return bool(choices) and all(choice.is_rest for choice in choices.values())

    def chosen_by(self, rule_name: str) -> frozenset[Connection]:
        """Give the pairs that a rule chooses to connect, whoever decides them."""
        self.settle()
        rank = self._rank(rule_name)
        cells = (cell for part in self.membership.parts[rank].values() for cell in self._all_cells_of(part))
        chosen = (self._cells[cell].items() for cell in cells if not self._is_followed(cell))
        paired = frozenset(pair for pairs in chosen for pair, choice in pairs if not choice.is_bypassed)
        return paired | self._follows.chosen_by(rank)

    def finds_partners(self, rule_name: str) -> bool:
        """Tell whether a rule has anything to speak of now; one that follows, be it that nothing feeds what it follows."""
        self.settle()
        rank = self._rank(rule_name)
        parts = self.membership.parts[rank].values()
        if self.rules[rank].action is Action.CONNECT:
            return any(self._cells_of.get(part) for part in parts)
        return any(part.places.get(FROM) and part.places.get(TO) for part in parts)

    def speaks_of(self, rule_name: str) -> Iterable[Connection]:
        """Give the pairs of which a rule would speak if it were the only one."""
        rank = self._rank(rule_name)
        if self.rules[rank].action is Action.CONNECT:
            return self.chosen_by(rule_name)
        parts = self.membership.parts[rank].values()
        return (
            Connection(source, destination)
            for part in parts
            for sources in part.places.get(FROM, {}).values()
            for source in sources
            for destinations in part.places.get(TO, {}).values()
            for destination in destinations
        )

    def chosen_at(self, port: PortName) -> frozenset[Connection]:
        """Give the pairs of a port that some rule chooses."""
        self.settle()
        return frozenset(self.choices.at(port))

    def ports_matched(self, rule_name: str) -> int:
        """Give how many ports the selectors of a rule match now."""
        return self.membership.matched(self._rank(rule_name))

    def circles(self) -> frozenset[tuple[str, PortName, PortName]]:
        """Give (rule, followed port, partner) for each partner that is left out as it would close a circle."""
        self.settle()
        return frozenset((self.rules[each.rank].name, each.followed, each.partner) for each in self._follows.left_out)

    def via_passages(self) -> Iterator[tuple[PortName, PortName]]:
        """Give (input, output) of each client that an active rule leads sound through; of our buses the matrix tells more."""
        self.settle()
        for part, chain in self._chains.items():
            if part.type is PortType.AUDIO:
                for number in {hop.destination.number for hop in chain.hops if hop.destination.role is Role.VIA_IN}:
                    for client in set(part.clients(Place(Role.VIA_IN, number))) - {self._client_name}:
                        outputs = part.ports(Place(Role.VIA_OUT, number), client)
                        yield from itertools.product(part.ports(Place(Role.VIA_IN, number), client), outputs)

    def chain(self, part: Part) -> Chain:
        """Give the chain of a part of a rule as it is settled."""
        return self._chains.get(part, NO_CHAIN)

    def followed(self, connection: Connection, rank: int) -> frozenset[PortName]:
        """Give the followed ports because of which a rule chooses the pair."""
        return self._follows.reasons(connection, rank)

    def rank(self, rule: Rule) -> int:
        """Give the place of a rule in the deciding order."""
        return self._ranks[rule.name]

    def _rank(self, rule_name: str) -> int:
        if rule_name not in self._ranks:
            near = nearest(rule_name, self._ranks)
            raise NoSuchRule(f'there is no rule "{rule_name}"' + (f'; did you mean "{near}"?' if near else ""))
        return self._ranks[rule_name]

    def _seen(self, port: Port) -> Port:
        """Give the port as selectors see it.

        Our client goes by its configured name, whoever else has that goes by ours; CV is audio while no rule names it.
        """
        if port.type is PortType.CV and not self._cv_is_named:
            port = replace(port, type=PortType.AUDIO)
        client = port.client
        name = self._names.get(client, client)
        return port if name == client else replace(port, name=PortName(f"{name}:{port.short_name}"))

    @contextmanager
    def imagined(self, ports: Iterable[Port]) -> Iterator[None]:
        """Have these ports, which are not there, as if they were, for a question."""
        ports = [port for port in ports if port.name not in self.membership.members]
        for port in ports:
            self.add_port(port)
        try:
            yield
        finally:
            for port in ports:
                self.remove_port(port.name)

    @contextmanager
    def imagined_graph(self, graph: Graph) -> Iterator[None]:
        """Follow the connections of another graph for a while; its changes are told as those of the real one."""
        before, self._graph = self._graph, graph
        self._follows.look_again()
        try:
            yield
        finally:
            self._graph = before
            self._follows.look_again()

    # ---- pairing

    def settle(self) -> None:
        """Pair anew what is stale."""
        if self._stale or self._follows.is_stale:
            run_at_once(self.settle_in_steps())

    def settle_in_steps(self) -> Generator[None, None, None]:
        """Pair anew what is stale, and pause after each rule: thousands of ports that come at once take their time."""
        while self._stale:
            stale: dict[int, list[Part]] = {}
            for part in self._stale:
                stale.setdefault(part.rank, []).append(part)
            for rank, parts in stale.items():
                self._pair_anew(rank, [(part, self._stale.pop(part)) for part in parts if part in self._stale])
                yield
        self._follows.settle(self._graph.connections_of, self._is_outside)

    def _pair_anew(self, rank: int, stale: list[tuple[Part, set[tuple[Place, str]]]]) -> None:
        """Pair parts of one rule."""
        before: dict[Cell, _Chosen] = {}
        outside = outside_of(self.rules[rank], self.membership.parts[rank].values(), self._client_name)
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
        rule = self.rules[part.rank]
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
                self._follows.look_again()
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
        part, rule = cell.part, self.rules[cell.part.rank]
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
        rule = self.rules[part.rank]
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
        rule = self.rules[cell.part.rank]
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
        return self.rules[cell.part.rank].follows and cell.source.role is Role.SOURCE

    def _is_link(self, cell: Cell) -> bool:
        """Tell whether the cell joins one of our buses to another that is a member of `via`: one client, and meant so."""
        return cell.source_client == self._client_name and (
            cell.source.role is Role.VIA_OUT or cell.destination.role is Role.VIA_IN
        )

    def _is_outside(self, partner: Partner, source: PortName) -> bool:
        """Tell whether what feeds a followed port is a client of `via` itself."""
        spots = self.membership.members[partner.followed].spots
        parts = (part for asker, part in spots.items() if asker.rank == partner.rank and part is not None)
        return any({source, source.partition(":")[0]} & self.chain(part).outside for part in parts)

    def _drop(self, cell: Cell, pairs: Iterable[Connection]) -> None:
        rank = cell.part.rank
        is_followed, is_shared = self._is_followed(cell), bool(self.rules[rank].via)
        for connection in pairs:
            if is_followed:
                self._follows.remove(Partner(rank, *connection))
            elif is_shared:
                self._choose_shared(connection, cell, None)
            else:
                self.choices.drop(connection, rank)

    def _choose(self, cell: Cell) -> None:
        rank = cell.part.rank
        is_followed, is_shared = self._is_followed(cell), bool(self.rules[rank].via)
        for connection, choice in self._cells.get(cell, {}).items():
            if is_followed:
                self._follows.set(Partner(rank, *connection), choice)
            elif is_shared:
                self._choose_shared(connection, cell, choice)
            else:
                self.choices.choose(connection, rank, choice)

    def _choose_shared(self, connection: Connection, cell: Cell, choice: Choice | None) -> None:
        """Note what a cell chooses; others may choose the pair too: a client of `via` is there for the sources of each key."""
        rank = cell.part.rank
        sharers = self._sharers.setdefault((connection, rank), {})
        if choice is None:
            sharers.pop(cell, None)
        else:
            sharers[cell] = choice
        if sharers:
            self.choices.choose(connection, rank, most_wanted(sharers.values()))
        else:
            del self._sharers[connection, rank]
            self.choices.drop(connection, rank)

    # ---- looking up

    def ends(self, connection: Connection) -> tuple[Member, Member] | None:
        """Give both ends; None where they are not an output and an input of the same type."""
        source = self.membership.members.get(connection.source)
        destination = self.membership.members.get(connection.destination)
        if source is None or destination is None or not source.port.is_source or destination.port.is_source:
            return None
        return (source, destination) if flow(source.port.type) is flow(destination.port.type) else None

    def _covers(self, rank: int, connection: Connection) -> bool:
        ends = self.ends(connection)
        return ends is not None and self.membership.covers(rank, *ends)

    def _first_denier(self, connection: Connection, before: int) -> int | None:
        """Give the first active rule that forbids or leaves the pair, if its rank is lower than `before`."""
        ends = self.ends(connection) if self._deniers else None
        if ends is None:
            return None
        fewer = min((end.keys for end in ends), key=len)
        ranks = (rank for rank in fewer if rank < before and self._active[rank] and self.rules[rank].action is not Action.CONNECT)
        return min((rank for rank in ranks if self.membership.covers(rank, *ends)), default=None)


def _cells(part: Part, hop: Hop, sources: Iterable[str], destinations: Iterable[str]) -> set[Cell]:
    destinations = tuple(destinations)
    return {Cell(part, hop.source, hop.destination, source, destination) for source in sources for destination in destinations}
