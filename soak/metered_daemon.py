"""The daemon with a timer in its event loop that counts how late it is: `python -m soak.metered_daemon run --config FILE`."""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import sys
import time
from pathlib import Path

from jackd_router.daemon import Daemon
from jackd_router.service.journal import start_logging
from soak.lag import BUCKET_S, FOLDER_VARIABLE, LATE, OWN, PERIOD_S

log = logging.getLogger("soak")

_NOTED_S = 0.020
"""What is later than that is told in the log of the daemon, where one sees what it did then."""


class Meter:
    """The timer; must be made in the event loop."""

    def __init__(self, late: Path, own: Path) -> None:
        self._late, self._own = (_counters(file) for file in (late, own))
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._cpu_s = time.thread_time()
        self._was_late = False
        self._wait()

    def _wait(self) -> None:
        self._due += PERIOD_S
        self._loop.call_at(self._due, self._count)

    def _count(self) -> None:
        late_s, cpu_s = self._loop.time() - self._due, time.thread_time()
        own_s = min(late_s, cpu_s - self._cpu_s)
        for counts, seconds in ((self._late, late_s), (self._own, own_s)):
            counts[min(int(seconds / BUCKET_S), len(counts) - 1)] += 1
        if late_s > _NOTED_S and not self._was_late:
            log.info("The event loop is %.0f ms late, %.0f of them by its own work", late_s * 1000, own_s * 1000)
        self._cpu_s, self._was_late = cpu_s, late_s > _NOTED_S
        self._wait()


def _counters(file: Path) -> memoryview:
    with file.open("r+b") as counters:
        return memoryview(mmap.mmap(counters.fileno(), 0)).cast("Q")


class MeteredDaemon(Daemon):
    """The daemon as ever, beside the meter, from the moment on when it begins to look for a server."""

    _meter: Meter | None = None

    def _attached(self, attached: bool) -> None:
        super()._attached(attached)
        folder = Path(os.environ[FOLDER_VARIABLE])
        self._meter = self._meter or Meter(folder / LATE, folder / OWN)


async def _run(config: Path) -> None:
    await MeteredDaemon(config).run()


if __name__ == "__main__":
    start_logging(logging.INFO)
    asyncio.run(_run(Path(sys.argv[-1])))
