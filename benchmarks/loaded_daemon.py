"""The daemon with something else in its process: `python -m benchmarks.loaded_daemon spin|collect run --config FILE`.

It begins with SIGUSR1: until then the daemon is as ever, and can get ready. Both hold the lock of the interpreter, for as
long as a thread may, or for as long as a garbage collection takes.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable

from jackd_router.cli import main

COLLECTION_S = 0.1
BEGIN = signal.SIGUSR1


def spin() -> None:
    """Compute for ever."""
    number = 0
    while True:
        number += 1


def collect() -> None:
    """Collect garbage again and again, among so many objects that it takes 100 ms. Nobody else runs meanwhile."""
    objects: list[list[int]] = []
    while True:
        began = time.perf_counter()
        gc.collect()
        if time.perf_counter() - began < COLLECTION_S:
            objects += ([number] for number in range(300_000))
        else:
            time.sleep(COLLECTION_S)


def _when_told(beside: Callable[[], None]) -> None:
    signal.sigwait([BEGIN])
    beside()


if __name__ == "__main__":
    beside = {"spin": spin, "collect": collect}[sys.argv.pop(1)]
    signal.pthread_sigmask(signal.SIG_BLOCK, [BEGIN])  # for all threads that come: only who waits for it gets it
    threading.Thread(target=_when_told, args=(beside,), daemon=True).start()
    sys.exit(main())
