"""A /dev/shm for one of several processes that run tests side by side: metadata of JACK2 is one database for all of a user."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLONE_NEWNS = 0x00020000


def make_own_shm() -> None:
    """Give this thread, and what it starts, another /dev/shm, as tests/isolate made one for all of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Mounts do not spread: tests/isolate has made all of them private.
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=1g,mode=1777"):
        raise OSError(ctypes.get_errno(), "cannot make another /dev/shm")
    Path(os.environ["XDG_RUNTIME_DIR"]).mkdir(mode=0o700)
