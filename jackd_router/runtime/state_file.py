"""The state file: what was set at run time and survives a restart of the daemon. Written whole, or not at all."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jackd_router.core.errors import Refused
from jackd_router.core.kept import Kept, ServerRun, kept_as_json, newest, parse_kept
from jackd_router.jack_io.threads import start_thread
from jackd_router.runtime.whole_files import read_whole, write_whole
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

UNWRITTEN = "what is set by hand cannot be saved"
"""How the status says so, before the reason."""

_SOON_S = 0.1
_RETRY_S = 30.0
_FLUSH_S = 3.0
"""How long the end of the daemon waits for the disk, twice at most: systemd kills it after 10 s."""
_SECURE_S = 1.0
"""How long an answer to a call waits for it."""
_MAX_BYTES = 64 * 1024 * 1024
"""Half a million connections of rules; a larger file is none of ours."""
_OF_ANOTHER_KIND = (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST)
"""Why a file cannot take the place of a folder, or a folder that of a file."""


def state_folder() -> Path:
    """Give the folder for what the daemon keeps: $XDG_STATE_HOME/jackd-router."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # A relative path there is to be ignored, says the XDG specification.
    return (Path(home) if home.startswith("/") else Path.home() / ".local" / "state") / "jackd-router"


class _Waiting(NamedTuple):
    """Somebody who waits until what was changed up to a serial number is secure."""

    serial: int
    then: Callable[[], None]
    timer: asyncio.TimerHandle


class StateFile:
    """Reads once, writes whenever something that is kept changes.

    A disk may take seconds for an fsync, and the event loop has sound to route: a thread writes, one at a time. What
    changes meanwhile is in the next file; only the newest state is ever written.

    Until then a second file beside it has what people changed since: written at once, and left to the system to bring to
    the disk. It is for a daemon that is killed, not for a power cut, and where it is older than the other one, or
    damaged, it counts for nothing.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when something is written."""
        self.path = folder / "state.json"
        self._recent = folder / "state.recent.json"
        self.kept = Kept()
        self.about_to_write: Callable[[], None] = lambda: None
        """Called before what is kept is copied for the writer: whoever keeps something bulky need not put it there earlier."""
        self.on_trouble: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._may_write = self._dirty = self._writing = self._securing = False
        self._timer: asyncio.TimerHandle | None = None
        self._settled: set[asyncio.Future[None]] = set()
        self._secured = 0
        self._waiting: list[_Waiting] = []
        self._on_disk: tuple[ServerRun | None, ...] = (None,)
        """What the whole file says of a run of the server; while it is written also what it will say."""
        self._recent_lock = threading.Lock()
        self._recent_serial = 0
        self._must_set_aside = False
        self._trouble = self._damage = self._unread = ""

    @property
    def serial(self) -> int:
        """A number that grows with every change."""
        return self.kept.serial

    @property
    def trouble(self) -> str:
        """What a person should know of it, "" where all is well."""
        unwritten = f"{UNWRITTEN}: {self._trouble}" if self._trouble else ""
        unread = f"what is set by hand is not saved: {self._unread}" if self._unread else ""
        return "; ".join(filter(None, (self._damage, unread, unwritten)))

    # ---- reading

    def read(self) -> None:
        """Take over what is there; what cannot be read is a warning, and never keeps the daemon from starting.

        A damaged file is set aside. One that may be good stays as it is, and nothing is written: what is in it would be lost.
        """
        self._unread = damage = ""
        try:
            self.kept, remarks = read_kept(self.path)
            for remark in remarks:
                log.warning("In the state file %s: %s", self.path, remark, extra={"REASON": remark})
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            if may_be_good(error):
                self._tell_unread(self.path, error)
            else:
                damage = str(error)
        whole = self.kept
        try:
            self.kept = newest(whole, read_kept(self._recent)[0])
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            if may_be_good(error):
                self._tell_unread(self._recent, error)
            else:
                log.debug("%s is of no use: %s", self._recent, error)  # after a power cut
        self._secured = self._recent_serial = self.kept.serial
        self._on_disk = (whole.run,)
        if damage:
            self._tell_damage(damage, is_lost=self.kept is whole)

    def _tell_unread(self, path: Path, error: Exception) -> None:
        reason = str(getattr(error, "strerror", None) or error)
        self._unread = f"{path} cannot be read ({reason}); mend that, and start the daemon again"
        log.warning("What is set by hand is not saved: %s", self._unread, extra={"REASON": reason})

    def _tell_damage(self, reason: str, *, is_lost: bool) -> None:
        extra = {"MESSAGE_ID": Event.STATE_SET_ASIDE, "REASON": reason}
        begin = "The state file %s cannot be read (%s)"
        end = "starting with the configuration alone" if is_lost else f"starting with {self._recent.name}"
        before = "what was set by hand before is lost" if is_lost else f"what was set by hand before is from {self._recent.name}"
        try:
            aside = self._set_aside()
        except OSError as error:
            self._must_set_aside = True
            self._damage = f"{before}: the state file cannot be read"
            log.warning(f"{begin}, nor set aside (%s): {end}", self.path, reason, error.strerror, extra=extra)
        else:
            self._damage = f"{before}: the state file could not be read and is now {aside.name}"
            log.warning(f"{begin}: set aside as %s, {end}", self.path, reason, aside.name, extra=extra)

    def _set_aside(self) -> Path:
        """Give the damaged file another name, and give that; raise OSError."""
        try:
            return self.path.replace(self.path.with_suffix(".damaged.json"))
        except OSError as error:
            if error.errno not in _OF_ANOTHER_KIND:
                raise
            return self.path.replace(self.path.with_suffix(".damaged-2.json"))

    # ---- writing

    def start_writing(self) -> None:
        """Write from now on, also what has changed before: until here the daemon may have had to give way."""
        self._may_write = not self._unread
        if self._dirty:
            self._write_in(_SOON_S)

    def changed(self) -> None:
        """Write soon: a fader that is dragged changes what is kept fifty times a second."""
        self._dirty = True
        self.kept.serial += 1
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
        kept = self.kept.copy()
        self._on_disk = (*self._on_disk[-1:], kept.run)
        try:
            start_thread(self._write_in_thread, kept)
        except Refused as error:
            self._written(kept.serial, str(error))

    def _write_in_thread(self, kept: Kept) -> None:
        trouble = ""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._must_set_aside:
                self._set_aside()
                self._must_set_aside = False
            write_whole(self.path, map(str.encode, kept_as_json(kept)))
            self._drop_recent(kept.serial)
        except OSError as error:
            trouble = str(error.strerror or error)
        with suppress(RuntimeError):  # the loop is closed: nobody waited for so long
            self._loop.call_soon_threadsafe(self._written, kept.serial, trouble)

    def _drop_recent(self, serial: int) -> None:
        """Take away the second file, unless it has become newer meanwhile: who removes the first one removes all."""
        with self._recent_lock:
            if self._recent_serial <= serial:
                with suppress(OSError):  # where it stays it counts for nothing, as the older one
                    self._recent.unlink()

    def _written(self, serial: int, trouble: str) -> None:
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
        before, self._trouble = self._trouble, trouble
        if before != trouble:
            self.on_trouble()
        self._on_disk = self._on_disk[:1] if trouble else self._on_disk[1:]
        if trouble:
            self._dirty = True
            self._write_in(_RETRY_S)
        elif self._dirty:
            self._write_in(_SOON_S)
        for future in self._settled:
            if not future.done():
                future.set_result(None)
        if not trouble:
            self._note_secured(serial)
        elif not self._securing:
            self._note_secured(self.kept.serial)  # nobody waits for a disk that takes nothing: the warning must do

    # ---- writing at once

    async def secure(self) -> None:
        """Wait until what was changed before now is where the next daemon finds it, should this one be killed.

        Nobody waits for long, nor at all for a disk that takes nothing: of that there is a warning.
        """
        secured: asyncio.Future[None] = self._loop.create_future()
        self.when_secure(lambda: None if secured.done() else secured.set_result(None), within_s=_SECURE_S)
        await secured

    def when_secure(self, then: Callable[[], None], *, within_s: float) -> None:
        """Call when that is so, or so much later; not from in here, unless it is so already."""
        if self._secured >= self.kept.serial or not self._may_write:
            then()
            return
        self._waiting.append(_Waiting(self.kept.serial, then, self._loop.call_later(within_s, self._give_up, then)))
        self._secure()

    def _give_up(self, then: Callable[[], None]) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting.then is not then]
        then()

    def _secure(self) -> None:
        if not self._securing:
            self._securing = True
            self.about_to_write()
            try:
                start_thread(self._secure_in_thread, self.kept.copy())
            except Refused:
                self._is_not_secure()

    def _secure_in_thread(self, kept: Kept) -> None:
        kept.run = kept.run and kept.run.since(self._on_disk)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._recent_lock:
                write_whole(self._recent, map(str.encode, kept_as_json(kept)), durable=False)
                self._recent_serial = kept.serial
        except OSError:
            told: Callable[[], None] = self._is_not_secure
        else:
            told = partial(self._is_secure, kept.serial)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(told)

    def _is_secure(self, serial: int) -> None:
        self._securing = False
        self._note_secured(serial)
        if self._waiting:
            self._secure()

    def _is_not_secure(self) -> None:
        """Let those who wait do so for the other file: its writer tells what is wrong, if the disk takes nothing at all."""
        self._securing = False
        if self._dirty:
            self._write_in(0.0)

    def _note_secured(self, serial: int) -> None:
        self._secured = max(self._secured, serial)
        due = [waiting for waiting in self._waiting if waiting.serial <= self._secured]
        self._waiting = [waiting for waiting in self._waiting if waiting.serial > self._secured]
        for waiting in due:
            waiting.timer.cancel()
            waiting.then()

    # ---- the end

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


def read_kept(path: Path) -> tuple[Kept, tuple[str, ...]]:
    """Give what a state file keeps, and what of it is of no use; raise OSError, or ValueError where it is none of ours."""
    return parse_kept(read_whole(path, _MAX_BYTES).decode())


def may_be_good(error: Exception) -> bool:
    """Tell whether the file itself may be good: there are no descriptors left, the disk failed, it is another user's."""
    return isinstance(error, OSError) and error.errno not in (None, errno.ELOOP, *_OF_ANOTHER_KIND)
