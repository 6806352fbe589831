"""The rules at run time: which are switched on, how each stands, what a matcher for the graph is, and why anything is so."""

from __future__ import annotations

import asyncio
import time

from jackd_router.core.config import DEFAULT_PROFILE, Config, Rule
from jackd_router.core.errors import NoSuchRule
from jackd_router.core.explain import Explanation, Facts, explain
from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.core.matcher import Matcher
from jackd_router.core.names import nearest
from jackd_router.core.plan import Deed, plan, shadowed, unmet
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.state import PlanReport, RuleState
from jackd_router.runtime.state_file import StateFile

_PORTS_PER_SLICE = 200
"""Ports that new rules are matched with before other work gets a turn."""


class Rules:
    """Knows the switches; the reconciler acts."""

    def __init__(self, graph: Graph, reconciler: Reconciler, inhibitors: Inhibitors, state_file: StateFile) -> None:
        """Take the mirror's graph, who acts on it, who may stop that, and where switches are kept."""
        self._graph, self._reconciler = graph, reconciler
        self._inhibitors, self._state_file = inhibitors, state_file
        self._config = Config()
        self._switches: dict[str, tuple[bool, bool]] = {}
        """Rule -> whether it was switched on in this run, and what the configuration said then."""
        self._profile = DEFAULT_PROFILE.name
        self._last_applied: dict[str, int] = {}
        self.enabled = True
        self.client_name = ""

    # ---- what is in force

    def put_in_force(self, config: Config, matcher: Matcher) -> None:
        """Let the reconciler work with these rules."""
        self._config = config
        self._reconciler.load(config, matcher)

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
        matcher = self._empty_matcher(config)
        for port in self._graph.ports.values():
            matcher.add_port(port)
        return matcher

    async def matcher_in_slices(self, config: Config) -> Matcher:
        """Give a matcher that knows the graph, without keeping other work waiting for long."""
        matcher, basis = self._empty_matcher(config), self._basis(config)
        known: dict[PortName, object] = {}
        while todo := [port for port in self._graph.ports.values() if known.get(port.name) != port]:
            for port in todo[:_PORTS_PER_SLICE]:
                matcher.add_port(port)
                known[port.name] = port
            await asyncio.sleep(0)
            if basis != self._basis(config):  # meanwhile a rule was switched, or the server gave us another name
                matcher, basis, known = self._empty_matcher(config), self._basis(config), {}
        for name in known.keys() - self._graph.ports.keys():
            matcher.remove_port(name)
        return matcher

    def _basis(self, config: Config) -> tuple[str, str, dict[str, bool]]:
        return self.client_name or config.client_name, config.profile(self._profile).name, self._switched(config)

    def _empty_matcher(self, config: Config) -> Matcher:
        matcher = Matcher(config, client_name=self.client_name or config.client_name)
        matcher.set_profile(config.profile(self._profile).name)
        for name, enabled in self._switched(config).items():
            matcher.set_rule_enabled(name, enabled)
        return matcher

    def report(self, matcher: Matcher, config: Config, *, holds: bool = True) -> PlanReport:
        """Give what these rules would do to the graph as it is; without `holds` as if nothing were held by hand."""
        ledger = self._reconciler.ledger
        steps = plan(
            matcher,
            self._graph,
            owned=ledger.owned,
            held=ledger.held if holds else (),
            kept=ledger.kept if holds else (),
            unmatched=config.unmatched,
        ).steps
        return PlanReport(
            connect=tuple(step.connection for step in steps if step.deed is Deed.CONNECT),
            disconnect=tuple(step.connection for step in steps if step.deed is Deed.DISCONNECT),
            unmet=unmet(matcher),
            shadowed=shadowed(matcher),
        )

    def report_now(self) -> PlanReport:
        """Give what the rules in force would do if nothing were held."""
        return self.report(self._reconciler.matcher, self._config, holds=False)

    # ---- switches

    def set_rule_enabled(self, name: str, enabled: bool, *, persist: bool) -> None:
        """Switch a rule on or off; with `persist` also for the next start. Raise NoSuchRule."""
        rule = self._rule(name)
        self._switches[name] = (enabled, rule.enabled)
        if persist:
            self._state_file.kept.rules[name] = {"enabled": enabled, "configured": rule.enabled}
            self._state_file.changed()
        self._reconciler.matcher.set_rule_enabled(name, enabled)
        self._reconciler.look_at_everything()

    def set_profile(self, name: str) -> None:
        """Let the rules of this profile decide from now on; what was cut by hand is theirs again."""
        if name == self._profile:
            return
        self._profile = name
        self._reconciler.matcher.set_profile(name)
        self._reconciler.release(tuple(self._reconciler.ledger.held))
        self._reconciler.look_at_everything()

    # ---- how they stand

    @property
    def held(self) -> tuple[Connection, ...]:
        """Pairs that stay cut, or connected, because somebody wanted them so by hand."""
        return self._reconciler.ledger.holds

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
        )

    # ---- why

    def explain(self, source: PortName, destination: PortName) -> Explanation:
        """Tell why two ports, present or not, are or are not connected."""
        return explain(Connection(source, destination), self._graph, self._reconciler.matcher, self._facts())

    def explain_port(self, port: PortName) -> list[tuple[PortName, str, str, str]]:
        """Give (peer, state, rule, reason) for every peer that a connection or a rule joins to this port."""
        matcher, facts = self._reconciler.matcher, self._facts()
        found: list[tuple[PortName, str, str, str]] = []
        for pair in sorted(self._graph.connections_of(port) | matcher.chosen_at(port)):
            told = explain(pair, self._graph, matcher, facts)
            rule = matcher.decide(pair).rule
            peer = pair.destination if pair.source == port else pair.source
            found.append((peer, told.state, rule.name if rule else "", told.summary))
        return found

    def _facts(self) -> Facts:
        """Give what is known of pairs beyond the graph and the rules."""
        ledger = self._reconciler.ledger
        return Facts(
            owned=ledger.owned,
            held=ledger.held,
            kept=ledger.kept,
            contested=self.contested,
            failed={pair: f"code {failure.code}, {failure.times} times in a row" for pair, failure in ledger.failures.items()},
            unmatched=self._config.unmatched,
            paused=self._paused(),
        )

    def _paused(self) -> str:
        if not self.enabled:
            return "rules are switched off"
        if self._inhibitors:
            return "rules are stopped by " + ", ".join(who for _, _, who, _ in self._inhibitors.records())
        return ""
