"""The grammar of the command line, as processes: what is no command ends with code 2 and says what is one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jackd_router import __version__
from tests.cli.conftest import Run

READING = [
    "bus",
    "check",
    "connections",
    "doctor",
    "explain",
    "graph",
    "plan",
    "ports",
    "profile",
    "rules",
    "snapshot",
    "status",
    "watch",
]
WRITING = ["connect", "disconnect", "reapply", "release", "reload", "run", "undo"]


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
        (["bus", "--midi-channels", "1"], "which bus?"),
        (["bus", "main", "--midi-channels", "1,x"], "'1,x' is no list of channels: 1 to 16"),
        (["bus", "main", "--fade", "1"], "--fade needs --gain"),
        (["bus", "main", "--gain", "0", "--fade", "-1"], "'-1' is no time for a fade: 0 to 3600 seconds"),
        (["bus", "create"], "NAME"),
        (["bus", "create", "fx", "--channels", "0"], "'0' is no number of channels: 1 to 64"),
        (["bus", "create", "fx", "--outputs", "9" * 30], "is no number of channels: 1 to 64"),
        (["bus", "create", "fx", "--channel-gains", "0,loud"], "'loud' is not a number of dB"),
        (["bus", "create", "fx", "--matrix", "1,x"], "'x' is not a number"),
        (["bus", "create", "fx", "--type", "video"], "invalid choice: 'video'"),
        (["bus", "remove"], "NAME"),
        (["bus", "remove", "fx", "more"], "unrecognized arguments: more"),
        (["snapshot", "store"], "invalid choice: 'store'"),
        (["snapshot", "save"], "NAME"),
        (["snapshot", "restore", "a", "b"], "unrecognized arguments: b"),
        (["snapshot", "restore", "a", "--exac"], "--exac"),
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


@pytest.mark.parametrize("word", ["create", "remove"])
def test_a_command_of_two_words_has_help(run: Run, word: str) -> None:
    done = run("bus", word, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: jackd-router bus {word} ")
    assert f"\n    bus {word}" in run("--help").stdout


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
