"""The router as a whole: what its face asks and tells, and the way of every event and every request through its parts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jackd_router import __version__
from jackd_router.core.config import Config, Rule
from jackd_router.core.effective import effective_toml
from jackd_router.core.errors import Busy, ConfigInvalid, NoSuchRule, Problem, RouterError, ServerLost
from jackd_router.core.explain import Explanation, Facts, explain
from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.core.matcher import Matcher
from jackd_router.core.names import nearest
from jackd_router.core.plan import Deed, plan, shadowed, unmet
from jackd_router.jack_host import protocol
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.by_hand import ByHand
from jackd_router.runtime.config_files import load_config
from jackd_router.runtime.configuration import Configuration
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.levels import Levels
from jackd_router.runtime.lifecycle import ServerKeeper
from jackd_router.runtime.mirror import Mirror
from jackd_router.runtime.publisher import Publisher
from jackd_router.runtime.reconciler import Action, Reconciler
from jackd_router.runtime.server_events import ServerEvents
from jackd_router.runtime.state import (
    BusState,
    Level,
    Listener,
    Outcome,
    PlanReport,
    RuleState,
    ServerPhase,
    ServerState,
    Status,
)
from jackd_router.runtime.state_file import StateFile
from jackd_router.runtime.status import describe

log = logging.getLogger(__name__)

_APPLY_S = 5.0
"""How long a call waits for what it asked to be applied; the rest goes on without it."""
_PORTS_PER_SLICE = 200
"""Ports that new rules are matched with before other work gets a turn."""


class Router:
    """Everything behind the D-Bus face. Invariant: no decision about a connection is made here."""

    version = __version__

    def __init__(self, config_path: Path, state_folder: Path, default_server: str) -> None:
        """Take the configuration's path, the folder for what is kept, and the server to use where nothing names one."""
        self.started_usec = time.time_ns() // 1000
        self.status = Status()
        self.rules_enabled = True
        self._default_server = default_server
        self._trouble = ""
        self._reloading = False
        self._rule_switches: dict[str, bool] = {}
        self._last_applied: dict[str, int] = {}
        self._configuration = Configuration(config_path, state_folder)
        self._state_file = StateFile(state_folder)
        self._mirror = Mirror()
        self._publisher = Publisher(self._mirror)
        self._inhibitors = Inhibitors(self._inhibitors_changed)
        self._buses = Buses(self._bus_changed)
        self._levels = Levels(self._buses)
        self._reconciler = Reconciler(self._mirror.graph, self)
        self._by_hand = ByHand(self._mirror.graph, self._reconciler)
        self._reconciler.may_act(lambda: self.rules_enabled and not self._inhibitors)
        self._events = ServerEvents(
            self._mirror, self._reconciler, self._buses, self._publisher, self._server_changed, self._client_named
        )
        self._keeper: ServerKeeper

    # ---- life

    def start(self) -> None:
        """Load the configuration and what was kept, and begin to look for a server."""
        self._configuration.load_at_start()
        self._state_file.read()
        config = self._configuration.in_force
        self._take_kept_rules(config)
        self._buses.load(config.buses)
        self._buses.restore(self._state_file.kept.buses)
        self._client_name = config.client_name
        self._reconciler.load(config, self._new_matcher(config))
        self._keeper = self._new_keeper(config)
        self._keeper.start()
        self._refresh_status()

    async def stop(self) -> None:
        """Leave the server; connections stay, the sound goes on without us."""
        await self._keeper.stop()
        self._publisher.flush()
        self._state_file.flush()

    def _new_keeper(self, config: Config) -> ServerKeeper:
        keeper = ServerKeeper(config.server_name or self._default_server, config.client_name, self._events)
        self._events.keeper = keeper
        return keeper

    # ---- what changed, from below

    def _server_changed(self, before: ServerState, now: ServerState) -> None:
        for listener in tuple(self._publisher.listeners):
            listener.server_changed(before, now)
        if (before.phase is ServerPhase.CONNECTED) != (now.phase is ServerPhase.CONNECTED):
            for name in self._buses.names:
                self._bus_changed(name, "Active")
        if before.client_name != now.client_name:
            for name in self._buses.names:
                self._bus_changed(name, "Inputs", "Outputs")
        self._refresh_status()

    def _client_named(self, name: str) -> None:
        """Match selectors that mean our own client with the name that the server gave us."""
        if name != self._client_name:
            self._client_name = name
            config = self._configuration.in_force
            self._reconciler.load(config, self._new_matcher(config))

    def acted(self, action: Action) -> None:
        """Take what the reconciler did for a rule."""
        self._last_applied[action[0]] = time.time_ns() // 1000
        self._publisher.action(*action)

    def holds_changed(self) -> None:
        """Take that other pairs are held or contested than before."""
        self._publisher.holds()
        self._refresh_status()

    def troubled(self, text: str) -> None:
        """Take that applying the rules failed, or works again."""
        self._trouble = text
        self._refresh_status()

    def _inhibitors_changed(self) -> None:
        for listener in tuple(self._publisher.listeners):
            listener.inhibitors_changed()
        self._refresh_status()
        self._reconciler.look_at_everything()

    def _bus_changed(self, name: str, *properties: str) -> None:
        for listener in tuple(self._publisher.listeners):
            listener.bus_changed(name, *properties)

    def _refresh_status(self) -> None:
        status = describe(self.server, self._configuration, self._trouble, self.inhibitors, self.rules_enabled)
        if status != self.status:
            self.status = status
            for listener in tuple(self._publisher.listeners):
                listener.status_changed()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell the listener of every change from now on; give what ends that."""
        return self._publisher.subscribe(listener)

    # ---- the daemon itself

    @property
    def inhibitors(self) -> tuple[tuple[int, str, str, str], ...]:
        """Cookie, caller, who and why of everybody who has stopped the automatic work."""
        return self._inhibitors.list()

    def inhibit(self, caller: str, who: str, why: str) -> int:
        """Stop all automatic work until the cookie is given back or the caller leaves."""
        return self._inhibitors.add(caller, who, why)

    def uninhibit(self, cookie: int) -> None:
        """Give a cookie back."""
        self._inhibitors.remove(cookie)

    def caller_left(self, caller: str) -> None:
        """Forget a D-Bus peer that is gone."""
        self._inhibitors.caller_left(caller)
        self._levels.caller_left(caller)

    # ---- the server

    @property
    def server(self) -> ServerState:
        """The JACK server as it stands."""
        return self._keeper.state

    async def dsp_load(self) -> float:
        """Give the DSP load in percent; 0.0 without a server."""
        try:
            return float((await self._keeper.request(protocol.LOAD))[0])
        except ServerLost:
            return 0.0

    async def reconnect(self) -> None:
        """Try to connect now; raise ServerLost where that does not succeed."""
        await self._keeper.reconnect()

    def reset_xruns(self) -> None:
        """Count xruns from now on."""
        self._events.reset_xruns()

    # ---- the graph

    @property
    def graph(self) -> Graph:
        """The graph as it is now; it changes under an await."""
        return self._mirror.graph

    @property
    def graph_version(self) -> int:
        """A number that grows with every change of the graph."""
        return self._mirror.version

    async def connect(self, source: PortName, destination: PortName, *, hold: bool = False) -> Outcome:
        """Connect two ports by hand; with `hold` even where a rule forbids it."""
        self._require_server()
        return await self._by_hand.connect(Connection(source, destination), hold=hold)

    async def disconnect(self, source: PortName, destination: PortName, *, hold: bool = False) -> Outcome:
        """Disconnect two ports by hand; with `hold` even where a rule insists."""
        self._require_server()
        return await self._by_hand.disconnect(Connection(source, destination), hold=hold)

    async def apply(self, connect: Sequence[Connection], disconnect: Sequence[Connection], *, dry_run: bool) -> PlanReport:
        """Disconnect and connect many pairs; what fails is in the report and does not stop the rest."""
        self._require_server()
        to_cut = [pair for pair in disconnect if pair in self.graph.connections]
        to_make = [pair for pair in connect if pair not in self.graph.connections]
        if dry_run:
            return PlanReport(tuple(to_make), tuple(to_cut))
        cut = [self._by_hand.disconnect(pair, hold=False) for pair in to_cut]
        made = [self._by_hand.connect(pair, hold=False) for pair in to_make]
        results = await asyncio.gather(*cut, *made, return_exceptions=True)
        failed = []
        for pair, result in zip([*to_cut, *to_make], results, strict=True):
            if isinstance(result, RouterError):
                failed.append(pair)
            elif isinstance(result, BaseException):
                raise result
        return PlanReport(
            connect=tuple(pair for pair in to_make if pair not in failed),
            disconnect=tuple(pair for pair in to_cut if pair not in failed),
            failed=tuple(failed),
        )

    def _require_server(self) -> None:
        if not self._keeper.connected:
            raise ServerLost(f"there is no JACK server {self.server.server_name!r} now: {self.status.text}")

    # ---- rules

    @property
    def held(self) -> tuple[Connection, ...]:
        """Wanted pairs that stay cut because somebody cut them by hand."""
        return tuple(self._reconciler.ledger.held)

    @property
    def contested(self) -> tuple[Connection, ...]:
        """Pairs where another program has its way for a while."""
        now = asyncio.get_running_loop().time()
        ledger = self._reconciler.ledger
        return tuple(pair for pair in ledger.quarrels if ledger.contested(pair, now))

    def _rule(self, name: str) -> Rule:
        rules = {rule.name: rule for rule in self._configuration.in_force.rules}
        if name not in rules:
            near = nearest(name, rules)
            raise NoSuchRule(f"there is no rule {name!r}" + (f"; did you mean {near!r}?" if near else ""))
        return rules[name]

    def _rule_state(self, rule: Rule) -> RuleState:
        return RuleState(
            name=rule.name,
            enabled=self._rule_switches.get(rule.name, rule.enabled),
            action=rule.action,
            origin=str(rule.origin),
            ports_matched=self._reconciler.matcher.ports_matched(rule.name),
            connections_made=sum(owner == rule.name for owner in self._reconciler.ledger.owned.values()),
            last_applied_usec=self._last_applied.get(rule.name, 0),
        )

    def list_rules(self) -> list[RuleState]:
        """Give every rule as it stands, in the order in which they decide."""
        return [self._rule_state(rule) for rule in self._configuration.in_force.rules]

    def describe_rule(self, name: str) -> tuple[RuleState, Rule, tuple[Connection, ...]]:
        """Give everything about one rule, and the pairs that it chooses now."""
        rule = self._rule(name)
        return self._rule_state(rule), rule, tuple(sorted(self._reconciler.matcher.chosen_by(name)))

    def set_rule_enabled(self, name: str, enabled: bool, *, persist: bool) -> None:
        """Switch a rule on or off; with `persist` also for the next start."""
        rule = self._rule(name)
        self._rule_switches[name] = enabled
        if persist:
            self._state_file.kept.rules[name] = {"enabled": enabled, "configured": rule.enabled}
            self._state_file.changed()
        self._reconciler.matcher.set_rule_enabled(name, enabled)
        self._reconciler.look_at_everything()
        self._publisher.rule(name)

    def set_rules_enabled(self, enabled: bool) -> None:
        """Switch all automatic work on or off, until the daemon ends."""
        self.rules_enabled = enabled
        self._publisher.rule("")
        self._refresh_status()
        self._reconciler.look_at_everything()

    def explain(self, source: PortName, destination: PortName) -> Explanation:
        """Tell why two ports, present or not, are or are not connected."""
        return explain(Connection(source, destination), self.graph, self._reconciler.matcher, self._facts())

    def explain_port(self, port: PortName) -> list[tuple[PortName, str, str, str]]:
        """Give (peer, state, rule, reason) for every peer that a connection or a rule joins to this port."""
        matcher = self._reconciler.matcher
        pairs = set(self.graph.connections_of(port)) | {pair for pair in matcher.wanted() if port in pair}
        found: list[tuple[PortName, str, str, str]] = []
        for pair in sorted(pairs):
            told = explain(pair, self.graph, matcher, self._facts())
            rule = matcher.decide(pair).rule
            peer = pair.destination if pair.source == port else pair.source
            found.append((peer, told.state, rule.name if rule else "", told.summary))
        return found

    def _facts(self) -> Facts:
        """Give what is known of pairs beyond the graph and the rules."""
        ledger = self._reconciler.ledger
        paused = "" if self.rules_enabled else "rules are switched off"
        if self._inhibitors:
            paused = "the router is inhibited by " + ", ".join(who for _, _, who, _ in self.inhibitors)
        return Facts(
            owned=ledger.owned,
            held=ledger.held,
            kept=ledger.kept,
            contested=self.contested,
            failed={pair: f"code {failure.code}, {failure.times} times in a row" for pair, failure in ledger.failures.items()},
            unmatched=self._configuration.in_force.unmatched,
            paused=paused,
        )

    async def reapply(self, *, dry_run: bool) -> PlanReport:
        """Release all holds and apply all rules to the graph as it is."""
        self._require_server()
        report = self._report(self._reconciler.matcher, self._configuration.in_force, held=())
        if not dry_run:
            self._reconciler.start_over()
            await self._applied(self._reconciler.idle())
        return report

    async def release_hold(self, source: PortName, destination: PortName) -> str:
        """Let the rules decide again about a pair that is held: "released" or "not-held"."""
        released = self._reconciler.release((Connection(source, destination),))
        if released:
            await self._applied(self._reconciler.idle())
        return "released" if released else "not-held"

    async def _applied(self, work: Any) -> None:
        """Wait until something is applied, but not for ever: a server may not answer."""
        try:
            await asyncio.wait_for(work, _APPLY_S)
        except TimeoutError:
            log.warning("Applying the rules takes longer than %g s; going on in the background", _APPLY_S)
        self._publisher.flush()

    # ---- the configuration

    @property
    def config_path(self) -> str:
        """The main file."""
        return str(self._configuration.path)

    @property
    def config_loaded_usec(self) -> int:
        """When the configuration in force was read."""
        return self._configuration.loaded_usec

    @property
    def config_valid(self) -> bool:
        """Whether the last (re)load succeeded."""
        return self._configuration.valid

    @property
    def config_problems(self) -> tuple[Problem, ...]:
        """What was wrong at the last (re)load."""
        return self._configuration.problems

    @property
    def watches_config(self) -> bool:
        """Whether a saved file is to be loaded by itself."""
        return self._configuration.in_force.watch

    def effective_config(self) -> str:
        """Give the configuration in force as one TOML text."""
        return effective_toml(self._configuration.in_force)

    async def validate(self, path: str) -> tuple[Problem, ...]:
        """Give everything that is wrong with a file ("" for the main file)."""
        try:
            return (await self._read_config(path)).warnings
        except ConfigInvalid as error:
            return error.problems

    async def plan_file(self, path: str) -> tuple[tuple[Problem, ...], PlanReport]:
        """Tell what would change if this file were in force."""
        try:
            config = await self._read_config(path)
        except ConfigInvalid as error:
            return error.problems, PlanReport()
        return config.warnings, self._report(await self._matched(config), config, held=self.held)

    async def reload(self, *, dry_run: bool = False) -> PlanReport:
        """Read, check and plan everything, then swap; with any error nothing changes and ConfigInvalid has all of them."""
        if self._reloading:
            raise Busy("a reload is going on")
        self._reloading = True
        try:
            return await self._reload(dry_run)
        finally:
            self._reloading = False

    async def _reload(self, dry_run: bool) -> PlanReport:
        try:
            config = await self._read_config("")
        except ConfigInvalid as error:
            if not dry_run:
                self._configuration.refuse(error)
                self._config_changed()
            raise
        before = self._configuration.in_force
        switches = self._rule_switches
        if not dry_run:
            self._take_kept_rules(config)
        matcher = await self._matched(config)
        report = self._report(matcher, config, held=self.held)
        if dry_run:
            self._rule_switches = switches
            return report
        self._configuration.accept(config)
        await self._swap(before, config, matcher)
        self._config_changed()
        return report

    async def _swap(self, before: Config, config: Config, matcher: Matcher) -> None:
        """Put checked rules and buses in force; buses and rules that did not change notice nothing."""
        names = self._buses.names
        old_ports = self._buses.ports()
        self._buses.load(config.buses)
        self._reconciler.load(config, matcher)
        if (before.server_name, before.client_name) != (config.server_name, config.client_name):
            await self._keeper.stop()
            self._keeper = self._new_keeper(config)
            self._keeper.start()
        elif self._keeper.connected:
            await self._move_ports(old_ports)
            await self._applied(self._reconciler.idle())
        added = [name for name in self._buses.names if name not in names]
        removed = [name for name in names if name not in self._buses.names]
        if added or removed:
            for listener in tuple(self._publisher.listeners):
                listener.buses_changed(added, removed)

    async def _move_ports(self, before: Sequence[tuple[bytes, bool]]) -> None:
        """Register what is new, let the kernel take the plan, and only then unregister what it used before."""
        now = self._buses.ports()
        try:
            if new := tuple(port for port in now if port not in before):
                await self._keeper.request(protocol.REGISTER, new)
            await self._keeper.request(protocol.PLAN, self._buses.plan())
            if gone := tuple(name for name, is_input in before if (name, is_input) not in now):
                await self._keeper.request(protocol.UNREGISTER, gone)
        except RouterError as error:
            log.error("The buses could not be changed: %s", error, extra={"REASON": str(error)})
            self.troubled(f"the buses could not be changed: {error}")

    def _config_changed(self) -> None:
        for listener in tuple(self._publisher.listeners):
            listener.config_changed()
        self._publisher.rule("")
        self._refresh_status()

    async def _read_config(self, path: str) -> Config:
        return await asyncio.to_thread(load_config, Path(path) if path else self._configuration.path)

    def _take_kept_rules(self, config: Config) -> None:
        """Switch rules as they were switched by hand, unless the configuration says something else than it did then."""
        kept = self._state_file.kept.rules
        self._rule_switches = {
            rule.name: kept[rule.name]["enabled"]
            for rule in config.rules
            if rule.name in kept and kept[rule.name].get("configured") == rule.enabled
        }

    def _new_matcher(self, config: Config) -> Matcher:
        """Give a matcher that knows the graph."""
        matcher = self._empty_matcher(config)
        for port in self.graph.ports.values():
            matcher.add_port(port)
        return matcher

    def _empty_matcher(self, config: Config) -> Matcher:
        matcher = Matcher(config, client_name=self._client_name)
        for name, enabled in self._rule_switches.items():
            matcher.set_rule_enabled(name, enabled)
        return matcher

    async def _matched(self, config: Config) -> Matcher:
        """Give a matcher that knows the graph, without keeping other work waiting for long."""
        matcher = self._empty_matcher(config)
        known: dict[PortName, object] = {}
        while todo := [port for port in self.graph.ports.values() if known.get(port.name) != port]:
            for port in todo[:_PORTS_PER_SLICE]:
                matcher.add_port(port)
                known[port.name] = port
            await asyncio.sleep(0)
        for name in known.keys() - self.graph.ports.keys():
            matcher.remove_port(name)
        return matcher

    def _report(self, matcher: Matcher, config: Config, *, held: Sequence[Connection]) -> PlanReport:
        ledger = self._reconciler.ledger
        steps = plan(
            matcher, self.graph, owned=ledger.owned, held=frozenset(held), kept=ledger.kept, unmatched=config.unmatched
        ).steps
        return PlanReport(
            connect=tuple(sorted(step.connection for step in steps if step.deed is Deed.CONNECT)),
            disconnect=tuple(sorted(step.connection for step in steps if step.deed is Deed.DISCONNECT)),
            unmet=unmet(matcher),
            shadowed=shadowed(matcher),
        )

    # ---- buses

    @property
    def bus_names(self) -> tuple[str, ...]:
        """The names of the buses in the order of the configuration."""
        return self._buses.names

    def bus(self, name: str) -> BusState:
        """Give a bus as it stands."""
        return self._buses.state(name, self._client_name, active=self._keeper.connected)

    def set_bus_gain(self, name: str, gain_db: float) -> None:
        """Set the gain of a bus in dB."""
        self._buses.set_gain(name, gain_db)
        self._keep_bus(name)

    def set_bus_mute(self, name: str, mute: bool) -> None:
        """Mute a bus, or let it sound."""
        self._buses.set_mute(name, mute)
        self._keep_bus(name)

    def set_bus_channel_gains(self, name: str, gains_db: Sequence[float]) -> None:
        """Set the trims of a bus in dB, one per input."""
        self._buses.set_channel_gains(name, gains_db)
        self._keep_bus(name)

    def set_bus_matrix(self, name: str, matrix: Sequence[Sequence[float]]) -> None:
        """Set the mix of a bus in linear factors, a row per output."""
        if self._buses.set_matrix(name, matrix) and self._keeper.host is not None and self._keeper.connected:
            self._keeper.host.submit(lambda _answer: None, protocol.PLAN, self._buses.plan())
        self._keep_bus(name)

    def _keep_bus(self, name: str) -> None:
        self._state_file.kept.buses[name] = self._buses.to_keep(name)
        self._state_file.changed()

    async def levels(self, caller: str) -> dict[str, tuple[Level, ...]]:
        """Give the levels of each bus: of each input, then of each output; the peak since the caller's last call."""
        return self._levels.read(caller)
