"""A libjack that crashes, hangs or is late where a test wants it to, and is the real one else."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")
_NAME, _OTHER_NAME = "libjack.so.0", "libjock.so.0"


class FaultyLibjack:
    """The library, for programs that are started with `env`."""

    def __init__(self, folder: Path) -> None:
        """Build it in a folder of its own."""
        self._faults = folder / "faults"
        self._faults.mkdir(parents=True)
        self.env = {"LD_LIBRARY_PATH": str(folder), "JACK_FAULTS": str(self._faults)}
        # The real one calls itself by another name of the same length: the loader knows a library by that name.
        real = folder / _OTHER_NAME
        real.write_bytes(_installed().read_bytes().replace(_NAME.encode(), _OTHER_NAME.encode()))
        options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{_NAME}", "-Wl,--no-as-needed"]
        subprocess.run(["gcc", *options, "-o", folder / _NAME, _SOURCE, real], check=True)

    def let(self, function: str, fault: str) -> None:
        """Let the next call of a function of libjack, or of "port_connect_callback", "crash", "hang" or be "late" by 0.1 s."""
        fresh = self._faults / "fresh"
        fresh.write_text(fault)
        fresh.rename(self._faults / function)

    def is_waiting(self, function: str) -> bool:
        """Whether that call has not come yet."""
        return (self._faults / function).exists()

    def forget(self) -> None:
        """Let all calls be as they are."""
        for file in self._faults.iterdir():
            file.unlink(missing_ok=True)


def _installed() -> Path:
    ctypes.CDLL(_NAME)
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split()[-1]).resolve() for line in maps if f"/{_NAME}" in line)
