"""What is known of pairs of ports, over restarts of the daemon and of its JACK host: valid for one run of one server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable

from jackd_router.core.graph import Connection, Graph
from jackd_router.core.kept import Contested, ServerRun
from jackd_router.core.names import shown
from jackd_router.runtime.announcer import fields_of
from jackd_router.runtime.ledger import Ledger, registrations
from jackd_router.runtime.state_file import StateFile
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)


class RunMemory:
    """Leads from the state file to the ledger of a generation, and back."""

    def __init__(self, graph: Graph, state_file: StateFile) -> None:
        """Take the mirror's graph and where things are kept."""
        self._graph, self._state_file = graph, state_file
        self._loop = asyncio.get_running_loop()
        self._ledger = Ledger()
        state_file.about_to_write = self._complete

    def begin(self, server_run: str) -> Ledger:
        """Give a ledger with what is known of this run of the server, where it is the one that was there before.

        A port that went and came again meanwhile cannot be told from one that stayed.
        """
        ledger, before = Ledger(), self._state_file.kept.run
        if before is not None and before.server_run == server_run != "":
            self._take_over(ledger, before)
        elif before is not None:
            self._tell_lost(before)
        self._ledger = ledger
        self._state_file.kept.run = (
            ServerRun(server_run, ledger.owned, ledger.held.keys(), ledger.kept.keys()) if server_run else None
        )
        self._state_file.changed()
        return ledger

    def _take_over(self, ledger: Ledger, before: ServerRun) -> None:
        connected = self._graph.connections
        ledger.owned |= {pair: rule for pair, rule in before.owned.items() if pair in connected}
        # A hold is noted before the server is asked: of one that stands otherwise it was not, or somebody has had another mind.
        for table, pairs, are_connected in ((ledger.held, before.held, False), (ledger.kept, before.kept, True)):
            ends = ((pair, registrations(self._graph, pair)) for pair in pairs if (pair in connected) is are_connected)
            table |= {pair: both for pair, both in ends if both is not None}
        now, now_usec = self._loop.time(), time.time_ns() // 1000
        for pair, contested in before.contested.items():
            ledger.let_have_its_way(pair, contested.truces, now, max(contested.until_usec - now_usec, 0) / 1e6)

    def server_went(self) -> None:
        """Tell which holds were lost: the server is gone, and with it the ports that they were about."""
        before = self._state_file.kept.run
        if before is not None:
            self._tell_lost(before)
            self._state_file.kept.run = None
            self._state_file.changed()

    @staticmethod
    def _tell_lost(before: ServerRun) -> None:
        holds: Iterable[Collection[Connection]] = (before.held, before.kept)
        for pair in [pair for pairs in holds for pair in pairs]:
            log.warning(
                "The hold on %s -> %s was lost with the server: the rules decide again",
                *map(shown, pair),
                extra=fields_of(pair, Event.HELD),
            )

    def changed(self) -> None:
        """Note that the ledger says something else than before."""
        self._state_file.changed()

    def _complete(self) -> None:
        """Note what the ledger says in another way: owned is also what a rule has asked for and is about to get.

        Truces end at a time of the clock: the loop's own means nothing to the next daemon.
        """
        run, ledger = self._state_file.kept.run, self._ledger
        if run is None:
            return
        asked = {pair: request.rule for pair, request in ledger.every_request if request.connect and request.rule}
        now, now_usec = self._loop.time(), time.time_ns() // 1000
        contested = {
            pair: Contested(quarrel.truces, now_usec + round(1e6 * (quarrel.until - now)))
            for pair, quarrel in ledger.quarrels.items()
            if quarrel.until > now
        }
        owned = asked | ledger.owned if asked else ledger.owned
        self._state_file.kept.run = ServerRun(run.server_run, owned, ledger.held.keys(), ledger.kept.keys(), contested)
