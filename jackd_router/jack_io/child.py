"""A child process whose start and end keep nobody waiting.

To start a process takes 0.6 ms where nothing else runs, but 11 in the median where two others want the CPUs, as they do in the
moment in which a server dies: who starts it waits until it has become another program. Who reaps it waits while the kernel
forgets all that others, such as monitors of the system, have looked at in its /proc: mostly 0.1 ms, and 0.3 s once. So threads
do both.

A process that is stopped before it has become the other program keeps its starter waiting, and all who are to be started next. It
has no number here yet, so who ends it looks for it among the starter's children.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

if sys.version_info < (3, 11, 4):
    # There vfork keeps all threads waiting, not only the one that calls it (CPython's gh-104372): 7.9 ms beside two programs that
    # want the CPUs, where fork takes 3.7. From 3.11.4 on vfork takes 1.4.
    subprocess._USE_VFORK = False  # type: ignore[misc]

# Apart: who is to be started does not wait for somebody who ends.
_starter, _reaper = ThreadPoolExecutor(1, "starter"), ThreadPoolExecutor(1, "reaper")

_started: set[int] = set()
"""The starter's children that have become another program and are not reaped."""

_KILL_AGAIN_S = 0.2
"""After which who is to end, and is not started yet, is looked for again."""

Start = Callable[[], "subprocess.Popen[bytes]"]
Ended = Callable[[int, str], None]
"""Called with the status (negative: the signal that killed it), and how it ended in words."""


class Child:
    """One process, from the moment on when it is asked for."""

    def __init__(self, start: Start, on_start: Callable[[], None], on_end: Ended) -> None:
        """Let a thread call `start`, then `on_start`, whatever came of it, and `on_end` at the end, both in the event loop.

        Raises OSError where the system has no more threads.
        """
        _begin_threads()
        self.pid = 0
        """Its number; 0 as long as it is not started."""
        self.alive = True
        """Whether it has not ended yet, or is still to be started."""
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._starter_id = 0
        """The thread in which it is being started."""
        self._kill_again: asyncio.TimerHandle | None = None
        self._loop.run_in_executor(_starter, self._begin, start).add_done_callback(partial(self._take, on_start))

    def kill(self) -> None:
        """End it at once, or as soon as it can be."""
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        elif self.alive:
            if self._starter_id:
                _kill_half_started(self._starter_id)
            self._kill_again = self._loop.call_later(_KILL_AGAIN_S, self.kill)

    def _begin(self, start: Start) -> tuple[subprocess.Popen[bytes], int]:
        """Start a process, and give it with a descriptor of it; runs in the starter."""
        self._starter_id = threading.get_native_id()
        process = start()
        _started.add(process.pid)
        try:
            return process, os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            process.wait()
            _started.discard(process.pid)
            raise

    def _take(self, on_start: Callable[[], None], started: asyncio.Future[tuple[subprocess.Popen[bytes], int]]) -> None:
        on_start()
        try:
            process, self._pidfd = started.result()
        except (OSError, subprocess.SubprocessError) as error:
            self._end(os.EX_OSERR, f"cannot be started: {getattr(error, 'strerror', None) or error}")
            return
        self.pid = process.pid
        process.returncode = 0  # it is ours to reap: else its destructor would try to
        self._loop.add_reader(self._pidfd, self._exited)
        if self._kill_again is not None:
            self._kill_again.cancel()
            self.kill()

    def _exited(self) -> None:
        _started.discard(self.pid)  # another process may have its number soon
        try:
            found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
            assert found is not None
            status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            _reaper.submit(os.waitpid, self.pid, 0)
        except ChildProcessError:  # the daemon was started with SIGCHLD ignored: the kernel reaps, and tells nobody how it ended
            status = os.EX_UNAVAILABLE
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._end(status, f"ended by itself with status {status}")

    def _end(self, status: int, how: str) -> None:
        self.alive = False
        told, self._on_end = self._on_end, _nobody  # who is told is mostly in a cycle with us
        told(status, how)


@cache
def _begin_threads() -> None:
    """Begin both threads: later, when something has to be reaped, there might be room for none."""
    try:
        for each in (_starter, _reaper):
            each.submit(int)
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "the system has no more threads") from error


def _nobody(_status: int, _how: str) -> None:
    """Whom nothing concerns any more."""


def _kill_half_started(starter_id: int) -> None:
    """End the child of this thread that has not become another program yet, if there is one now."""
    children = Path(f"/proc/self/task/{starter_id}/children")
    with suppress(OSError):  # it has ended meanwhile; or a kernel without CONFIG_PROC_CHILDREN, which no distribution builds
        for pid in {*map(int, children.read_text(encoding="ascii").split())} - _started:
            pidfd = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
