"""What people ask for directly: to connect, to disconnect, to let the rules decide again."""

from __future__ import annotations

import errno

from jackd_router.core.deciding.matcher import Verdict
from jackd_router.core.deciding.plan import Deed
from jackd_router.core.deciding.speakers import speakers
from jackd_router.core.deciding.words import because, pair_text
from jackd_router.core.errors import Refused
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.ports import check_connectable
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.state import Outcome


class ByHand:
    """Acts through the reconciler, so that it knows whose doing a change was."""

    def __init__(self, graph: Graph, reconciler: Reconciler) -> None:
        """Take the mirror's graph and the only writer of connections."""
        self._graph, self._reconciler = graph, reconciler

    async def connect(self, connection: Connection, *, hold: bool) -> Outcome:
        """Connect; with `hold` rules must not undo it until one of the ports goes. Raise UserError, Refused or ServerLost."""
        check_connectable(self._graph, connection)
        reconciler = self._reconciler
        if not hold:
            self._check_would_stay(connection)
        if hold:
            reconciler.hold(connection, connected=True, reason="it was connected by hand")
        elif connection in reconciler.ledger.held:
            reconciler.release((connection,))
        if connection in self._graph.connections:
            return Outcome.ALREADY_CONNECTED
        code = await reconciler.ask_for_caller(connection, connect=True)
        if code == errno.EEXIST:
            return Outcome.ALREADY_CONNECTED
        if code:
            reconciler.release((connection,))
            check_connectable(self._graph, connection)  # a port that went meanwhile is the better reason
            raise Refused(f"JACK did not connect {pair_text(connection)} (code {code})")
        return Outcome.CONNECTED

    def _check_would_stay(self, connection: Connection) -> None:
        """Raise Refused where the rules would cut the connection again at once."""
        now = self._reconciler.situation
        step = now.step_for(connection, connected=True)
        if step.deed is Deed.DISCONNECT:
            told = because(step, now.matcher.decide(connection), speakers(now.matcher, connection), now, {})
            raise Refused(f"{pair_text(connection)} would be cut again: {told}; the option hold overrides that")

    async def disconnect(self, connection: Connection, *, hold: bool) -> Outcome:
        """Disconnect; a rule that wants the pair is held, unless it insists; with `hold` even then."""
        check_connectable(self._graph, connection)
        reconciler = self._reconciler
        decision = reconciler.matcher.decide(connection)
        if hold or (decision.verdict is Verdict.WANTED and not reconciler.insists(decision.rule)):
            reconciler.hold(connection, connected=False, reason="it was disconnected by hand")
        elif connection in reconciler.ledger.kept:
            reconciler.release((connection,))
        if connection not in self._graph.connections and connection not in reconciler.ledger.requests:
            return Outcome.NOT_CONNECTED
        code = await reconciler.ask_for_caller(connection, connect=False)
        if code and connection in self._graph.connections:
            raise Refused(f"JACK did not disconnect {pair_text(connection)} (code {code})")
        return Outcome.DISCONNECTED
