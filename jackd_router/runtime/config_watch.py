"""Tells when a file of the configuration was saved, however an editor does that: in place, or by a new file of the name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from inotify_simple import INotify, flags

from jackd_router.runtime.config_files import drop_in_directory

_CALM_S = 0.1
"""An editor makes several events of one save, and two files may be saved together."""
_SAVED = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CREATE


class ConfigWatch:
    """Watches folders, not files: a file that is replaced takes its watch with it."""

    def __init__(self, path: Path, on_saved: Callable[[], None]) -> None:
        """Begin to watch the main file and its drop-ins."""
        self._path, self._drop_ins = path, drop_in_directory(path)
        self._on_saved = on_saved
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._inotify = INotify(nonblocking=True)
        self._folders: dict[int, Path] = {}
        self._watch()
        self._loop.add_reader(self._inotify.fileno(), self._changed)

    def _watch(self) -> None:
        for folder in (self._path.parent, self._drop_ins):
            try:
                self._folders[self._inotify.add_watch(folder, _SAVED)] = folder
            except OSError:
                continue  # it is not there; the parent's watch tells when the drop-in folder comes

    def _changed(self) -> None:
        for event in self._inotify.read(timeout=0):
            file = self._folders.get(event.wd, Path()) / event.name
            if file == self._drop_ins:
                self._watch()
            if file in (self._path, self._drop_ins) or (file.parent == self._drop_ins and file.suffix == ".toml"):
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
