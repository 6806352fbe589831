"""Files that are read and written whole. Everything here waits for the disk."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_LEFTOVER = re.compile(r"\..+\.(json|toml)\.[a-z0-9_]{8}")
"""How `write_whole` names what it writes into, until it is complete."""


def read_whole(path: Path, most_bytes: int) -> bytes:
    """Give what a file holds; raise OSError where it is none that ends, or larger than any of ours."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is no regular file")
        text = file.read(most_bytes + 1)
    if len(text) > most_bytes:
        raise OSError(f"it is larger than {most_bytes // 1024 // 1024} MiB")
    return text


def _open_without_waiting(path: str, flags: int) -> int:
    """Open the file; a pipe that nobody writes to would otherwise keep us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def write_whole(path: Path, pieces: Iterable[bytes], *, durable: bool = True) -> None:
    """Replace a file by a complete one. Whoever is killed while he does so leaves the old one, or the new one.

    A link stays, and the file that it leads to is replaced.
    `durable`: on the disk before its name is, so that the same is true of a power cut. It may take a disk seconds.
    """
    path = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()  # which lets other threads run
            if durable:
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers have left here that were killed before they were done; what cannot be removed stays."""
    with suppress(OSError):
        for path in folder.iterdir():
            if _LEFTOVER.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()
