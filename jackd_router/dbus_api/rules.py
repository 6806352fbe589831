"""io.github.jackd_router.Router1.Rules: what is connected automatically, and why."""

from __future__ import annotations

from collections.abc import Mapping

from jackd_router.core.names import parse_shown, shown
from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.options import Options
from jackd_router.dbus_api.values import Pair, pairs_of, report_of
from jackd_router.runtime.router import Router

RuleRecord = tuple[str, bool, str, str, int, int, int]


class Rules:
    """Implements the interface."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def enabled(self) -> bool:
        """The master switch."""
        return self._router.rules.enabled

    def set_enabled(self, call: Call, enabled: bool) -> None:
        """Switch all rules on or off."""
        self._router.set_rules_enabled(enabled)

    @property
    def held(self) -> list[Pair]:
        """Left cut, because somebody cut it by hand."""
        return pairs_of(self._router.rules.held)

    @property
    def kept(self) -> list[Pair]:
        """Left connected, because somebody wanted it so by hand."""
        return pairs_of(self._router.rules.kept)

    @property
    def contested(self) -> list[Pair]:
        """Pairs over which another program disagrees."""
        return pairs_of(self._router.rules.contested)

    def list_rules(self, call: Call) -> list[RuleRecord]:
        """Give all rules, in the order in which they are read."""
        return [
            (
                rule.name,
                rule.enabled,
                rule.action,
                shown(rule.origin),
                rule.ports_matched,
                rule.connections_made,
                rule.last_applied_usec,
            )
            for rule in self._router.rules.states()
        ]

    def list_owned(self, call: Call) -> list[tuple[str, str, str]]:
        """Give the connections that belong to rules."""
        owned = sorted(self._router.rules.owned.items())
        return [(*pair, rule) for (_, rule), pair in zip(owned, pairs_of([pair for pair, _ in owned]), strict=True)]

    def get_rule(self, call: Call, name: str) -> dict[str, Variant]:
        """Give everything about one rule."""
        state, rule, matches = self._router.rules.describe(name)
        return {
            "name": variant("s", state.name),
            "enabled": variant("b", state.enabled),
            "action": variant("s", state.action),
            "origin": variant("s", shown(state.origin)),
            "active": variant("b", state.active),
            "inactive-because": variant("s", state.inactive_because),
            "follows": variant("b", rule.follows),
            "pair": variant("s", str(rule.pair) if isinstance(rule.pair, str) else "map"),
            "complete": variant("b", rule.complete),
            "exclusive": variant("s", rule.exclusive or ""),
            "via": variant("u", len(rule.via)),
            "fallbacks": variant("u", len(rule.fallback)),
            "profiles": variant("as", sorted(rule.profiles or ())),
            "allow-feedback": variant("b", rule.allow_feedback),
            "priority": variant("i", rule.priority),
            "manual": variant("s", rule.manual or ""),
            "same-client": variant("b", rule.same_client),
            "ports-matched": variant("u", state.ports_matched),
            "connections-made": variant("u", state.connections_made),
            "last-applied-usec": variant("t", state.last_applied_usec),
            "matches": variant("a(ss)", pairs_of(matches)),
        }

    def set_rule_enabled(self, call: Call, name: str, enabled: bool, options: Mapping[str, Variant]) -> None:
        """Switch one rule on or off."""
        persist = Options(options, {"persist": "b"}).flag("persist", default=True)
        self._router.set_rule_enabled(name, enabled, persist=persist)

    def explain(self, call: Call, source: str, destination: str) -> tuple[str, str, list[tuple[str, str, str, str]]]:
        """Say why two ports are, or are not, connected."""
        told = self._router.rules.explain(parse_shown(source), parse_shown(destination))
        steps = [(step.rule, shown(step.origin), str(step.outcome), step.reason) for step in told.steps]
        return told.state, told.summary, steps

    async def explain_port(self, call: Call, port: str) -> list[tuple[str, str, str, str]]:
        """Say of each port that a rule pairs this one with what became of it."""
        found = await self._router.rules.explain_port(parse_shown(port))
        return [(shown(peer), state, rule, reason) for peer, state, rule, reason in found]

    async def reapply(self, call: Call, options: Mapping[str, Variant]) -> dict[str, Variant]:
        """Run all rules now."""
        dry_run = Options(options, {"dry-run": "b"}).flag("dry-run")
        return report_of(await self._router.reapply(dry_run=dry_run))

    async def release_hold(self, call: Call, source: str, destination: str, options: Mapping[str, Variant]) -> str:
        """Let the rules decide again about a pair."""
        Options(options)
        return await self._router.release_hold(parse_shown(source), parse_shown(destination))
