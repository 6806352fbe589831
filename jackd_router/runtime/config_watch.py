"""Tells when a file of the configuration was saved, however an editor does that: in place, or by a new file of the name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inotify_simple import INotify, flags

from jackd_router.runtime.config_files import drop_in_directory

_CALM_S = 0.1
"""An editor makes several events of one save, and two files may be saved together."""
_SAVED = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CREATE


class ConfigWatch:
    """Watches folders, not files: a file that is replaced takes its watch with it."""

    def __init__(self, path: Path, on_saved: Callable[[], None]) -> None:
        """Begin to watch the main file, what it links to, and its drop-ins."""
        self._path, self._drop_ins = path, drop_in_directory(path)
        self._on_saved = on_saved
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._inotify = INotify(nonblocking=True)
        self._folders: dict[int, Path] = {}
        self._watch()
        self._loop.add_reader(self._inotify.fileno(), self._changed)

    def _watch(self) -> None:
        """Watch the folders that matter now; of one that is not there yet, the nearest that is."""
        for folder in (_existing(self._path.parent), _existing(self._target().parent), self._drop_ins):
            with suppress(OSError):
                self._folders[self._inotify.add_watch(folder, _SAVED)] = folder

    def _target(self) -> Path:
        """Give the file that the main file links to; not by Path.resolve(), which raises on a link that leads to itself."""
        return Path(os.path.realpath(self._path))

    def _changed(self) -> None:
        files = {self._folders.get(event.wd, Path()) / event.name for event in self._inotify.read(timeout=0)}
        # A new folder, or the link that leads somewhere else now: what matters may be elsewhere.
        self._watch()
        matters = {self._path, self._target(), self._drop_ins, *self._path.parents}
        if matters & files or any(file.parent == self._drop_ins and file.suffix == ".toml" for file in files):
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_CALM_S, self._on_saved)

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()


def _existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), folder)
