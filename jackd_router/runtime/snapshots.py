"""Snapshots: the connections of the graph are saved under a name, and put back by hand, so that rules keep their say."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from jackd_router.core.graph import Connection, Graph
from jackd_router.core.ports import has_ends
from jackd_router.core.snapshot import (
    Snapshot,
    check_description,
    check_name,
    in_order,
    of_absent_clients,
    with_clients_swapped,
)
from jackd_router.jack_io.threads import in_thread
from jackd_router.runtime.by_hand import ByHand
from jackd_router.runtime.snapshot_folder import SnapshotFolder
from jackd_router.runtime.state import RestoreReport, SnapshotState
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a snapshot asks the rest of the router for."""

    require_server: Callable[[], None]
    """Raises ServerLost where there is none: then the graph is empty, and nothing can be put back."""
    our_names: Callable[[], tuple[str, str]]
    """The name of our client in the configuration, and the one that the server gave us."""
    changed: Callable[[], None]


class Snapshots:
    """One thing at a time is done with the files, and a restoration ends before the next begins."""

    def __init__(self, folder: SnapshotFolder, graph: Graph, by_hand: ByHand, surroundings: Surroundings) -> None:
        """Take where they are kept, the mirror's graph, and who changes it for people."""
        self._folder, self._graph, self._by_hand, self._surroundings = folder, graph, by_hand, surroundings
        self._turn = asyncio.Lock()

    # ---- looking

    async def listed(self) -> tuple[SnapshotState, ...]:
        """Give all of them, in the natural order of their names."""
        async with self._turn:
            return await in_thread(self._folder.listed)

    async def describe(self, name: str) -> SnapshotState:
        """Tell of one; raise NoSuchSnapshot, and ConfigInvalid or Refused where its file is none."""
        async with self._turn:
            return await in_thread(self._folder.describe, name)

    async def connections(self, name: str) -> tuple[Connection, ...]:
        """Give what is in one, in natural order; raise as `describe` does."""
        async with self._turn:
            return in_order(self._swapped((await in_thread(self._folder.read, name)).connections))

    def _swapped(self, connections: Iterable[Connection]) -> Iterable[Connection]:
        """Give connections as a file has them for those of the graph, or the other way round."""
        names = self._surroundings.our_names()
        return connections if len(set(names)) == 1 else [with_clients_swapped(pair, *names) for pair in connections]

    # ---- saving

    async def save(self, name: str, *, overwrite: bool = False, description: str | None = None) -> None:
        """Save the connections of the graph as it is; with `overwrite` also where there is a snapshot of this name.

        Of that one what clients need that are not there now is kept, and its description where no other is given.
        Raise UserError, AlreadyExists, LimitExceeded, ServerLost, and as `describe` does.
        """
        check_name(name)
        check_description(description or "")
        async with self._turn:
            earlier = await in_thread(self._folder.earlier, name, overwrite=overwrite)
            self._surroundings.require_server()  # only now: it may have gone meanwhile, and the graph with it
            kept = list(of_absent_clients(self._swapped(earlier.connections), set(self._graph.clients())))
            snapshot = Snapshot(
                tuple(self._swapped({*self._graph.connections, *kept})),
                earlier.description if description is None else description,
                # Whole seconds: that is what people read in the file.
                time.time_ns() // 1_000_000_000 * 1_000_000,
            )
            await in_thread(self._folder.write, name, snapshot)
        log.info(
            "Saved the snapshot %r: %d connections, %d of them of clients that are not there",
            name,
            len(snapshot.connections),
            len(kept),
            extra={"MESSAGE_ID": Event.SNAPSHOT_SAVED, "SNAPSHOT": name},
        )
        self._surroundings.changed()

    async def delete(self, name: str) -> None:
        """Delete one, also where its file is no snapshot; raise NoSuchSnapshot or Refused."""
        async with self._turn:
            await in_thread(self._folder.delete, name)
        log.info("Deleted the snapshot %r", name, extra={"MESSAGE_ID": Event.SNAPSHOT_DELETED, "SNAPSHOT": name})
        self._surroundings.changed()

    # ---- putting back

    async def restore(self, name: str, *, exact: bool = False, dry_run: bool = False) -> RestoreReport:
        """Connect what is in it; with `exact` also disconnect everything else.

        What a rule wants is then held as cut by hand, and what a rule forbids, or insists on, stays as the rule says: it is in
        the report as failed. Raise ServerLost, and as `describe` does.
        """
        async with self._turn:
            snapshot = await in_thread(self._folder.read, name)
            self._surroundings.require_server()
            wanted = in_order(self._swapped(snapshot.connections))
            surplus = in_order(self._graph.connections.difference(wanted)) if exact else ()
            there = [pair for pair in wanted if has_ends(self._graph, pair)]
            missing = tuple(pair for pair in wanted if not has_ends(self._graph, pair))
            before = self._by_hand.standings((*surplus, *there))
            with self._by_hand.one_burst():
                # To cut comes first: what is in the way of a rule, or would close a loop, is gone when the rest is made.
                cut = await self._by_hand.change(disconnect=surplus, dry_run=dry_run)
                made = await self._by_hand.change(connect=there, dry_run=dry_run)
            report = RestoreReport(made.connected, cut.disconnected, missing, (*cut.failed, *made.failed))
        if not dry_run:
            self._by_hand.note_changed(before, cut, made, what=f"restored snapshot {name!r}")
            _tell(name, report)
        return report


def _tell(name: str, report: RestoreReport) -> None:
    counts = {"connected": report.connected, "disconnected": report.disconnected, "missing": report.missing}
    counted: dict[str, Collection[object]] = {**counts, "failed": report.failed}
    log.info(
        "Restored the snapshot %r: %s",
        name,
        ", ".join(f"{len(pairs)} {word}" for word, pairs in counted.items()),
        extra={"MESSAGE_ID": Event.SNAPSHOT_RESTORED, "SNAPSHOT": name},
    )
