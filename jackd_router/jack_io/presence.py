"""Whether a JACK2 server runs, known without libjack and without polling it.

Its end: an idle connection to its socket (the canary) gets end-of-file 5-17 ms after its death; the server does not
count it as a client. Its birth: every start makes the socket file anew, so that inotify tells; the server accepts a
moment after that, so connect() is tried every 2 ms for 100 ms. A look once a second is the safety net.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from inotify_simple import INotify, flags

log = logging.getLogger(__name__)

_TRY_S, _TRIES = 0.002, 50
_LOOK_S = 1.0

SOCKET_FOLDER = Path("/dev/shm")  # where JACK2 is built to put it


def jack2_socket(server_name: str) -> Path:
    """Give the socket that a JACK2 server of this name of this user listens on."""
    if os.environ.get("JACK_PROMISCUOUS_SERVER") is not None:
        return SOCKET_FOLDER / f"jack_{server_name}_0"
    return SOCKET_FOLDER / f"jack_{server_name}_{os.getuid()}_0"


class Presence:
    """Watches one socket; calls back in the event loop when a server begins or ceases to listen there."""

    def __init__(self, path: Path, on_appeared: Callable[[], None], on_gone: Callable[[], None]) -> None:
        """Take what to call; nothing happens before `start`."""
        self._path = path
        self._on_appeared, self._on_gone = on_appeared, on_gone
        self._loop = asyncio.get_running_loop()
        self._canary: socket.socket | None = None
        self._inotify: INotify | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tries = 0
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
        self._look()

    def stop(self) -> None:
        """Watch no more; nothing is called afterwards."""
        self._leave_folder()
        self._drop_canary()
        self._schedule(None)

    def server_stopped(self) -> bool:
        """Tell whether the process of the server is stopped (by a signal or a debugger): patience, then, not a restart."""
        try:
            stat = Path(f"/proc/{self.server_pid}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b")")[2].split()[0] in (b"T", b"t")

    # ---- birth

    def _watch_folder(self) -> None:
        """Watch the folder while there is no server: it is a busy one, other programs' shared memory is there, too."""
        if self._inotify is not None:
            return
        try:
            self._inotify = INotify(nonblocking=True)
            self._inotify.add_watch(self._path.parent, flags.CREATE | flags.MOVED_TO)
        except OSError as error:  # the user's limit of watches; the look once a second is enough
            log.warning("The folder %s cannot be watched: %s", self._path.parent, error)
            return
        self._loop.add_reader(self._inotify.fileno(), self._folder_changed)

    def _leave_folder(self) -> None:
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _folder_changed(self) -> None:
        if self._inotify and any(event.name == self._path.name for event in self._inotify.read(timeout=0)):
            self._tries = _TRIES
            self._look()

    def _look(self) -> None:
        """Try to connect; while nobody accepts, soon again after the file appeared, else in a second."""
        if self._canary is not None:
            return
        canary = socket.socket(socket.AF_UNIX)
        canary.setblocking(False)
        try:
            canary.connect(str(self._path))
        except OSError:
            canary.close()
            self._tries -= 1
            self._schedule(_TRY_S if self._tries > 0 else _LOOK_S)
            return
        self._schedule(None)
        self._leave_folder()
        self._canary = canary
        credentials = canary.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.server_pid = struct.unpack("3i", credentials)[0]
        self.server_run = _run_of(self.server_pid, self._path)
        self._loop.add_reader(canary.fileno(), self._canary_spoke)
        self._on_appeared()

    def _schedule(self, delay_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._look) if delay_s is not None else None

    # ---- end

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


def _run_of(pid: int, path: Path) -> str:
    """Name a run by the boot, its process and the socket that it made: jackdbus starts many servers in one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name of the program, in parentheses, may hold anything; the 22nd field is the time of its start.
        started_ticks = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        made = path.stat()
    except (OSError, LookupError, ValueError):
        return ""
    return f"{boot} {pid} {started_ticks} {made.st_ino} {made.st_mtime_ns}"
