"""The folder of the snapshots: one file each. Everything here waits for the disk, so it is called in threads, one at a time."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from jackd_router.core.errors import AlreadyExists, ConfigInvalid, LimitExceeded, NoSuchSnapshot, Problem, Refused, RouterError
from jackd_router.core.language.snapshots import read_snapshot, snapshot_toml
from jackd_router.core.language.writing import printable
from jackd_router.core.names import natural_key, nearest, shown
from jackd_router.core.snapshot import Snapshot, check_name, is_name
from jackd_router.runtime.config_files import MAX_BYTES, read_file
from jackd_router.runtime.state import SnapshotState
from jackd_router.runtime.whole_files import write_whole
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

MAX_SNAPSHOTS = 256
_SUFFIX = ".toml"


class _Version(NamedTuple):
    """What tells a file from the one that had its name before."""

    modified_ns: int
    size: int
    inode: int


class SnapshotFolder:
    """Reads and writes the files. One that is none of ours is named and left alone."""

    def __init__(self, path: Path) -> None:
        """Take the folder; it is made when a snapshot is saved."""
        self._path = path
        self._known: dict[str, tuple[_Version, SnapshotState | None]] = {}
        """What each file holds (None: no snapshot), so that a list need not read what has not changed."""

    def listed(self) -> tuple[SnapshotState, ...]:
        """Give all snapshots in the natural order of their names; a file that is none is told once in the log."""
        known = {}
        for path in self._files():
            try:
                version = _version(path)
            except OSError:
                continue  # it went meanwhile, or leads nowhere
            before = self._known.get(path.name)
            known[path.name] = before if before and before[0] == version else (version, self._look_into(path, version))
        self._known = known
        return tuple(state for _, state in known.values() if state)

    def _files(self) -> list[Path]:
        """Give the files that may be snapshots. Those with a dot first are what a writer, or an editor, keeps beside them."""
        try:
            found = [path for path in self._path.iterdir() if path.suffix == _SUFFIX and not path.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Refused(f"the folder of the snapshots, {shown(str(self._path))}, cannot be read: {error.strerror}") from error
        return sorted(found, key=lambda path: natural_key(path.stem))

    def _look_into(self, path: Path, version: _Version) -> SnapshotState | None:
        try:
            check_name(path.stem)
            return _state(path, _read(path), version)
        except RouterError as error:
            extra = {"MESSAGE_ID": Event.SNAPSHOT_UNREADABLE, "REASON": str(error)}
            log.warning("%s is no snapshot: %s", printable(shown(str(path))), error, extra=extra)
            return None

    def describe(self, name: str) -> SnapshotState:
        """Give one as it is listed; raise NoSuchSnapshot, and ConfigInvalid or Refused where the file is none."""
        path = self._find(name)
        try:
            version = _version(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        known_version, state = self._known.get(path.name, (None, None))
        return state if state and known_version == version else _state(path, _read(path), version)

    def read(self, name: str) -> Snapshot:
        """Give one; raise NoSuchSnapshot, and ConfigInvalid or Refused where the file is none."""
        return _read(self._find(name))

    def earlier(self, name: str, *, overwrite: bool) -> Snapshot:
        """Give what a snapshot of this name holds that is about to be saved, an empty one where there is none.

        Raise AlreadyExists where it must not be overwritten, LimitExceeded, and what `read` does: a file that cannot be read
        may hold what somebody still wants.
        """
        names = [path.stem for path in self._files()]
        if name not in names:
            if len(names) >= MAX_SNAPSHOTS:
                raise LimitExceeded(f"there are {len(names)} snapshots already, at most {MAX_SNAPSHOTS} are kept: delete one")
            return Snapshot()
        if not overwrite:
            raise AlreadyExists(f"there is a snapshot {name!r} already; the option overwrite saves in its place")
        return self.read(name)

    def write(self, name: str, snapshot: Snapshot) -> None:
        """Write one, whole or not at all; raise LimitExceeded where it could not be read again, Refused with the reason."""
        text = snapshot_toml(snapshot).encode()
        if len(text) > MAX_BYTES:
            count = len(snapshot.connections)
            raise LimitExceeded(
                f"{count} connections are {len(text)} bytes, more than the {MAX_BYTES} of a file that can be read"
            )
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path_of(name), [text])
        except OSError as error:
            raise Refused(f"the snapshot {name!r} cannot be written to {shown(str(self._path))}: {error.strerror}") from error

    def delete(self, name: str) -> None:
        """Delete one, also where its file is no snapshot; raise NoSuchSnapshot, or Refused with the reason."""
        try:
            self._find(name).unlink()
        except FileNotFoundError:
            raise self._no_such(name) from None
        except OSError as error:
            raise Refused(f"the snapshot {name!r} cannot be deleted: {error.strerror}") from error

    def _find(self, name: str) -> Path:
        # A name that could not have been saved is not even looked for: it may be a path.
        path = self._path_of(name)
        if not is_name(name) or path not in self._files():
            raise self._no_such(name)
        return path

    def _path_of(self, name: str) -> Path:
        return self._path / f"{name}{_SUFFIX}"

    def _no_such(self, name: str) -> NoSuchSnapshot:
        names = [path.stem for path in self._files() if is_name(path.stem)]
        near = nearest(name, names)
        told = f"did you mean {near!r}?" if near else f"there are: {', '.join(map(repr, names)) or 'none'}"
        return NoSuchSnapshot(f"there is no snapshot {name!r}; {told}")


def _read(path: Path) -> Snapshot:
    try:
        return read_snapshot(read_file(path))
    except ConfigInvalid as error:
        others, first = len(error.problems) - 1, error.first
        if not others:
            raise
        text = f"{first.text} (and {others} more, see `jackd-router check` with this file)"
        raise ConfigInvalid((Problem(first.file, first.line, first.column, text),)) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Refused:
    return Refused(f"the snapshot {shown(str(path))} cannot be read: {error.strerror or error}")


def _version(path: Path) -> _Version:
    stat = path.stat()
    return _Version(stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _state(path: Path, snapshot: Snapshot, version: _Version) -> SnapshotState:
    created_usec = snapshot.created_usec or max(0, version.modified_ns // 1000)
    return SnapshotState(path.stem, created_usec, len(snapshot.connections), snapshot.description, os.fspath(path))
