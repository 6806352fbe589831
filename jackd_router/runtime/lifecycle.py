"""Keeps our client on a JACK server: starts and ends JACK hosts as the table in core/lifecycle.py says.

Every run of a server is a generation: one host, whose ids and events never outlive it. While there is no server a
spare host stands by with libjack loaded, which takes 60 ms off the way back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from jackd_router.core.errors import ServerLost
from jackd_router.core.lifecycle import Deed, Happening, State, pause_s, step
from jackd_router.jack_host import protocol
from jackd_router.jack_io.host_process import Answer, HostProcess
from jackd_router.jack_io.presence import Presence, jack2_socket
from jackd_router.runtime.state import ServerPhase, ServerState

log = logging.getLogger(__name__)

_TICK_S = 1.0
_OPEN_DEADLINE_S = 8.0
_DEADLINE_S = 2.0
_STALLED_TICKS = 2
_PATIENCE_S = 10.0
_RECONNECT_S = 10.0
_STOP_S = 2.0
"""No goodbye takes longer; a process that cannot even be killed is left behind."""
_STABLE_S = 5.0
"""A connection that ends sooner counts as a failed attempt: a host that dies again and again is started ever more seldom."""
_DEAD_GOODBYE_S, _LIVE_GOODBYE_S = 0.5, 1.0

LEFT = "we left it"
"""The reason that is given for a generation that we end ourselves."""

_PHASES = {
    State.WAITING: ServerPhase.CONNECTING,
    State.OPENING: ServerPhase.CONNECTING,
    State.OPENING_LATE: ServerPhase.UNRESPONSIVE,
    State.CONNECTED: ServerPhase.CONNECTED,
    State.UNRESPONSIVE: ServerPhase.UNRESPONSIVE,
    State.PAUSED: ServerPhase.CONNECTING,
    State.STOPPED: ServerPhase.DISCONNECTED,
}


_FAILURES = frozenset(
    {
        Happening.OPEN_FAILED,
        Happening.HOST_SILENT,
        Happening.HOST_ENDED,
        Happening.PATIENCE_ENDED,
        Happening.CLIENT_SHUT_DOWN,
    }
)


class Follower(Protocol):
    """What the keeper tells, always in the event loop."""

    def opening(self, host: HostProcess) -> tuple[tuple[tuple[bytes, bool], ...], tuple[Any, ...]]:
        """Give our ports and the plan for them, as protocol.OPEN takes them; the graph is about to come."""

    def graph_part(self, kind: str, rows: tuple[Any, ...]) -> None:
        """Take a part of the graph that was asked for."""

    def woken(self, host: HostProcess) -> None:
        """Look at the notifications in the host's memory."""

    def opened(self, host: HostProcess, without_ports: str) -> None:
        """Note that the host is our client now; the graph is complete but for the queued events.

        `without_ports` says why the server gave us no ports for our buses, "" where it did.
        """

    def lost(self, reason: str) -> None:
        """Note that the generation is over."""

    def ticked(self, host: HostProcess) -> None:
        """Note that another second has passed with a server."""

    def server_changed(self, before: ServerState, now: ServerState) -> None:
        """Take the old and the new state of the server."""


class ServerKeeper:
    """Opens, watches and leaves; nobody else does."""

    def __init__(self, server_name: str, client_name: str, follower: Follower) -> None:
        """Take the names; nothing happens before `start`."""
        self._server_name, self._client_name = server_name, client_name
        self._follower = follower
        self._loop = asyncio.get_running_loop()
        self._table_state = State.WAITING
        self._presence = Presence(
            jack2_socket(server_name),
            lambda: self._happened(Happening.SERVER_APPEARED),
            lambda: self._happened(Happening.SERVER_GONE, "the JACK server ended"),
        )
        self.state = self._told = ServerState(server_name=server_name)
        self.host: HostProcess | None = None
        self._spare: HostProcess | None = None
        self._leaving: set[HostProcess] = set()
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._settled: set[asyncio.Future[None]] = set()
        self._last_cycles, self._stalled_ticks = 0, 0
        self._unresponsive_since = self._opened_at = 0.0
        self._ping_sent = 0.0

    # ---- what the rest of the daemon asks for

    @property
    def connected(self) -> bool:
        """Whether there is a server that answers (or did a moment ago)."""
        return self._table_state in (State.CONNECTED, State.UNRESPONSIVE)

    @property
    def server_run(self) -> str:
        """Which run of the server there is, as `Presence` tells it apart from others; "" where that is not known."""
        return self._presence.server_run

    def start(self) -> None:
        """Begin to look for the server."""
        self._spare = self._spawn()
        self._presence.start()

    async def stop(self) -> None:
        """Leave the server and end all hosts; bounded by the deadlines of their goodbyes."""
        self._presence.stop()
        if self._spare:
            self._retire(self._spare, say_goodbye=False, deadline_s=_DEAD_GOODBYE_S)
            self._spare = None
        self._happened(Happening.STOP_ASKED)
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                while self._leaving:
                    await self._change()

    async def request(self, operation: str, *arguments: Any, deadline_s: float = _DEADLINE_S) -> Answer:
        """Ask the server something; raise ServerLost when there is none or it does not answer in time."""
        if self.host is None or not self.connected:
            raise ServerLost(f"there is no JACK server {self._server_name!r} to ask")
        return await self.host.request(operation, *arguments, deadline_s=deadline_s)

    async def reconnect(self) -> None:
        """Try now instead of at the next attempt; raise ServerLost when that does not lead to a connection."""
        end = self._loop.time() + _RECONNECT_S
        self._happened(Happening.RETRY_DUE)
        while not self.connected:
            if not self._presence.present or self._loop.time() > end:
                raise ServerLost(f"no JACK server {self._server_name!r}: {self.state.last_error or 'none is running'}")
            try:
                async with asyncio.timeout_at(end):
                    await self._change()
            except TimeoutError:
                continue

    def _change(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._settled.add(future)
        future.add_done_callback(self._settled.discard)
        return future

    # ---- the table

    def _happened(self, happening: Happening, reason: str = "") -> None:
        before = self._table_state
        self._table_state, deed = step(before, happening)
        if happening in (Happening.SERVER_APPEARED, Happening.SERVER_GONE):
            self._failures = 0
        if happening in _FAILURES:
            self._failures += 1
        log.debug("%s in state %s: %s, now %s", happening, before, deed, self._table_state)
        self._do(deed, reason)
        if before is not self._table_state:
            self._entered(before, reason)

    def _do(self, deed: Deed, reason: str) -> None:
        match deed:
            case Deed.NOTHING:
                return
            case Deed.OPEN:
                self._open()
                return
            case Deed.CLOSE_DEAD:
                self._end_generation(reason, say_goodbye=True, deadline_s=_DEAD_GOODBYE_S)
            case Deed.CLOSE_LIVE:
                self._end_generation(LEFT, say_goodbye=True, deadline_s=_LIVE_GOODBYE_S)
                return
            case Deed.CLOSE_AND_PAUSE:
                self._end_generation(reason, say_goodbye=True, deadline_s=_LIVE_GOODBYE_S)
                self._pause()
            case Deed.KILL_AND_PAUSE:
                if self.host:
                    self.host.kill()
                self._end_generation(reason, say_goodbye=False, deadline_s=0.0)
                self._pause()
        if self._spare is None:
            self._spare = self._spawn()

    def _pause(self) -> None:
        self._timer = self._loop.call_later(pause_s(max(self._failures, 1)), self._happened, Happening.RETRY_DUE)

    def _entered(self, before: State, reason: str) -> None:
        """Publish what the new state means."""
        now = self._table_state
        if self._timer and now is not State.PAUSED:
            self._timer.cancel()
            self._timer = None
        if now in (State.UNRESPONSIVE, State.OPENING_LATE):
            self._unresponsive_since = self._loop.time()
            log.warning("The JACK server does not answer: %s", reason, extra={"REASON": reason})
        elif now is State.PAUSED and before is not State.CONNECTED:
            log.log(self._level(), "Could not connect to the JACK server: %s", reason, extra={"REASON": reason})
        elif before is State.UNRESPONSIVE and now is State.CONNECTED:
            log.info("The JACK server answers again")
        error = reason if now in (State.PAUSED, State.UNRESPONSIVE, State.OPENING_LATE) else ""
        if now is State.WAITING:
            error = self.state.last_error
        retries = 0 if self.connected else self._failures
        self.publish(replace(self.state, phase=_PHASES[now], retry_count=retries, last_error=error))
        for future in self._settled.copy():
            if not future.done():
                future.set_result(None)

    def _level(self) -> int:
        """Give the level for what happens again and again for one cause: a warning at first only."""
        return logging.WARNING if self._failures <= 1 else logging.DEBUG

    def publish(self, now: ServerState) -> None:
        """Swap the state of the server and tell it, when it is another one than was told last."""
        before, self.state, self._told = self._told, now, now
        if before != now:
            self._follower.server_changed(before, now)

    # ---- hosts

    def _spawn(self) -> HostProcess:
        host = HostProcess()
        host.on_exit = lambda status: self._spare_ended(host, status)
        return host

    def _spare_ended(self, host: HostProcess, status: int) -> None:
        if self._spare is host:
            self._spare = None
            log.log(self._level(), "The spare JACK host ended by itself with status %s", status)

    def _open(self) -> None:
        host, self._spare = self._spare or self._spawn(), None
        self.host = host
        host.on_exit = lambda status: self._happened(Happening.HOST_ENDED, f"the JACK host ended by itself with status {status}")
        host.on_part = self._follower.graph_part
        host.on_wake = lambda: self._follower.woken(host)
        host.on_pong = self._ponged
        self._last_cycles, self._stalled_ticks, self._ping_sent = 0, 0, 0.0
        self._tick_timer = self._tick_timer or self._loop.call_later(_TICK_S, self._tick)
        ports, plan = self._follower.opening(host)
        host.submit(lambda answer: self._opened(host, answer), protocol.OPEN, self._server_name, self._client_name, ports, plan)

    def _opened(self, host: HostProcess, answer: Answer | None) -> None:
        if host is not self.host or answer is None:
            return
        kind, *results = answer
        if kind == protocol.FAILED:
            self._happened(Happening.OPEN_FAILED, str(results[0]))
            return
        client_name, sample_rate, buffer_size, realtime, without_ports = results
        host.memory.sample_rate_hz = sample_rate
        self._opened_at = self._loop.time()
        self.state = replace(
            self.state,
            implementation=implementation(host.version),
            client_name=client_name,
            sample_rate_hz=sample_rate,
            buffer_size_frames=host.memory.buffer_size_frames or buffer_size,
            realtime=realtime,
            freewheeling=host.memory.freewheeling,
            xrun_count=0,
            last_xrun_usec=0,
            connected_usec=time.time_ns() // 1000,
        )
        self._happened(Happening.CLIENT_OPENED)
        self._follower.opened(host, without_ports)

    def client_shut_down(self, reason: str) -> None:
        """Take the server's own word that it ends, or throws us out."""
        self._happened(Happening.CLIENT_SHUT_DOWN, reason)

    def _end_generation(self, reason: str, *, say_goodbye: bool, deadline_s: float) -> None:
        host, self.host = self.host, None
        if host is None:
            return
        was_connected = self.state.connected_usec != 0
        self._retire(host, say_goodbye=say_goodbye, deadline_s=deadline_s)
        self.state = ServerState(
            phase=self.state.phase, server_name=self._server_name, retry_count=self._failures, last_error=self.state.last_error
        )
        if was_connected:
            self._follower.lost(reason)

    def _retire(self, host: HostProcess, *, say_goodbye: bool, deadline_s: float) -> None:
        """Let the host end; from here on nothing that it says counts."""
        host.on_part = lambda kind, rows: None
        host.on_wake = host.on_pong = lambda: None
        host.on_exit = lambda status: self._left(host)
        if host.alive:
            self._leaving.add(host)
            host.close(say_goodbye=say_goodbye, deadline_s=deadline_s)

    def _left(self, host: HostProcess) -> None:
        self._leaving.discard(host)
        for future in self._settled.copy():
            if not future.done():
                future.set_result(None)

    # ---- once a second

    def _tick(self) -> None:
        """Look whether the server still runs its cycles and answers; not called while there is none."""
        host = self.host
        self._tick_timer = self._loop.call_later(_TICK_S, self._tick) if host else None
        if host is None:
            return
        opening = self._table_state in (State.OPENING, State.OPENING_LATE)
        self._count_stalled(host)
        overdue = host.overdue_s > (_OPEN_DEADLINE_S if opening else _DEADLINE_S)
        stalled = not opening and self._stalled_ticks >= _STALLED_TICKS
        if self._stalled_ticks or host.overdue_s > _TICK_S:
            if self._ping_sent and self._loop.time() - self._ping_sent > 0.9 * _TICK_S:
                self._happened(Happening.HOST_SILENT, "the JACK host does not answer")
                return
            self._ping_sent = self._ping_sent or self._loop.time()
            host.ping()
        if overdue or stalled:
            self._happened(Happening.ANSWER_OVERDUE, "it runs no cycles" if stalled else "a request is not answered")
            self._count_patience(overdue=overdue)
        elif self._table_state is State.UNRESPONSIVE:
            self._happened(Happening.SERVER_ANSWERED)
        if self.connected and self._loop.time() - self._opened_at > _STABLE_S:
            self._failures = 0
        if self.connected and self.host is not None:
            self._follower.ticked(self.host)

    def _count_stalled(self, host: HostProcess) -> None:
        cycles = host.memory.cycles
        self._stalled_ticks = self._stalled_ticks + 1 if cycles == self._last_cycles and not host.memory.freewheeling else 0
        self._last_cycles = cycles

    def _count_patience(self, *, overdue: bool) -> None:
        """Give up on a server that runs but does not answer. One that is stopped, or only lacks a clock, will go on."""
        if not overdue or self._presence.server_stopped():
            self._unresponsive_since = self._loop.time()
        elif self._loop.time() - self._unresponsive_since > _PATIENCE_S:
            self._happened(Happening.PATIENCE_ENDED, f"the server has not answered for {_PATIENCE_S:g} s")

    def _ponged(self) -> None:
        self._ping_sent = 0.0


def implementation(version: str) -> str:
    """Tell from libjack's version text whose it is: "jack1", "jack2", "pipewire" or "unknown"."""
    if "PipeWire" in version:
        return "pipewire"
    match version.partition(".")[0]:
        case "0":
            return "jack1"
        case "1":
            return "jack2"
        case _:
            return "unknown"
