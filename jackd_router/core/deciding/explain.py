"""Explanations: why two ports are or are not connected, in one sentence and rule by rule."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from jackd_router.core.deciding.matcher import Decision, Matcher, Verdict
from jackd_router.core.deciding.plan import Deed, Reason, Situation, Step, deciding_order
from jackd_router.core.deciding.speakers import Speaker, Standing, speakers
from jackd_router.core.deciding.words import because, not_chosen, pair_text, says
from jackd_router.core.errors import IncompatiblePorts
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.names import shown
from jackd_router.core.ports import also_called, check_connectable


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

    @property
    def decider(self) -> str:
        """The name of the rule that decides, "" where none does."""
        return next((step.rule for step in self.steps if step.outcome is Outcome.DECIDES), "")


def explain(connection: Connection, now: Situation, facts: Facts) -> Explanation:
    """Tell why the two ports, which need not be there, are or are not connected."""
    missing = [end for end in connection if end not in now.graph.ports]
    if connection.source == connection.destination:
        return Explanation(State.NOT_CONNECTED, f"{pair_text(connection)} cannot be connected: that is one port")
    if not missing:
        return _explain(connection, now, facts, "")
    graph = now.graph.copy()
    for port in _imagined(connection, now.graph):
        graph.add_port(port)
    nearest = [_near(now.graph, end, connection) for end in missing]
    it = "it" if len(missing) == 1 else "they"
    absent = f"there is no port {' and no port '.join(map(shown, missing))} now{''.join(nearest)}; if {it} were"
    with now.matcher.imagined([graph.ports[end] for end in missing]):
        return _explain(connection, replace(now, graph=graph), facts, absent)


def explain_port(name: PortName, now: Situation, facts: Facts) -> list[tuple[PortName, Explanation]]:
    """Give each port that a connection or a rule joins to this one, which need not be there, and how it stands between them."""
    if name in now.graph.ports:
        pairs = now.graph.connections_of(name) | now.matcher.chosen_at(name)
    else:
        pairs = frozenset[Connection]().union(*(_would_choose(port, now.matcher) for port in _guises(name)))
    return [
        (pair.destination if pair.source == name else pair.source, explain(pair, now, facts))
        for pair in sorted(pairs, key=deciding_order)
    ]


def _guises(name: PortName) -> Iterator[Port]:
    """Give a port that is not there as all that it could be."""
    for kind in (PortType.AUDIO, PortType.MIDI):
        for direction in (PortFlags.OUTPUT, PortFlags.INPUT):
            yield Port(name, kind, direction)


def _would_choose(port: Port, matcher: Matcher) -> frozenset[Connection]:
    with matcher.imagined([port]):
        return matcher.chosen_at(port.name)


def _imagined(connection: Connection, graph: Graph) -> list[Port]:
    """Give the ports that are not there as what they would have to be to be connected."""
    known = next((graph.ports[end] for end in connection if end in graph.ports), None)
    kind = known.type if known else PortType.AUDIO
    flags = (PortFlags.OUTPUT, PortFlags.INPUT)
    return [Port(end, kind, flag) for end, flag in zip(connection, flags, strict=True) if end not in graph.ports]


def _near(graph: Graph, name: PortName, connection: Connection) -> str:
    """Give which port may be meant by an end that is not there: one of its direction, and never the other end."""
    if owner := also_called(graph, name):
        return f" ({shown(owner)} is also called so)"
    is_source = name == connection.source
    names = [port.name for port in graph.ports.values() if port.is_source is is_source and port.name not in connection]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return f" (did you mean {shown(near[0])}?)" if near else ""


def _explain(connection: Connection, now: Situation, facts: Facts, absent: str) -> Explanation:
    try:
        check_connectable(now.graph, connection)
    except IncompatiblePorts as error:
        return Explanation(State.NOT_CONNECTED, f"{pair_text(connection)} cannot be connected: {error}")
    speaking = speakers(now.matcher, connection)
    decision = now.matcher.decide(connection)
    step = now.step_for(connection)
    # Of what no rule speaks: why it would not stay, or did not, where an exclusive rule or the policy takes it.
    told = now.step_for(connection, connected=True) if step.reason is Reason.UNMATCHED else step
    why = because(told, decision, speaking, now, facts.failures)
    steps = tuple(_rule_steps(speaking, decision))
    if absent:
        return Explanation(_state_if_there(step), f"{pair_text(connection)} is not connected: {absent}, {why}", steps)
    connected = connection in now.graph.connections
    state = _state(step, connected, decision.verdict, facts)
    is_or_not = "is connected" if connected else "is not connected"
    return Explanation(state, f"{pair_text(connection)} {is_or_not}: {why}{_outlook(step, state, facts)}", steps)


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
            outcome, reason = Outcome.DISABLED, not_chosen(speaker)
        elif speaker.standing is not Standing.SPEAKS:
            outcome, reason = Outcome.NOT_CHOSEN, not_chosen(speaker)
        elif rule is decision.rule:
            outcome, reason = Outcome.DECIDES, f"it is the first rule that speaks of the pair: {says(speaker, decision)}"
        else:
            outcome, reason = Outcome.OVERRULED, f"{says(speaker)}, but an earlier rule has decided"
        steps.append(RuleStep(rule.name, str(rule.origin), outcome, reason))
    return steps
