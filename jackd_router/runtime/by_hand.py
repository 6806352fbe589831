"""What people ask for directly: to connect, to disconnect, many of that at once, and to take it back."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from jackd_router.core.deciding.matcher import Verdict
from jackd_router.core.deciding.plan import Deed, Situation
from jackd_router.core.deciding.speakers import speakers
from jackd_router.core.deciding.words import because, pair_text
from jackd_router.core.errors import Refused, RouterError, RuledOut
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.ports import check_connectable, has_ends
from jackd_router.core.undo import Hold, PairChange, PairsChanged, Standing
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.slices import run_in_slices
from jackd_router.runtime.state import ChangeReport, Outcome

_IN_A_ROW = 16
"""How many pairs are asked for before others have their turn."""


class _Work(Protocol):
    async def __call__(self, connection: Connection, *, hold: bool) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Ways:
    """How what is done reaches others."""

    note: Callable[[PairsChanged], None]
    """Takes each change, so that it can be undone."""
    one_burst: Callable[[], AbstractContextManager[None]]
    """Lets listeners hear in one what changes meanwhile."""
    applied: Callable[[], Awaitable[None]]
    """Waits until the reconciler has done what follows from a change."""


class ByHand:
    """Acts through the reconciler, so that it knows whose doing a change was."""

    def __init__(self, graph: Graph, reconciler: Reconciler, ways: Ways) -> None:
        """Take the mirror's graph, the only writer of connections, and who is told."""
        self._graph, self._reconciler, self._ways = graph, reconciler, ways

    async def connect(self, connection: Connection, *, hold: bool) -> Outcome:
        """Connect; with `hold` rules must not undo it until one of the ports goes. Raise UserError, Refused or ServerLost."""
        return await self._one(connection, self._connect, hold=hold)

    async def disconnect(self, connection: Connection, *, hold: bool) -> Outcome:
        """Disconnect; a rule that wants the pair is held, with `hold` even one that insists, which makes it again else."""
        is_made_again = not hold and self._is_made_again(connection)
        return await self._one(connection, self._disconnect, hold=hold, is_step=not is_made_again)

    async def _one(self, connection: Connection, work: _Work, *, hold: bool, is_step: bool = True) -> Outcome:
        before = self.standing(connection)
        try:
            outcome = await work(connection, hold=hold)
        except RuledOut as error:
            raise RuledOut(f"{error}; the option hold overrides that") from None
        connected = outcome in (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED)
        if outcome in (Outcome.ALREADY_CONNECTED, Outcome.NOT_CONNECTED):
            before = replace(before, connected=connected)
        if is_step:
            self._ways.note(PairsChanged((self._change(connection, before, connected=connected),)))
        return outcome

    async def change(
        self, *, connect: Collection[Connection] = (), disconnect: Collection[Connection] = (), dry_run: bool = False
    ) -> ChangeReport:
        """Disconnect and connect many pairs, and note nothing; what is so already is not in the report.

        What fails is there with its reason, and does not stop the rest.
        """
        cut = [pair for pair in dict.fromkeys(disconnect) if self.standing(pair).connected]
        made = [pair for pair in dict.fromkeys(connect) if not self.standing(pair).connected]
        failed = await (run_in_slices(self._complaints(made, cut)) if dry_run else self._carry_out(made, cut))
        done, undone = (tuple(pair for pair in pairs if pair not in failed) for pairs in (made, cut))
        return ChangeReport(done, undone, tuple(failed.items()))

    async def _carry_out(self, made: Sequence[Connection], cut: Sequence[Connection]) -> dict[Connection, str]:
        """Do it, and give what is not so in the end, and why not."""
        # To cut comes first: what is in the way of a rule is held as cut when the rest is asked for.
        work = [*((pair, self._disconnect_for_good) for pair in cut), *((pair, self._connect) for pair in made)]
        errors = await _all_done((pair, do(pair, hold=False)) for pair, do in work)
        await self._ways.applied()
        # As it is, not as the server answered: it may have been late, and a rule, or another program, may have undone it.
        now = self._graph.connections
        # Only where both ports are still there has a pair been cut: else it went, with the server perhaps.
        failed = {
            pair: str(errors.get(pair, "it was made again at once"))
            for pair in cut
            if pair in now or (pair in errors and not has_ends(self._graph, pair))
        }
        return failed | {pair: str(errors.get(pair, "it was cut again at once")) for pair in made if pair not in now}

    def _complaints(self, made: Sequence[Connection], cut: Sequence[Connection]) -> Generator[None, None, dict[Connection, str]]:
        """Give what would be said against it, step by step: there may be thousands."""
        failed = {}
        now = self._reconciler.situation
        after = replace(now, held=frozenset({*now.held, *cut}))
        checks: list[tuple[Connection, Callable[[Connection], None]]] = [(pair, self._check_stays_cut) for pair in cut]
        checks += [(pair, partial(self._check_stays, after)) for pair in made]
        for pair, check in checks:
            try:
                check_connectable(self._graph, pair)
                check(pair)
            except RouterError as error:
                failed[pair] = str(error)
            yield
        return failed

    async def apply(
        self, connect: Collection[Connection], disconnect: Collection[Connection], *, dry_run: bool = False
    ) -> ChangeReport:
        """Do `change`, as one step to be undone."""
        before = self.standings((*disconnect, *connect))
        with self.one_burst():
            report = await self.change(connect=connect, disconnect=disconnect, dry_run=dry_run)
        if not dry_run:
            self.note_changed(before, report)
        return report

    @property
    def one_burst(self) -> Callable[[], AbstractContextManager[None]]:
        """Lets listeners hear in one what changes meanwhile."""
        return self._ways.one_burst

    def standings(self, connections: Iterable[Connection]) -> dict[Connection, Standing]:
        """Give how pairs stand, before something is done to them."""
        return {pair: self.standing(pair) for pair in connections}

    def note_changed(self, before: Mapping[Connection, Standing], *reports: ChangeReport, what: str = "") -> None:
        """Note what was done as one step that can be undone; `what` says to people what it is, "restored snapshot 'x'"."""
        cut = [(pair, False) for report in reports for pair in report.disconnected]
        made = [(pair, True) for report in reports for pair in report.connected]
        changes = (self._change(pair, before[pair], connected=connected) for pair, connected in (*cut, *made))
        self._ways.note(PairsChanged(tuple(changes), what))

    # ---- how a pair stands, and that it stands so again

    def standing(self, connection: Connection) -> Standing:
        """Give how a pair stands; what the server was asked for counts before it is told: calls may follow each other closely."""
        ledger = self._reconciler.ledger
        request = ledger.requests.get(connection)
        connected = request.connect if request else connection in self._graph.connections
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
        failed = await _all_done((change.connection, self._put_one_back(change.connection, change.before)) for change in changes)
        return list(failed.items())

    async def _put_one_back(self, connection: Connection, before: Standing) -> None:
        check_connectable(self._graph, connection)
        now = self.standing(connection)
        if now.connected != before.connected:
            if before.connected:
                await self._connect(connection, hold=before.hold is Hold.KEPT)
            else:
                await self._disconnect(connection, hold=before.hold is Hold.CUT)
                if before.hold is Hold.NONE and not self._reconciler.acts:
                    self._reconciler.release((connection,))  # no rule makes it again now
        elif now.hold is not before.hold:
            if before.hold is Hold.NONE:
                self._reconciler.release((connection,))
            else:
                self._reconciler.hold(connection, connected=before.hold is Hold.KEPT, reason="it was held before")

    # ---- one pair

    async def _connect(self, connection: Connection, *, hold: bool) -> Outcome:
        check_connectable(self._graph, connection)
        reconciler, before = self._reconciler, self.standing(connection)
        if not hold:
            self._check_stays(reconciler.situation, connection)
        if hold:
            reconciler.hold(connection, connected=True, reason="it was connected by hand")
        elif connection in reconciler.ledger.held:
            reconciler.release((connection,))
        if before.connected and connection in self._graph.connections:
            return Outcome.ALREADY_CONNECTED
        code = await reconciler.ask_for_caller(connection, connect=True)
        if code == errno.EEXIST:
            return Outcome.ALREADY_CONNECTED
        if code:
            reconciler.release((connection,))
            check_connectable(self._graph, connection)  # a port that went meanwhile is the better reason
            raise Refused(f"JACK did not connect {pair_text(connection)} (code {code})")
        return Outcome.ALREADY_CONNECTED if before.connected else Outcome.CONNECTED

    def _check_stays(self, now: Situation, connection: Connection) -> None:
        """Raise RuledOut where the rules would cut the connection again at once."""
        if self._reconciler.ledger.on_its_way(connection, connect=False):  # what is being cut is no rule's when it comes again
            now = replace(now, owned={pair: rule for pair, rule in now.owned.items() if pair != connection})
        step = now.step_for(connection, connected=True)
        if step.deed is Deed.DISCONNECT:
            told = because(step, now.matcher.decide(connection), speakers(now.matcher, connection), now, {})
            again = "again" if self._reconciler.acts else "again as soon as rules are applied"
            raise RuledOut(f"{pair_text(connection)} would be cut {again}: {told}")

    def _is_made_again(self, connection: Connection) -> bool:
        """Tell whether a rule would make the connection again at once."""
        reconciler, decision = self._reconciler, self._reconciler.matcher.decide(connection)
        is_wanted = decision.verdict is Verdict.WANTED and connection not in reconciler.ledger.held
        return is_wanted and reconciler.acts and reconciler.insists(decision.rule)

    def _check_stays_cut(self, connection: Connection) -> None:
        """Raise RuledOut where a rule would make the connection again at once."""
        rule = self._reconciler.matcher.decide(connection).rule
        if rule is not None and self._is_made_again(connection):
            raise RuledOut(f'{pair_text(connection)} would be made again: rule "{rule.name}" enforces it')

    async def _disconnect_for_good(self, connection: Connection, *, hold: bool) -> Outcome:
        self._check_stays_cut(connection)
        return await self._disconnect(connection, hold=hold)

    async def _disconnect(self, connection: Connection, *, hold: bool) -> Outcome:
        check_connectable(self._graph, connection)
        reconciler = self._reconciler
        is_there = self.standing(connection).connected
        decision = reconciler.matcher.decide(connection)
        if hold or (decision.verdict is Verdict.WANTED and not reconciler.insists(decision.rule)):
            reconciler.hold(connection, connected=False, reason="it was disconnected by hand")
        elif connection in reconciler.ledger.kept:
            reconciler.release((connection,))
        if not is_there and connection not in reconciler.ledger.requests:
            return Outcome.NOT_CONNECTED
        code = await reconciler.ask_for_caller(connection, connect=False)
        if code and connection in self._graph.connections:
            raise Refused(f"JACK did not disconnect {pair_text(connection)} (code {code})")
        return Outcome.DISCONNECTED if is_there and not code else Outcome.NOT_CONNECTED


async def _all_done(work: Iterable[tuple[Connection, Coroutine[None, None, object]]]) -> dict[Connection, RouterError]:
    """Do all of it side by side; give the errors that the program expects."""
    errors: dict[Connection, RouterError] = {}

    async def attempt(connection: Connection, each: Coroutine[None, None, object]) -> None:
        try:
            await each
        except RouterError as error:
            errors[connection] = error

    async with asyncio.TaskGroup() as tasks:
        for number, (connection, each) in enumerate(work, 1):
            tasks.create_task(attempt(connection, each))
            if number % _IN_A_ROW == 0:
                await asyncio.sleep(0)  # what each begins with is done before the next ones begin
    return errors
