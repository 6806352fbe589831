"""Whether a server runs, known without libjack and without polling it.

Its end: an idle connection to its socket (the canary) gets end-of-file 5-17 ms after its death (PipeWire: 1 ms); the
server does not count it as a client. Its birth: every start makes the socket file anew, so that inotify tells; the server
accepts a moment after that, so connect() is tried every 2 ms for 100 ms. A look once a second is the safety net.

PipeWire's socket may be systemd's, who would start PipeWire for whoever connects. The server that runs holds a lock beside
it: nobody connects before that, and the kernel's list of locks is read, for to try the lock would keep a server from it.
Whoever reads that list waits until all CPUs have come by: 5 to 30 ms at the death of a server. So a thread does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inotify_simple import INotify, flags

from jackd_router.core.errors import Refused
from jackd_router.jack_host.library import Implementation
from jackd_router.jack_io.threads import in_thread

log = logging.getLogger(__name__)

_TRY_S, _TRIES = 0.002, 50
_LOOK_S = 1.0

JACK2_FOLDER = Path("/dev/shm")  # where JACK2 is built to put its sockets


@dataclass(frozen=True, slots=True)
class ServerSocket:
    """Where a server listens. `lock`: the file that it holds a lock on while it runs, where others may listen for it."""

    implementation: Implementation
    name: str
    path: Path
    lock: Path | None = None

    @property
    def title(self) -> str:
        """What to call the server in a message."""
        return "PipeWire" if self.implementation is Implementation.PIPEWIRE else f"JACK server {self.name!r}"


def jack2_socket(server_name: str) -> ServerSocket:
    """Give the socket of a JACK2 server of this name of this user."""
    user = "" if os.environ.get("JACK_PROMISCUOUS_SERVER") is not None else f"{os.getuid()}_"
    return ServerSocket(Implementation.JACK2, server_name, JACK2_FOLDER / f"jack_{server_name}_{user}0")


def server_sockets(library: str, server_name: str) -> tuple[ServerSocket, ...]:
    """Give where the servers may listen that the setting `library` ("auto", "jack2" or "pipewire") speaks of, the first first."""
    sockets = {"jack2": jack2_socket(server_name), "pipewire": pipewire_socket()}
    return (sockets[library],) if library in sockets else tuple(sockets.values())


def pipewire_socket() -> ServerSocket:
    """Give the socket that PipeWire's own clients would use."""
    name = os.environ.get("PIPEWIRE_REMOTE") or os.environ.get("PIPEWIRE_CORE") or "pipewire-0"
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    path = Path(folder, name)
    return ServerSocket(Implementation.PIPEWIRE, name, path, path.with_name(f"{path.name}.lock"))


class Presence:
    """Watches one socket; calls back in the event loop when a server begins or ceases to listen there."""

    def __init__(self, server: ServerSocket, on_appeared: Callable[[], None], on_gone: Callable[[], None]) -> None:
        """Take what to call; nothing happens before `start`."""
        self.server = server
        self._on_appeared, self._on_gone = on_appeared, on_gone
        self._loop = asyncio.get_running_loop()
        self._canary: socket.socket | None = None
        self._inotify: INotify | None = None
        self._watch: int | None = None
        """Of the folder; below 0 where it cannot be watched."""
        self._timer: asyncio.TimerHandle | None = None
        self._tries = 0
        self._reading: asyncio.Task[None] | None = None
        """Who has the lock."""
        self.server_pid = 0
        self.server_run = ""
        """Tells this run of the server from every other one, also to the next daemon; "" while there is none, or nobody knows."""

    @property
    def present(self) -> bool:
        """Whether a server listens."""
        return self._canary is not None

    def start(self) -> None:
        """Look now, and watch from now on."""
        self._watch_folder()
        self._try(lock_holder(self.server.lock) if self.server.lock else None)

    def stop(self) -> None:
        """Watch no more; nothing is called afterwards."""
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
        self._inotify = self._watch = None
        if self._reading is not None:
            self._reading.cancel()
        self._drop_canary()
        self._schedule(None)

    def server_stopped(self) -> bool:
        """Tell whether the process of the server is stopped (by a signal or a debugger): patience, then, not a restart."""
        try:
            stat = Path(f"/proc/{self.server_pid}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[0] in (b"T", b"t")

    def server_age_s(self) -> float:
        """Give for how long the process of the server runs; 0, as if it had just begun, where nobody knows."""
        try:
            return age_s_of(self.server_pid)
        except OSError:
            return 0.0

    # ---- birth

    def _watch_folder(self) -> None:
        """Watch the folder while there is no server: it is a busy one, other programs' shared memory is there, too."""
        if self._watch is not None:
            return
        folder = self.server.path.parent
        # A lock file that the last server left behind is opened again, not made.
        told = flags.ONLYDIR | flags.CREATE | flags.MOVED_TO | (flags.OPEN if self.server.lock else 0)
        try:
            if self._inotify is None:
                self._inotify = INotify(nonblocking=True)
                self._loop.add_reader(self._inotify.fileno(), self._folder_changed)
            self._watch = self._inotify.add_watch(folder, told)
        except (FileNotFoundError, NotADirectoryError):
            pass  # it may come
        except OSError as error:  # the user's limit of watches; the look once a second is enough
            self._watch = -1
            # After su or sudo XDG_RUNTIME_DIR may be another user's.
            unseen = "" if os.access(folder, os.X_OK) else f", so no {self.server.title} is found there"
            log.warning("The folder %s cannot be watched%s: %s", folder, unseen, error.strerror)

    def _leave_folder(self) -> None:
        """Watch it no longer. To close the descriptor instead took 6 ms, and 90 on a busy machine: just when a server came."""
        if self._inotify is not None and self._watch is not None and self._watch >= 0:
            with suppress(OSError):  # the folder has gone
                self._inotify.rm_watch(self._watch)
        self._watch = None

    def _folder_changed(self) -> None:
        if self._inotify is None:
            return
        events = self._inotify.read(timeout=0)
        if any(event.mask & flags.IGNORED and event.wd == self._watch for event in events):
            self._watch = None  # the folder has gone; the look once a second watches the next one
        names = [path.name for path in (self.server.path, self.server.lock) if path]
        if any(event.name in names for event in events):
            self._tries = _TRIES
            self._look()

    def _look(self) -> None:
        """Try to connect, as soon as it is known who has the lock, where there is one."""
        if self._canary is not None or self._reading is not None:
            return
        # os.path, as Path.exists raises where one may not look.
        if self.server.lock and os.path.exists(self.server.lock):  # noqa: PTH110
            self._reading = self._loop.create_task(self._look_behind(self.server.lock))
        else:
            self._try(None)

    async def _look_behind(self, lock: Path) -> None:
        holder = None
        try:
            with suppress(Refused):  # no more threads: another look comes
                holder = await in_thread(lock_holder, lock)
        finally:
            self._reading = None
        self._try(holder)

    def _try(self, holder: int | None) -> None:
        """Connect; while nobody accepts, look soon again after the file appeared, else in a second."""
        canary = _connected(self.server.path) if holder or not self.server.lock else None
        if canary is None:
            self._watch_folder()  # which may have been missing
            self._tries -= 1
            self._schedule(_TRY_S if self._tries > 0 else _LOOK_S)
            return
        self._schedule(None)
        self._leave_folder()
        self._canary = canary
        self.server_pid = holder or _listener(canary)
        self.server_run = _run_of(self.server_pid, self.server.path)
        self._loop.add_reader(canary.fileno(), self._canary_spoke)
        self._on_appeared()

    def _schedule(self, delay_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._look) if delay_s is not None else None

    # ---- end

    def look(self) -> None:
        """Look now whether the server is still there, rather than when the event loop comes to it."""
        self._canary_spoke()

    def _canary_spoke(self) -> None:
        """Note the end of the server; it never says anything else to somebody who asks nothing."""
        if self._canary is None:
            return
        try:
            if self._canary.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset: as dead as end-of-file
        self._drop_canary()
        self._watch_folder()  # before the next look, so that a birth in between is not missed
        self._on_gone()
        self._look()

    def _drop_canary(self) -> None:
        if self._canary is not None:
            self._loop.remove_reader(self._canary.fileno())
            self._canary.close()
            self._canary = None
            self.server_run = ""


def _connected(path: Path) -> socket.socket | None:
    """Give a connection to whoever listens there; None where nobody does."""
    canary = socket.socket(socket.AF_UNIX)
    canary.setblocking(False)
    try:
        canary.connect(str(path))
    except OSError:
        canary.close()
        return None
    return canary


def _listener(canary: socket.socket) -> int:
    """Give the process that made the socket which we are connected to."""
    credentials = canary.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def lock_holder(path: Path) -> int | None:
    """Give the process that has a lock on the file, as the kernel lists it (proc_locks(5)); None where nobody has."""
    try:
        file = path.stat()
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    # 1: FLOCK  ADVISORY  WRITE 3568 00:2f:32388 0 EOF; one who waits for it has "->" after the number.
    holders = (fields[4] for fields in map(str.split, lines) if fields[5:6] == [place])
    return next((int(pid) for pid in holders), None)


def _run_of(pid: int, path: Path) -> str:
    """Name a run by the boot, its process and the socket that it made: jackdbus starts many servers in one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        started_ticks = _start_of(pid)
        made = path.stat()
    except (OSError, LookupError, ValueError):
        return ""
    return f"{boot} {pid} {started_ticks} {made.st_ino} {made.st_mtime_ns}"


def age_s_of(pid: int) -> float:
    """Give for how long a process runs, in seconds; raise OSError where there is none."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(_start_of(pid)) / os.sysconf("SC_CLK_TCK")


def _start_of(pid: int) -> str:
    """Give when a process started, in clock ticks since the boot; raise OSError where there is none."""
    # The name of the program, in parentheses, may hold anything; the 22nd field is the time of its start.
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
