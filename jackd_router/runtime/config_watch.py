"""Tells when a file of the configuration was saved, however that is done: in place, by a new file, by another link.

An editor may take the old file away before it writes the new one, and may take its time to write. What is there meanwhile
would be a valid configuration, of fewer rules: nobody is told before the file is whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from inotify_simple import Event, INotify, flags

from jackd_router.runtime.config_files import drop_in_directory, drop_in_files, is_drop_in

log = logging.getLogger(__name__)

_CALM_S = 0.1
"""An editor makes several events of one save, and two files may be saved together."""
_GONE_S = 1.0
"""How long a file that was there may be away before that is what somebody wants."""
_WRITER_S = 1.0
"""How long a writer may pause in the middle of a file, or keep it open after its end."""

_IN_FOLDER = flags.CREATE | flags.MODIFY | flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.ATTRIB
_ITSELF = flags.MOVE_SELF | flags.DELETE_SELF | flags.ATTRIB
_WHOLE = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE
_MOST_LINKS = 40  # as many as the kernel follows
_DROP_IN = "*.toml"


class _Place(NamedTuple):
    """A folder, and which names in it lead to a file of ours (none: only the folder itself does); or such a link, or file."""

    path: Path
    names: set[str]


class ConfigWatch:
    """Watches folders and links, not files, if it may: a file that is replaced takes its watch with it."""

    def __init__(self, path: Path, on_saved: Callable[[], None]) -> None:
        """Begin to watch the main file, its drop-ins, and all that leads there; OSError where there are no more watches."""
        self._path, self._drop_ins = path, drop_in_directory(path)
        self._on_saved = on_saved
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._inotify = INotify(nonblocking=True)
        self._places: dict[int, _Place] = {}
        self._being_written: set[Path] = set()
        self._told: set[Path] = set()
        """The folders of which it is logged that they may not be listed."""
        try:
            self._watch()
        except OSError:
            self._inotify.close()
            raise
        self._known = self._files()
        self._loop.add_reader(self._inotify.fileno(), self._look)

    # ---- what is watched

    def _watch(self) -> None:
        """Watch what leads to the files now; of a folder that is not there, the nearest that is."""
        names: defaultdict[Path, set[str]] = defaultdict(set)
        for file in (self._path, self._drop_ins / _DROP_IN, *filter(os.path.islink, self._listed())):
            for place, name in _way(file):
                names[place] |= {name} - {""}
        places: dict[int, _Place] = {}
        unlisted = [path for path, wanted in names.items() if not self._add(places, path, wanted)]
        for path in unlisted:
            self._watch_around(places, path, names)
        for number in self._places.keys() - places.keys():
            with suppress(OSError):  # it ended with what was watched
                self._inotify.rm_watch(number)
        self._places = places

    def _add(self, places: dict[int, _Place], path: Path, wanted: set[str], mask: int = 0) -> bool:
        """Watch a place, unless it went meanwhile; give False where it is a folder that may not be listed."""
        mask |= _ITSELF | (_IN_FOLDER if wanted else 0) | flags.DONT_FOLLOW
        try:
            places[self._inotify.add_watch(path, mask)] = _Place(path, wanted)
        except FileNotFoundError:
            pass
        except PermissionError:
            return False
        return True

    def _watch_around(self, places: dict[int, _Place], path: Path, names: dict[Path, set[str]]) -> None:
        """Of a folder that may not be listed watch what can be: its permissions, and the files in it that may be read."""
        names[path.parent].add(path.name)
        self._add(places, path.parent, names[path.parent])
        for name in names[path] - {_DROP_IN}:
            self._add(places, path / name, set(), flags.MODIFY | flags.CLOSE_WRITE)
        before = {number: place for number, place in self._places.items() if place.path == path}
        places |= before  # the watch of a folder outlasts the permission to begin it
        if not before and names[path] and path not in self._told:
            self._told.add(path)
            log.warning("The folder %s may not be listed: of a new file in it nobody tells, reload it by hand", path)

    def renew(self) -> None:
        """Watch what could not be watched before."""
        with suppress(OSError):  # no more watches: what is watched already must do
            self._watch()

    def _files(self) -> frozenset[Path]:
        return frozenset(filter(os.path.exists, (self._path, *self._listed())))

    def _listed(self) -> list[Path]:
        with suppress(OSError):
            return drop_in_files(self._path)
        return []

    # ---- what happened

    def _look(self) -> bool:
        """Take what has happened; tell whether any of it matters."""
        events = [event for event in self._inotify.read(timeout=0) if self._take(event)]
        if events:
            self.renew()
            if any(event.mask & flags.CREATE and event.mask & flags.ISDIR for event in events):
                # In a new folder somebody may have begun to write before it was watched.
                self._being_written |= {Path(os.path.realpath(file)) for file in self._files()}
            self._schedule()
        return bool(events)

    def _take(self, event: Event) -> bool:
        """Note whether somebody writes a file; tell whether the event is about one, or about what leads there."""
        if event.mask & flags.Q_OVERFLOW:
            return True
        place = self._places.get(event.wd)
        if place is None or event.mask & flags.IGNORED:
            return False
        if event.name and event.name not in place.names and not (_DROP_IN in place.names and is_drop_in(Path(event.name))):
            return False
        file = place.path / event.name
        if event.mask & _WHOLE:
            self._being_written.discard(file)
        elif event.mask & flags.MODIFY or (event.mask & flags.CREATE and _is_new_file(file)):
            self._being_written.add(file)
        return True

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        pause_s = _WRITER_S if self._being_written else _GONE_S if self._known - self._files() else _CALM_S
        self._timer = self._loop.call_later(pause_s, self._tell)

    def _tell(self) -> None:
        if self._look():
            return  # somebody has begun to write in this very moment
        self._being_written.clear()
        self._known = self._files()
        self._on_saved()

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._inotify.fileno())
        self._inotify.close()


def _way(file: Path) -> Iterator[tuple[Path, str]]:
    """Give the folders and links that lead to a file, as far as they are there: each with the name that is of interest in it.

    In a folder that is only passed none is ("").
    """
    here, rest, links = Path("/"), [*reversed(file.parts[1:])], 0
    while rest:
        name = rest.pop()
        following = here.parent if name == ".." else here / name
        link = _target(following)
        if link is not None and links < _MOST_LINKS:
            links += 1
            yield following, ""
            here = Path("/") if link.is_absolute() else here
            rest += reversed(link.parts[1:] if link.is_absolute() else link.parts)
            if rest:
                continue
        elif rest and os.path.isdir(following):  # noqa: PTH112  (Path.is_dir raises where one may not look)
            yield following, ""
            here = following
            continue
        yield here, name
        return


def _target(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:
        return None


def _is_new_file(path: Path) -> bool:
    """Tell whether somebody is about to write what he has made: not a link, nor another name of a file that was there before."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
