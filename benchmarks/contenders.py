"""Who is compared: programs that connect ports as they appear."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks.surroundings import Surroundings
from tests.support.jack_server import JackServer
from tests.support.process import Process

_MATCHMAKER = Path(__file__).parents[1] / "build/jack-matchmaker"


class Contender(Protocol):
    """Connects `probe:out_1` with `system:playback_1` while it runs."""

    @property
    def name(self) -> str:
        """What it is called in the table."""

    def running(self, around: Surroundings, server: JackServer) -> AbstractContextManager[None]:
        """Run it on this server. It need not be ready: the probe waits for the first connection."""


class Floor:
    """A native client that calls jack_connect straight from its wake-up."""

    name = "floor"

    def __init__(self, source: str = "probe:out_", destination: str = "system:playback_") -> None:
        self._pair = (source, destination)

    @contextmanager
    def running(self, around: Surroundings, server: JackServer) -> Iterator[None]:
        """Run it."""
        with around.native("floor", *self._pair, server=server) as program:
            assert program.line() == "ready"
            yield


class Router:
    """The daemon with one rule, its session bus and everything else as in daily use."""

    name = "router"

    def __init__(self, source: str = "probe:out_1", destination: str = "system:playback_1") -> None:
        self._rule = f'[[rule]]\nname = "benchmark"\nfrom = "{source}"\nto = "{destination}"\n'

    @contextmanager
    def running(self, around: Surroundings, server: JackServer) -> Iterator[None]:
        """Run it, and end it well."""
        with around.router(self._rule, server):
            yield


class Plumbing:
    """jack-plumbing of the jack-tools."""

    name = "jack-plumbing"

    @contextmanager
    def running(self, around: Surroundings, server: JackServer) -> Iterator[None]:
        """Run it with one rule and no others."""
        rules = around.folder / "plumbing.rules"
        rules.write_text('(connect "probe:out_1" "system:playback_1")\n')
        # Without -d: whatever its help says, with it the program ends after the first look.
        with _process(["jack-plumbing", "-o", "-q", str(rules)], around, server):
            yield


class Matchmaker:
    """jack-matchmaker, as PyPI has it."""

    name = "jack-matchmaker"

    @contextmanager
    def running(self, around: Surroundings, server: JackServer) -> Iterator[None]:
        """Run it with one pair of patterns."""
        command = [sys.executable, "-m", "jackmatchmaker", "probe:out_1", "system:playback_1"]
        with _process(command, around, server, PYTHONPATH=str(_MATCHMAKER)):
            yield


@contextmanager
def _process(command: list[str], around: Surroundings, server: JackServer, **environment: str) -> Iterator[None]:
    process = Process(command, around.folder / "contender.log", os.environ | {"JACK_DEFAULT_SERVER": server.name, **environment})
    try:
        yield
    finally:
        process.kill()


def others() -> tuple[list[Contender], list[str]]:
    """Give the programs of others that are on this machine, and why one is not."""
    found: list[Contender] = []
    missing: list[str] = []
    if shutil.which("jack-plumbing"):
        found.append(Plumbing())
    else:
        missing.append("jack-plumbing is not installed (Debian: jack-tools)")
    if _install_matchmaker():
        found.append(Matchmaker())
    else:
        missing.append("jack-matchmaker could not be installed from PyPI")
    return found, missing


def _install_matchmaker() -> bool:
    """Install it where nothing else sees it: it is no dependency of ours."""
    if _MATCHMAKER.exists():
        return True
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(_MATCHMAKER)]
    return subprocess.run([*pip, "JACK-Matchmaker"], stderr=subprocess.DEVNULL, check=False).returncode == 0
