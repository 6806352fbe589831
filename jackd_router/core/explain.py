"""Explanations: why two ports are or are not connected, in one sentence and rule by rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from jackd_router.core.config import Action, Rule, Unmatched
from jackd_router.core.errors import IncompatiblePorts, NoSuchPort
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.matcher import Matcher, Role, Speaker, Verdict
from jackd_router.core.names import shown
from jackd_router.core.plan import Deed, Reason, Step, decide_step
from jackd_router.core.ports import check_connectable


class State(StrEnum):
    """How it stands between two ports."""

    CONNECTED = "connected"
    NOT_CONNECTED = "not-connected"
    FORBIDDEN = "forbidden"
    PENDING = "pending"
    HELD = "held"
    CONTESTED = "contested"
    REFUSED = "refused"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of one rule whose selectors cover the pair."""

    DECIDES = "decides"
    OVERRULED = "overruled"
    NOT_CHOSEN = "not-chosen"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the router knows of pairs beyond the graph and the rules. `paused`: why nothing is done at all, "" when it is."""

    owned: Mapping[Connection, str] = field(default_factory=dict)
    held: Collection[Connection] = ()
    kept: Collection[Connection] = ()
    contested: Collection[Connection] = ()
    refused: Mapping[Connection, str] = field(default_factory=dict)
    failed: Mapping[Connection, str] = field(default_factory=dict)
    unmatched: Unmatched = Unmatched.KEEP
    paused: str = ""


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One rule on the way to the decision."""

    rule: str
    origin: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The state, one sentence for people, and every rule whose selectors cover the pair, in deciding order."""

    state: State
    summary: str
    steps: tuple[RuleStep, ...] = ()


def explain(connection: Connection, graph: Graph, matcher: Matcher, facts: Facts) -> Explanation:
    """Tell why the two ports, which need not be there, are or are not connected."""
    try:
        check_connectable(graph, connection)
    except (NoSuchPort, IncompatiblePorts) as error:
        return Explanation(State.NOT_CONNECTED, f"{_pair(connection)} cannot be connected: {error}")
    speakers = matcher.speakers(connection)
    decision = matcher.decide(connection)
    connected = connection in graph.connections
    step = decide_step(
        connection,
        decision,
        connected=connected,
        owned=facts.owned.get(connection, ""),
        held=connection in facts.held,
        kept=connection in facts.kept,
        unmatched=facts.unmatched,
    )
    state = _state(step, connected, decision.verdict, facts)
    because = _because(step, decision.rule, speakers)
    is_or_not = "is connected" if connected else "is not connected"
    summary = f"{_pair(connection)} {is_or_not}: {because}{_outlook(step, state, facts)}"
    return Explanation(state, summary, tuple(_rule_steps(speakers, decision.rule)))


def _state(step: Step, connected: bool, verdict: Verdict, facts: Facts) -> State:
    """Give the one word: what keeps a step from being taken comes before the step itself."""
    if step.deed is not Deed.NOTHING and step.connection in facts.contested:
        return State.CONTESTED
    if verdict is Verdict.FORBIDDEN and step.reason is not Reason.KEPT:
        return State.FORBIDDEN
    if connected:
        return State.CONNECTED
    if step.reason is Reason.HELD:
        return State.HELD
    if step.deed is not Deed.CONNECT:
        return State.NOT_CONNECTED
    if step.connection in facts.refused:
        return State.REFUSED
    return State.FAILED if step.connection in facts.failed else State.PENDING


def _because(step: Step, rule: Rule | None, speakers: tuple[Speaker, ...]) -> str:
    named = f"rule {_quoted(rule)}" if rule else "no rule"
    match step.reason:
        case Reason.WANTED:
            return f"{named} wants it"
        case Reason.FORBIDDEN:
            return f"{named} forbids it"
        case Reason.LEFT:
            return f"{named} leaves it alone"
        case Reason.HELD:
            return f"{named} wants it, but it was cut by hand and is held"
        case Reason.KEPT:
            return f"it was connected by hand to stay{f', though {named} forbids it' if rule else ''}"
        case Reason.NO_LONGER_WANTED:
            return f'rule "{step.rule}" made it, and no rule wants it any more'
        case Reason.UNMATCHED:
            near = next((speaker for speaker in speakers if speaker.role is not Role.SPEAKS), None)
            return f"no rule speaks of it{f'; rule {_quoted(near.rule)} does not: {_not_chosen(near)}' if near else ''}"
        case _:
            assert_never(step.reason)


def _outlook(step: Step, state: State, facts: Facts) -> str:
    """Give what happens next, where something does."""
    if state is State.CONTESTED:
        return ", but another program keeps undoing that; the router waits before it tries again"
    if state is State.REFUSED:
        return f", but it is refused: {facts.refused[step.connection]}"
    if state is State.FAILED:
        return f", but JACK did not do it: {facts.failed[step.connection]}"
    if step.deed is Deed.NOTHING:
        return ""
    if facts.paused:
        return f"; nothing is done about it: {facts.paused}"
    return "; it will be made" if step.deed is Deed.CONNECT else "; it will be cut"


def _rule_steps(speakers: tuple[Speaker, ...], decider: Rule | None) -> list[RuleStep]:
    steps = []
    for speaker in speakers:
        rule = speaker.rule
        if speaker.role is Role.DISABLED:
            outcome, reason = Outcome.DISABLED, "it is switched off"
        elif speaker.role is not Role.SPEAKS:
            outcome, reason = Outcome.NOT_CHOSEN, _not_chosen(speaker)
        elif rule is decider:
            outcome, reason = Outcome.DECIDES, f"it is the first rule that speaks of the pair: {_says(rule)}"
        else:
            outcome, reason = Outcome.OVERRULED, f"{_says(rule)}, but an earlier rule has decided"
        steps.append(RuleStep(rule.name, str(rule.origin), outcome, reason))
    return steps


def _says(rule: Rule) -> str:
    match rule.action:
        case Action.CONNECT:
            return "it wants the connection"
        case Action.FORBID:
            return "it forbids the connection"
        case Action.LEAVE:
            return "it leaves the connection alone"
        case _:
            assert_never(rule.action)


def _not_chosen(speaker: Speaker) -> str:
    match speaker.role:
        case Role.SAME_CLIENT:
            return "both ports are of one client, and it does not say same_client = true"
        case Role.DISABLED:
            return "it is switched off"
        case Role.NOT_PAIRED | Role.SPEAKS:
            instead = ", ".join(map(_pair, speaker.instead))
            return f'its selectors match both ports, but pair = "{speaker.rule.pair}" makes {instead or "no pair of them"}'
        case _:
            assert_never(speaker.role)


def _pair(connection: Connection) -> str:
    return f"{shown(connection.source)} -> {shown(connection.destination)}"


def _quoted(rule: Rule) -> str:
    return f'"{rule.name}" ({rule.origin})'
