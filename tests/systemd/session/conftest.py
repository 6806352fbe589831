"""The program as `make install` leaves it, and a JACK server of the name that it looks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import StartClient
from tests.daemon.remote import Remote
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.systemd.session.unit import CHECKOUT, PROGRAM, VENV, Unit, run

# The configuration is read when a test says so.
RULE = """
[daemon]
watch = false

[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "system:playback_*"
"""
WANTED = {("synth:left", "system:playback_1"), ("synth:right", "system:playback_2")}


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install for the account of this session, and give what the installer said."""
    if not os.environ.get("JACKD_ROUTER_USER_SYSTEMD"):
        raise RuntimeError("these tests change the units of whoever runs them: tests/isolate tests/user-systemd run COMMAND")
    if elsewhere := os.environ.get("INSTALLED_VENV"):
        _move_here(Path(elsewhere))
    done = run(CHECKOUT / "tools/install")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _move_here(installed: Path) -> None:
    """Take over a virtual environment that was installed for another home: pip takes a quarter of a minute for one."""
    VENV.parent.mkdir(parents=True)
    PROGRAM.parent.mkdir(parents=True)
    run("cp", "--archive", installed, VENV)
    there = (VENV / "pyvenv.cfg").read_text().partition(" --clear ")[2].partition("\n")[0]
    for program in (VENV / "bin").iterdir():
        if not program.is_symlink():
            program.write_bytes(program.read_bytes().replace(there.encode(), str(VENV).encode()))
    PROGRAM.symlink_to(VENV / "bin/jackd-router")


@pytest.fixture
def unit(installed: str) -> Iterator[Unit]:
    """Give the installed unit, stopped; after the test it is again."""
    unit = Unit()
    yield unit
    unit.forget()


@pytest.fixture
def jack_server(tmp_path: Path, keep_log: Callable[[Path], None]) -> Iterator[JackServer]:
    """Give a JACK server, not yet started, of the name that is looked for where nobody says another one."""
    server = JackServer(tmp_path / "jackd.log", name="default")
    keep_log(server.log)
    yield server
    if server.is_running:
        server.terminate()


@pytest.fixture
def synth(running_server: JackServer, start_client: StartClient) -> JackClient:
    """Give a client with two outputs."""
    return start_client("synth", outputs=["left", "right"])


@pytest.fixture
def remote() -> Iterator[Remote]:
    """Give a client on the session bus. A call of the daemon starts it, where it does not run."""
    remote = Remote(os.environ["DBUS_SESSION_BUS_ADDRESS"])
    yield remote
    remote.close()
