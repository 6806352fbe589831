"""Libraries that stand before the system's in programs of the tests: a clock that can be set, a disk that fails."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SOURCES = Path(__file__).parent


def _build(name: str, folder: Path) -> Path:
    library = folder / f"{name}.so"
    options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *options, "-o", library, _SOURCES / f"{name}.c"], check=True)
    return library


class Clock:
    """A clock of the time of day; it tells the right time until it is set."""

    def __init__(self, folder: Path) -> None:
        """Build it in a folder; programs that are started with `env` go by it."""
        self._offset = folder / "clock-offset"
        self._offset.write_bytes(struct.pack("l", 0))
        self.env: Mapping[str, str] = {"LD_PRELOAD": str(_build("clock", folder)), "CLOCK_OFFSET": str(self._offset)}

    def set_ahead(self, seconds: int) -> None:
        """Let it be so far ahead of the real one from now on (negative: behind)."""
        with self._offset.open("r+b", buffering=0) as file:
            file.write(struct.pack("l", seconds))


class FaultyDisk:
    """A disk of which calls fail, or after which a program is killed."""

    def __init__(self, folder: Path) -> None:
        """Build it in a folder."""
        self._library = _build("faulty_disk", folder)

    def env(self, call: str, number: int, what: str, below: Path) -> dict[str, str]:
        """Give what lets a program meet a fault: in which call below a folder, the how manieth (0: each), and which fault."""
        return {"LD_PRELOAD": str(self._library), "DISK_FAULT": f"{call} {number} {what} {below}"}
