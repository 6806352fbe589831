"""A real JACK server with the dummy driver, under a name of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from jackd_router.jack_host.library import Implementation
from jackd_router.jack_io.presence import ServerSocket, jack2_socket
from tests.support.eventually import eventually
from tests.support.process import Process, interrupted_later
from tests.support.unix_socket import accepts

METADATA = Path(f"/dev/shm/jack_db-{os.getuid()}")
"""Where JACK2 keeps what is said of ports: for all servers of the user, and beyond the end of those that are killed."""

_taken: set[int] = set()


def forget_metadata() -> None:
    """Let nothing be left of servers that were killed, as after a boot; no server must run."""
    _want_own_shm()
    shutil.rmtree(METADATA, ignore_errors=True)


def _want_own_shm() -> None:
    if not os.environ.get("JACKD_ROUTER_ISOLATED"):
        raise RuntimeError("JACK servers of the tests run in a /dev/shm of their own only: tests/isolate COMMAND")


class JackServer:
    """One `jackd -d dummy`, by default without realtime priorities. It can be killed and started again, under the same name."""

    def __init__(
        self,
        log: Path,
        *,
        name: str | None = None,
        rate_hz: int = 48_000,
        period_frames: int = 256,
        captures: int = 2,
        playbacks: int = 2,
        port_max: int = 2048,
        synchronous: bool = False,
        realtime_priority: int | None = None,
        uid: int | None = None,
    ) -> None:
        self.name = name or self._unused_name()
        self.log = log
        self.rate_hz = rate_hz
        self.period_frames = period_frames
        self.captures = captures
        self.playbacks = playbacks
        self.port_max = port_max
        self.synchronous = synchronous
        self.realtime_priority = realtime_priority
        self.refuses_own_connections = False
        """Whether a client may not connect its own ports."""
        self.uid = os.getuid() if uid is None else uid
        self._process: Process | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the server, if it still runs."""
        if self.is_running:
            self.terminate()

    def _unused_name(self) -> str:
        """Give a name that no other server here has; names come again, because JACK2 remembers 8 killed servers at most."""
        number = next(number for number in itertools.count(1) if number not in _taken)
        _taken.add(number)
        weakref.finalize(self, _taken.discard, number)
        return f"test-{os.getpid()}-{number}"

    @property
    def implementation(self) -> Implementation:
        """Whose server it is."""
        return Implementation.JACK2

    @property
    def socket(self) -> ServerSocket:
        """Where the daemon looks for it."""
        return jack2_socket(self.name)

    @property
    def says_realtime(self) -> bool:
        """Whether it says that it runs with realtime priority."""
        return self.realtime_priority is not None

    @property
    def awaited(self) -> str:
        """What the daemon says that it waits for while the server does not run."""
        return self.title

    @property
    def title(self) -> str:
        """What the daemon calls it."""
        return f"JACK server {self.name!r}"

    @property
    def socket_path(self) -> Path:
        """Where clients ask for this server."""
        return Path(f"/dev/shm/jack_{self.name}_{self.uid}_0")

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has not ended."""
        return self._process is not None and self._process.status() is None

    def start(self) -> None:
        """Start the server and wait until it accepts clients."""
        _want_own_shm()
        # A server that was killed leaves its socket; without it, accepting means: the new one.
        self.socket_path.unlink(missing_ok=True)
        with interrupted_later():
            self._process = Process(self._command(), self.log, os.environ | self._environment(), uid=self.uid)
        eventually(self._accepts, what=f"the server {self.name} accepts clients")

    def _environment(self) -> dict[str, str]:
        return {}

    def _command(self) -> list[str]:
        server = ["jackd", "--name", self.name, "--port-max", str(self.port_max)]
        if self.realtime_priority is None:
            server.append("--no-realtime")
        else:
            server += ["--realtime", "--realtime-priority", str(self.realtime_priority)]
        if self.synchronous:
            server.append("--sync")
        if self.refuses_own_connections:
            server += ["--autoconnect", "A"]
        driver = ["-d", "dummy", "--rate", str(self.rate_hz), "--period", str(self.period_frames)]
        driver += ["--capture", str(self.captures), "--playback", str(self.playbacks)]
        return server + driver

    def kill(self) -> None:
        """End the server as a crash would."""
        self._running().kill()

    def terminate(self) -> None:
        """End the server as its user would; also when it is frozen."""
        self.resume()
        self._running().terminate()

    def freeze(self) -> None:
        """Stop the server where it stands: it stays, and answers nothing."""
        self._running().send(signal.SIGSTOP)
        eventually(self._stands, what=f"all threads of the server {self.name} stand still")

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._running().send(signal.SIGCONT)

    def _running(self) -> Process:
        assert self._process is not None, "the server was never started"
        return self._process

    def _stands(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)

    def _accepts(self) -> bool:
        if not self.is_running:
            raise RuntimeError(f"the server did not start:\n{self._running().output()}")
        return accepts(self.socket_path)
