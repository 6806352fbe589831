"""Times process callbacks of other programs, whatever they are written in: a libjack of ours stands before the real one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from benchmarks.surroundings import NATIVE, compile_native

_HEAD = np.dtype([("cycles", "u8"), ("thread", "i8")])
_CYCLE = np.dtype([("began_ns", "i8"), ("took_ns", "u4"), ("frames", "u4")])
_REAL = "libjack-real.so.0"


class Spent(NamedTuple):
    """What a realtime thread has had so far: cycles, and CPU time for everything that it does, libjack's part too."""

    cycles: int
    cpu_us: float


class Timed:
    """The times of one process."""

    def __init__(self, pid: int, times: Path) -> None:
        self._head = np.memmap(times, _HEAD, "r", shape=(1,))
        self._cycles = np.memmap(times, _CYCLE, "r", offset=_HEAD.itemsize)
        self._thread = Path(f"/proc/{pid}/task/{self._head['thread'][0]}")

    def spent(self) -> Spent:
        """Read what its realtime thread has had until now."""
        run_ns = int((self._thread / "schedstat").read_text().split()[0])
        return Spent(int(self._head["cycles"][0]), run_ns / 1000)

    def is_realtime(self) -> bool:
        """Tell whether its thread has a realtime priority."""
        return os.sched_getscheduler(int(self._thread.name)) in (os.SCHED_FIFO, os.SCHED_RR)

    def took_us(self, began_ns: int, ended_ns: int) -> list[float]:
        """Give how long each callback took that began in that time."""
        known = self._cycles[: int(self._head["cycles"][0])]
        within = known[(known["began_ns"] >= began_ns) & (known["began_ns"] < ended_ns)]
        took: list[float] = (within["took_ns"] / 1000).tolist()
        return took


class Stopwatch:
    """The library, and the folder in which the programs that find it leave their times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._times = folder / "times"
        self._times.mkdir()
        self._build(folder / "library")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program must have in its environment to be timed."""
        return {"LD_LIBRARY_PATH": str(self._folder / "library"), "STOPWATCH": str(self._times)}

    def timed(self, pid: int) -> Timed:
        """Give the times of a process whose client is active."""
        return Timed(pid, self._times / str(pid))

    def forget(self, pid: int) -> None:
        """Give the memory back; its number may come again."""
        (self._times / str(pid)).unlink()

    def _build(self, library: Path) -> None:
        """Put our libjack.so.0 there, which needs the real one by a name that nobody else uses."""
        library.mkdir()
        real = library / _REAL
        name_only = ["gcc", "-shared", "-x", "c", "/dev/null", f"-Wl,-soname,{_REAL}", "-o", str(real)]
        subprocess.run(name_only, check=True)
        shared = ["-shared", "-fPIC", "-Wl,-soname,libjack.so.0", "-Wl,--no-as-needed", f"-L{library}", f"-l:{_REAL}"]
        compile_native(NATIVE / "stopwatch.c", library / "libjack.so.0", *shared)
        found = subprocess.run(["gcc", "-print-file-name=libjack.so"], check=True, capture_output=True, text=True).stdout
        real.unlink()
        real.symlink_to(Path(found.strip()).resolve())


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Give a stopwatch. Its files are in memory: a page on its way to a disk keeps the thread waiting that writes to it."""
    with TemporaryDirectory(dir="/dev/shm", prefix="stopwatch-") as folder:
        yield Stopwatch(Path(folder))
