"""A child process whose start and end keep nobody waiting.

To start a process takes 0.6 ms where nothing else runs, but 11 in the median where two others want the CPUs, as they do in the
moment in which a server dies: who starts it waits until it has become another program. Who reaps it waits while the kernel
forgets all that others, such as monitors of the system, have looked at in its /proc: mostly 0.1 ms, and 0.3 s once. So threads
do both.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

if sys.version_info < (3, 11, 4):
    # There vfork keeps all threads waiting, not only the one that calls it (CPython's gh-104372): 7.9 ms beside two programs that
    # want the CPUs, where fork takes 3.7. From 3.11.4 on vfork takes 1.4.
    subprocess._USE_VFORK = False  # type: ignore[misc]

# Apart: who is to be started does not wait for somebody who ends.
_starter, _reaper = ThreadPoolExecutor(1, "starter"), ThreadPoolExecutor(1, "reaper")

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
        self._is_to_end = False
        self._loop.run_in_executor(_starter, _started, start).add_done_callback(partial(self._take, on_start))

    def kill(self) -> None:
        """End it at once."""
        self._is_to_end = True
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

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
        if self._is_to_end:
            self.kill()

    def _exited(self) -> None:
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


def _started(start: Start) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process, and give it with a descriptor of it."""
    process = start()
    try:
        return process, os.pidfd_open(process.pid)
    except OSError:
        process.kill()
        process.wait()
        raise
