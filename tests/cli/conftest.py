"""What the tests of the command line share: an environment of its own, and a way to run it in there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.router_process import TRACEBACK, cli

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give an environment without a session bus, in which nothing of the user's own is found."""
    home = tmp_path / "home"
    home.mkdir()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "DBUS_", "JACK_"))}
    return inherited | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "nothing"), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Give a function that runs `jackd-router ARGUMENTS`; no error may show as a traceback."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = cli(*arguments, env=environment)
        assert TRACEBACK not in done.stderr, done.stderr
        return done

    return run
