"""The matcher: which pairs the rules want, forbid or leave alone, kept up to date event by event.

Invariant: after any history of ports, connections, switched rules and reloads it answers as one that was built anew from what
there is now. Forbidden and left pairs are never listed, only looked up; so `*` to `*` costs nothing over thousands of ports.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain, product, starmap
from typing import NamedTuple

from jackd_router.core.config import DEFAULT_PROFILE, Action, Config, Exclusive, Rule
from jackd_router.core.deciding.cells import Cells
from jackd_router.core.deciding.choices import Choice, Choices, Group
from jackd_router.core.deciding.membership import FROM, TO, Member, Membership
from jackd_router.core.deciding.rulebook import Rulebook
from jackd_router.core.errors import NoSuchRule
from jackd_router.core.graph import Connection, Graph, Port, PortName, PortType
from jackd_router.core.names import nearest
from jackd_router.core.selecting.selectors import PortSelector, flow
from jackd_router.core.steps import run_at_once


class Verdict(StrEnum):
    """What the rules say of a pair."""

    WANTED = "wanted"
    FORBIDDEN = "forbidden"
    LEFT = "left"
    BYPASSED = "bypassed"  # a client of `via` stands in between
    WITHHELD = "withheld"  # of a rule that wants all its pairs or none, and cannot have all
    UNSPOKEN = "unspoken"


class Decision(NamedTuple):
    """The verdict, and the rule that gave it. `blocker`: the pair because of which the others are withheld."""

    verdict: Verdict
    rule: Rule | None = None
    blocker: Connection | None = None


UNSPOKEN = Decision(Verdict.UNSPOKEN)
_CONNECT, _WANTED = Action.CONNECT, Verdict.WANTED
_VERDICTS = {Action.CONNECT: Verdict.WANTED, Action.FORBID: Verdict.FORBIDDEN, Action.LEAVE: Verdict.LEFT}


class Matcher:
    """All ports against all rules. Ports are added and removed at once; pairs are made when somebody asks."""

    def __init__(
        self,
        config: Config,
        *,
        client_name: str,
        graph: Graph | None = None,
        profile: str = DEFAULT_PROFILE.name,
        switched: Mapping[str, bool] = {},
        beside: Matcher | None = None,
    ) -> None:
        """Take the rules, the name of our client, and the graph whose connections rules may follow.

        `switched`: rules that are on or off, whatever the configuration says. `beside`: a matcher that goes on as it is; the
        ports are known by it, and rules that it has, too, are not matched anew. Then `enrol_in_steps` is still to be done.
        """
        # From here on a rule is known by its rank in the deciding order.
        self.rules = _in_deciding_order(config)
        self.profile = profile
        self._graph = graph or Graph()
        self._ranks = {rule.name: rank for rank, rule in enumerate(self.rules)}
        self._enabled = [switched.get(rule.name, rule.enabled) for rule in self.rules]
        # Few of the rules, as a rule; which of them are active is asked for each pair.
        self._denying = self._ranks_where(lambda rule: rule.action is not Action.CONNECT)
        self._exclusive = self._ranks_where(lambda rule: rule.exclusive is not None)
        self._looking = self._ranks_where(lambda rule: bool(rule.follows or rule.exclusive or rule.complete))
        self.choices = Choices()
        """What rules choose, as far as it is settled; read by explanations only."""
        self._active: list[bool] = [False] * len(self.rules)
        self.cells = Cells(self.rules, self.choices)
        """What is paired, as far as it is settled; read by explanations only."""
        self._deniers: dict[int, int] = {}
        """Slot -> rank of the active rules that forbid or leave alone."""
        self._turned: set[int] = set()
        """Those that were not active before, or are not now, since it was last told what changed."""
        self._slots = [0] * len(self.rules)
        """Rank -> slot in the book, where other matchers may have other ranks for the same rules."""
        self._rank_of: dict[int, int] = {}
        suited = beside is not None and beside.book.suits(client_name, config.client_name, cv_is_named=self._cv_is_named)
        self._known: dict[int, int] = {}
        self.book: Rulebook
        """Where ports and rules are known."""
        if beside is not None and suited:
            self.book, self._known = beside.book, self._known_to(beside)
        else:
            self.book = Rulebook(client_name, config.client_name, cv_is_named=self._cv_is_named)
            run_at_once(self.enrol_in_steps())

    @property
    def membership(self) -> Membership:
        """Which rules each port belongs to; read by explanations only."""
        return self.book.membership

    def _known_to(self, other: Matcher) -> dict[int, int]:
        """Give the rules that another matcher has, too: by rank, their slots."""
        known = {}
        for rank, rule in enumerate(self.rules):
            there = other._ranks.get(rule.name)
            if there is not None and rule.means_the_same(other.rules[there]):
                known[rank] = other._slots[there]
        return known

    def enrol_in_steps(self) -> Generator[None, None, None]:
        """Match the rules that are not known yet with the ports that are there, with pauses; ports may change meanwhile."""
        self.book.open(self)
        new = []
        for rank in range(len(self.rules)):
            slot = self._known.get(rank, 0)
            if self.book.share(slot, counts=self._counts(rank)):
                self._slots[rank] = slot
                self._begin(rank)
                yield
            else:
                new.append(rank)
        for rank in new:
            slot = self._slots[rank] = self.book.enrol(self.rules[rank], counts=self._counts(rank))
            yield from self.membership.ask_in_steps(slot)
            self._begin(rank)
            yield

    def _begin(self, rank: int) -> None:
        """Let a rule count whose ports are known."""
        slot = self._slots[rank]
        self._rank_of[slot] = rank
        active = self._active[rank] = self._is_active(rank)
        if self.rules[rank].action is _CONNECT:
            self.cells.add(rank, self.book.cells(slot))
        elif active:
            self._deniers[slot] = rank

    # ---- what changes

    def add_port(self, port: Port) -> None:
        """Add the port, or replace what was known under its name."""
        self.book.add_port(port)

    def remove_port(self, name: PortName) -> None:
        """Remove the port, if it is there."""
        self.book.remove_port(name)

    def connection_changed(self, connection: Connection) -> None:
        """Note that a connection of the graph came or went: there may be rules that follow it."""
        self.cells.follows.fed(connection.destination)

    def all_connections_changed(self) -> None:
        """Note that connections came and went without being told of one by one."""
        self.cells.follows.look_again()

    def set_rule_enabled(self, name: str, enabled: bool) -> None:
        """Switch a rule on or off: one that is off says nothing."""
        rank = self._rank(name)
        self._enabled[rank] = enabled
        self._recount(rank)
        self.book.name_cv(self._cv_is_named)

    def set_profile(self, name: str) -> None:
        """Make another profile the active one."""
        self.profile = name
        for rank in range(len(self.rules)):
            self._recount(rank)
        self.book.name_cv(self._cv_is_named)

    def condition_changed(self, slot: int) -> None:
        """Note that `when` of a rule may hold now, or not any more (called by the book)."""
        rank = self._rank_of.get(slot)
        if rank is not None:
            self._refresh(rank)

    def port_changed(self, name: PortName) -> None:
        """Note that a port came or goes: a rule that forbids may decide otherwise about what is chosen (called by the book)."""
        self.choices.touch(self.choices.at(name))

    def port_moved(self, name: PortName) -> None:
        """Note that a port is another one to selectors with `nth` (called by the book)."""
        self.choices.touch({*self.choices.at(name), *self._graph.connections_of(name)})

    def _counts(self, rank: int) -> bool:
        """Whether the rule is switched on, and of the active profile."""
        return self._enabled[rank] and self.is_in_profile(self.rules[rank])

    def _is_active(self, rank: int) -> bool:
        return self._counts(rank) and self.membership.holds(self._slots[rank])

    def _recount(self, rank: int) -> None:
        """Look whether a rule counts: for the matcher in force alone, as what it has in common with others changes for all."""
        if self.rules[rank].action is _CONNECT:
            self.cells.of(rank).set_counts(self._counts(rank))
        self._refresh(rank)

    def _refresh(self, rank: int) -> None:
        active = self._is_active(rank)
        if active is self._active[rank]:
            return
        self._active[rank] = active
        if self.rules[rank].action is _CONNECT:
            return
        self._turned.add(rank)
        if active:
            self._deniers[self._slots[rank]] = rank
        else:
            del self._deniers[self._slots[rank]]

    def _ranks_where(self, is_so: Callable[[Rule], bool]) -> tuple[int, ...]:
        return tuple(rank for rank, rule in enumerate(self.rules) if is_so(rule))

    @property
    def asks_for_metadata(self) -> bool:
        """Whether a rule that is switched on, in this profile, names a pretty name or CV: else nobody has to read metadata."""
        return any(selector.asks_for_metadata for selector in self._port_selectors())

    def _port_selectors(self) -> Iterator[PortSelector]:
        """Give the selectors of the rules that are switched on, in this profile."""
        for rank, rule in enumerate(self.rules):
            if self._counts(rank):
                yield from (selector for selector in rule.selectors if isinstance(selector, PortSelector))

    @property
    def _cv_is_named(self) -> bool:
        """Whether a rule that is switched on, in this profile, names CV, which then is a type of its own."""
        # Its `when` is not asked: ports that are other ones for it could turn it back.
        return any(selector.type is PortType.CV for selector in self._port_selectors())

    def says_the_same(self, config: Config) -> bool:
        """Tell whether it would be another matcher with this configuration."""
        rules = _in_deciding_order(config)
        return len(rules) == len(self.rules) and all(map(Rule.means_the_same, self.rules, rules))

    def restate(self, config: Config) -> None:
        """Take the same rules from other places in the file."""
        self.rules = _in_deciding_order(config)

    def retire(self) -> None:
        """Let go of everything, once another matcher has taken over; what only this one had is left to be swept out."""
        self.cells.leave()
        self.book.close(self, [slot for slot in self._slots if slot])

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
        return any(self._active[rank] for rank in self._looking)

    @property
    def has_exclusive(self) -> bool:
        """Whether an active rule has ports for its connections alone."""
        return any(self._active[rank] for rank in self._exclusive)

    def is_in_profile(self, rule: Rule) -> bool:
        """Whether the rule counts in the active profile."""
        return rule.profiles is None or self.profile in rule.profiles

    def take_changed(self) -> set[Connection]:
        """Give the pairs that are or were chosen by a connect rule and may be decided otherwise since the last call.

        Of what is connected and no rule has chosen, what another port has changed is among them (by `when` or `nth`). Look at
        what is connected too when a rule was switched or the aliases of a port have changed.
        """
        self.settle()
        if self._turned:
            pairs = {*self.choices, *self._graph.connections}
            self.choices.touch([pair for pair in pairs if any(self._covers(rank, pair) for rank in self._turned)])
            self._turned.clear()
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
        return Decision(_WANTED, rule) if blocker is None else Decision(Verdict.WITHHELD, rule, blocker)

    def _blocker(self, group: Group, rank: int) -> Connection | None:
        """Give the first pair of a group that an earlier rule keeps from being made."""
        for connection in sorted(self.choices.group(group)):
            choices = self.choices.of(connection)
            chooser = min(choices)
            denied = self._first_denier(connection, chooser) is not None
            # An earlier rule may want the pair, too: that is as good. It is asked for its own group only, so this ends.
            if denied or (chooser < rank and self._decide(connection).verdict is not _WANTED):
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
            if decision.rule is not None and decision.verdict is _WANTED
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
        if decision.verdict is not _WANTED or decision.rule is None:
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
        return self.cells.chosen_by(self._rank(rule_name))

    def finds_partners(self, rule_name: str) -> bool:
        """Tell whether a rule has anything to speak of now; one that follows, be it that nothing feeds what it follows."""
        self.settle()
        rank = self._rank(rule_name)
        if self.rules[rank].action is _CONNECT:
            return self.cells.of(rank).has_pairs
        parts = self.membership.parts(self._slots[rank])
        return any(part.places.get(FROM) and part.places.get(TO) for part in parts)

    def speaks_of(self, rule_name: str) -> Iterable[Connection]:
        """Give the pairs of which a rule would speak if it were the only one."""
        rank = self._rank(rule_name)
        if self.rules[rank].action is _CONNECT:
            return self.chosen_by(rule_name)
        parts = self.membership.parts(self._slots[rank])
        # Ports may come and go while somebody goes through the pairs, but not in these lists.
        sides = [[[*chain.from_iterable(part.places.get(place, {}).values())] for place in (FROM, TO)] for part in parts]
        return starmap(Connection, chain.from_iterable(product(*each) for each in sides))

    def chosen_at(self, port: PortName) -> frozenset[Connection]:
        """Give the pairs of a port that some rule chooses."""
        self.settle()
        return frozenset(self.choices.at(port))

    def fed_by(self, source: PortName) -> frozenset[PortName]:
        """Give the ports that a source feeds now."""
        return frozenset(connection.destination for connection in self._graph.connections_of(source))

    def ports_matched(self, rule_name: str) -> int:
        """Give how many ports the selectors of a rule match now."""
        return self.membership.matched(self._slots[self._rank(rule_name)])

    def circles(self) -> frozenset[tuple[str, PortName, PortName]]:
        """Give (rule, followed port, partner) for each partner that is left out as it would close a circle."""
        self.settle()
        left_out = self.cells.follows.left_out
        return frozenset((self.rules[each.rank].name, each.followed, each.partner) for each in left_out)

    def via_passages(self) -> Iterator[tuple[PortName, PortName]]:
        """Give (input, output) of each client that an active rule leads sound through; of our buses the matrix tells more."""
        self.settle()
        return self.cells.via_passages()

    def rank(self, rule: Rule) -> int:
        """Give the place of a rule in the deciding order."""
        return self._ranks[rule.name]

    def slot(self, rank: int) -> int:
        """Give the number by which the membership knows the rule of this rank."""
        return self._slots[rank]

    def rank_of(self, slot: int) -> int | None:
        """Give the rank of the rule that the membership knows by this number; None where another matcher has it."""
        return self._rank_of.get(slot)

    def _rank(self, rule_name: str) -> int:
        if rule_name not in self._ranks:
            near = nearest(rule_name, self._ranks)
            raise NoSuchRule(f'there is no rule "{rule_name}"' + (f'; did you mean "{near}"?' if near else ""))
        return self._ranks[rule_name]

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
        self.cells.follows.look_again()
        try:
            yield
        finally:
            self._graph = before
            self.cells.follows.look_again()

    def settle(self) -> None:
        """Pair anew what is stale."""
        if self.cells.is_stale:
            run_at_once(self.settle_in_steps())

    def settle_in_steps(self) -> Generator[None, None, None]:
        """Pair anew what is stale, with pauses for who has other things to do."""
        yield from self.cells.settle_in_steps(lambda port: self._graph.connections_of(port))

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
        return ends is not None and self.membership.covers(self._slots[rank], *ends)

    def _first_denier(self, connection: Connection, before: int) -> int | None:
        """Give the first active rule that forbids or leaves the pair, if its rank is lower than `before`."""
        members = self.membership.members
        source, destination = members.get(connection.source), members.get(connection.destination)
        if not self._deniers or source is None or destination is None:
            return None
        # Few pairs are of such a rule: that is seen without looking closer.
        both = source.keys.keys() & destination.keys.keys()
        if self._deniers.keys().isdisjoint(both):
            return None
        slots = [slot for slot in both if self._deniers.get(slot, before) < before]
        if not slots or self.ends(connection) is None:
            return None
        return min((self._deniers[slot] for slot in slots if self.membership.covers(slot, source, destination)), default=None)


def _in_deciding_order(config: Config) -> tuple[Rule, ...]:
    return tuple(sorted(config.rules, key=lambda rule: -rule.priority))  # which keeps ties in file order
