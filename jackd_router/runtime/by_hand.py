"""What people ask for directly: to connect, to disconnect, many of that at once, and to take it back."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence

from jackd_router.core.deciding.matcher import Verdict
from jackd_router.core.deciding.plan import Deed
from jackd_router.core.deciding.speakers import speakers
from jackd_router.core.deciding.words import because, pair_text
from jackd_router.core.errors import Refused, RouterError
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.ports import check_connectable
from jackd_router.core.undo import Hold, PairChange, PairsChanged, Standing
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.state import Outcome, PlanReport


class ByHand:
    """Acts through the reconciler, so that it knows whose doing a change was, and notes each change so that it can be undone."""

    def __init__(self, graph: Graph, reconciler: Reconciler, note: Callable[[PairsChanged], None]) -> None:
        """Take the mirror's graph, the only writer of connections, and who remembers what was changed."""
        self._graph, self._reconciler, self._note = graph, reconciler, note

    async def connect(self, connection: Connection, *, hold: bool) -> Outcome:
        """Connect; with `hold` rules must not undo it until one of the ports goes. Raise UserError, Refused or ServerLost."""
        before = self.standing(connection)
        outcome = await self._connect(connection, hold=hold)
        self._note(PairsChanged((self._change(connection, before, connected=True),)))
        return outcome

    async def disconnect(self, connection: Connection, *, hold: bool) -> Outcome:
        """Disconnect; a rule that wants the pair is held, unless it insists; with `hold` even then."""
        before = self.standing(connection)
        outcome = await self._disconnect(connection, hold=hold)
        self._note(PairsChanged((self._change(connection, before, connected=False),)))
        return outcome

    async def apply(self, connect: Sequence[Connection], disconnect: Sequence[Connection], *, what: str = "") -> PlanReport:
        """Disconnect and connect many pairs, one step to be undone; what fails is in the report and does not stop the rest.

        `what` says what it is to people, "restored snapshot 'x'".
        """
        before = self.standings((*disconnect, *connect))
        failed = await self.change(connect=connect, disconnect=disconnect)
        made, cut = (tuple(pair for pair in pairs if pair not in failed) for pairs in (connect, disconnect))
        self.note_changed(before, made=made, cut=cut, what=what)
        return PlanReport(connect=made, disconnect=cut, failed=tuple(failed))

    async def change(
        self, *, connect: Sequence[Connection] = (), disconnect: Sequence[Connection] = ()
    ) -> dict[Connection, RouterError]:
        """Disconnect and connect many pairs at a time, and note nothing; give what failed and why, which stops no others."""
        cut = [self._disconnect(pair, hold=False) for pair in disconnect]
        made = [self._connect(pair, hold=False) for pair in connect]
        errors = await _all_done(*cut, *made)
        return {pair: error for pair, error in zip((*disconnect, *connect), errors, strict=True) if error is not None}

    def standings(self, connections: Iterable[Connection]) -> dict[Connection, Standing]:
        """Give how pairs stand, before something is done to them."""
        return {pair: self.standing(pair) for pair in connections}

    def note_changed(
        self, before: Mapping[Connection, Standing], *, made: Iterable[Connection], cut: Iterable[Connection], what: str
    ) -> None:
        """Note what was made and cut as one step that can be undone."""
        done = [*((pair, False) for pair in cut), *((pair, True) for pair in made)]
        self._note(PairsChanged(tuple(self._change(pair, before[pair], connected=state) for pair, state in done), what))

    # ---- how a pair stands, and that it stands so again

    def standing(self, connection: Connection) -> Standing:
        """Give how a pair stands; what the server has done counts before its notification has come."""
        ledger = self._reconciler.ledger
        request = ledger.requests.get(connection)
        connected = request.connect if request and request.answered else connection in self._graph.connections
        hold = Hold.CUT if connection in ledger.held else Hold.KEPT if connection in ledger.kept else Hold.NONE
        return Standing(connected, hold)

    def released(self, connections: Collection[Connection]) -> PairsChanged:
        """Give the step that the end of these holds is; to be asked before they end."""
        standing = {pair: self.standing(pair) for pair in connections}
        return PairsChanged(tuple(PairChange(pair, now, Standing(now.connected)) for pair, now in standing.items()))

    def _change(self, connection: Connection, before: Standing, *, connected: bool) -> PairChange:
        return PairChange(connection, before, Standing(connected, self.standing(connection).hold))

    async def put_back(self, changes: Iterable[PairChange]) -> list[tuple[Connection, RouterError]]:
        """Let pairs stand as they did before, as if that were asked for by hand; give those that cannot, and why not."""
        every = tuple(changes)
        errors = await _all_done(*(self._put_one_back(change.connection, change.before) for change in every))
        return [(change.connection, error) for change, error in zip(every, errors, strict=True) if error is not None]

    async def _put_one_back(self, connection: Connection, before: Standing) -> None:
        check_connectable(self._graph, connection)
        now = self.standing(connection)
        if now.connected != before.connected:
            if before.connected:
                await self._connect(connection, hold=before.hold is Hold.KEPT)
            else:
                await self._disconnect(connection, hold=before.hold is Hold.CUT)
        elif now.hold is not before.hold:
            if before.hold is Hold.NONE:
                self._reconciler.release((connection,))
            else:
                self._reconciler.hold(connection, connected=before.hold is Hold.KEPT, reason="it was held before")

    # ---- one pair

    async def _connect(self, connection: Connection, *, hold: bool) -> Outcome:
        check_connectable(self._graph, connection)
        reconciler = self._reconciler
        if not hold:
            self._check_stays(connection)
        if hold:
            reconciler.hold(connection, connected=True, reason="it was connected by hand")
        elif connection in reconciler.ledger.held:
            reconciler.release((connection,))
        if self.standing(connection).connected:
            return Outcome.ALREADY_CONNECTED
        code = await reconciler.ask_for_caller(connection, connect=True)
        if code == errno.EEXIST:
            return Outcome.ALREADY_CONNECTED
        if code:
            reconciler.release((connection,))
            check_connectable(self._graph, connection)  # a port that went meanwhile is the better reason
            raise Refused(f"JACK did not connect {pair_text(connection)} (code {code})")
        return Outcome.CONNECTED

    def check_connect(self, connection: Connection) -> None:
        """Raise what `connect` without `hold` would, as far as it is known before the server is asked."""
        check_connectable(self._graph, connection)
        self._check_stays(connection)

    def check_disconnect(self, connection: Connection) -> None:
        """Raise Refused where a rule would make the connection again at once."""
        decision = self._reconciler.matcher.decide(connection)
        if decision.verdict is Verdict.WANTED and decision.rule is not None and self._reconciler.insists(decision.rule):
            raise Refused(f'{pair_text(connection)} would be made again: rule "{decision.rule.name}" enforces it')

    def _check_stays(self, connection: Connection) -> None:
        """Raise Refused where the rules would cut the connection again at once."""
        now = self._reconciler.situation
        step = now.step_for(connection, connected=True)
        if step.deed is Deed.DISCONNECT:
            told = because(step, now.matcher.decide(connection), speakers(now.matcher, connection), now, {})
            raise Refused(f"{pair_text(connection)} would be cut again: {told}; the option hold overrides that")

    async def _disconnect(self, connection: Connection, *, hold: bool) -> Outcome:
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


async def _all_done(*work: Coroutine[None, None, object]) -> list[RouterError | None]:
    """Do all of it side by side; give for each the error that the program expects, or None."""
    errors: list[RouterError | None] = []
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, RouterError):
            raise result
        errors.append(result if isinstance(result, RouterError) else None)
    return errors
