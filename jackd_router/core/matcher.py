"""The matcher: which pairs the rules want, forbid or leave alone, kept up to date event by event.

Invariant: after any history of ports and switched rules it answers as one that was built anew from what there is now.
Forbidden and left pairs are never listed, only looked up; so `*` to `*` costs nothing over thousands of ports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from jackd_router.core.config import DEFAULT_PROFILE, Action, Config, Rule
from jackd_router.core.errors import NoSuchRule
from jackd_router.core.graph import Connection, Port, PortName
from jackd_router.core.membership import Cell, Member, Membership
from jackd_router.core.names import nearest
from jackd_router.core.pairing import Pairs, pair
from jackd_router.core.selectors import flow


class Verdict(StrEnum):
    """What the rules say of a pair."""

    WANTED = "wanted"
    FORBIDDEN = "forbidden"
    LEFT = "left"
    UNSPOKEN = "unspoken"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, and the rule that gave it."""

    verdict: Verdict
    rule: Rule | None = None


UNSPOKEN = Decision(Verdict.UNSPOKEN)


class Role(StrEnum):
    """How a rule whose selectors cover a pair stands to it."""

    SPEAKS = "speaks"
    DISABLED = "disabled"
    SAME_CLIENT = "same-client"
    NOT_PAIRED = "not-paired"


@dataclass(frozen=True, slots=True)
class Speaker:
    """A rule whose selectors cover a pair; `instead` holds what it pairs the two ports with."""

    rule: Rule
    role: Role
    instead: tuple[Connection, ...] = ()


class Matcher:
    """All ports against all rules. Ports are added and removed at once; pairs are made when somebody asks."""

    def __init__(self, config: Config, *, client_name: str) -> None:
        # The deciding order; sorted() keeps ties in file order. From here on a rule is known by its rank.
        self.rules: tuple[Rule, ...] = tuple(sorted(config.rules, key=lambda rule: -rule.priority))
        self._ranks = {rule.name: rank for rank, rule in enumerate(self.rules)}
        self._switched = [rule.enabled for rule in self.rules]
        self._profile = DEFAULT_PROFILE.name
        self._enabled = [self._counts(rank) for rank in range(len(self.rules))]
        self._names = {client_name: config.client_name, config.client_name: client_name}
        self._membership = Membership(self.rules)
        self._cells: tuple[dict[Cell, Pairs], ...] = tuple({} for _ in self.rules)
        self._choosers: dict[Connection, dict[int, bool]] = {}
        self._chosen_at: dict[PortName, set[Connection]] = {}
        self._stale: set[Cell] = set()
        self._changed: set[Connection] = set()

    def add_port(self, port: Port) -> None:
        """Add the port, or replace what was known under its name."""
        known = self._membership.members.get(port.name)
        if known is not None:
            if replace(known.port, registration=port.registration) == port:
                known.port = port
                return
            self.remove_port(port.name)
        self._membership.add(port, self._seen(port))
        self._touch(port.name)

    def remove_port(self, name: PortName) -> None:
        """Remove the port, if it is there."""
        if name in self._membership.members:
            self._touch(name)
            self._membership.remove(name)

    def set_rule_enabled(self, name: str, enabled: bool) -> None:
        """Switch a rule on or off: one that is off says nothing."""
        rank = self._rank(name)
        self._switched[rank] = enabled
        self._count(rank)

    def set_profile(self, name: str) -> None:
        """Let the rules count that are in this profile, and no others."""
        self._profile = name
        for rank in range(len(self.rules)):
            self._count(rank)

    def _counts(self, rank: int) -> bool:
        profiles = self.rules[rank].profiles
        return self._switched[rank] and (profiles is None or self._profile in profiles)

    def _count(self, rank: int) -> None:
        """Note what changes where a rule counts that did not, or does not any more."""
        if self._enabled[rank] == self._counts(rank):
            return
        self._enabled[rank] = self._counts(rank)
        if self.rules[rank].action is Action.CONNECT:
            self._stale.update(self._membership.cells_of_rule(rank))
        else:
            self._settle()
            self._changed.update(filter(lambda connection: self._covers(rank, connection), self._choosers))

    def is_enabled(self, name: str) -> bool:
        """Whether the rule is switched on."""
        return self._switched[self._rank(name)]

    def take_changed(self) -> set[Connection]:
        """Give the pairs that are or were chosen by a connect rule and may be decided otherwise since the last call.

        A pair that no rule has chosen is not among them, even when a rule forbids it now: look at what is connected too
        when a rule was switched or the aliases of a port have changed.
        """
        self._settle()
        changed, self._changed = self._changed, set()
        return changed

    def decide(self, connection: Connection) -> Decision:
        """Give what the first rule that speaks of the pair says."""
        self._settle()
        chooser = min(self._choosers.get(connection, ()), default=None)
        denier = self._first_denier(connection, len(self.rules) if chooser is None else chooser)
        if denier is not None:
            return Decision(_verdict(self.rules[denier].action), self.rules[denier])
        return UNSPOKEN if chooser is None else Decision(Verdict.WANTED, self.rules[chooser])

    def wanted(self) -> dict[Connection, Rule]:
        """Give every wanted pair with the rule that decided so."""
        self._settle()
        decisions = {connection: self.decide(connection) for connection in self._choosers}
        return {
            connection: decision.rule
            for connection, decision in decisions.items()
            if decision.rule is not None and decision.verdict is Verdict.WANTED
        }

    def is_fan_out(self, connection: Connection) -> bool:
        """Whether every rule that chose the pair did so only as the rest of a fan-out."""
        self._settle()
        rests = self._choosers.get(connection, {})
        return bool(rests) and all(rests.values())

    def chosen_by(self, rule_name: str) -> frozenset[Connection]:
        """Give the pairs that a rule chooses, whoever decides them."""
        self._settle()
        return frozenset[Connection]().union(*self._cells[self._rank(rule_name)].values())

    def chosen_at(self, port: PortName) -> frozenset[Connection]:
        """Give the pairs of a port that some rule chooses."""
        self._settle()
        return frozenset(self._chosen_at.get(port, ()))

    def ports_matched(self, rule_name: str) -> int:
        """Give how many ports the selectors of a rule match now."""
        return self._membership.matched(self._rank(rule_name))

    def speakers(self, connection: Connection) -> tuple[Speaker, ...]:
        """Give every rule whose selectors cover the pair, in deciding order."""
        self._settle()
        ends = self._ends(connection)
        if ends is None:
            return ()
        ranks = sorted(rank for rank in ends[0].keys if self._membership.covers(rank, *ends))
        return tuple(self._speaker(rank, connection) for rank in ranks)

    def _speaker(self, rank: int, connection: Connection) -> Speaker:
        rule = self.rules[rank]
        if not self._enabled[rank]:
            return Speaker(rule, Role.DISABLED)
        if rule.action is not Action.CONNECT or rank in self._choosers.get(connection, ()):
            return Speaker(rule, Role.SPEAKS)
        clients = _clients(connection)
        if len(clients) == 1 and not rule.same_client:
            return Speaker(rule, Role.SAME_CLIENT)
        around = self.chosen_at(connection.source) | self.chosen_at(connection.destination)
        instead = (other for other in around if rank in self._choosers[other])
        return Speaker(rule, Role.NOT_PAIRED, tuple(sorted(other for other in instead if clients == _clients(other))))

    def _rank(self, rule_name: str) -> int:
        if rule_name not in self._ranks:
            near = nearest(rule_name, self._ranks)
            raise NoSuchRule(f'there is no rule "{rule_name}"' + (f'; did you mean "{near}"?' if near else ""))
        return self._ranks[rule_name]

    def _seen(self, port: Port) -> Port:
        """Give the port as selectors see it: our client goes by its configured name, whoever else has that goes by ours."""
        name = self._names.get(port.client, port.client)
        return port if name == port.client else replace(port, name=PortName(f"{name}:{port.short_name}"))

    def _touch(self, name: PortName) -> None:
        """Note what the coming or going of a port may change."""
        self._stale.update(self._membership.cells_of_port(name))
        # A rule that forbids may decide otherwise about pairs that stay chosen.
        self._changed |= self._chosen_at.get(name, set())

    def _settle(self) -> None:
        """Pair anew what is stale."""
        while self._stale:
            self._pair(self._stale.pop())

    def _pair(self, cell: Cell) -> None:
        part, rank = cell.part, cell.part.rank
        old = self._cells[rank].pop(cell, {})
        new: Pairs = {}
        if self._enabled[rank] and (cell.source_client != cell.destination_client or self.rules[rank].same_client):
            sources = self._membership.in_order(self._membership.sources, part, cell.source_client)
            destinations = self._membership.in_order(self._membership.destinations, part, cell.destination_client)
            new = pair(sources, destinations, self.rules[rank].pair) if sources and destinations else {}
        if new:
            self._cells[rank][cell] = new
        for connection in old.keys() - new.keys():
            self._drop(connection, rank)
        for connection, is_rest in new.items():
            if old.get(connection) is not is_rest:
                self._choose(connection, rank, is_rest)

    def _choose(self, connection: Connection, rank: int, is_rest: bool) -> None:
        self._choosers.setdefault(connection, {})[rank] = is_rest
        for end in connection:
            self._chosen_at.setdefault(end, set()).add(connection)
        self._changed.add(connection)

    def _drop(self, connection: Connection, rank: int) -> None:
        choosers = self._choosers[connection]
        del choosers[rank]
        self._changed.add(connection)
        if choosers:
            return
        del self._choosers[connection]
        for end in connection:
            self._chosen_at[end].discard(connection)
            if not self._chosen_at[end]:
                del self._chosen_at[end]

    def _ends(self, connection: Connection) -> tuple[Member, Member] | None:
        """Give both ends; None where they are not an output and an input of the same type."""
        source = self._membership.members.get(connection.source)
        destination = self._membership.members.get(connection.destination)
        if source is None or destination is None or not source.port.is_source or destination.port.is_source:
            return None
        return (source, destination) if flow(source.port.type) is flow(destination.port.type) else None

    def _covers(self, rank: int, connection: Connection) -> bool:
        ends = self._ends(connection)
        return ends is not None and self._membership.covers(rank, *ends)

    def _first_denier(self, connection: Connection, before: int) -> int | None:
        """Give the first enabled rule that forbids or leaves the pair, if its rank is lower than `before`."""
        ends = self._ends(connection)
        if ends is None:
            return None
        fewer = min((end.keys for end in ends), key=len)
        ranks = (
            rank for rank in fewer if rank < before and self._enabled[rank] and self.rules[rank].action is not Action.CONNECT
        )
        return min((rank for rank in ranks if self._membership.covers(rank, *ends)), default=None)


def _clients(connection: Connection) -> set[str]:
    return {end.partition(":")[0] for end in connection}


def _verdict(action: Action) -> Verdict:
    match action:
        case Action.CONNECT:
            return Verdict.WANTED
        case Action.FORBID:
            return Verdict.FORBIDDEN
        case Action.LEAVE:
            return Verdict.LEFT
        case _:
            assert_never(action)
