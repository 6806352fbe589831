"""What is remembered for undo of changes that others made as one, and that it waits for a server."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

import pytest

from jackd_router.core.errors import NothingToUndo, ServerLost
from jackd_router.core.graph import Connection
from jackd_router.core.undo import PairChange, PairsChanged, Standing, Switch
from jackd_router.runtime import by_hand, undo
from jackd_router.runtime.reconciler import Reconciler
from tests.core.building import connection, destination, graph, source
from tests.runtime.test_rules import Nobody

pytestmark = pytest.mark.asyncio

MADE, CUT, GONE = (connection(f"synth:out -> desk:{port}") for port in ("in_1", "in_2", "in_3"))


class Surroundings:
    """What undo asks of the router: a server that is there or not, and who is told."""

    def __init__(self, *, server: bool) -> None:
        self.told = 0
        now = graph([source("synth:out"), destination("desk:in_1"), destination("desk:in_2")], [MADE])
        reconciler = Reconciler(now, Nobody())
        ways = undo.Ways(self._require_server, self._never, self._never, self._never, self._applied, self._tell)
        ways_by_hand = by_hand.Ways(lambda step: self.undo.note(step), nullcontext, self._applied)
        self._server = server
        self.undo: undo.Undo = undo.Undo(now, by_hand.ByHand(now, reconciler, ways_by_hand), ways)

    def restored(self, made: Iterable[Connection], cut: Iterable[Connection], what: str) -> None:
        """Note what a snapshot does."""
        here, away = Standing(connected=True), Standing(connected=False)
        changes = [PairChange(pair, away, here) for pair in made] + [PairChange(pair, here, away) for pair in cut]
        self.undo.note(PairsChanged(tuple(changes), what))

    def _require_server(self) -> None:
        if not self._server:
            raise ServerLost("there is none")

    def _never(self, what: str | bool, how: Iterable[Connection] | Switch = ()) -> None:
        raise AssertionError((what, how))

    async def _applied(self) -> None:
        pass

    def _tell(self) -> None:
        self.told += 1


async def test_connections_that_somebody_else_changed_are_one_step() -> None:
    around = Surroundings(server=True)
    around.restored([], [], "restored snapshot 'as it is'")
    assert (around.undo.steps, around.told) == ([], 0)
    around.restored([MADE], [CUT, GONE], "restored snapshot 'live'")
    ((_, what),) = around.undo.steps
    assert what == "restored snapshot 'live': connected synth:out -> desk:in_1, disconnected 2 pairs"
    assert around.told == 1
    report = await around.undo.take_back()  # as far as that can be done: there is no process that holds libjack
    assert (report.what, report.connect, report.disconnect) == (what, (), ())
    assert report.failed == (MADE, CUT, GONE)
    assert [problem.partition(": ")[2].split(";")[0] for problem in report.problems] == [
        "there is no JACK server",
        "there is no JACK server",
        "there is no port desk:in_3",
    ]
    assert (around.undo.steps, around.told) == ([], 2)
    with pytest.raises(NothingToUndo):
        await around.undo.take_back()


async def test_without_a_server_the_step_stays() -> None:
    around = Surroundings(server=False)
    around.restored([MADE], [], "restored snapshot 'live'")
    with pytest.raises(ServerLost):
        await around.undo.take_back()
    assert len(around.undo.steps) == 1
