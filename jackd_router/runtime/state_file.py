"""The state file: what was set at run time and survives a restart of the daemon. Written whole, or not at all."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from jackd_router.core.kept import Kept, kept_as_json, parse_kept
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

_SOON_S = 0.1
_RETRY_S = 30.0
_FLUSH_S = 5.0
"""How long the end of the daemon waits for the disk."""


def state_folder() -> Path:
    """Give the folder for what the daemon keeps: $XDG_STATE_HOME/jackd-router."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # A relative path there is to be ignored, says the XDG specification.
    return (Path(home) if home.startswith("/") else Path.home() / ".local" / "state") / "jackd-router"


class StateFile:
    """Reads once, writes whenever something that is kept changes.

    A disk may take seconds for an fsync, and the event loop has sound to route: a thread writes, one at a time. What
    changes meanwhile is in the next file; only the newest state is ever written.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when something is written."""
        self.path = folder / "state.json"
        self.kept = Kept()
        self.about_to_write: Callable[[], None] = lambda: None
        """Called before what is kept is copied for the writer: whoever keeps something bulky need not put it there earlier."""
        self._loop = asyncio.get_running_loop()
        self._may_write = self._dirty = self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._settled: set[asyncio.Future[None]] = set()
        self._trouble = ""

    # ---- reading

    def read(self) -> None:
        """Take over what is there; a damaged file is set aside with a warning and never keeps the daemon from starting."""
        try:
            self.kept, remarks = parse_kept(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._set_aside(str(error))
            return
        for remark in remarks:
            log.warning("In the state file %s: %s", self.path, remark, extra={"REASON": remark})

    def _set_aside(self, reason: str) -> None:
        aside = self.path.with_suffix(".damaged.json")
        extra = {"MESSAGE_ID": Event.STATE_SET_ASIDE, "REASON": reason}
        try:
            self.path.replace(aside)
        except OSError as error:
            log.warning(
                "The state file %s cannot be read (%s), nor set aside (%s): starting with the configuration alone",
                self.path,
                reason,
                error,
                extra=extra,
            )
            return
        log.warning(
            "The state file %s cannot be read (%s): set aside as %s, starting with the configuration alone",
            self.path,
            reason,
            aside.name,
            extra=extra,
        )

    # ---- writing

    def start_writing(self) -> None:
        """Write from now on, also what has changed before: until here the file may have been that of another daemon."""
        self._may_write = True
        if self._dirty:
            self._write_in(_SOON_S)

    def changed(self) -> None:
        """Write soon: a fader that is dragged changes what is kept fifty times a second."""
        self._dirty = True
        self._write_in(_SOON_S)

    def _write_in(self, delay_s: float) -> None:
        """Write after a while; while there is a writer its end looks again."""
        if not self._may_write or self._writing:
            return
        due = self._loop.time() + delay_s
        if self._timer is None or self._timer.when() > due:
            self._drop_timer()
            self._timer = self._loop.call_at(due, self._write)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self) -> None:
        self._drop_timer()
        self._dirty, self._writing = False, True
        self.about_to_write()
        # A daemon thread: a disk that never answers must not keep the program from ending.
        threading.Thread(target=self._write_in_thread, args=(self.kept.copy(),), name="state-file", daemon=True).start()

    def _write_in_thread(self, kept: Kept) -> None:
        trouble = ""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self.path, map(str.encode, kept_as_json(kept)))
        except OSError as error:
            trouble = str(error.strerror or error)
        with suppress(RuntimeError):  # the loop is closed: nobody waited for so long
            self._loop.call_soon_threadsafe(self._written, trouble)

    def _written(self, trouble: str) -> None:
        """Go on where something changed meanwhile, and later where the disk took nothing."""
        self._writing = False
        if trouble and trouble != self._trouble:
            log.warning(
                "The state file %s cannot be written, what is set now may be lost at the next start: %s",
                self.path,
                trouble,
                extra={"REASON": trouble},
            )
        elif self._trouble and not trouble:
            log.info("The state file %s is written again", self.path)
        self._trouble = trouble
        if trouble:
            self._dirty = True
            self._write_in(_RETRY_S)
        elif self._dirty:
            self._write_in(_SOON_S)
        for future in self._settled:
            if not future.done():
                future.set_result(None)

    async def flush(self) -> None:
        """Write what has changed now; give up at a deadline, or where the disk takes nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._written_out()
                if self._dirty and self._may_write:
                    self._write()
                    await self._written_out()
        self._drop_timer()

    async def _written_out(self) -> None:
        """Wait for the writer that is at work, if one is."""
        while self._writing:
            future: asyncio.Future[None] = self._loop.create_future()
            self._settled.add(future)
            future.add_done_callback(self._settled.discard)
            await future


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace a file by a complete one, on the disk before its name is: after a power cut it is the old or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()  # which lets other threads run
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
