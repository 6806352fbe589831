"""Keeps our client on a JACK server: starts and ends JACK hosts as the table in core/lifecycle.py says.

Every run of a server is a generation: one host, whose ids and events never outlive it. While there is no server a
spare host stands by with libjack loaded, which takes 60 ms off the way back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from jackd_router.core.errors import Refused, ServerLost
from jackd_router.core.lifecycle import Deed, Happening, State, pause_s, step
from jackd_router.jack_host import protocol
from jackd_router.jack_host.library import FOLDERS, Implementation, implementation
from jackd_router.jack_io.host_process import Answer, HostProcess
from jackd_router.jack_io.other_servers import other_servers
from jackd_router.jack_io.presence import ServerSocket
from jackd_router.jack_io.servers import Servers
from jackd_router.jack_io.threads import in_thread
from jackd_router.runtime.state import ServerPhase, ServerState

log = logging.getLogger(__name__)

_TICK_S = 1.0
_LOOK_AROUND_S = 10.0
_DOUBT_S = 0.5
"""How soon we look again once the server seems to stand still: whether it does is known 2.5 s after it did, at most."""
_DEADLINE_S = 2.0
_ANSWER_S = 0.5
"""How long somebody waits for what the server is asked; he is not kept waiting behind requests that wait longer."""
_STALLED_TICKS = 2
_PATIENCE_S = 10.0
_RECONNECT_S = 10.0
_LOOK_S = 10.0
"""For a client that only reads the graph."""
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

    def opening(self, host: HostProcess) -> tuple[Any, ...]:
        """Give the plan for our ports, as protocol.OPEN takes it; the graph is about to come."""

    def graph_part(self, kind: str, rows: tuple[Any, ...]) -> None:
        """Take a part of the graph that was asked for."""

    def woken(self, host: HostProcess) -> None:
        """Look at the notifications in the host's memory."""

    def opened(self, host: HostProcess, without_ports: str) -> None:
        """Note that the host is our client now; the graph is complete but for the queued events.

        `without_ports` says why the server gave us no ports for our buses, "" where it did.
        """

    def given_up(self) -> None:
        """Note that the host that was opening is gone: it never was our client."""

    def lost(self, reason: str) -> None:
        """Note that the generation is over."""

    def ticked(self, host: HostProcess) -> None:
        """Note that another second has passed with a server."""

    def server_changed(self, before: ServerState, now: ServerState) -> None:
        """Take the old and the new state of the server."""


class ServerKeeper:
    """Opens, watches and leaves; nobody else does."""

    def __init__(self, sockets: Sequence[ServerSocket], client_name: str, follower: Follower) -> None:
        """Take where servers may listen, the preferred one first, and our name; nothing happens before `start`."""
        self._sockets, self._client_name = sockets, client_name
        self._follower = follower
        self._loop = asyncio.get_running_loop()
        self._table_state = State.WAITING
        self._servers = Servers(
            sockets,
            lambda: self._happened(Happening.SERVER_APPEARED),
            lambda: self._happened(Happening.SERVER_GONE, "the JACK server ended"),
            lambda reason: self._happened(Happening.SERVER_REPLACED, reason),
        )
        self.state = self._told = self._without_server(ServerPhase.CONNECTING)
        self.host: HostProcess | None = None
        self._spare: HostProcess | None = None
        self._library = sockets[0].implementation
        """Whose libjack the spare host has: that of the last server."""
        self._folder = dict.fromkeys(FOLDERS, 0)
        self._leaving: set[HostProcess] = set()
        self._looking: HostProcess | None = None
        """The one that reads the graph beside ours."""
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._looking_around: asyncio.Task[None] | None = None
        self._found: frozenset[str] = frozenset()
        self._others: frozenset[str] = frozenset()
        self._settled: set[asyncio.Future[None]] = set()
        self._last_cycles, self._stalled_ticks = 0, 0
        self._unresponsive_since = self._opened_at = 0.0
        self._ping_sent = self._tick_due = 0.0
        self._doubt = ""
        """Why the server may have thrown us out, as libjack said."""

    # ---- what the rest of the daemon asks for

    @property
    def connected(self) -> bool:
        """Whether there is a server that answers (or did a moment ago)."""
        return self._table_state in (State.CONNECTED, State.UNRESPONSIVE)

    @property
    def server_run(self) -> str:
        """Which run of the server there is, as `Presence` tells it apart from others; "" where that is not known."""
        return self._servers.server_run

    def server_age_s(self) -> float:
        """Give for how long the process of the server runs, as `Presence` does."""
        return self._servers.server_age_s()

    def start(self) -> None:
        """Begin to look for the server."""
        self._timer = self._loop.call_later(_TICK_S, self._look_around)
        self._servers.start()
        if self.host is None:
            self._spawn_spare()

    async def stop(self) -> None:
        """Leave the server and end all hosts; bounded by the deadlines of their goodbyes."""
        self._servers.stop()
        if self._spare:
            self._retire(self._spare, say_goodbye=False, deadline_s=_DEAD_GOODBYE_S)
            self._spare = None
        if self._looking:
            self._looking.kill()
        self._happened(Happening.STOP_ASKED)
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                while self._leaving or self._looking:
                    await self._change()

    async def request(self, operation: str, *arguments: Any) -> Answer:
        """Ask the server something; raise ServerLost when there is none or it does not answer in time."""
        if self.host is None or not self.connected:
            raise ServerLost(f"there is no {self._title} to ask")
        if self._table_state is State.UNRESPONSIVE or self.host.overdue_s > _ANSWER_S:
            raise ServerLost(f"{self._title} does not answer")
        return await self.host.request(operation, *arguments, deadline_s=_ANSWER_S)

    @property
    def forgets(self) -> bool:
        """Whether libjack may know less of the graph than there is: PipeWire's loses events, and lists what is gone, for ever."""
        return self._library is Implementation.PIPEWIRE

    @property
    def mistakes_ports(self) -> bool:
        """Whether a request may reach another port than it names: PipeWire's libjack asks by numbers, which are given again."""
        return self._library is Implementation.PIPEWIRE

    @property
    def has_session_manager(self) -> bool:
        """Whether another program may make the ports of devices anew, some time after the server began: PipeWire's may."""
        return self._library is Implementation.PIPEWIRE

    def read_with_another_client(
        self,
        with_metadata: bool,
        begin: Callable[[], None],
        on_part: Callable[[str, tuple[Any, ...]], None],
        done: Callable[[Answer | None], None],
    ) -> None:
        """Let a client that has just come read the graph, and what ports say of themselves.

        `begin` is called at the last moment before, then `on_part` with the parts, and `done` in any case: with what the
        request answers, or None.
        """
        try:
            server, host = self._followed(), HostProcess(self._library_folder())
        except OSError as error:  # too many descriptors
            log.debug("No other client can read the graph now: %s", error.strerror)
            done(None)
            return
        self._looking = host
        wanted = (server.implementation.value, server.name, f"{self._client_name}-look", with_metadata)
        timer = self._loop.call_later(_LOOK_S, host.kill)

        def look(version: str) -> None:
            begin()
            host.submit(read, protocol.LOOK, *wanted)

        def read(answer: Answer | None) -> None:
            if self._looking is not host:
                return  # told already: it ended with an answer to come
            timer.cancel()
            self._looking = None
            self._retire(host, say_goodbye=True, deadline_s=_LIVE_GOODBYE_S)
            done(answer)
            if not host.alive:
                self._left(host)

        host.on_loaded, host.on_part = look, on_part
        host.on_exit = lambda status: read(None)

    async def reconnect(self) -> None:
        """Try now instead of at the next attempt; raise ServerLost when that does not lead to a connection."""
        end = self._loop.time() + _RECONNECT_S
        self._happened(Happening.RETRY_DUE)
        while not self.connected:
            if self._servers.current is None or self._loop.time() > end:
                raise ServerLost(f"no {self._title}: {self.state.last_error or 'none is running'}")
            try:
                async with asyncio.timeout_at(end):
                    await self._change()
            except TimeoutError:
                continue

    def _without_server(self, phase: ServerPhase) -> ServerState:
        """Give the state while there is none: the one that is waited for is the first that may come."""
        return ServerState(phase=phase, server_name=self._sockets[0].name, title=self._title)

    @property
    def _title(self) -> str:
        """What to call the server that there is, or those that may come."""
        if self._servers.current:
            return self._servers.current.server.title
        first, *others = self._sockets
        # os.path, as Path.exists raises where one may not look.
        return " or ".join([first.title, *(server.title for server in others if os.path.exists(server.path))])  # noqa: PTH110

    def _change(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        self._settled.add(future)
        future.add_done_callback(self._settled.discard)
        return future

    # ---- the table

    def _happened(self, happening: Happening, reason: str = "") -> None:
        before = self._table_state
        self._table_state, deed = step(before, happening)
        if happening in (Happening.SERVER_APPEARED, Happening.SERVER_GONE, Happening.SERVER_REPLACED):
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
                self._end_generation(reason, say_goodbye=not self._crashes_at_goodbye, deadline_s=_DEAD_GOODBYE_S)
            case Deed.CLOSE_LIVE:
                self._end_generation(reason or LEFT, say_goodbye=True, deadline_s=_LIVE_GOODBYE_S)
                return
            case Deed.CLOSE_AND_PAUSE:
                self._end_generation(reason, say_goodbye=not self._crashes_at_goodbye, deadline_s=_LIVE_GOODBYE_S)
                self._pause()
            case Deed.KILL_AND_PAUSE:
                if self.host:
                    self.host.kill()
                self._end_generation(reason, say_goodbye=False, deadline_s=0.0)
                self._pause()
        if self._spare is None:
            self._spawn_spare()

    @property
    def _crashes_at_goodbye(self) -> bool:
        """Whether libjack may crash when it closes a client whose server is gone; JACK2 leaks a lock of one that is not."""
        return self._library is Implementation.PIPEWIRE

    def _pause(self) -> None:
        self._timer = self._loop.call_later(pause_s(max(self._failures, 1)), self._happened, Happening.RETRY_DUE)

    def _entered(self, before: State, reason: str) -> None:
        """Publish what the new state means."""
        now = self._table_state
        if now is not State.PAUSED:
            self._stop_waiting()
        if now in (State.UNRESPONSIVE, State.OPENING_LATE):
            self._unresponsive_since = self._loop.time()
            log.warning("The JACK server does not answer: %s", reason, extra={"REASON": reason})
        elif now is State.PAUSED and before is not State.CONNECTED:
            log.log(self._level(), "Could not connect to the JACK server: %s", reason, extra={"REASON": reason})
        elif before is State.UNRESPONSIVE and now is State.CONNECTED:
            log.info("The JACK server answers again")
        error = reason if now in (State.PAUSED, State.UNRESPONSIVE, State.OPENING_LATE) else ""
        if now is State.OPENING and self._failures:
            error = self.state.last_error  # it is tried again and again: why it failed is to be read meanwhile
        if now is State.WAITING:
            self._found = self._others = frozenset()
            self._timer = self._loop.call_later(_TICK_S, self._look_around)
        retries = 0 if self.connected else self._failures
        self.publish(replace(self.state, phase=_PHASES[now], retry_count=retries, last_error=error))
        for future in self._settled.copy():
            if not future.done():
                future.set_result(None)

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._looking_around:
            self._looking_around.cancel()
            self._looking_around = None

    def _level(self) -> int:
        """Give the level for what happens again and again for one cause: a warning at first only."""
        return logging.WARNING if self._failures <= 1 else logging.DEBUG

    def publish(self, now: ServerState) -> None:
        """Swap the state of the server and tell it, when it is another one than was told last."""
        before, self.state, self._told = self._told, now, now
        if before != now:
            self._follower.server_changed(before, now)

    def _look_around(self) -> None:
        """While we wait: tell people which other servers run, of which they may mean one."""
        self._looking_around = self._loop.create_task(self._look_for_others())

    async def _look_for_others(self) -> None:
        found = self._found
        with suppress(Refused):  # no more threads
            found = await in_thread(other_servers, self._sockets)
        others = found & self._found
        self._timer = self._loop.call_later(_LOOK_AROUND_S if found == self._found else _TICK_S, self._look_around)
        self._found = found
        if others != self._others:
            self._others = others
            text = f"none runs here, but {', '.join(sorted(others))}" if others else ""
            log.info("Waiting for %s: %s", self._title, text or "no other one runs any more")
            self.publish(replace(self.state, last_error=text))

    # ---- hosts

    def _library_folder(self) -> str:
        return FOLDERS[self._library][self._folder[self._library]]

    def _followed(self) -> ServerSocket:
        assert self._servers.current is not None
        return self._servers.current.server

    def _spawn(self) -> HostProcess:
        library, host = self._library, HostProcess(self._library_folder())
        host.on_loaded = lambda version: self._loaded(host, library, version)
        host.on_exit = lambda status: self._spare_ended(host)
        return host

    def _spawn_spare(self) -> None:
        """Let a host stand by; where none can be started now, `_open` tries again and tells."""
        self._spare = None
        with suppress(OSError):
            self._spare = self._spawn()

    def _loaded(self, host: HostProcess, wanted: Implementation, version: str) -> None:
        """Look in the next folder, where this was another libjack: the host would refuse to open with it."""
        if implementation(version) is wanted:
            return
        self._folder[wanted] = (self._folder[wanted] + 1) % len(FOLDERS[wanted])
        if host is self._spare and self._folder[wanted]:
            self._retire(host, say_goodbye=False, deadline_s=_DEAD_GOODBYE_S)
            self._spawn_spare()

    def _spare_ended(self, host: HostProcess) -> None:
        if self._spare is host:
            self._spare = None
            log.log(self._level(), "The spare JACK host %s", host.ending)

    def _open(self) -> None:
        server = self._followed()
        if server.implementation is not self._library and self._spare:
            self._retire(self._spare, say_goodbye=False, deadline_s=_DEAD_GOODBYE_S)
            self._spare = None
        self._library = server.implementation
        self.state = replace(self.state, server_name=server.name, title=server.title)
        try:
            host, self._spare = self._spare or self._spawn(), None
        except OSError as error:  # too many descriptors
            reason = f"the JACK host cannot be started: {error.strerror}"
            self._loop.call_soon(self._happened, Happening.OPEN_FAILED, reason)  # what leads here is not over yet
            return
        self.host = host
        host.on_exit = lambda status: self._happened(Happening.HOST_ENDED, f"the JACK host {host.ending}")
        host.on_part = self._follower.graph_part
        host.on_wake = lambda: self._follower.woken(host)
        host.on_pong = self._ponged
        self._last_cycles, self._stalled_ticks, self._ping_sent, self._doubt = 0, 0, 0.0, ""
        self._tick_timer = self._tick_timer or self._tick_later()
        plan = self._follower.opening(host)
        wanted = (server.implementation.value, server.name, self._client_name, plan)
        host.submit(lambda answer: self._opened(host, answer), protocol.OPEN, *wanted)

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
            implementation=implementation(host.version).value,
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
        """Take the server's own word that it ends, or throws us out: what is so is seen at its socket.

        PipeWire's libjack says it of any error, such as a port of somebody else that was gone before it was looked at; there
        it counts when our cycles have ended, too.
        """
        self._servers.look()
        if self.host is not None and self._library is Implementation.PIPEWIRE:
            self._doubt = reason
        elif self.host is not None:
            self._happened(Happening.CLIENT_SHUT_DOWN, reason)

    def _end_generation(self, reason: str, *, say_goodbye: bool, deadline_s: float) -> None:
        host, self.host = self.host, None
        if host is None:
            return
        was_connected = self.state.connected_usec != 0
        self._retire(host, say_goodbye=say_goodbye, deadline_s=deadline_s)
        self.state = replace(self._without_server(self.state.phase), retry_count=self._failures, last_error=self.state.last_error)
        if was_connected:
            self._follower.lost(reason)
        else:
            self._follower.given_up()

    def _retire(self, host: HostProcess, *, say_goodbye: bool, deadline_s: float) -> None:
        """Let the host end; from here on nothing that it says counts."""
        if not host.alive:
            return  # it calls nobody any more, and in a circle with us 10 MB of it would wait for the garbage collector
        host.on_part = lambda kind, rows: None
        host.on_wake = host.on_pong = lambda: None
        host.on_exit = lambda status: self._left(host)
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
        host, late_s = self.host, self._loop.time() - self._tick_due
        if host is None:
            self._tick_timer = None
            return
        if late_s > _TICK_S:
            self._stood_still(host, late_s)
        self._count_stalled(host)
        doubtful = self._stalled_ticks > 0 or host.overdue_s > _TICK_S
        self._tick_timer = self._tick_later(_DOUBT_S if doubtful else _TICK_S)
        if self._is_shut_down():
            return
        unanswered_s = self._loop.time() - self._ping_sent if self._ping_sent else 0.0
        if doubtful:
            if unanswered_s > 0.9 * _TICK_S:
                self._happened(Happening.HOST_SILENT, "the JACK host does not answer")
                return
            self._ping_sent = self._ping_sent or self._loop.time()
            host.ping()
        overdue = host.overdue_s > _DEADLINE_S
        stalled = self._stalled_ticks >= _STALLED_TICKS
        if (overdue or stalled) and not unanswered_s:  # else it may be the host that stands still
            self._happened(Happening.ANSWER_OVERDUE, "it runs no cycles" if stalled else "a request is not answered")
            self._count_patience(overdue=overdue)
        elif self._table_state is State.UNRESPONSIVE and not (overdue or stalled):
            self._happened(Happening.SERVER_ANSWERED)
        if self.connected and self._loop.time() - self._opened_at > _STABLE_S:
            self._failures = 0
        if self.connected and self.host is not None:
            self._follower.ticked(self.host)

    def _is_shut_down(self) -> bool:
        """Decide on what libjack said of a shutdown, by our cycles."""
        if not self._stalled_ticks:
            self._doubt = ""
        if not self._doubt or self._stalled_ticks < _STALLED_TICKS:
            return False
        self._happened(Happening.CLIENT_SHUT_DOWN, self._doubt)
        return True

    def _tick_later(self, delay_s: float = _TICK_S) -> asyncio.TimerHandle:
        self._tick_due = self._loop.time() + delay_s
        return self._loop.call_at(self._tick_due, self._tick)

    def _stood_still(self, host: HostProcess, seconds: float) -> None:
        """Judge nobody by a time in which we ourselves did not run: the machine was asleep, and all have just woken up."""
        host.progress += seconds
        self._unresponsive_since += seconds
        self._ping_sent += seconds if self._ping_sent else 0.0
        self._last_cycles, self._stalled_ticks = -1, 0

    def _count_stalled(self, host: HostProcess) -> None:
        cycles, opening = host.memory.cycles, self._table_state in (State.OPENING, State.OPENING_LATE)
        # While it freewheels a cycle takes as long as its slowest client.
        is_rendering = host.memory.freewheeling and not self._servers.server_stopped()
        runs = cycles != self._last_cycles or is_rendering or opening
        self._stalled_ticks = 0 if runs else self._stalled_ticks + 1
        self._last_cycles = cycles

    def _count_patience(self, *, overdue: bool) -> None:
        """Give up on a server that runs but does not answer. One that is stopped, or only lacks a clock, will go on."""
        if not overdue or self._servers.server_stopped():
            self._unresponsive_since = self._loop.time()
        elif self._loop.time() - self._unresponsive_since > _PATIENCE_S:
            self._happened(Happening.PATIENCE_ENDED, f"the server has not answered for {_PATIENCE_S:g} s")

    def _ponged(self) -> None:
        self._ping_sent = 0.0
