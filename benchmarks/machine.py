"""What figures depend on: the machine, and how much else it had to do meanwhile."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def describe() -> str:
    """Give the machine in one line."""
    policy = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_RR: "SCHED_RR", os.SCHED_FIFO: "SCHED_FIFO"}.get(
        os.sched_getscheduler(0), "?"
    )
    load = f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before, {policy}"
    return f"{platform.platform()}, {load}, Python {platform.python_version()}"


@contextmanager
def chapter(name: str) -> Iterator[None]:
    """Print a heading, and at the end how long it took and how busy the machine was."""
    print(f"\n== {name} ==", flush=True)
    began, waited = time.monotonic(), _waited_s()
    yield
    share = (_waited_s() - waited) / (time.monotonic() - began)
    print(f"\n({time.monotonic() - began:.0f} s; in {share:.0%} of them something on this machine waited for a CPU)", flush=True)


def _waited_s() -> float:
    """Give for how long since its start something on the machine waited for a CPU; 0 where the kernel does not count that."""
    try:
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("=")[2]) / 1e6
