"""Which other servers run here: the one that somebody waits for may have another name, be another user's, or be PipeWire.

Seen without asking any of them: the sockets of JACK2 lie in a folder, and the kernel tells at which of such files somebody
listens. A client listens at one of its own for a moment while it opens: what is found by two looks in a row is a server.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from jackd_router.jack_io.presence import JACK2_FOLDER, ServerSocket, lock_holder, pipewire_socket

_SOCKETS = Path("/proc/net/unix")
_LISTENING = 0x10000  # __SO_ACCEPTCON


def other_servers(looked_for: Sequence[ServerSocket]) -> frozenset[str]:
    """Name every server but those that are looked for: "'studio'", "'default' of alice", "PipeWire"."""
    listening = _listening()
    sockets = (path for path in JACK2_FOLDER.glob("jack_?*_0") if str(path) in listening)
    paths = {server.path for server in looked_for}
    found = {_in_words(path) for path in sockets if path not in paths}
    pipewire = pipewire_socket()
    if pipewire.path not in paths and pipewire.lock and lock_holder(pipewire.lock):
        found.add(pipewire.title)
    return frozenset(found)


def _listening() -> set[str]:
    """Give the paths at which somebody on this machine listens; nothing where the kernel does not tell."""
    try:
        lines = _SOCKETS.read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return set()
    # Num RefCount Protocol Flags Type St Inode Path: only the path may hold spaces.
    rows = (line.split(maxsplit=7) for line in lines)
    return {row[7] for row in rows if len(row) == 8 and int(row[3], 16) & _LISTENING}


def _in_words(path: Path) -> str:
    name, _, owner = path.name.removeprefix("jack_").removesuffix("_0").rpartition("_")
    if not name or not owner.isdecimal():
        return repr(path.name.removeprefix("jack_").removesuffix("_0"))  # JACK_PROMISCUOUS_SERVER: without an owner
    return repr(name) if int(owner) == os.getuid() else f"{name!r} of {_user(int(owner))}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
