"""Child processes of the tests: started with their output kept in a file, and always ended."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_END_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Counters:
    """What a process holds and how often it woke up, over all of its threads."""

    descriptors: int
    threads: int
    rss_kib: int
    wakeups: int


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Let Ctrl-C and a SIGTERM that interrupts come at the end of this: what has begun half way nobody would end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = {
        number: signal.signal(number, lambda *signalled: came.append(signalled))
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for signalled, frame in came:
        handler = before[signal.Signals(signalled)]
        assert callable(handler)
        handler(signalled, frame)


class Process:
    """One child process, whose output goes to a file."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, *, uid: int | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                user=uid,
                process_group=0,  # Ctrl-C is for whoever started it, and ends it in good order
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def status(self) -> int | None:
        """Give the exit status (a negative signal number), or None while it runs."""
        return self._popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where the process has ended."""
        self._popen.send_signal(number)

    def wait(self, timeout: float = _END_TIMEOUT_S) -> int:
        """Wait for the end and give the exit status."""
        return self._popen.wait(timeout)

    def kill(self) -> int:
        """End the process with SIGKILL."""
        self.send(signal.SIGKILL)
        return self.wait()

    def terminate(self, timeout: float = _END_TIMEOUT_S) -> int:
        """Ask the process to end; a process that does not is killed, and that is an error."""
        self.send(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"process {self.pid} ignored SIGTERM for {timeout:g} s\n{self.output()}") from None

    def output(self) -> str:
        """Give what it has written so far."""
        return self.log.read_text(errors="replace")


def children(pid: int) -> tuple[int, ...]:
    """Give the processes that the threads of this one have started and that still run."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return tuple(sorted(found))


def state(pid: int) -> str:
    """Give the state of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def switches(pid: int) -> dict[int, int]:
    """Give how often each thread of a process has left the CPU, whether it had to or not."""
    counted: dict[int, int] = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            counted[int(thread.name)] = _switches(thread)
    return counted


def counters(pid: int, *, without_threads: Sequence[str] = ()) -> Counters:
    """Read the counters of a running process; `without_threads` names those whose wake-ups do not count."""
    proc = Path(f"/proc/{pid}")
    status = _status_fields(proc)
    wakeups = 0
    threads = tuple((proc / "task").iterdir())
    for thread in threads:
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            if (thread / "comm").read_text().strip() not in without_threads:
                wakeups += _switches(thread)
    return Counters(
        descriptors=len(tuple((proc / "fd").iterdir())),
        threads=len(threads),
        rss_kib=int(status["VmRSS"].split()[0]),
        wakeups=wakeups,
    )


def _switches(thread: Path) -> int:
    fields = _status_fields(thread)
    return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])


def _status_fields(directory: Path) -> dict[str, str]:
    """Give the lines of a `status` file of /proc by name."""
    pairs = (line.partition(":") for line in (directory / "status").read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}
