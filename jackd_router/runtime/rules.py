"""The rules at run time: which are switched on, how each stands, what a matcher for the graph is, and why anything is so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from jackd_router.core.config import DEFAULT_PROFILE, Config, Rule
from jackd_router.core.deciding.explain import Explanation, Facts, explain, explain_port_in_steps
from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.plan import Deed, Situation
from jackd_router.core.deciding.words import inactive_because
from jackd_router.core.errors import NoSuchRule, Problem
from jackd_router.core.graph import Connection, Graph, Port, PortName, client_of
from jackd_router.core.names import nearest, shown
from jackd_router.core.steps import run_at_once
from jackd_router.core.undo import Switch
from jackd_router.jack_io.threads import in_thread
from jackd_router.runtime.garbage import collected_later
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.preview import (
    blind_spots,
    preview,
    preview_in_steps,
    refusals_of,
    situation,
    with_its_buses,
    worth_in_steps,
)
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.slices import run_in_slices, run_in_turns
from jackd_router.runtime.state import PlanReport, RuleState
from jackd_router.runtime.state_file import StateFile

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_PORTS_IN_A_ROW = 10
"""Ports that new rules are matched with without a pause: about a millisecond."""


_Basis = tuple[str, str, str, dict[str, bool]]
"""What a matcher depends on beside the configuration and the ports: our name, the profile as it was chosen and as there is
one of this name, the rules that were switched."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rules that know the graph: what they do to it, and the pairs that this concerns.

    `matcher` is None where they are the rules in force.
    """

    config: Config
    matcher: Matcher | None
    report: PlanReport
    concerned: frozenset[Connection] = frozenset()

    def drop(self) -> None:
        """Let go of it: it was only asked what would be."""
        if self.matcher is not None:
            _let_go(self.matcher)


class Rules:
    """Knows the switches; the reconciler acts."""

    def __init__(self, graph: Graph, reconciler: Reconciler, inhibitors: Inhibitors, state_file: StateFile) -> None:
        """Take the mirror's graph, who acts on it, who may stop that, and where switches are kept."""
        self._graph, self._reconciler = graph, reconciler
        reconciler.remake_matcher = lambda: self.matcher(self._config)
        self._inhibitors, self._state_file = inhibitors, state_file
        self._config = Config()
        self._switches: dict[str, tuple[bool, bool]] = {}
        """Rule -> whether it was switched on in this run, and what the configuration said then."""
        self._last_applied: dict[str, int] = {}
        self.enabled = True
        self.client_name = ""
        self.on_metadata_wanted: Callable[[bool], None] = lambda wanted: None
        """Told whether ports shall have their pretty names and the type CV."""
        self._asks_for_metadata = False
        self.profile = DEFAULT_PROFILE.name

    # ---- what is in force

    def put_in_force(self, config: Config, matcher: Matcher) -> None:
        """Let the reconciler work with these rules."""
        self._config = config
        self._reconciler.load(config, matcher)
        self._ask_for_metadata()

    def put_prepared_in_force(self, prepared: Prepared) -> None:
        """Let the reconciler work with rules whose effect is known: it looks only at what they change."""
        self._config = prepared.config
        before = self._reconciler.matcher
        if prepared.matcher is None:
            before.restate(prepared.config)
        self._reconciler.load(prepared.config, prepared.matcher or before, prepared.concerned)
        run_in_turns(self._reconciler.matcher.book.tidy_in_steps())
        self._ask_for_metadata()

    def set_profile(self, name: str, held: Iterable[Connection] = ()) -> None:
        """Work in another profile, in which these pairs are held as cut."""
        if name != self.profile:
            self.profile = name
            self._reconciler.set_profile(name, held)
            self._ask_for_metadata()

    def _ask_for_metadata(self) -> None:
        """Say whether metadata is of use, when that is another answer than before."""
        asks = self._reconciler.matcher.asks_for_metadata
        if asks is not self._asks_for_metadata:
            self._asks_for_metadata = asks
            self.on_metadata_wanted(asks)

    def blind_spots(self, config: Config) -> tuple[Problem, ...]:
        """Give a warning for each rule of which a plan would not know all: metadata is read while a rule in force asks for it."""
        return () if self._asks_for_metadata else blind_spots(config)

    def _switched(self, config: Config) -> dict[str, bool]:
        """Give how rules were switched by hand, unless the configuration says something else now than it did then."""
        kept = {
            name: (bool(entry.get("enabled")), entry.get("configured")) for name, entry in self._state_file.kept.rules.items()
        }
        switched = kept | self._switches
        return {
            rule.name: switched[rule.name][0]
            for rule in config.rules
            if rule.name in switched and switched[rule.name][1] == rule.enabled
        }

    def matcher(self, config: Config) -> Matcher:
        """Give a matcher that knows the graph."""
        matcher = self._matcher_on(self._basis(config), config)
        run_at_once(self._told_of_ports(matcher, {}))
        return matcher

    async def prepare(self, config: Config, *, reported: bool = True) -> Prepared:
        """Match other rules with the graph and plan what they do, without keeping other work waiting for long.

        Where nobody is told of it (`reported`), the report may lack what is not known by the way.
        """
        self._reconciler.end_doubt()
        if self._would_be_the_same(config):
            return await self._prepare_the_same(config) if reported else Prepared(config, None, PlanReport())
        with collected_later():
            return await self._prepare(config, reported=reported)

    def _would_be_the_same(self, config: Config) -> bool:
        """Tell whether the rules are those in force, wherever they stand in the file: most edits are of something else."""
        ours, there = self._basis(self._config), self._basis(config)
        policies = [(each.unmatched, each.feedback, each.client_name) for each in (self._config, config)]
        return ours == there and policies[0] == policies[1] and self._reconciler.matcher.says_the_same(config)

    async def _prepare_the_same(self, config: Config) -> Prepared:
        """Go on with what is known: only what could not be done yet is to be done."""
        now, ledger = self._reconciler.situation, self._reconciler.ledger
        report = await self._report_with_buses(config, self._basis(config), self._graph.copy())
        if report is None:
            unmet, shadowed = await run_in_slices(worth_in_steps(now.matcher))
            waiting = [now.step_for(pair) for pair in (*ledger.failures, *ledger.quarrels)]
            report = PlanReport(
                connect=tuple(step.connection for step in waiting if step.deed is Deed.CONNECT),
                disconnect=tuple(step.connection for step in waiting if step.deed is Deed.DISCONNECT),
                unmet=unmet,
                shadowed=shadowed,
                refused=refusals_of(now),
            )
        return Prepared(config, None, report)

    async def _prepare(self, config: Config, *, reported: bool) -> Prepared:
        while True:
            prepared = await self._prepare_once(config, reported=reported)
            if prepared is not None:
                return prepared

    async def _prepare_once(self, config: Config, *, reported: bool) -> Prepared | None:
        """Prepare; None where a rule was switched meanwhile, other rules put in force, or the server gave us another name."""
        basis, in_force = self._basis(config), self._reconciler.matcher
        beside = in_force if in_force.book.knows(self._graph.ports) else None
        # In a thread: to compare hundreds of rules takes longer than others may wait.
        matcher = await in_thread(self._matcher_on, basis, config, beside=beside)
        try:
            known: dict[PortName, Port] = {}
            if matcher.book is in_force.book:  # which is told of all that changes
                await run_in_slices(matcher.enrol_in_steps())
            else:
                await run_in_slices(self._told_of_ports(matcher, known))
            graph = self._graph.copy()
            await run_in_slices(matcher.settle_in_steps())  # before the situation, which would do it in one go
            now = self._situation(config, matcher, graph)
            matcher.take_changed()
            report, planned = await run_in_slices(preview_in_steps(now))
            if reported:
                report = await self._report_with_buses(config, basis, graph) or report
            if basis != self._basis(config) or in_force is not self._reconciler.matcher:
                _let_go(matcher)
                return None
        except BaseException:
            _let_go(matcher)
            raise
        if matcher.book is not in_force.book:
            run_at_once(self._told_of_ports(matcher, known))
        # It was not told of connections that came and went since the plan.
        matcher.all_connections_changed()
        return Prepared(config, matcher, report, planned.concerned | self._changed_since(graph))

    def _changed_since(self, graph: Graph) -> frozenset[Connection]:
        """Give the connections that are not as they were, or of which a port is not."""
        ports = (name for name, port in self._graph.ports.items() if graph.ports.get(name) is not port)
        connections = self._graph.connections ^ graph.connections
        return frozenset(connections).union(*map(self._graph.connections_of, ports))

    async def _report_with_buses(self, config: Config, basis: _Basis, graph: Graph) -> PlanReport | None:
        """Tell what would be with the buses of the configuration; None where they are there already, or no server is."""
        after, dropped = with_its_buses(graph, config, basis[0])
        if not graph.ports or after.ports.keys() == graph.ports.keys():
            return None
        matcher = await in_thread(self._matcher_on, basis, config, after)
        await run_in_slices(_told_of(matcher, after.ports.values()))
        await run_in_slices(matcher.settle_in_steps())
        report, _ = await run_in_slices(preview_in_steps(self._situation(config, matcher, after)))
        matcher.retire()
        return replace(report, disconnect=(*dropped, *report.disconnect))

    def _told_of_ports(self, matcher: Matcher, known: dict[PortName, Port]) -> Generator[None, None, None]:
        """Tell a matcher of all ports that it does not know as they are; `known`: what it was told before."""
        while todo := [port for port in self._graph.ports.values() if known.get(port.name) is not port]:
            known |= {port.name: port for port in todo}
            yield from _told_of(matcher, todo)
        for name in known.keys() - self._graph.ports.keys():
            matcher.remove_port(name)
            del known[name]

    def _basis(self, config: Config) -> _Basis:
        """Give what a matcher for this configuration depends on now."""
        return self.client_name or config.client_name, self.profile, config.profile(self.profile).name, self._switched(config)

    def _matcher_on(self, basis: _Basis, config: Config, graph: Graph | None = None, beside: Matcher | None = None) -> Matcher:
        """Give a matcher that knows no ports, or those that another one knows."""
        client_name, _, profile, switched = basis
        matcher = Matcher(
            config, client_name=client_name, graph=graph or self._graph, profile=profile, switched=switched, beside=beside
        )
        if beside is None or matcher.book is not beside.book:
            run_at_once(matcher.book.tidy_in_steps())  # mostly in a thread; else the first ports would wait for it
        return matcher

    def _situation(self, config: Config, matcher: Matcher, graph: Graph, *, holds: bool = True) -> Situation:
        """Give how it stands with these rules, as a snapshot; without `holds` as if nothing were held by hand."""
        ledger = self._reconciler.ledger
        alone = situation(config, matcher, graph, self.client_name or config.client_name)
        held, kept = (tuple(ledger.held), tuple(ledger.kept)) if holds else ((), ())
        return replace(alone, owned=dict(ledger.owned), held=frozenset(held), kept=frozenset(kept))

    def report_now(self) -> PlanReport:
        """Give what the rules in force would do if nothing were held."""
        return preview(self._situation(self._config, self._reconciler.matcher, self._graph, holds=False))

    def as_done(self, report: PlanReport) -> PlanReport:
        """Give what became of a plan: what is so now, and what the server refused.

        Neither is what rules may not do now, what another program undid, and what needs a port that has gone.
        """
        now, ports, failures = self._graph.connections, self._graph.ports, self._reconciler.ledger.failures

        def was_cut(pair: Connection) -> bool:
            """Also with a port of ours that is not wanted any more; but not with all ports, when the server went."""
            stays = (end in ports or (bool(ports) and client_of(end) == self.client_name) for end in pair)
            return pair not in now and all(stays)

        open_ones = [*(pair for pair in report.connect if pair not in now), *(pair for pair in report.disconnect if pair in now)]
        return replace(
            report,
            connect=tuple(pair for pair in report.connect if pair in now),
            disconnect=tuple(filter(was_cut, report.disconnect)),
            failed=tuple(pair for pair in open_ones if pair in failures),
        )

    # ---- switches

    def set_rule_enabled(self, name: str, enabled: bool, *, persist: bool) -> None:
        """Switch a rule on or off; with `persist` also for the next start. Raise NoSuchRule."""
        rule = self._rule(name)
        self._switches[name] = (enabled, rule.enabled)
        if persist:
            self._state_file.kept.rules[name] = {"enabled": enabled, "configured": rule.enabled}
            self._state_file.changed()
        self._turn_switch(rule, enabled)

    def switch(self, name: str) -> Switch:
        """Give how a rule is switched by hand. Raise NoSuchRule."""
        self._rule(name)
        kept = self._state_file.kept.rules.get(name)
        return Switch(self._switches.get(name), None if kept is None else dict(kept))

    def put_switch(self, name: str, switch: Switch) -> None:
        """Switch a rule by hand as it was switched before, also in what is kept. Raise NoSuchRule."""
        rule = self._rule(name)
        _put_or_drop(self._switches, name, switch.live)
        kept = self._state_file.kept.rules
        if kept.get(name) != switch.kept:
            _put_or_drop(kept, name, None if switch.kept is None else dict(switch.kept))
            self._state_file.changed()
        self._turn_switch(rule, self._switched(self._config).get(name, rule.enabled))

    def _turn_switch(self, rule: Rule, enabled: bool) -> None:
        self._reconciler.matcher.set_rule_enabled(rule.name, enabled)
        self._ask_for_metadata()
        self._reconciler.look_at_everything()

    # ---- how they stand

    @property
    def held(self) -> tuple[Connection, ...]:
        """Pairs that stay cut because somebody cut them by hand."""
        return tuple(self._reconciler.ledger.held)

    @property
    def kept(self) -> tuple[Connection, ...]:
        """Pairs that stay connected, because somebody wanted them so by hand."""
        return tuple(self._reconciler.ledger.kept)

    @property
    def refused(self) -> tuple[Connection, ...]:
        """Pairs that rules want and the feedback guard stops."""
        return tuple(self._reconciler.situation.refused)

    @property
    def owned(self) -> Mapping[Connection, str]:
        """Which rule each connection belongs to, that belongs to any."""
        return self._reconciler.ledger.owned

    @property
    def contested(self) -> tuple[Connection, ...]:
        """Pairs over which another program has its way for a while."""
        now = asyncio.get_running_loop().time()
        ledger = self._reconciler.ledger
        return tuple(pair for pair in ledger.quarrels if ledger.contested(pair, now))

    @property
    def count(self) -> int:
        """How many rules there are."""
        return len(self._config.rules)

    def note_applied(self, name: str) -> None:
        """Note that something was done for a rule just now."""
        self._last_applied[name] = time.time_ns() // 1000

    def states(self) -> list[RuleState]:
        """Give every rule as it stands, in the order in which they are read."""
        return [self._state(rule) for rule in self._reconciler.matcher.rules]

    def describe(self, name: str) -> tuple[RuleState, Rule, tuple[Connection, ...]]:
        """Give everything about one rule, and the pairs that it chooses now. Raise NoSuchRule."""
        rule = self._rule(name)
        return self._state(rule), rule, tuple(sorted(self._reconciler.matcher.chosen_by(name)))

    def _rule(self, name: str) -> Rule:
        rules = {rule.name: rule for rule in self._config.rules}
        if name not in rules:
            near = nearest(name, rules)
            raise NoSuchRule(f"there is no rule {name!r}" + (f"; did you mean {near!r}?" if near else ""))
        return rules[name]

    def _state(self, rule: Rule) -> RuleState:
        return RuleState(
            name=rule.name,
            enabled=self._reconciler.matcher.is_enabled(rule.name),
            action=rule.action,
            origin=str(rule.origin),
            ports_matched=self._reconciler.matcher.ports_matched(rule.name),
            connections_made=sum(owner == rule.name for owner in self._reconciler.ledger.owned.values()),
            last_applied_usec=self._last_applied.get(rule.name, 0),
            inactive_because=inactive_because(self._reconciler.matcher, rule),
        )

    # ---- why

    def explain(self, source: PortName, destination: PortName) -> Explanation:
        """Tell why two ports, present or not, are or are not connected."""
        return explain(Connection(source, destination), self._reconciler.situation, self._facts())

    async def explain_port(self, port: PortName) -> list[tuple[PortName, str, str, str]]:
        """Give (peer, state, rule, reason) for every peer that a connection or a rule joins to this port."""
        # In slices: hundreds of peers take a second, above all those of a port that is not there.
        found = await run_in_slices(explain_port_in_steps(port, lambda: self._reconciler.situation, self._facts()))
        return [(peer, told.state, told.decider, told.summary) for peer, told in found]

    def _facts(self) -> Facts:
        """Give what is known of pairs beyond the graph and the rules."""
        failures = self._reconciler.ledger.failures
        return Facts(
            contested=self.contested,
            failures={pair: f"code {failure.code}, {failure.times} times in a row" for pair, failure in failures.items()},
            waiting=self._reconciler.new_devices.waiting,
            paused=self._paused(),
        )

    def _paused(self) -> str:
        if not self.enabled:
            return "rules are switched off"
        if self._inhibitors:
            return "rules are stopped by " + ", ".join(who for _, _, who, _ in self._inhibitors.records())
        return ""


def _let_go(matcher: Matcher) -> None:
    """Let go of a matcher that is not in force."""
    matcher.retire()
    run_in_turns(matcher.book.tidy_in_steps())


def _put_or_drop(table: dict[str, Value], name: str, value: Value | None) -> None:
    """Put the value under the name; None takes away what is there."""
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _told_of(matcher: Matcher, ports: Iterable[Port]) -> Generator[None, None, None]:
    """Tell a matcher of ports: sources first, for each may bring a key, and with it other selectors for destinations.

    Where a bug keeps it from taking a port in, the rules do without that one rather than without all.
    """
    for number, port in enumerate(sorted(ports, key=lambda port: not port.is_source), 1):
        try:
            matcher.add_port(port)
        except Exception:
            log.exception("The rules do without the port %s", shown(port.name))
        if number % _PORTS_IN_A_ROW == 0:
            yield
