"""What people ask for directly: to connect, to disconnect, to let the rules decide again."""

from __future__ import annotations

import errno

from jackd_router.core.errors import Refused
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.matcher import Verdict
from jackd_router.core.names import shown
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
        decision = reconciler.matcher.decide(connection)
        if decision.verdict is Verdict.FORBIDDEN and decision.rule and not hold:
            raise Refused(
                f"rule {decision.rule.name!r} ({decision.rule.origin}) forbids {_pair(connection)}; the option hold overrides it"
            )
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
            raise Refused(f"JACK did not connect {_pair(connection)} (code {code})")
        return Outcome.CONNECTED

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
            raise Refused(f"JACK did not disconnect {_pair(connection)} (code {code})")
        return Outcome.DISCONNECTED


def _pair(connection: Connection) -> str:
    return f"{shown(connection.source)} -> {shown(connection.destination)}"
