"""The plan: what to connect and what to disconnect, so that the graph is as the rules want it. Pure; the reconciler acts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from jackd_router.core.config import Action, Rule, Unmatched
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.matcher import Decision, Matcher, Verdict
from jackd_router.core.names import natural_key


class Deed(StrEnum):
    """What is to be done about a pair."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    NOTHING = "nothing"


class Reason(StrEnum):
    """Why it is to be done, or not."""

    WANTED = "a rule wants it"
    FORBIDDEN = "a rule forbids it"
    LEFT = "a rule leaves it alone"
    HELD = "it was cut by hand"
    KEPT = "it was made by hand"
    NO_LONGER_WANTED = "the rule that made it does not want it any more"
    UNMATCHED = "no rule speaks of it"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about one pair, for which rule ("" for none), and why. `owner`: the rule that it belongs to from then on."""

    deed: Deed
    connection: Connection
    rule: str
    reason: Reason
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in the order to take them, and what changes hands: connections that become a rule's, or cease to be one's."""

    steps: tuple[Step, ...]
    adopted: Mapping[Connection, str]
    released: frozenset[Connection]


def decide_step(
    connection: Connection,
    decision: Decision,
    *,
    connected: bool,
    owned: str,
    held: bool,
    kept: bool,
    unmatched: Unmatched,
) -> Step:
    """Give what to do about a pair.

    `owned` names the rule that the connection belongs to, "" for nobody; `held`: somebody cut it and that counts;
    `kept`: somebody made it and that counts.
    """
    rule = decision.rule.name if decision.rule else ""
    match decision.verdict:
        case Verdict.WANTED if connected:
            return Step(Deed.NOTHING, connection, rule, Reason.WANTED, owner=rule)
        case Verdict.WANTED if held:
            return Step(Deed.NOTHING, connection, rule, Reason.HELD)
        case Verdict.WANTED:
            return Step(Deed.CONNECT, connection, rule, Reason.WANTED, owner=rule)
        case Verdict.LEFT:
            return Step(Deed.NOTHING, connection, rule, Reason.LEFT)
        case Verdict.FORBIDDEN:
            return _unwanted(connection, rule, Reason.FORBIDDEN, cut=connected, kept=kept)
        case Verdict.UNSPOKEN if owned:
            return _unwanted(connection, owned, Reason.NO_LONGER_WANTED, cut=connected, kept=kept)
        case Verdict.UNSPOKEN:
            return _unwanted(connection, "", Reason.UNMATCHED, cut=connected and unmatched is Unmatched.REMOVE, kept=kept)
        case _:
            assert_never(decision.verdict)


def _unwanted(connection: Connection, rule: str, reason: Reason, *, cut: bool, kept: bool) -> Step:
    if cut and kept:
        return Step(Deed.NOTHING, connection, rule, Reason.KEPT)
    return Step(Deed.DISCONNECT if cut else Deed.NOTHING, connection, rule, reason)


def plan(
    matcher: Matcher,
    graph: Graph,
    *,
    owned: Mapping[Connection, str],
    held: Collection[Connection] = (),
    kept: Collection[Connection] = (),
    unmatched: Unmatched = Unmatched.KEEP,
) -> Plan:
    """Give what is to be done about the whole graph: first what is made, in deciding order, then what is cut."""
    ranks = {rule.name: rank for rank, rule in enumerate(matcher.rules)}
    wanted = {connection for connection in matcher.wanted() if all(end in graph.ports for end in connection)}
    steps = [
        decide_step(
            connection,
            matcher.decide(connection),
            connected=connection in graph.connections,
            owned=owned.get(connection, ""),
            held=connection in held,
            kept=connection in kept,
            unmatched=unmatched,
        )
        for connection in wanted | graph.connections | owned.keys()
    ]
    deeds = [step for step in steps if step.deed is not Deed.NOTHING]
    deeds.sort(key=lambda step: (step.deed, ranks.get(step.rule, len(ranks)), *map(natural_key, step.connection)))
    stay = [step for step in steps if step.deed is Deed.NOTHING]
    return Plan(
        steps=tuple(deeds),
        adopted={step.connection: step.owner for step in stay if step.owner and step.owner != owned.get(step.connection)},
        released=frozenset(step.connection for step in stay if step.connection in owned and not step.owner),
    )


def unmet(matcher: Matcher) -> tuple[str, ...]:
    """Give the rules that connect, are switched on, and find no pair now."""
    return tuple(rule.name for rule in _connecting(matcher) if not matcher.chosen_by(rule.name))


def shadowed(matcher: Matcher) -> tuple[str, ...]:
    """Give the rules that choose pairs, of which earlier rules decide every one."""

    def decides(rule: Rule, connection: Connection) -> bool:
        return matcher.decide(connection).rule is rule

    choosing = ((rule, matcher.chosen_by(rule.name)) for rule in _connecting(matcher))
    return tuple(rule.name for rule, pairs in choosing if pairs and not any(decides(rule, pair) for pair in pairs))


def _connecting(matcher: Matcher) -> list[Rule]:
    return [rule for rule in matcher.rules if rule.action is Action.CONNECT and matcher.is_enabled(rule.name)]
