"""Session managers of PipeWire: they set its devices up."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SESSION_MANAGERS = ("pipewire-media-session", "wireplumber")
"""They connect what plays on PipeWire to a device, once, and leave JACK clients alone; most desktops need one."""

_COMM_BYTES = 15
"""So much of a program's name the kernel keeps: proc_pid_comm(5)."""


def runs() -> bool:
    """Tell whether this user runs one, be it for which PipeWire it may. Takes milliseconds: it looks at all processes."""
    names = {name[:_COMM_BYTES] for name in SESSION_MANAGERS}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended
                if (folder / "comm").read_text(errors="replace").rstrip("\n") in names and folder.stat().st_uid == os.getuid():
                    return True
    return False
