"""Explanations: why two ports are or are not connected, in one sentence and rule by rule."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, islice, product
from typing import NamedTuple

from jackd_router.core.deciding.matcher import Decision, Matcher, Verdict
from jackd_router.core.deciding.plan import Deed, Reason, Situation, Step, deciding_order
from jackd_router.core.deciding.speakers import Speaker, Standing, speakers
from jackd_router.core.deciding.words import because, not_chosen, pair_text, says
from jackd_router.core.errors import IncompatiblePorts
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.names import shown
from jackd_router.core.ports import also_called, check_connectable, has_ends
from jackd_router.core.selecting.selectors import flow


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
    """What the router knows of pairs beyond the graph and the rules.

    `waiting`: those that wait for a device to be set up; `paused`: why nothing is done at all, "" when it is.
    """

    contested: Collection[Connection] = ()
    failures: Mapping[Connection, str] = field(default_factory=dict)
    waiting: Collection[Connection] = ()
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


class _Answer(NamedTuple):
    """What the rules say of two ports that are there, or as if they were."""

    step: Step
    decision: Decision
    why: str
    steps: tuple[RuleStep, ...]


_A_PORT = {
    PortType.AUDIO: "an audio port",
    PortType.MIDI: "a MIDI port",
    PortType.CV: "a CV port",
    PortType.OTHER: "a port of another type",
}


def explain(connection: Connection, now: Situation, facts: Facts) -> Explanation:
    """Tell why the two ports, which need not be there, are or are not connected."""
    if connection.source == connection.destination:
        return Explanation(State.NOT_CONNECTED, f"{pair_text(connection)} cannot be connected: that is one port")
    try:
        if has_ends(now.graph, connection):
            return _explain(connection, now, facts)
        return _explain_absent(connection, now, facts)
    except IncompatiblePorts as error:
        return Explanation(State.NOT_CONNECTED, f"{pair_text(connection)} cannot be connected: {error}")


def explain_port_in_steps(
    name: PortName, now: Callable[[], Situation], facts: Facts
) -> Generator[None, None, list[tuple[PortName, Explanation]]]:
    """Explain each pair of a port that a connection or a rule makes, with the peer, and pause before each.

    `now` gives how it stands after a pause.
    """
    told = []
    for pair in sorted(_pairs_of(name, now()), key=deciding_order):
        yield
        told.append((pair.destination if pair.source == name else pair.source, explain(pair, now(), facts)))
    return told


def _pairs_of(name: PortName, now: Situation) -> frozenset[Connection]:
    if name in now.graph.ports:
        return now.graph.connections_of(name) | now.matcher.chosen_at(name)
    guises = (port for direction in (PortFlags.OUTPUT, PortFlags.INPUT) for port in _guises(name, direction))
    return frozenset[Connection]().union(*(_would_choose(port, now.matcher) for port in guises))


def _would_choose(port: Port, matcher: Matcher) -> frozenset[Connection]:
    with matcher.imagined([port]):
        return matcher.chosen_at(port.name)


def _explain_absent(connection: Connection, now: Situation, facts: Facts) -> Explanation:
    """Tell how it would be if the ports were there: as what a rule speaks of them, if one does."""
    missing = [end for end in connection if end not in now.graph.ports]
    answers = _answers_if_there(connection, now, facts)
    plain = next(answers)
    speaking = (each for each in chain([plain], answers) if each[1].decision.rule)
    # Two missing ports could be many things: then one answer has to do.
    found = list(speaking if len(missing) == 1 else islice(speaking, 1)) or [plain]
    told: dict[str, str] = {}
    for supposed, answer in found:
        told.setdefault(answer.why, f"{supposed}, {answer.why}")
    nearest = [_near(now.graph, end, connection) for end in missing]
    absent = f"there is no port {' and no port '.join(map(shown, missing))} now{''.join(nearest)}"
    first = found[0][1]
    is_kept_apart = first.step.reason in (Reason.FORBIDDEN, Reason.BYPASSED)
    return Explanation(
        State.FORBIDDEN if is_kept_apart else State.NOT_CONNECTED,
        f"{pair_text(connection)} is not connected: {'; '.join((absent, *told.values()))}",
        first.steps,
    )


def _answers_if_there(connection: Connection, now: Situation, facts: Facts) -> Iterator[tuple[str, _Answer]]:
    """Give what is supposed of the ports that are not there, and what the rules say then, the likeliest first.

    Raises IncompatiblePorts where the port that is there is no such end.
    """
    graph = now.graph.copy()
    imagined = replace(now, graph=graph)
    guesses = _guesses(connection, now.graph)
    for guess in guesses:
        for port in guess:
            graph.add_port(port)
        is_plain = guess is guesses[0]
        if is_plain:
            check_connectable(graph, connection)
        with now.matcher.imagined(guess):
            rule = now.matcher.decide(connection).rule
            imagined.refused = {**now.refused, **imagined.refusals([(connection, rule)] if rule else [])}
            answer = _answer(connection, imagined, facts)
        yield _supposed([port for port in guess if port.name not in now.graph.ports], is_plain=is_plain), answer


def _guesses(connection: Connection, graph: Graph) -> list[tuple[Port, Port]]:
    """Give what the two ports could be, of which one may be there: first of all ports of programs and of one type."""
    ends = (
        [graph.ports[end]] if end in graph.ports else _guises(end, direction)
        for end, direction in zip(connection, (PortFlags.OUTPUT, PortFlags.INPUT), strict=True)
    )
    pairs = [(source, destination) for source, destination in product(*ends) if flow(source.type) is flow(destination.type)]
    return sorted(pairs, key=lambda pair: pair[0].type is not pair[1].type)


def _guises(name: PortName, direction: PortFlags) -> list[Port]:
    """Give a port that is not there as all that it could be: of audio first, and of a program before a device."""
    of_device = direction | PortFlags.PHYSICAL | PortFlags.TERMINAL
    return [Port(name, kind, flags) for kind in PortType for flags in (direction, of_device)]


def _supposed(ports: Sequence[Port], *, is_plain: bool) -> str:
    """Give in words as what ports that are not there are spoken of."""
    if is_plain:
        return "if it were" if len(ports) == 1 else "if they were"
    kinds = [f"{_A_PORT[port.type]}{' of a device' if port.is_physical else ''}" for port in ports]
    if len(kinds) == 1:
        return f"if it were {kinds[0]}"
    return f"if each were {kinds[0]}" if len(set(kinds)) == 1 else f"if they were {' and '.join(kinds)}"


def _near(graph: Graph, name: PortName, connection: Connection) -> str:
    """Give which port may be meant by an end that is not there: one of its direction, and never the other end."""
    if owner := also_called(graph, name):
        return f" ({shown(owner)} is also called so)"
    is_source = name == connection.source
    names = [port.name for port in graph.ports.values() if port.is_source is is_source and port.name not in connection]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return f" (did you mean {shown(near[0])}?)" if near else ""


def _explain(connection: Connection, now: Situation, facts: Facts) -> Explanation:
    check_connectable(now.graph, connection)
    step, decision, why, steps = _answer(connection, now, facts)
    connected = connection in now.graph.connections
    state = _state(step, connected, decision.verdict, facts)
    is_or_not = "is connected" if connected else "is not connected"
    return Explanation(state, f"{pair_text(connection)} {is_or_not}: {why}{_outlook(step, state, facts)}", steps)


def _answer(connection: Connection, now: Situation, facts: Facts) -> _Answer:
    speaking = speakers(now.matcher, connection)
    decision = now.matcher.decide(connection)
    step = now.step_for(connection)
    # Of what no rule speaks: why it would not stay, or did not, where an exclusive rule or the policy takes it.
    told = now.step_for(connection, connected=True) if step.reason is Reason.UNMATCHED else step
    why = because(told, decision, speaking, now, facts.failures) + _called_in_rules(connection, now.matcher)
    return _Answer(step, decision, why, tuple(_rule_steps(speaking, decision)))


def _called_in_rules(connection: Connection, matcher: Matcher) -> str:
    """Give the other names that clients have in rules: ours, and whoever has the name that we are configured with."""
    ends = matcher.ends(connection) or ()
    names = {end.client: end.seen.client for end in ends if end.seen.client != end.client}
    return "".join(f"; in rules the client {shown(client)} is called {shown(name)}" for client, name in names.items())


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
    will = "it will be made" if step.deed is Deed.CONNECT else "it will be cut"
    if step.connection in facts.waiting:
        return f"; {will} when the session manager of PipeWire has set the device up"
    return f"; {will}"


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
