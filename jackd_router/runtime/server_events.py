"""The way of what the server tells: host -> mirror -> reconciler -> publisher. The order of these is the speed of the router."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jackd_router.jack_host import protocol
from jackd_router.jack_io.host_process import Answer, HostProcess
from jackd_router.runtime.burst import is_same
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.lifecycle import LEFT, ServerKeeper
from jackd_router.runtime.metadata import Metadata
from jackd_router.runtime.mirror import Changes, Mirror
from jackd_router.runtime.publisher import Publisher
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.run_memory import RunMemory
from jackd_router.runtime.state import ServerState
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

_VERIFY_S = 60.0
_CALM_S = 5.0
_PLAN_S = 3.0


class ServerEvents:
    """Follows the keeper of the server through all generations."""

    def __init__(
        self,
        mirror: Mirror,
        reconciler: Reconciler,
        memory: RunMemory,
        buses: Buses,
        publisher: Publisher,
        on_server_changed: Callable[[ServerState, ServerState], None],
        on_client_name: Callable[[str], None],
        on_bus_trouble: Callable[[str], None],
    ) -> None:
        """Take the parts, and what to call when the server's state or our name there is another one."""
        self._mirror, self._reconciler, self._buses, self._publisher = mirror, reconciler, buses, publisher
        self._memory = memory
        self._on_server_changed, self._on_client_name = on_server_changed, on_client_name
        self._on_bus_trouble = on_bus_trouble
        self._loop = asyncio.get_running_loop()
        self.keeper: ServerKeeper
        self._changed_at = self._verified_at = 0.0
        self._again = False
        self._plan_problem = ""
        self._plan_waiters: list[asyncio.Future[None]] = []
        self._metadata = Metadata(mirror, self._changed)

    # ---- a server came

    def opening(self, host: HostProcess) -> tuple[tuple[tuple[bytes, bool], ...], tuple[Any, ...]]:
        """Give our ports and their plan, so that sound passes from the first cycle on; queue events until `opened`."""
        self._mirror.begin_load()
        plan = self._buses.begin_generation(host.memory)
        return self._buses.ports(), plan

    def graph_part(self, kind: str, rows: tuple[Any, ...]) -> None:
        """Collect a part of the graph, or take one of its metadata."""
        if kind in (protocol.METADATA, protocol.METADATA_READ):
            self._metadata.take(kind, rows)
        else:
            self._mirror.collect(kind, rows)

    def opened(self, host: HostProcess, without_ports: str) -> None:
        """Work on the complete graph: everything that the rules want is asked for before anybody is told."""
        state = self.keeper.state
        log.info(
            "Connected to the JACK server %r as client %r: %d Hz, %d frames",
            state.server_name,
            state.client_name,
            state.sample_rate_hz,
            state.buffer_size_frames,
            extra={"MESSAGE_ID": Event.SERVER_CAME},
        )
        self._on_client_name(state.client_name)
        self._mirror.fold(host.take_events())
        changes = self._mirror.finish_load()
        self._reconciler.take(changes)
        self._reconciler.begin_generation(host, self._memory.begin(self.keeper.server_run))
        self._publisher.graph(changes)
        self._changed_at = self._verified_at = self._loop.time()
        self._buses.set_sample_rate(state.sample_rate_hz)
        self._note_plan(without_ports)
        self.plan_buses()
        self._metadata.read(host)
        if self._again or changes.torn:
            self._read_anew(host)

    # ---- something changed

    def woken(self, host: HostProcess) -> None:
        """Fold the notifications and let the rules answer."""
        changes = self._mirror.fold(host.take_events())
        self._reconciler.take(changes)
        if changes:
            self._changed_at = self._loop.time()
            self._publisher.graph(changes)
        self._metadata.read(host)
        self._read_settings(host)
        if changes.shut_down is not None:
            self.keeper.client_shut_down(f"the server shut us down: {changes.shut_down}")
        elif host.memory.take_overflow():
            log.warning("Notifications of the server were lost in a burst: reading the graph anew")
            self._read_anew(host)
        elif changes.torn:
            self._read_anew(host)

    def _changed(self, changes: Changes) -> None:
        """Let the rules answer to what was read, not told."""
        self._reconciler.take(changes)
        self._publisher.graph(changes)

    def want_metadata(self, wanted: bool) -> None:
        """Let ports have their pretty names and the type CV from now on, or forget both."""
        self._metadata.want(wanted, self.keeper.host)

    def _read_settings(self, host: HostProcess) -> None:
        memory, state = host.memory, self.keeper.state
        if state.connected_usec == 0:
            return
        self.keeper.publish(
            replace(
                state,
                buffer_size_frames=memory.buffer_size_frames or state.buffer_size_frames,
                sample_rate_hz=memory.sample_rate_hz or state.sample_rate_hz,
                freewheeling=memory.freewheeling,
            )
        )

    def ticked(self, host: HostProcess) -> None:
        """Count xruns, look for echoes that never came, and verify the mirror in quiet moments."""
        xruns, last_usec = host.memory.xruns
        self.keeper.publish(replace(self.keeper.state, xrun_count=xruns - self.xruns_before, last_xrun_usec=last_usec))
        if self._reconciler.tick():
            self._read_anew(host)  # what was done was not told
        if self._plan_problem:
            self.plan_buses()
        now = self._loop.time()
        if now - self._verified_at > _VERIFY_S and now - self._changed_at > _CALM_S:
            self._read_anew(host, after_loss=False)

    # ---- our own ports

    def plan_buses(self) -> None:
        """Let the host make our ports and its mix what the buses are now, where they differ from the last plan."""
        host = self.keeper.host
        if host is not None and self.keeper.connected and self._buses.changed:
            plan = self._buses.plan()
            host.submit(self._planned, protocol.PLAN, self._buses.ports(), plan)

    def _planned(self, answer: Answer | None) -> None:
        if answer is not None:
            self._note_plan(str(answer[1]) if answer[0] == protocol.FAILED else "")
        for future in self._plan_waiters:
            if not future.done():
                future.set_result(None)
        self._plan_waiters.clear()

    def _note_plan(self, problem: str) -> None:
        """Remember why buses have no ports, and try again once a second until they have."""
        if problem and problem != self._plan_problem:
            log.error("The buses are not as they should be: %s", problem, extra={"REASON": problem})
        if problem != self._plan_problem:
            self._on_bus_trouble(f"the buses are not as they should be: {problem}" if problem else "")
        self._plan_problem = problem
        self._buses.changed = self._buses.changed or bool(problem)

    async def buses_planned(self) -> None:
        """Plan the buses, and wait until the host has answered."""
        if self.keeper.connected and self._buses.changed:
            future: asyncio.Future[None] = self._loop.create_future()
            self._plan_waiters.append(future)
            self.plan_buses()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PLAN_S):
                    await future

    xruns_before = 0
    """Xruns of this generation that were there when the count was reset."""

    def reset_xruns(self) -> None:
        """Count xruns from now on."""
        if self.keeper.host is not None:
            self.xruns_before = self.keeper.host.memory.xruns[0]
            self.keeper.publish(replace(self.keeper.state, xrun_count=0, last_xrun_usec=0))

    def _read_anew(self, host: HostProcess, *, after_loss: bool = True) -> None:
        """Read the whole graph beside the events; they queue meanwhile, so that nothing falls between the two."""
        if self._mirror.loading:
            self._again = True  # what is being read may be from before the loss
            return
        self._again = False
        self._verified_at = self._loop.time()
        self._mirror.begin_load(after_loss=after_loss)
        host.submit(lambda answer: self._read(host, answer), protocol.READ_GRAPH)

    def _read(self, host: HostProcess, answer: Answer | None) -> None:
        if answer is None or self.keeper.host is not host:
            return  # the generation is over, and with it the mirror
        changes = self._mirror.finish_load()
        # Aliases are told by no event: that others are read is no mistake of the mirror.
        wrong = [change for change in changes.ports if not is_same(change.before, change.now)]
        if wrong or changes.connections:
            log.warning("The mirror of the graph was wrong in %d places; mended", len(wrong) + len(changes.connections))
        self._changed(changes)
        self._metadata.read(host)
        if self._again or changes.torn:
            self._read_anew(host)

    # ---- the server went

    def lost(self, reason: str) -> None:
        """Empty the graph and forget what was valid for this server only; rules, profiles and gains stay."""
        level = logging.INFO if reason == LEFT else logging.WARNING
        log.log(level, "The JACK server is gone: %s", reason, extra={"MESSAGE_ID": Event.SERVER_WENT, "REASON": reason})
        self._reconciler.end_generation()
        if reason != LEFT and not self.keeper.server_run:
            self._memory.server_went()  # else it runs on: what is known of it is still true when we come back
        self._buses.end_generation()
        self._note_plan("")
        self._planned(None)
        self.xruns_before = 0
        self._metadata.end_generation()
        self._changed(self._mirror.clear())

    def server_changed(self, before: ServerState, now: ServerState) -> None:
        """Pass the server's state on."""
        self._on_server_changed(before, now)
