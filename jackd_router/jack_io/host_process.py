"""One JACK host: its process, the requests to it, its pings, and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from jackd_router.core.errors import Refused, ServerLost
from jackd_router.jack_host import protocol
from jackd_router.jack_io.child import Child
from jackd_router.jack_io.shared_memory import Event, SharedMemory

log = logging.getLogger(__name__)

_REALTIME = {os.SCHED_FIFO, os.SCHED_RR, 6}
"""The realtime policies of the kernel; 6 is SCHED_DEADLINE, which Python 3.11 does not name."""

_WINDOW = 64
"""Requests on the way at one time: the kernel takes about 270 small packets before a sender would block."""

_SLICE_S = 0.001
"""How long others wait while answers are read, but for one that takes longer."""

_LONGEST_LINE = 4096
"""Of what a library writes to stderr: a longer one is logged in parts."""

Told = TypeVar("Told")
Answer = tuple[Any, ...]
Done = Callable[[Answer | None], None]
"""Called with the answer to a request (kind, *results), or with None when the host is gone."""


class HostProcess:
    """A child process that holds libjack. Its owner sets the callbacks; they come in the event loop."""

    def __init__(self, library_path: str | None = None) -> None:
        """Let the process be started; `library_path` is searched for libjack before the system's folders.

        What is asked of it meanwhile waits for it. Raises OSError, and leaves nothing, where the system has no more descriptors
        or threads; where it has no more processes, the host has ended before it began.
        """
        self._forget_owner()
        self.version = ""
        self.ending = ""
        """How it ended: with which status, or why it could not be started."""
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._queue: deque[tuple[Any, ...]] = deque()
        self._begun_line = b""
        self._waiting: dict[int, Done] = {}
        self.progress = self._loop.time()
        with ExitStack() as opened:
            self._child = self._start(library_path, opened)
            opened.pop_all()

    def _forget_owner(self) -> None:
        """Call nobody. Who owns a host is mostly in a cycle with it, and 10 MB would wait for the garbage collector."""
        self.on_loaded: Callable[[str], None] = lambda version: None
        self.on_part: Callable[[str, tuple[Any, ...]], None] = lambda kind, rows: None
        self.on_wake: Callable[[], None] = lambda: None
        self.on_pong: Callable[[], None] = lambda: None
        self.on_exit: Callable[[int], None] = lambda status: None

    def _start(self, library_path: str | None, opened: ExitStack) -> Child:
        """Let the process be started. `opened` gives back what is ours, should that fail half way."""
        with ExitStack() as theirs:
            self.memory = SharedMemory()
            theirs.callback(self.memory.close_file)
            self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            opened.callback(os.close, self._eventfd)
            self._control, control = _socket_pair(opened, theirs)
            self._ping, ping = _socket_pair(opened, theirs)
            self._stderr, stderr = os.pipe2(os.O_CLOEXEC)
            opened.callback(os.close, self._stderr)
            theirs.callback(os.close, stderr)
            os.set_blocking(self._stderr, False)
            inherited = (control.fileno(), ping.fileno(), self.memory.file, self._eventfd)
            environment = dict(os.environ)
            if library_path:
                environment["LD_LIBRARY_PATH"] = f"{library_path}:{environment.get('LD_LIBRARY_PATH', '')}".rstrip(":")

            def start() -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    [sys.executable, "-P", "-m", "jackd_router.jack_host", *map(str, inherited)],
                    pass_fds=inherited,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                )

            kept = ExitStack()
            child = Child(start, kept.close, self._ended)
            kept.push(theirs.pop_all())  # it needs them until it is started
        self._loop.add_reader(self._control.fileno(), self._receive)
        self._loop.add_reader(self._ping.fileno(), self._ponged)
        self._loop.add_reader(self._eventfd, self._woken)
        self._loop.add_reader(self._stderr, self._log_stderr)
        return child

    @property
    def pid(self) -> int:
        """The number of the process; 0 as long as it is not started."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        return self._child.alive

    @property
    def overdue_s(self) -> float:
        """For how long requests are waiting without any answer; 0.0 when none is."""
        return self._loop.time() - self.progress if self._waiting else 0.0

    @property
    def realtime(self) -> bool | None:
        """Whether the thread of the process callback has realtime priority now; None before its first cycle."""
        try:
            policy = os.sched_getscheduler(self.memory.thread_id) if self.memory.thread_id else None
        except ProcessLookupError:
            return None  # the host ends, and that is being told
        return None if policy is None else policy & ~os.SCHED_RESET_ON_FORK in _REALTIME

    # ---- requests

    def submit(self, done: Done, operation: str, *arguments: Any) -> None:
        """Send a request; `done` is called once, in the event loop, never from in here."""
        if not self.alive:
            self._loop.call_soon(done, None)
            return
        if not self._waiting:
            self.progress = self._loop.time()
        self._number += 1
        self._waiting[self._number] = done
        self._queue.append((self._number, operation, *arguments))
        if len(self._waiting) <= _WINDOW:
            self._send_queued()

    async def request(self, operation: str, *arguments: Any, deadline_s: float) -> Answer:
        """Send a request and give the results; raise Refused with libjack's reason, or ServerLost."""
        future: asyncio.Future[Answer | None] = self._loop.create_future()
        self.submit(lambda answer: None if future.done() else future.set_result(answer), operation, *arguments)
        kind, *results = await in_time(future, deadline_s, f"the JACK server did not answer within {deadline_s:g} s")
        if kind == protocol.FAILED:
            raise Refused(str(results[0]))
        return tuple(results)

    def _send_queued(self) -> None:
        while self._queue and len(self._waiting) - len(self._queue) < _WINDOW:
            try:
                protocol.send(self._control, self._queue[0])
            except OSError:
                return  # full: the next answer calls again; broken: the end of the process is being told
            self._queue.popleft()

    def _receive(self) -> None:
        end = self._loop.time() + _SLICE_S
        while self._loop.time() < end:  # what is left is read when others had their turn
            try:
                message = protocol.receive(self._control)
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                self._loop.remove_reader(self._control.fileno())
                return
            self._take(*message)

    def _take(self, number: int, kind: str, *results: Any) -> None:
        self.progress = self._loop.time()
        if kind == protocol.LOADED:
            self.version = results[0]
            self.on_loaded(self.version)
        elif kind in (protocol.PORTS, protocol.CONNECTIONS, protocol.METADATA, protocol.METADATA_READ):
            self.on_part(kind, results[0])
        else:
            done = self._waiting.pop(number)
            self._send_queued()
            done((kind, *results))

    # ---- wake-ups, pings, end

    def _woken(self) -> None:
        os.eventfd_read(self._eventfd)
        self.on_wake()

    def take_events(self) -> list[Event]:
        """Give the notifications that came since the last call."""
        return self.memory.take_events()

    def ping(self) -> None:
        """Ask for `on_pong`, which comes as long as the process itself lives and runs."""
        try:
            self._ping.send(protocol.PING)
        except OSError:
            return  # full: it has not answered 200 pings; gone: its end is being told

    def _ponged(self) -> None:
        try:
            packet = self._ping.recv(1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self.on_pong()
        else:
            self._loop.remove_reader(self._ping.fileno())

    def _log_stderr(self, *, ended: bool = False) -> None:
        """Log what libraries below libjack write there (Berkeley DB does) and Python's last words."""
        try:
            text = os.read(self._stderr, 65536)
        except BlockingIOError:
            text = b""
        else:
            if not text:
                self._loop.remove_reader(self._stderr)
        *lines, self._begun_line = (self._begun_line + text).split(b"\n")
        if ended or len(self._begun_line) > _LONGEST_LINE:
            lines, self._begun_line = [*lines, self._begun_line], b""
        for line in filter(None, lines):
            log.warning("The JACK host wrote: %s", line.decode(errors="replace"), extra={"JACK_HOST_PID": self.pid})

    def kill(self) -> None:
        """End the process at once."""
        self._child.kill()

    def close(self, *, say_goodbye: bool, deadline_s: float) -> None:
        """Ask the process to end, with or without a word to the server; end it at the deadline."""
        if not self.alive:
            return
        try:
            protocol.send(self._control, (0, protocol.CLOSE, say_goodbye))
        except OSError:
            self.kill()
        timer = self._loop.call_later(deadline_s, self.kill)
        told = self.on_exit

        def ended(status: int) -> None:
            timer.cancel()
            told(status)

        self.on_exit = ended

    def _ended(self, status: int, how: str) -> None:
        self.ending = how
        self._log_stderr(ended=True)
        self._release()
        waiting, self._waiting = self._waiting, {}
        self._queue.clear()
        for done in waiting.values():
            done(None)
        told = self.on_exit
        self._forget_owner()
        told(status)

    def _release(self) -> None:
        for descriptor in (self._control.fileno(), self._ping.fileno(), self._eventfd, self._stderr):
            self._loop.remove_reader(descriptor)
        for end in (self._control, self._ping):
            end.close()
        for descriptor in (self._eventfd, self._stderr):
            os.close(descriptor)


async def in_time(answer: asyncio.Future[Told | None], deadline_s: float, too_late: str) -> Told:
    """Give the answer; raise ServerLost, with these words where it does not come in time. None: the server went away."""
    try:
        async with asyncio.timeout(deadline_s):
            told = await answer
    except TimeoutError:
        raise ServerLost(too_late) from None
    if told is None:
        raise ServerLost("the JACK server went away")
    return told


def _socket_pair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Give both ends of a connection that keeps messages apart: ours, which never waits, and that of the process."""
    pair = our_end, their_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    our_end.setblocking(False)
    ours.callback(our_end.close)
    theirs.callback(their_end.close)
    return pair
