"""Commands that stay: `watch` and the meters, on a terminal and off it, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.conftest import StartClient, StartRouter
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.process import Process
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

RULES = """\
[[rule]]
name = "to speakers"
from = "synth:*"
to = "system:playback_*"

[[bus]]
name = "main"
channels = ["L", "R"]
"""

Start = Callable[..., Process]


@pytest.fixture
def router(running_server: JackServer, start_router: StartRouter) -> RouterProcess:
    """Give a daemon that has a server."""
    router = start_router(RULES)
    eventually(lambda: router.cli("status").returncode == 0)
    return router


@pytest.fixture
def start(tmp_path: Path, keep_log: Callable[[Path], None]) -> Iterator[Start]:
    """Give a function that starts a command whose output goes to a file."""
    log = tmp_path / "command.log"
    keep_log(log)
    with ExitStack() as ends:

        def start(router: RouterProcess, *arguments: str) -> Process:
            process = Process(argv(*arguments), log, router.env())
            ends.callback(lambda: process.status() is not None or process.kill())
            return process

        yield start


def argv(*arguments: str) -> list[str]:
    """Give the command line for a command."""
    return [sys.executable, "-m", "jackd_router", *arguments]


def events(process: Process) -> list[dict[str, Any]]:
    """Give what `watch --json` has written so far; only whole lines."""
    return [json.loads(line) for line in process.output().splitlines(keepends=True) if line.endswith("\n")]


def has(process: Process, **fields: object) -> bool:
    """Whether there is an event with these fields."""
    return any(fields.items() <= event.items() for event in events(process))


def interrupt(process: Process) -> int:
    """End the command as Ctrl-C does."""
    process.send(signal.SIGINT)
    return process.wait()


def test_watch_tells_what_happens(router: RouterProcess, start: Start, start_client: StartClient) -> None:
    watch = start(router, "watch", "--json")
    eventually(lambda: has(watch, event="status", server_state="connected"))
    start_client("synth", outputs=["out_1"])
    pair = {"source": "synth:out_1", "destination": "system:playback_1"}
    eventually(lambda: has(watch, event="port-added", name="synth:out_1", direction="output", type="audio"))
    eventually(lambda: has(watch, event="connected", **pair))
    eventually(lambda: has(watch, event="applied", rule="to speakers", action="connect", **pair))
    router.cli("bus", "main", "--gain", "-3")
    eventually(lambda: has(watch, event="bus", bus="main", gain=-3.0))
    assert router.cli("connect", "synth:out_1", "system:playback_2").returncode == 0  # UndoSteps changes, and is no line
    router.cli("rules", "disable", "to speakers")
    eventually(lambda: has(watch, event="disconnected", **pair))
    assert all(len(event) > 2 for event in events(watch))
    assert all("time" in event for event in events(watch))
    before = watch.output()
    assert interrupt(watch) == 130
    assert watch.output() == before


def test_watch_survives_a_restart_of_the_daemon(router: RouterProcess, start: Start) -> None:
    watch = start(router, "watch", "--json")
    eventually(lambda: has(watch, event="status"))
    router.stop()
    eventually(lambda: has(watch, event="daemon", running=False))
    router.start()
    eventually(lambda: has(watch, event="daemon", running=True))
    eventually(lambda: [event["event"] for event in events(watch)].count("status") >= 2)
    assert interrupt(watch) == 130


def test_watch_tells_of_the_server(router: RouterProcess, start: Start, jack_server: JackServer) -> None:
    watch = start(router, "watch")
    eventually(lambda: "JACK server: connected" in watch.output())
    jack_server.kill()
    eventually(lambda: "state: connecting" in watch.output())
    assert interrupt(watch) == 130


def test_watch_ends_with_the_session_bus(router: RouterProcess, start: Start, session_bus: SessionBus) -> None:
    watch = start(router, "watch")
    eventually(lambda: "JACK server" in watch.output())
    session_bus.kill()
    assert watch.wait() == 3
    # Other words when it goes while watch asks something: "the message bus went away before the answer came".
    assert re.match("jackd-router: the (session|message) bus went away", watch.output().splitlines()[-1])


def on_a_terminal(router: RouterProcess, *arguments: str, until: bytes, **extra: str) -> tuple[bytes, int]:
    """Run a command on a pseudo-terminal, press Ctrl-C once it has shown this, and give all it wrote and its exit code."""
    ours, theirs = pty.openpty()
    env = router.env() | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", "LC_ALL": "C.UTF-8"} | extra
    with subprocess.Popen(argv(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process, ExitStack() as end:
        end.callback(process.kill)  # also one that does not hear Ctrl-C: Popen would wait for it for ever
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
                if until and until in shown:
                    process.send_signal(signal.SIGINT)
                    until = b""
        except OSError:
            pass  # EIO: nobody has the other end open any more
        finally:
            os.close(ours)
            code = process.wait(10)
    return shown, code


def test_colours_are_for_terminals(router: RouterProcess) -> None:
    shown, code = on_a_terminal(router, "rules", until=b"")
    assert code == 0
    assert b"\x1b[32m" in shown  # "enabled" in green
    assert b"to speakers" in shown
    shown, _ = on_a_terminal(router, "rules", until=b"", NO_COLOR="1")
    assert b"\x1b[32m" not in shown
    shown, _ = on_a_terminal(router, "rules", until=b"", TERM="dumb")
    assert b"\x1b" not in shown
    assert router.cli("rules").stdout.isascii()
    assert router.cli("rules").stdout.replace("\n", "").isprintable()


def test_live_meters(router: RouterProcess) -> None:
    shown, code = on_a_terminal(router, "bus", "--meters", until=b"main_out_R")
    assert code == 130
    assert b"Traceback" not in shown
    assert "·".encode() in shown
    shown, _ = on_a_terminal(router, "bus", "--meters", until=b"main_out_R", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert b"....." in shown


def test_a_closed_pipe_is_quiet(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(RULES)
    assert run("check", str(file)).returncode == 0
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        argv("check", str(file)), env=environment, stdout=theirs, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "router.toml"
    file.write_text(RULES)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            argv("check", str(file)), env=environment, stdout=full, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"jackd-router: No space left on device\n"


def test_a_character_that_the_terminal_lacks(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "küche.toml"
    file.write_text(RULES)
    command = subprocess.run(
        argv("check", str(file)), env=environment | {"PYTHONIOENCODING": "ascii"}, capture_output=True, timeout=30, check=False
    )
    assert command.returncode == 0
    assert b"k\\xfcche.toml" in command.stdout
