"""The way of what the server tells: host -> mirror -> reconciler -> publisher. The order of these is the speed of the router."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jackd_router.core.config import Config
from jackd_router.core.graph import Port
from jackd_router.core.selecting.patterns import Pattern
from jackd_router.core.system_names import SystemNames, speak_of_system, system_names
from jackd_router.jack_host import memory, protocol
from jackd_router.jack_host.library import Implementation
from jackd_router.jack_io.host_process import Answer, HostProcess
from jackd_router.runtime.burst import is_same
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.hints import Hints
from jackd_router.runtime.lifecycle import LEFT, ServerKeeper
from jackd_router.runtime.metadata import Metadata
from jackd_router.runtime.mirror import Changes, Mirror
from jackd_router.runtime.publisher import Publisher
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.run_memory import RunMemory
from jackd_router.runtime.state import ServerPhase, ServerState
from jackd_router.runtime.statistics import Statistics
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

_VERIFY_S = 60.0
_LOOK_S, _IDLE_LOOK_S = 10.0, 300.0
_CALM_S, _PIPEWIRE_CALM_S = 5.0, 2.0
_PLAN_S = 10.0
"""How long somebody waits for our ports: a busy machine may take 50 ms for each, and they can be hundreds."""


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
        self._again = self._looks = self._look_failed = self._loss = False
        self._plan_problem = ""
        self._change_waiters: list[asyncio.Future[None]] = []
        self._metadata = Metadata(mirror, self._changed, self._happened)
        self._system: Pattern | None = None
        self._system_is_asked_for = False
        self._hints = Hints()
        self.statistics = Statistics()

    # ---- a server came

    def opening(self, host: HostProcess) -> tuple[Any, ...]:
        """Give the plan for our ports, so that sound passes from the first cycle on; queue events until `opened`."""
        self._mirror.begin_load()
        return self._buses.begin_generation(host.memory)

    def graph_part(self, kind: str, rows: tuple[Any, ...]) -> None:
        """Collect a part of the graph, or take one of its metadata."""
        if kind in (protocol.METADATA, protocol.METADATA_READ):
            self._metadata.take(kind, rows)
        else:
            self._mirror.collect(kind, rows)

    def opened(self, host: HostProcess, without_ports: str) -> None:
        """Work on the complete graph from now on."""
        state = self.keeper.state
        log.info(
            "Connected to %s as client %r: %d Hz, %d frames",
            state.title,
            state.client_name,
            state.sample_rate_hz,
            state.buffer_size_frames,
            extra={"MESSAGE_ID": Event.SERVER_CAME},
        )
        self._on_client_name(state.client_name)
        self._mirror.name_devices(self._naming())
        self._mirror.metadata_outlives = state.implementation == Implementation.JACK2
        self._mirror.metadata_gets_lost = self.keeper.forgets
        self._mirror.fold(host.take_events())
        changes = self._mirror.finish_load()
        self._reconciler.take(changes)
        self._reconciler.pause()
        self._reconciler.begin_generation(
            host, self._memory.begin(self.keeper.server_run), mistakes_ports=self.keeper.mistakes_ports
        )
        if self.keeper.has_session_manager:
            self._reconciler.new_devices.begin_generation(self.keeper.server_age_s())
        self._publisher.graph(changes)
        self.statistics.begin_generation(host.memory)
        self._changed_at = self._verified_at = self._loop.time()
        self._look_failed = self._loss = False
        if self.keeper.forgets:  # it may not know all by now: the first look soon
            self._verified_at -= _LOOK_S - _PIPEWIRE_CALM_S
        self._buses.set_sample_rate(state.sample_rate_hz)
        self._plan_answered(without_ports)
        # All of it takes milliseconds: timers and calls that are due get their turn in between.
        self._loop.call_later(0, self._begin_work, host, changes.torn)

    def _begin_work(self, host: HostProcess, is_torn: bool) -> None:
        """Ask for what the rules want, and then for the rest."""
        self._reconciler.look_at_everything()  # of nothing, where the server has gone again
        self._reconciler.resume()
        if self.keeper.host is not host:
            return
        self.keeper.publish(replace(self.keeper.state, client_realtime=host.realtime is True))  # looked at again once a second
        self.plan_buses()
        self._metadata.read(host)
        if self._again or is_torn:
            self._read_anew(host)

    # ---- something changed

    def woken(self, host: HostProcess) -> None:
        """Fold the notifications and let the rules answer."""
        events = host.take_events()
        changes = self._mirror.fold(events)
        self._reconciler.take(changes)
        # While the mirror loads, events wait, and who looks may have looked before. That he came and goes is none.
        if changes or (self._mirror.loading and any(event.event != memory.EVENT_CLIENT for event in events)):
            self._happened()
        if changes:
            self._publisher.graph(changes)
            self._tell_waiters()
        self._metadata.read(host)
        self._read_settings(host)
        if changes.shut_down is not None:
            self.keeper.client_shut_down(f"the server shut us down: {changes.shut_down}")
        if self.keeper.host is not host:
            return
        if host.memory.take_overflow():
            log.warning("Notifications of the server were lost in a burst: reading the graph anew")
            self._read_anew(host)
        elif changes.torn:
            self._read_anew(host)

    def _happened(self) -> None:
        """Note that the graph is another one now, or what is said of it: the next verification waits until it rests."""
        self._changed_at = self._loop.time()

    def _changed(self, changes: Changes) -> None:
        """Let the rules answer to what was read, not told."""
        self._reconciler.take(changes)
        self._publisher.graph(changes)
        self._tell_waiters()

    def want_metadata(self, wanted: bool) -> None:
        """Let ports have their pretty names and the type CV from now on, or forget both."""
        self._metadata.want(wanted, self.keeper.host)

    def name_devices(self, config: Config) -> None:
        """Let `system` mean what the configuration says, where the server is not JACK2's."""
        self._system, self._system_is_asked_for = config.system, speak_of_system(config.rules)
        if self.keeper.connected and (changes := self._mirror.name_devices(self._naming())):
            self._changed(changes)

    def _naming(self) -> Callable[[Iterable[Port]], SystemNames] | None:
        is_pipewire = self.keeper.state.implementation == Implementation.PIPEWIRE
        return functools.partial(system_names, chosen=self._system) if is_pipewire else None

    def _read_settings(self, host: HostProcess) -> None:
        memory, state = host.memory, self.keeper.state
        if state.connected_usec == 0:
            return
        if memory.sample_rate_hz not in (0, state.sample_rate_hz):  # as only PipeWire does while it runs
            self._buses.set_sample_rate(memory.sample_rate_hz)
            self.plan_buses()
        self.keeper.publish(
            replace(
                state,
                buffer_size_frames=memory.buffer_size_frames or state.buffer_size_frames,
                sample_rate_hz=memory.sample_rate_hz or state.sample_rate_hz,
                freewheeling=memory.freewheeling,
            )
        )

    def ticked(self, host: HostProcess) -> None:
        """Count xruns, look for priority and for echoes that never came, and verify the mirror in quiet moments."""
        undecided = self._mirror.undecided if self._system_is_asked_for else {}
        self._count_xruns(self._hints.look(self.keeper.state, host, undecided))
        if self._reconciler.tick():
            self._read_anew(host)  # what was done was not told
        if self._plan_problem:
            self.plan_buses()
        now = self._loop.time()
        pause_s, calm_s = _VERIFY_S, _CALM_S
        if self.keeper.forgets:  # sooner after a change, and seldom without: another client is a process more
            # What is said of new ports is lost most.
            soon_s = _PIPEWIRE_CALM_S if self._mirror.metadata_wanted and not self._look_failed else _LOOK_S
            pause_s, calm_s = soon_s if self._changed_at > self._verified_at else _IDLE_LOOK_S, _PIPEWIRE_CALM_S
        if now - self._verified_at > pause_s and now - self._changed_at > calm_s:
            self._read_anew(host, after_loss=False)

    # ---- our own ports

    def plan_buses(self, done: Callable[[str], None] = lambda problem: None) -> None:
        """Let the host make our ports and its mix what the buses are now, where they differ from the last plan.

        `done` is told what came of it: why the ports are not as they should be, or "".
        """
        host = self.keeper.host
        if host is not None and self.keeper.connected and self._buses.changed:
            plan = self._buses.plan()
            host.submit(lambda answer: done(self._planned(host, answer)), protocol.PLAN, plan)

    def _planned(self, host: HostProcess, answer: Answer | None) -> str:
        if answer is None or host is not self.keeper.host:
            return ""  # the generation is over
        problem = str(answer[1]) if answer[0] == protocol.FAILED else ""
        self._plan_answered(problem)
        return problem

    def _plan_answered(self, problem: str) -> None:
        """Take what came of a plan: why it was refused, or ""."""
        if not problem:
            self._buses.plan_taken()
        self._note_plan(problem)

    def _note_plan(self, problem: str) -> None:
        """Remember why buses have no ports, and try again once a second until they have."""
        if problem and problem != self._plan_problem:
            log.error("The buses are not as they should be: %s", problem, extra={"REASON": problem})
        if problem != self._plan_problem:
            self._on_bus_trouble(f"the buses are not as they should be: {problem}" if problem else "")
        self._plan_problem = problem
        self._buses.changed = self._buses.changed or bool(problem)

    async def buses_planned(self) -> str:
        """Plan the buses, and wait until our ports are seen in the graph; give why they are not as they should be, or "".

        Where there is no server, or it does not answer, nothing is wrong with the buses: they wait.
        """
        problem = ""
        if self.keeper.connected and self._buses.changed:
            told: asyncio.Future[str] = self._loop.create_future()
            self.plan_buses(lambda problem: None if told.done() else told.set_result(problem))
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if self.keeper.state.phase is ServerPhase.UNRESPONSIVE else _PLAN_S):
                    problem = await told
                    while not problem and not self._has_our_ports():
                        await self._next_change()
        return problem

    def _has_our_ports(self) -> bool:
        """Tell whether the ports of ours in the graph are those of the buses; so too where there is no server any more."""
        client = f"{self.keeper.state.client_name}:"
        wanted = {client + name for name in self._buses.port_names()}
        return not self.keeper.connected or wanted == {name for name in self._mirror.graph.ports if name.startswith(client)}

    async def _next_change(self) -> None:
        """Wait until the graph is another one, or gone."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._change_waiters.append(future)
        await future

    def _tell_waiters(self) -> None:
        waiters, self._change_waiters = self._change_waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    # ---- what is counted

    def _count_xruns(self, state: ServerState) -> None:
        count, last_usec = self.statistics.xruns
        self.keeper.publish(replace(state, xrun_count=count, last_xrun_usec=last_usec))

    def reset_statistics(self) -> None:
        """Count from now on."""
        self.statistics.reset()
        self._count_xruns(self.keeper.state)

    # ---- the graph, read anew

    def _read_anew(self, host: HostProcess, *, after_loss: bool = True) -> None:
        """Read the whole graph beside the events; they queue meanwhile, so that nothing falls between the two."""
        if self._mirror.loading or self._looks:
            self._again = True  # what is being read may be from before the loss
            return
        self._again = False
        self._verified_at = self._loop.time()
        if self.keeper.forgets:
            self._look(host, after_loss=after_loss)
        else:
            self._mirror.begin_load(after_loss=after_loss)
            host.submit(lambda answer: self._read(host, answer), protocol.READ_GRAPH)

    def _look(self, host: HostProcess, *, after_loss: bool) -> None:
        """Let another client read it, for what it sees; ours goes on to carry sound and to tell events."""
        self._looks = True
        self._loss = after_loss = after_loss or self._loss

        def is_current() -> bool:
            return self.keeper.host is host

        def done(answer: Answer | None) -> None:
            self._looks = False
            self._look_failed = answer is None or answer[0] == protocol.FAILED
            if self._look_failed:
                self._happened()  # so that another one looks
            elif is_current():
                self._loss = False
            self._read(host, answer, by_another=True)

        self.keeper.read_with_another_client(
            self._mirror.metadata_wanted,
            lambda: self._mirror.begin_load(after_loss=after_loss) if is_current() else None,
            lambda kind, rows: self._mirror.collect(kind, rows) if is_current() else None,
            done,
        )

    def _read(self, host: HostProcess, answer: Answer | None, *, by_another: bool = False) -> None:
        if self.keeper.host is not host or not self._mirror.loading:
            return  # the generation is over, and with it the mirror; or nobody could look
        if answer is None or answer[0] == protocol.FAILED:
            # What was read so far is not the graph; the events that came meanwhile are as true as before.
            changes = self._mirror.give_up_load()
        else:
            changes = self._mirror.finish_load(by_another=by_another)
        # Aliases are told by no event: that others are read is no mistake of the mirror.
        wrong = [change for change in changes.ports if not is_same(change.before, change.now)]
        if wrong or changes.connections:
            level = logging.INFO if by_another else logging.WARNING  # of PipeWire nothing else is to be expected
            log.log(level, "The mirror of the graph was wrong in %d places; mended", len(wrong) + len(changes.connections))
        self._changed(changes)
        self._metadata.read(host)
        if self._again or changes.torn:
            self._read_anew(host)

    # ---- the server went

    def given_up(self) -> None:
        """Let go of a host that was opening: what it was told to do comes to nothing."""
        self._buses.end_generation()
        self._mirror.clear()  # what it heard waits there, and is of a graph that nobody else was told of

    def lost(self, reason: str) -> None:
        """Empty the graph and forget what was valid for this server only; rules, profiles and gains stay."""
        level = logging.INFO if reason == LEFT else logging.WARNING
        log.log(level, "The JACK server is gone: %s", reason, extra={"MESSAGE_ID": Event.SERVER_WENT, "REASON": reason})
        self._reconciler.end_generation()
        if reason != LEFT and not self.keeper.server_run:
            self._memory.server_went()  # else it runs on: what is known of it is still true when we come back
        self._buses.end_generation()
        self._note_plan("")
        self.statistics.end_generation()
        self._hints.end_generation()
        self._metadata.end_generation()
        self._changed(self._mirror.clear())

    def server_changed(self, before: ServerState, now: ServerState) -> None:
        """Pass the server's state on."""
        self._on_server_changed(before, now)
