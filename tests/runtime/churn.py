"""Two programs that change the graph of a real server as fast as it lets them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.pipewire_server import client_env

_PROGRAM = Path(__file__).with_name("churn_program.py")
_TIMEOUT_S = 30


class Churn:
    """Both programs."""

    def __init__(self, server_name: str) -> None:
        self._programs = [
            subprocess.Popen(
                [sys.executable, str(_PROGRAM), server_name, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | client_env(server_name),
            )
            for name in ("churn-a", "churn-b")
        ]
        self._wait_for("ready", *self._programs)

    def begin(self, changes: int) -> None:
        """Let each make so many changes, and do not wait for them."""
        self._write(f"change {changes}", *self._programs)

    def wait(self) -> None:
        """Wait until both have done what was begun."""
        self._wait_for("done", *self._programs)

    def flood(self, notifications: int) -> None:
        """Cause so many notifications, once, and wait for them."""
        first = self._programs[0]
        self._write(f"flood {notifications}", first)
        self._wait_for("done", first)

    def close(self) -> None:
        """Let both leave the server."""
        for program in self._programs:
            program.communicate(timeout=_TIMEOUT_S)
            assert program.returncode == 0

    @staticmethod
    def _write(line: str, *programs: subprocess.Popen[str]) -> None:
        for program in programs:
            assert program.stdin is not None
            program.stdin.write(f"{line}\n")
            program.stdin.flush()

    @staticmethod
    def _wait_for(word: str, *programs: subprocess.Popen[str]) -> None:
        for program in programs:
            assert program.stdout is not None
            assert select.select([program.stdout], [], [], _TIMEOUT_S)[0], f"the churn is not {word}"
            assert program.stdout.readline() == f"{word}\n"


@contextmanager
def churning(server_name: str) -> Iterator[Churn]:
    """Give two programs that leave at the end."""
    churn = Churn(server_name)
    try:
        yield churn
    finally:
        churn.close()
