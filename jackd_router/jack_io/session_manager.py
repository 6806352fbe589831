"""Session managers of PipeWire: they set its devices up."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from jackd_router.jack_io.presence import age_s_of

SESSION_MANAGERS = ("pipewire-media-session", "wireplumber")
"""They also connect what plays on PipeWire to a device, once, and leave JACK clients alone; most desktops need one."""


def youngest_s() -> float | None:
    """Give for how long the session manager runs that was started last; None where none runs. Reads all of /proc."""
    return min((age_s_of(pid) for _, pid in running(SESSION_MANAGERS)), default=None)


def running(names: Collection[str]) -> Iterator[tuple[str, int]]:
    """Give those of these programs that the user runs, by name and process id."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if folder.name.isdecimal() and folder.stat().st_uid == os.getuid() and (name := _program(folder, names)):
                yield name, int(folder.name)


def _program(process: Path, names: Collection[str]) -> str | None:
    """Give which of them a process is: by its own name, or by the script that an interpreter runs."""
    words = [os.fsdecode(word).rpartition("/")[2] for word in (process / "cmdline").read_bytes().split(b"\0")]
    candidates = words[:2] if words[0].startswith("python") else words[:1]
    return next((name for name in names if name in candidates), None)
