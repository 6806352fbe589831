"""The grammar of the command line, as processes: what is no command ends with code 2 and says what is one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jackd_router import __version__
from tests.cli.conftest import Run

READING = ["bus", "check", "connections", "explain", "graph", "plan", "ports", "profile", "rules", "status", "watch"]
WRITING = ["connect", "disconnect", "reapply", "release", "reload", "run"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["connect", "synth:out_1"], "DESTINATION"),
        (["connect", "a:b", "c:d", "e:f"], "unrecognized arguments: e:f"),
        (["explain"], "PORT"),
        (["profile", "live", "night"], "unrecognized arguments: night"),
        (["ports", "--input", "--output"], "not allowed with"),
        (["ports", "--type", "video"], "invalid choice: 'video'"),
        (["rules", "enable"], "NAME"),
        (["status", "--jso"], "--jso"),
        (["bus", "--mute"], "which bus?"),
        (["bus", "--gain", "-6"], "which bus?"),
        (["bus", "main", "--mute", "--unmute"], "not allowed with"),
        (["bus", "main", "--gain", "loud"], "'loud' is not a number of dB"),
        (["bus", "main", "--gain", "nan"], "'nan' is not a number of dB"),
        (["bus", "main", "--gain", "inf"], "'inf' is not a number of dB"),
        (["run", "--log-level", "chatty"], "invalid choice: 'chatty'"),
    ],
)
def test_wrong_usage_is_explained(run: Run, arguments: list[str], complaint: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: jackd-router")
    assert complaint in done.stderr


def test_version(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"jackd-router {__version__}\n", "")


@pytest.mark.parametrize("command", READING + WRITING)
def test_each_command_has_help(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: jackd-router {command}")


def test_help_names_each_command(run: Run) -> None:
    told = {line.split()[0] for line in run("--help").stdout.splitlines() if line.startswith("    ")}
    assert told >= {*READING, *WRITING}


def test_a_command_loads_what_it_needs_and_no_more(environment: dict[str, str]) -> None:
    # Each of these costs a tenth of a second, at every `connect` that a script makes.
    command = [sys.executable, "-X", "importtime", "-m", "jackd_router", "connect", "a:b", "c:d"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "dbus_next" in loaded
    assert loaded.isdisjoint({"rich", "numpy", "jack", "systemd", "tree_sitter", "inotify_simple"})
