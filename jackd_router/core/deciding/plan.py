"""The plan: what to connect and what to disconnect, so that the graph is as the rules want it. Pure; the reconciler acts."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, assert_never

from jackd_router.core.config import Feedback as FeedbackPolicy
from jackd_router.core.config import Rule, Unmatched
from jackd_router.core.deciding.feedback import Feedback, Guard, refusals
from jackd_router.core.deciding.matcher import Decision, Matcher, Verdict
from jackd_router.core.deciding.sound_paths import Passages
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.names import NaturalKey, natural_key
from jackd_router.core.steps import run_at_once

_PAIRS_IN_A_ROW = 100
"""Pairs that are decided without a pause: about half a millisecond."""
_MOST_PAIRS = 10_000
"""Pairs of one rule that are looked at to find one that it decides."""
_MOST_TURNS = 20
"""What one turn makes others may follow, and what it cuts may let others be made; a graph that never rests is left there."""


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
    BYPASSED = "a rule leads the sound through another client"
    WITHHELD = "a rule wants all its pairs or none, and cannot have all"
    REFUSED = "it would be feedback"
    EXCLUSIVE = "a rule has the port for itself"
    NO_LONGER_WANTED = "the rule that made it does not want it any more"
    UNMATCHED = "no rule speaks of it"


_CONNECT, _DISCONNECT, _NOTHING = Deed.CONNECT, Deed.DISCONNECT, Deed.NOTHING
_IT_IS_WANTED = Reason.WANTED
_MAYBE_OF_NO_RULE = frozenset((Reason.NO_LONGER_WANTED, Reason.EXCLUSIVE, Reason.UNMATCHED, Reason.KEPT))
"""Why something is done, or not, about a pair of which perhaps no rule speaks: the step names one that had made it."""
_WANTED, _MAYBE_IN_THE_WAY = Verdict.WANTED, (Verdict.UNSPOKEN, Verdict.WITHHELD)


class Step(NamedTuple):
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
    refused: Mapping[Connection, Feedback] = field(default_factory=dict)
    deciding: frozenset[str] = frozenset()
    """Rules that decide a pair as things stand; some of those that only keep apart what nobody wants are not among them."""

    def pairs_to(self, deed: Deed) -> tuple[Connection, ...]:
        """Give the pairs to connect, or to disconnect, in the order in which to do so."""
        return tuple(step.connection for step in self.steps if step.deed is deed)

    @property
    def concerned(self) -> frozenset[Connection]:
        """Every pair of which the plan says something."""
        return frozenset(step.connection for step in self.steps) | self.adopted.keys() | self.released | self.refused.keys()


class Circumstances(NamedTuple):
    """What is so about one pair beside the rules.

    `owned` names the rule that the connection belongs to, "" for nobody; `held`: somebody cut it and that counts; `kept`:
    somebody made it and that counts; `refused`: it would be feedback; `withheld`: one that must be made with it cannot be;
    `exclusive` names the rule that has one of the ports for itself.
    """

    connected: bool
    owned: str = ""
    held: bool = False
    kept: bool = False
    refused: bool = False
    withheld: bool = False
    exclusive: str = ""
    unmatched: Unmatched = Unmatched.KEEP


def decide_step(connection: Connection, decision: Decision, now: Circumstances) -> Step:
    """Give what to do about a pair."""
    rule = decision.rule.name if decision.rule else ""
    match decision.verdict:
        case Verdict.WANTED:
            return _wanted(connection, rule, now)
        case Verdict.WITHHELD:
            return _withheld(connection, rule, now)
        case Verdict.LEFT:
            return Step(Deed.NOTHING, connection, rule, Reason.LEFT)
        case Verdict.FORBIDDEN:
            return _unwanted(connection, rule, Reason.FORBIDDEN, now)
        case Verdict.BYPASSED:
            return _unwanted(connection, rule, Reason.BYPASSED, now)
        case Verdict.UNSPOKEN if now.owned:
            return _unwanted(connection, now.owned, Reason.NO_LONGER_WANTED, now)
        case Verdict.UNSPOKEN if now.exclusive:
            return _unwanted(connection, now.exclusive, Reason.EXCLUSIVE, now)
        case Verdict.UNSPOKEN:
            return _unwanted(connection, "", Reason.UNMATCHED, now, cut=now.unmatched is Unmatched.REMOVE)
        case _:
            assert_never(decision.verdict)


def _wanted(connection: Connection, rule: str, now: Circumstances) -> Step:
    if now.withheld:
        return _withheld(connection, rule, now)
    if now.connected:
        return Step(_NOTHING, connection, rule, _IT_IS_WANTED, owner=rule)
    if now.held:
        return Step(Deed.NOTHING, connection, rule, Reason.HELD)
    if now.refused:
        return Step(Deed.NOTHING, connection, rule, Reason.REFUSED)
    return Step(_CONNECT, connection, rule, _IT_IS_WANTED, owner=rule)


def _withheld(connection: Connection, rule: str, now: Circumstances) -> Step:
    """Take away what is ours (or in the way of an exclusive rule); what is somebody else's is not ours to cut."""
    if now.connected and not now.owned and now.exclusive:
        return _unwanted(connection, now.exclusive, Reason.EXCLUSIVE, now)
    return _unwanted(connection, rule, Reason.WITHHELD, now, cut=bool(now.owned))


def _unwanted(connection: Connection, rule: str, reason: Reason, now: Circumstances, *, cut: bool = True) -> Step:
    cut = cut and now.connected
    if cut and now.kept:
        return Step(Deed.NOTHING, connection, rule, Reason.KEPT)
    return Step(Deed.DISCONNECT if cut else Deed.NOTHING, connection, rule, reason)


@dataclass(slots=True)
class Situation:
    """A graph, what the rules say of it, and what is known of its pairs."""

    matcher: Matcher
    graph: Graph
    owned: Mapping[Connection, str] = field(default_factory=dict)
    held: Collection[Connection] = ()
    kept: Collection[Connection] = ()
    failed: Collection[Connection] = ()
    unmatched: Unmatched = Unmatched.KEEP
    feedback: FeedbackPolicy = FeedbackPolicy.REFUSE
    passages: Passages = field(default_factory=Passages)
    refused: Mapping[Connection, Feedback] = field(default_factory=dict)

    def refusals(self, wanted: Iterable[tuple[Connection, Rule]]) -> dict[Connection, Feedback]:
        """Give which of some wanted pairs, all of which concern the feedback guard, it refuses to make."""
        unmade = [
            (connection, rule)
            for connection, rule in wanted
            if connection not in self.graph.connections and connection not in self.held
        ]
        unmade.sort(key=lambda pair: (self.matcher.rank(pair[1]), deciding_order(pair[0])))
        while True:
            asked = [(pair, rule.allow_feedback) for pair, rule in unmade]
            refused = refusals(asked, self.graph, self.passages, guarded=self.feedback is FeedbackPolicy.REFUSE)
            # What is withheld because of these is no piece of a path; without it others may be none either.
            left = [(pair, rule) for pair, rule in unmade if pair in refused or not self._depends(pair, rule, refused)]
            if len(left) == len(unmade):
                return refused
            unmade = left

    def _depends(self, connection: Connection, rule: Rule, refused: Collection[Connection]) -> bool:
        return rule.complete and any(other in refused or other in self.failed for other in self.matcher.together(connection))

    def step_for(self, connection: Connection, *, connected: bool | None = None) -> Step:
        """Give what to do about one pair, or what would be if it were `connected`, or not."""
        decision = self.matcher.decide(connection)
        return decide_step(connection, decision, self.circumstances(connection, decision, connected=connected))

    def circumstances(self, connection: Connection, decision: Decision, *, connected: bool | None = None) -> Circumstances:
        """Give what is so about one pair, or would be if it were connected, or not."""
        connected = connection in self.graph.connections if connected is None else connected
        verdict = decision.verdict
        is_complete = verdict is _WANTED and decision.rule is not None and decision.rule.complete
        return Circumstances(
            connected,
            self.owned.get(connection, ""),
            connection in self.held,
            connection in self.kept,
            connection in self.refused,
            withheld=is_complete and self.withheld_by(connection) is not None,
            exclusive=self._exclusive(connection) if connected and verdict in _MAYBE_IN_THE_WAY else "",
            unmatched=self.unmatched,
        )

    def withheld_by(self, connection: Connection) -> Connection | None:
        """Give a pair that must be made with this wanted one and is refused or failed.

        One that failed itself is not withheld by others that did: each of them is tried again in its time.
        """
        failed = () if connection in self.failed else self.failed
        together = self.matcher.together(connection)
        return next((other for other in sorted(together) if other in self.refused or other in failed), None)

    def _exclusive(self, connection: Connection) -> str:
        """Give the rule that has one of the ports for itself."""
        if not self.matcher.has_exclusive:
            return ""
        for end in connection:
            for other in sorted(self.graph.connections_of(end) - {connection}):
                if self.matcher.is_exclusive(other, end):
                    rule = self.matcher.decide(other).rule
                    return rule.name if rule else ""
        return ""


def plan(before: Situation) -> Plan:
    """Give what is to be done about the whole graph: first what is made, in deciding order, then what is cut."""
    return run_at_once(plan_in_steps(before))


def plan_in_steps(before: Situation) -> Generator[None, None, Plan]:
    """Plan, and pause now and then for who has other things to do; the graph must stay as it is meanwhile.

    The turns of the reconciler are carried out on a copy of the graph until nothing is left to be done.
    """
    yield from before.matcher.settle_in_steps()
    graph, owned = before.graph.copy(), dict(before.owned)
    now = replace(before, graph=graph, owned=owned)
    done: dict[Connection, Step] = {}
    adopted: dict[Connection, str] = {}
    released: set[Connection] = set()
    deciding: frozenset[str] = frozenset()
    with before.matcher.imagined_graph(graph):
        for turn in range(_MOST_TURNS):
            steps, deeds = (yield from _turn(now)), []
            if turn == 0:
                deciding = frozenset(step.rule for step in steps if step.reason not in _MAYBE_OF_NO_RULE)
            for step in steps:
                if step.deed is _NOTHING:
                    _take_over(step, owned, adopted, released)
                    continue
                deeds.append(step)
                _note_deed(step, before.graph, done, owned)
            # What is cut may end what was refused; else only rules that look at connections may say something new.
            cut = any(step.deed is _DISCONNECT for step in deeds)
            if not (deeds and now.matcher.looks_at_connections) and not (cut and now.refused):
                break
            yield
            for number, step in enumerate(deeds, 1):
                _carry_out(step, now)
                if number % _PAIRS_IN_A_ROW == 0:
                    yield
            yield
    yield
    # What was made in one turn may be another rule's in the next, one that follows what was made before it; or nobody's.
    for pair, step in done.items():
        owner = owned.get(pair, "")
        if step.deed is _CONNECT and step.owner != owner:
            done[pair] = step._replace(rule=owner or step.rule, owner=owner)
    yield
    order = {rule.name: rank for rank, rule in enumerate(before.matcher.rules)}
    taken = sorted(done.values(), key=lambda step: (step.deed, order.get(step.rule, len(order)), deciding_order(step.connection)))
    return Plan(
        steps=tuple(taken),
        adopted={pair: rule for pair, rule in adopted.items() if pair not in done},
        released=frozenset(pair for pair in released if pair not in done),
        refused=now.refused,
        deciding=deciding,
    )


def _turn(now: Situation) -> Generator[None, None, list[Step]]:
    """Give the steps of one turn, in no order."""
    decided: dict[Connection, Decision] = {}
    concerned: list[tuple[Connection, Rule]] = []
    ports, guard = now.graph.ports, Guard(now.graph, now.passages)
    for pair in paused({*now.matcher.chosen(), *now.graph.connections, *now.owned}):
        if pair is None:
            yield
        elif pair.source in ports and pair.destination in ports:
            decision = decided[pair] = now.matcher.decide(pair)
            if decision.verdict is _WANTED and decision.rule is not None and guard.concerns(pair):
                concerned.append((pair, decision.rule))
    now.refused = now.refusals(concerned)
    steps = []
    for pair in paused(decided):
        if pair is None:
            yield
        else:
            steps.append(decide_step(pair, decided[pair], now.circumstances(pair, decided[pair])))
    return steps


def paused(pairs: Iterable[Connection]) -> Iterator[Connection | None]:
    """Give the pairs, and None in between for a pause."""
    for number, pair in enumerate(pairs, 1):
        yield pair
        if number % _PAIRS_IN_A_ROW == 0:
            yield None


def _take_over(step: Step, owned: dict[Connection, str], adopted: dict[Connection, str], released: set[Connection]) -> None:
    """Note what changes hands without being touched."""
    if step.owner == owned.get(step.connection, ""):
        return
    if step.owner:
        owned[step.connection] = adopted[step.connection] = step.owner
        released.discard(step.connection)
    else:
        del owned[step.connection]
        released.add(step.connection)
        adopted.pop(step.connection, None)


def _note_deed(step: Step, before: Graph, done: dict[Connection, Step], owned: dict[Connection, str]) -> None:
    """Note what is made or cut, and whose it is then."""
    makes = step.deed is _CONNECT
    if makes:
        owned[step.connection] = step.owner
    else:
        owned.pop(step.connection, None)
    if makes is (step.connection in before.connections):
        done.pop(step.connection, None)  # undone again in a later turn: not done at all
    else:
        done[step.connection] = step


def _carry_out(step: Step, now: Situation) -> None:
    """Do on the copy of the graph what the step says, for a turn that comes after it."""
    if step.deed is _CONNECT:
        now.graph.connect(step.connection)
    else:
        now.graph.disconnect(step.connection)
    now.matcher.connection_changed(step.connection)


def deciding_order(connection: Connection) -> tuple[NaturalKey, NaturalKey]:
    """Give the key that sorts the pairs of one rule."""
    return natural_key(connection.source), natural_key(connection.destination)


def unmet(matcher: Matcher) -> Generator[None, None, tuple[str, ...]]:
    """Find the active rules that find nothing to speak of now; in steps."""
    found = []
    for rule in filter(matcher.is_active, matcher.rules):
        if not matcher.finds_partners(rule.name):
            found.append(rule.name)
        yield
    return tuple(found)


def shadowed(matcher: Matcher, deciding: Collection[str] = ()) -> Generator[None, None, tuple[str, ...]]:
    """Find the active rules that speak of pairs, of which earlier rules decide every one; in steps.

    `deciding`: rules of which it is known that they decide something.
    """
    found = []
    for rule in filter(matcher.is_active, matcher.rules):
        if rule.name in deciding:
            continue
        count = 0
        for count, pair in enumerate(itertools.islice(matcher.speaks_of(rule.name), _MOST_PAIRS), 1):
            if matcher.decide(pair).rule is rule:
                break
            if count % _PAIRS_IN_A_ROW == 0:
                yield
        else:
            # Of a rule with more pairs nobody can tell in time: it is not said to be in vain.
            if 0 < count < _MOST_PAIRS:
                found.append(rule.name)
        yield
    return tuple(found)
