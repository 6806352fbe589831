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
    """Keeps the wanted pairs that can be a piece of a path and are not made: only these have to be looked at each turn."""

    def __init__(self, graph: Graph) -> None:
        """Take the mirror's graph; no sound passes through us before `buses` says so."""
        self._graph = graph
        self.buses: BusPassages = tuple
        self._basis: object = None
        self._passages = Passages()
        self._unmade: dict[Connection, Rule] = {}
        self._made: set[Connection] = set()
        """Those that can be a piece of a path and were made when they were looked at last."""
        self._looked_with: Passages | None = None

    def passages(self, matcher: Matcher) -> Passages:
        """Give where sound passes inside of clients now."""
        buses = self.buses()
        basis = (matcher, matcher.cells.via_version, buses)
        if basis != self._basis:
            self._basis, self._passages = basis, Passages.of(buses, matcher.via_passages())
        return self._passages

    def clear(self) -> None:
        """Forget the pairs of a server that is gone, or of other rules."""
        self._unmade.clear()
        self._made.clear()
        self._looked_with = None

    def look_at(self, now: Situation, pairs: Iterable[Connection]) -> set[Connection]:
        """Decide anew what is refused, where these pairs may be other ones than before; give those that are unlike before."""
        now.passages = self.passages(now.matcher)
        is_as_decided = now.passages is self._looked_with
        if not is_as_decided:
            pairs = {*pairs, *now.matcher.wanted()}
            self._looked_with = now.passages
        may_foresee = not self._passages.has_others and not any(rule.complete for rule in self._unmade.values())
        guard = Guard(self._graph, now.passages)
        for connection in pairs:
            is_concerned = guard.concerns(connection)
            if is_concerned and connection in self._graph.connections:
                foreseen = may_foresee and self._was_to_be_made(connection, now)
                is_as_decided = is_as_decided and (foreseen or connection in self._made)
                self._made.add(connection)
                self._unmade.pop(connection, None)
                continue
            is_as_decided = is_as_decided and not (is_concerned or connection in self._unmade or connection in self._made)
            self._made.discard(connection)
            decision = now.matcher.decide(connection) if is_concerned else None
            if decision and decision.rule and decision.verdict is Verdict.WANTED:
                self._unmade[connection] = decision.rule
            else:
                self._unmade.pop(connection, None)
        if is_as_decided or not (self._unmade or now.refused):
            return set()
        refused = now.refusals(self._unmade.items())
        unlike = refused.keys() ^ now.refused.keys()
        now.refused = refused
        return unlike

    def _was_to_be_made(self, connection: Connection, now: Situation) -> bool:
        """Tell whether the pair was counted as made when the others were decided: that it is made changes nothing then.

        Not so where a rule allows feedback: such a pair was not looked at itself. Nor, which `look_at` asks, where a rule
        withholds what it wants, or where sound passes through other clients: a loop there may hide one through a bus.
        """
        rule = self._unmade.get(connection)
        return rule is not None and not rule.allow_feedback and connection not in now.refused and connection not in now.held

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
