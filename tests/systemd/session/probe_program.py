"""Tries, in the place of the daemon, what its unit leaves and what it takes away; the result is written as JSON."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUTS, _MS_PRIVATE = 0x4000000, 1 << 18


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "ok"


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)


def _write_in(folder: str) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"something")


def _share_memory() -> None:
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        file.truncate(mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
            memory[0] = 1


def _make_code() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def _lock_memory() -> None:
    buffer = ctypes.create_string_buffer(mmap.PAGESIZE)
    _call(_libc.mlock, buffer, mmap.PAGESIZE)


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), "refused")


def _may_gain_privileges() -> str:
    status = Path("/proc/self/status").read_text()
    return "never" if "NoNewPrivs:\t1" in status else "by programs that are set to"


def main(result: str, server: str, state: str, configuration: str, others: str) -> None:
    """Try everything."""
    runtime = os.environ["XDG_RUNTIME_DIR"]
    found = {
        "session bus": _outcome(lambda: _connect(f"{runtime}/bus")),
        "JACK server": _outcome(lambda: _connect(f"/dev/shm/jack_{server}_{os.getuid()}_0")),
        "shared memory": _outcome(_share_memory),
        "write the state": _outcome(lambda: _write_in(state)),
        "write the configuration": _outcome(lambda: _write_in(configuration)),
        # What JACK does to each of its threads; whether one gets realtime is a matter of limits.
        "threads with a scheduling policy": _outcome(lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))),
        "lock memory": _outcome(_lock_memory),
        "machine code made at run time": _outcome(_make_code),
        "write the home": _outcome(lambda: _write_in(str(Path.home()))),
        "write the run-time directory": _outcome(lambda: _write_in(runtime)),
        "see the files of others in /tmp": _outcome(lambda: Path(others).stat()),
        "internet": _outcome(lambda: socket.socket(socket.AF_INET).close()),
        "namespaces": _outcome(lambda: _call(_libc.unshare, _CLONE_NEWUTS)),
        "mounts": _outcome(lambda: _call(_libc.mount, None, b"/", None, _MS_PRIVATE, None)),
        "new privileges": _may_gain_privileges(),
    }
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
