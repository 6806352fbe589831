"""[[rule]]: what a rule may say, and warnings where it can be seen that it never does anything."""

from __future__ import annotations

from collections.abc import Sequence

from jackd_router.core.config import Action, BusConfig, Manual, Pairing, Rule
from jackd_router.core.errors import Problem, Severity
from jackd_router.core.parse_selectors import Surroundings, read_selectors
from jackd_router.core.reading import Table, unique
from jackd_router.core.selectors import BusPorts, BusSelector, PortSelector, Selectors
from jackd_router.core.vocabulary import CONNECT_ONLY, NOT_YET, not_yet

MAX_PRIORITY = 2**31 - 1


def read_rules(
    files: Sequence[Table], problems: list[Problem], buses: Sequence[BusConfig], client_name: str, *, all_read: bool
) -> tuple[Rule, ...]:
    """Give the rules of all files, in file order; what is wrong is noted."""
    tables = [table for file in files for table in file.tables("rule")]
    known = tuple(BusPorts(bus.name, bus.inputs, bus.outputs) for bus in buses)
    rules = [_read_rule(table, Surroundings(client_name, known, all_read)) for table in tables]
    unique(problems, "rule", ((rule.name, table.origin) for table, rule in zip(tables, rules, strict=True) if rule.name))
    return tuple(rules)


def _read_rule(table: Table, around: Surroundings) -> Rule:
    table.check_keys("rule")
    if "name" not in table.values:
        table.complain("a rule must have a name")
    sources = read_selectors(table, "from", around)
    offered = frozenset[str]().union(*(selector.provides for selector in sources))
    rule = Rule(
        name=table.text("name", ""),
        sources=sources,
        destinations=read_selectors(table, "to", around, offered),
        origin=table.origin,
        action=table.choice("action", Action.CONNECT),
        pair=_pairing(table),
        priority=table.integer("priority", 0, -MAX_PRIORITY, MAX_PRIORITY),
        enabled=table.flag("enabled", default=True),
        manual=table.choice("manual", Manual.RESPECT) if "manual" in table.values else None,
        same_client=table.flag("same_client", default=False),
    )
    _check_action(table, rule)
    _check_groups(table, rule)
    _warn_of_no_effect(table, rule)
    return rule


def _pairing(table: Table) -> Pairing:
    if isinstance(table.values.get("pair"), dict) and "table" in NOT_YET["pair"]:
        table.complain(not_yet("pair = { ... }"), "pair")
        return Pairing.AUTO
    return table.choice("pair", Pairing.AUTO, NOT_YET["pair"])


def _check_action(table: Table, rule: Rule) -> None:
    """Note keys that only a rule that connects has."""
    if rule.action is Action.CONNECT:
        return
    for key in CONNECT_ONLY:
        if key in table.values:
            table.complain(f"'{key}' means nothing in a rule with action = \"{rule.action}\"; leave it out", key, of_key=True)


def _check_groups(table: Table, rule: Rule) -> None:
    """Note groups that `to` uses and that some alternative of `from` does not have."""
    for group in sorted(frozenset[str]().union(*(selector.needs for selector in rule.destinations))):
        if not all(group in selector.provides for selector in rule.sources):
            table.complain(f"{{{group}}} is used here, so every alternative of 'from' must have that group", "to")


def _warn_of_no_effect(table: Table, rule: Rule) -> None:
    """Warn of a rule that cannot choose a pair, whatever ports there are."""
    if rule.action is Action.CONNECT and not rule.same_client and _only_buses(rule.sources) and _only_buses(rule.destinations):
        text = "both sides are buses, ports of one client: the rule connects nothing unless it says same_client = true"
        table.complain(text, "to", severity=Severity.WARNING)
    sources, destinations = _types(rule.sources), _types(rule.destinations)
    if sources and destinations and not sources & destinations:
        text = f"'from' means {', '.join(sorted(sources))}, 'to' means {', '.join(sorted(destinations))}: no pair has both"
        table.complain(text, "to", severity=Severity.WARNING)


def _only_buses(selectors: Selectors) -> bool:
    return bool(selectors) and all(isinstance(selector, BusSelector) for selector in selectors)


def _types(selectors: Selectors) -> frozenset[str]:
    """Give the types of ports that are meant; none where any type is."""
    types = {selector.type if isinstance(selector, PortSelector) else None for selector in selectors}
    return frozenset() if None in types else frozenset(str(found) for found in types)
