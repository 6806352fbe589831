"""The lock on the state folder: one daemon keeps things there, on whatever message bus it is, and also while it has none."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from jackd_router.jack_io.presence import lock_holder

_ENDING_S = 3.0
"""How long one that is about to end is waited for."""
_INTERVAL_S = 0.02


class FolderTaken(Exception):
    """Another daemon has the state folder."""


async def lock(folder: Path) -> None:
    """Have the folder until this process ends, however it does; raise FolderTaken where another daemon stays.

    The folder itself is locked, so no file is left behind. Where there can be none, nothing is kept and nothing locked.
    """
    try:
        handle = _open(folder)
    except OSError:
        return  # the state file warns of it
    try:
        async with asyncio.timeout(_ENDING_S):
            while not _try_lock(handle):  # noqa: ASYNC110  (the kernel tells nobody when a lock ends)
                await asyncio.sleep(_INTERVAL_S)
    except TimeoutError:
        os.close(handle)
        holder = lock_holder(folder)
        who = f" (process {holder})" if holder else ""  # one in another container is not known
        raise FolderTaken(f"another jackd-router runs{who}: what it keeps is in {folder}") from None


def _open(folder: Path) -> int:
    """Open the folder, never to close it: a writer that the disk keeps waiting is at work until the process is gone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _try_lock(handle: int) -> bool:
    """Tell whether the folder is ours now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: our name on the message bus must do
    return True
