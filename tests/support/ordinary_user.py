"""What root is spared: the tests run as root, and some of what they test happens to ordinary users only."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Let this process be that of an ordinary user for a while."""
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Let this process begin no thread for a while."""
    limits = resource.getrlimit(resource.RLIMIT_NPROC)
    with as_nobody():
        resource.setrlimit(resource.RLIMIT_NPROC, (1, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NPROC, limits)


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """Give a folder of his own, where he can get at it: those of pytest are root's."""
    with tempfile.TemporaryDirectory(prefix="nobody-") as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)
