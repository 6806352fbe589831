"""The feedback guard at work: which wanted connections must not be made now, and which paths others have opened."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from jackd_router.core.config import Feedback as FeedbackPolicy
from jackd_router.core.config import Rule
from jackd_router.core.deciding.feedback import Feedback, Guard
from jackd_router.core.deciding.matcher import Matcher, Verdict
from jackd_router.core.deciding.plan import Situation
from jackd_router.core.deciding.sound_paths import Passages
from jackd_router.core.deciding.words import path_text
from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.core.names import shown
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

BusPassages = Callable[[], tuple[tuple[PortName, PortName], ...]]
"""Gives (input, output) wherever sound can pass through a bus of ours; the same object as long as nothing changed."""


class FeedbackWatch:
    """Keeps the pairs that can be a piece of a path, and decides anew only where one is not as it was counted."""

    def __init__(self, graph: Graph) -> None:
        """Take the mirror's graph; no sound passes through us before `buses` says so."""
        self._graph = graph
        self.buses: BusPassages = tuple
        self._passages = Passages()
        self._basis: object = None
        """What the passages were made of."""
        self._unmade: dict[Connection, Rule] = {}
        """What is wanted and not there."""
        self._made: set[Connection] = set()
        """What is there, be it wanted or not."""
        self._foreseen: set[Connection] = set()
        """What was not there when it was decided last, and counted as if it were."""
        self._decided_with: Passages | None = None

    def passages(self, matcher: Matcher) -> Passages:
        """Give where sound passes inside of clients now."""
        buses = self.buses()
        basis = (matcher, matcher.cells.via_version, buses)
        if basis != self._basis:
            self._basis, self._passages = basis, Passages.of(buses, matcher.via_passages())
        return self._passages

    def clear(self) -> None:
        """Forget the pairs of a server that is gone, or of other rules: all are looked at next."""
        self._decided_with = None

    def look_at(self, now: Situation, pairs: Iterable[Connection]) -> set[Connection]:
        """Decide anew what is refused, where these pairs may be other ones than before; give those that are unlike before."""
        now.passages = self.passages(now.matcher)
        is_right = now.passages is self._decided_with
        if not is_right:
            self._unmade, self._made = {}, set()
            pairs = {*pairs, *now.matcher.wanted(), *self._graph.connections}
        guard = Guard(self._graph, now.passages)
        for connection in pairs:
            is_right = self._note(connection, now.matcher, is_concerned=guard.concerns(connection)) and is_right
        return set() if is_right else self._decide(now)

    def _note(self, connection: Connection, matcher: Matcher, *, is_concerned: bool) -> bool:
        """Note how a pair stands; tell whether that is how it was counted."""
        was_there = connection in self._made
        was_wanted = self._unmade.pop(connection, None) is not None
        if is_concerned and connection in self._graph.connections:
            self._made.add(connection)
            return was_there or connection in self._foreseen
        self._made.discard(connection)
        if is_concerned:
            decision = matcher.decide(connection)
            if decision.verdict is Verdict.WANTED and decision.rule is not None:
                self._unmade[connection] = decision.rule
        return not (is_concerned or was_there or was_wanted)

    def _decide(self, now: Situation) -> set[Connection]:
        before, now.refused = now.refused, now.refusals(self._unmade.items())
        self._decided_with = now.passages
        self._foreseen = set()
        # What a rule withholds was not counted. And where sound passes through other clients, a loop there may have hidden one
        # through a bus: the shortest is looked at.
        if not now.passages.has_others and not any(rule.complete for rule in self._unmade.values()):
            counted = self._unmade.keys() - now.refused.keys() - set(now.held)
            # Such a pair closes nothing with those that were decided before it. Of one that may close something, nobody knows.
            self._foreseen = {pair for pair in counted if not self._unmade[pair].allow_feedback}
        return before.keys() ^ now.refused.keys()

    def warn_of(self, connection: Connection, now: Situation) -> None:
        """Warn of a connection that somebody made by hand, when it opens a path."""
        guard = Guard(self._graph, self.passages(now.matcher))
        feedback = guard.closes(connection) if now.feedback is FeedbackPolicy.REFUSE else None
        if feedback is None or _is_allowed(now.matcher, feedback):
            return
        self._warn(f"The connection {shown(connection.source)} -> {shown(connection.destination)}", feedback)

    def warn_of_passages(self, now: Situation) -> None:
        """Warn where a changed matrix opens a path that the passages before did not have."""
        before, after = now.passages, self.passages(now.matcher)
        if now.feedback is not FeedbackPolicy.REFUSE:
            return
        guard = Guard(self._graph, after)
        for entry, outs in after.onward.items():
            new = outs - before.onward.get(entry, frozenset())
            for connection in self._graph.connections_of(entry) if new else ():
                feedback = guard.closes(connection)
                if feedback and not new.isdisjoint(feedback.path) and not _is_allowed(now.matcher, feedback):
                    self._warn("The matrix of a bus", feedback)
                    return

    @staticmethod
    def _warn(what: str, feedback: Feedback) -> None:
        log.warning(
            "%s opens a path: %s; nothing is cut",
            what,
            path_text(feedback),
            extra={"MESSAGE_ID": Event.FEEDBACK, "REASON": str(feedback.danger)},
        )


def _is_allowed(matcher: Matcher, feedback: Feedback) -> bool:
    """Tell whether a rule that allows feedback wants a piece of the path."""
    rules = (matcher.decide(Connection(*piece)).rule for piece in zip(feedback.path, feedback.path[1:], strict=False))
    return any(rule is not None and rule.allow_feedback for rule in rules)
