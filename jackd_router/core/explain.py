"""Explanations: why two ports are or are not connected, in one sentence and rule by rule."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from jackd_router.core.config import Action, Rule
from jackd_router.core.errors import IncompatiblePorts
from jackd_router.core.feedback import Danger, Feedback
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.matcher import Decision, Verdict
from jackd_router.core.membership import Place, Role
from jackd_router.core.names import shown
from jackd_router.core.plan import Deed, Reason, Situation, Step
from jackd_router.core.ports import check_connectable
from jackd_router.core.speakers import Speaker, Standing, speakers


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
    """What became of one rule that has to do with the pair."""

    DECIDES = "decides"
    OVERRULED = "overruled"
    NOT_CHOSEN = "not-chosen"
    DISABLED = "disabled"  # switched off, of another profile, or its `when` does not hold


@dataclass(frozen=True, slots=True)
class Facts:
    """What the router knows of pairs beyond the graph and the rules. `paused`: why nothing is done at all, "" when it is."""

    contested: Collection[Connection] = ()
    failures: Mapping[Connection, str] = field(default_factory=dict)
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
    """The state, one sentence for people, and every rule that has to do with the pair, in deciding order."""

    state: State
    summary: str
    steps: tuple[RuleStep, ...] = ()


def explain(connection: Connection, now: Situation, facts: Facts) -> Explanation:
    """Tell why the two ports, which need not be there, are or are not connected."""
    missing = [end for end in connection if end not in now.graph.ports]
    if not missing:
        return _explain(connection, now, facts, "")
    graph = now.graph.copy()
    for port in _imagined(connection, now.graph):
        graph.add_port(port)
    nearest = [_near(now.graph, end) for end in missing]
    absent = f"there is no port {' and no port '.join(map(shown, missing))} now{''.join(nearest)}"
    with now.matcher.imagined([graph.ports[end] for end in missing]):
        return _explain(connection, replace(now, graph=graph), facts, absent)


def _imagined(connection: Connection, graph: Graph) -> list[Port]:
    """Give the ports that are not there as what they would have to be to be connected."""
    known = next((graph.ports[end] for end in connection if end in graph.ports), None)
    kind = known.type if known else PortType.AUDIO
    flags = (PortFlags.OUTPUT, PortFlags.INPUT)
    return [Port(end, kind, flag) for end, flag in zip(connection, flags, strict=True) if end not in graph.ports]


def _near(graph: Graph, name: PortName) -> str:
    near = difflib.get_close_matches(name, graph.ports, n=1)
    return f" (did you mean {shown(near[0])}?)" if near else ""


def _explain(connection: Connection, now: Situation, facts: Facts, absent: str) -> Explanation:
    try:
        check_connectable(now.graph, connection)
    except IncompatiblePorts as error:
        return Explanation(State.NOT_CONNECTED, f"{_pair(connection)} cannot be connected: {error}")
    speaking = speakers(now.matcher, connection)
    decision = now.matcher.decide(connection)
    step = now.step_for(connection)
    because = _because(connection, step, decision, speaking, now, facts)
    steps = tuple(_rule_steps(speaking, decision))
    if absent:
        return Explanation(_state_if_there(step), f"{_pair(connection)} is not connected: {absent}; if it were, {because}", steps)
    connected = connection in now.graph.connections
    state = _state(step, connected, decision.verdict, facts)
    is_or_not = "is connected" if connected else "is not connected"
    return Explanation(state, f"{_pair(connection)} {is_or_not}: {because}{_outlook(step, state, facts)}", steps)


def _state_if_there(step: Step) -> State:
    return State.FORBIDDEN if step.reason in (Reason.FORBIDDEN, Reason.BYPASSED) else State.NOT_CONNECTED


def _state(step: Step, connected: bool, verdict: Verdict, facts: Facts) -> State:
    """Give the one word: what keeps a step from being taken comes before the step itself."""
    if step.deed is not Deed.NOTHING and step.connection in facts.contested:
        return State.CONTESTED
    if verdict in (Verdict.FORBIDDEN, Verdict.BYPASSED) and step.reason is not Reason.KEPT:
        return State.FORBIDDEN
    if connected:
        return State.CONNECTED
    if step.reason is Reason.HELD:
        return State.HELD
    if step.reason is Reason.REFUSED:
        return State.REFUSED
    if step.deed is not Deed.CONNECT:
        return State.NOT_CONNECTED
    return State.FAILED if step.connection in facts.failures else State.PENDING


def _because(
    connection: Connection, step: Step, decision: Decision, speaking: tuple[Speaker, ...], now: Situation, facts: Facts
) -> str:
    rule = decision.rule
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
            return f"it was connected by hand to stay{f', though {named} {_against(decision)}' if rule else ''}"
        case Reason.BYPASSED:
            speaker = next((speaker for speaker in speaking if speaker.rule is rule), None)
            return f"{named} leads the sound through {_clients_of(speaker.ports if speaker else ())} instead"
        case Reason.WITHHELD:
            blocker = decision.blocker or now.withheld_by(connection)
            return f"{named} wants all its pairs or none (complete), and {_why_blocked(blocker, now, facts)}"
        case Reason.REFUSED:
            return f"{named} wants it, but {refusal_text(now.refused[connection])}"
        case Reason.EXCLUSIVE:
            return f'no rule wants it, and rule "{step.rule}" has a port of it for its own connections (exclusive)'
        case Reason.NO_LONGER_WANTED:
            return f'rule "{step.rule}" made it, and no rule wants it any more{_near_miss(speaking)}'
        case Reason.UNMATCHED:
            return f"no rule speaks of it{_near_miss(speaking)}"
        case _:
            assert_never(step.reason)


def _against(decision: Decision) -> str:
    return {
        Verdict.FORBIDDEN: "forbids it",
        Verdict.BYPASSED: "leads the sound through another client",
        Verdict.WITHHELD: "cannot have all its pairs",
    }.get(decision.verdict, "does not want it")


def _near_miss(speaking: tuple[Speaker, ...]) -> str:
    near = next((speaker for speaker in speaking if speaker.standing is not Standing.SPEAKS), None)
    return f"; rule {_quoted(near.rule)} does not: {_not_chosen(near)}" if near else ""


def _why_blocked(blocker: Connection | None, now: Situation, facts: Facts) -> str:
    if blocker is None:
        return "one of them cannot be made"
    if blocker in facts.failures:
        return f"JACK did not make {_pair(blocker)}: {facts.failures[blocker]}"
    if blocker in now.refused:
        return f"{_pair(blocker)} is refused: {refusal_text(now.refused[blocker])}"
    decision = now.matcher.decide(blocker)
    return (
        f"rule {_quoted(decision.rule)} {_against(decision)}: {_pair(blocker)}" if decision.rule else f"{_pair(blocker)} is not"
    )


def refusal_text(feedback: Feedback) -> str:
    """Give in words why a connection is refused, and what to write where it is wanted."""
    return f"it would make {path_text(feedback)}; where that is meant, write allow_feedback = true into the rule"


def path_text(feedback: Feedback) -> str:
    """Give a path of sound in words."""
    path = " -> ".join(map(shown, feedback.path))
    match feedback.danger:
        case Danger.MICROPHONE:
            return f"a way from a microphone to a loudspeaker ({path})"
        case Danger.LOOP:
            return f"a loop through a bus ({path})"
        case _:
            assert_never(feedback.danger)


def _outlook(step: Step, state: State, facts: Facts) -> str:
    """Give what happens next, where something does."""
    if state is State.CONTESTED:
        return ", but another program keeps undoing that; the router waits before it tries again"
    if state is State.FAILED:
        return f", but JACK did not do it: {facts.failures[step.connection]}"
    if step.deed is Deed.NOTHING:
        return ""
    if facts.paused:
        return f"; nothing is done about it: {facts.paused}"
    return "; it will be made" if step.deed is Deed.CONNECT else "; it will be cut"


def _rule_steps(speaking: tuple[Speaker, ...], decision: Decision) -> list[RuleStep]:
    steps = []
    for speaker in speaking:
        rule = speaker.rule
        if speaker.standing in (Standing.DISABLED, Standing.OTHER_PROFILE, Standing.CONDITION):
            outcome, reason = Outcome.DISABLED, _not_chosen(speaker)
        elif speaker.standing is not Standing.SPEAKS:
            outcome, reason = Outcome.NOT_CHOSEN, _not_chosen(speaker)
        elif rule is decision.rule:
            outcome, reason = Outcome.DECIDES, f"it is the first rule that speaks of the pair: {_says(speaker, decision)}"
        else:
            outcome, reason = Outcome.OVERRULED, f"{_says(speaker)}, but an earlier rule has decided"
        steps.append(RuleStep(rule.name, str(rule.origin), outcome, reason))
    return steps


def _says(speaker: Speaker, decision: Decision | None = None) -> str:
    match speaker.rule.action:
        case Action.CONNECT if speaker.rule.follows:
            return f"it follows {', '.join(map(shown, speaker.ports))}, which the source feeds"
        case Action.CONNECT if speaker.ports:
            return f"it leads the sound through {_clients_of(speaker.ports)} instead"
        case Action.CONNECT if decision and decision.blocker:
            return f"it wants all its pairs or none, and cannot have {_pair(decision.blocker)}"
        case Action.CONNECT:
            return "it wants the connection"
        case Action.FORBID:
            return "it forbids the connection"
        case Action.LEAVE:
            return "it leaves the connection alone"
        case _:
            assert_never(speaker.rule.action)


def _not_chosen(speaker: Speaker) -> str:
    rule = speaker.rule
    match speaker.standing:
        case Standing.DISABLED:
            return "it is switched off"
        case Standing.OTHER_PROFILE:
            return f"it counts only in the profiles {', '.join(sorted(rule.profiles or ()))}"
        case Standing.CONDITION:
            return f"its condition does not hold: {', '.join(map(_condition, speaker.conditions))}"
        case Standing.SAME_CLIENT:
            return "both ports are of one client, and it does not say same_client = true"
        case Standing.VIA_CLIENT:
            return "one of the ports is of a client of its 'via', which is neither source nor destination"
        case Standing.FALLBACK:
            return "another entry of its 'from', 'to' or their fallbacks counts now"
        case Standing.INCOMPLETE:
            return "it wants all ports of both clients paired or none (complete), and some have no partner"
        case Standing.NOT_FOLLOWED:
            return "the source feeds none of the ports that it follows"
        case Standing.NOT_PAIRED | Standing.SPEAKS:
            instead = ", ".join(map(_pair, speaker.instead))
            written = f'"{rule.pair}"' if isinstance(rule.pair, str) else "{ ... }"
            return f"its selectors match both ports, but pair = {written} makes {instead or 'no pair of them'}"
        case _:
            assert_never(speaker.standing)


def _condition(place: Place) -> str:
    """Give in words which entry of `when` is not as it should be."""
    what = "matches no port" if place.role is Role.PRESENT else "matches a port"
    return f"entry {place.number + 1} of when.{'present' if place.role is Role.PRESENT else 'absent'} {what}"


def _clients_of(ports: tuple[PortName, ...]) -> str:
    return ", ".join(dict.fromkeys(shown(port.partition(":")[0]) for port in ports)) or "another client"


def _pair(connection: Connection) -> str:
    return f"{shown(connection.source)} -> {shown(connection.destination)}"


def _quoted(rule: Rule) -> str:
    return f'"{rule.name}" ({rule.origin})'
