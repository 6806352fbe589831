"""tests/user-systemd itself; and the tests in `session`, which it runs beside a user manager.

One of those, by hand (the program is installed anew for it):

    tests/isolate tests/user-systemd run .venv/bin/python -m pytest --timeout=300 tests/systemd/session -k reload
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.conftest import CANNOT
from tests.support.eventually import eventually
from tests.support.process import Process

pytestmark = pytest.mark.xdist_group("installed")  # one process makes what both need

USER_SYSTEMD = Path(__file__).parents[1] / "user-systemd"
SESSION = Path(__file__).with_name("session")
NEVER_STARTED = 125


def run(
    *command: str | Path, options: Sequence[str | Path] = (), env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command beside a user manager, of which nothing may be left; where this machine cannot start one, skip the test."""
    before, mounts = cgroups(), Path("/proc/self/mounts").read_text()
    argv = [USER_SYSTEMD, "run", *options, "--", *command]
    pipe, environment = subprocess.PIPE, {**os.environ, **(env or {})}
    with subprocess.Popen(argv, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            stdout, stderr = process.communicate()
        except BaseException:  # the test takes too long
            process.kill()
            raise
    if process.returncode == NEVER_STARTED:
        pytest.skip(f"{CANNOT} start a user manager: {stderr.strip()}")
    assert made_by(process.pid, cgroups() - before) == []
    assert Path("/proc/self/mounts").read_text() == mounts
    return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)


def cgroups() -> set[Path]:
    """Give the cgroups of all runs, also those of others on this machine."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    # Not rglob(), which fails where a folder goes meanwhile.
    folders = (Path(folder) for mount in mounts if mount[2] == "cgroup2" for folder, _, _ in os.walk(mount[1]))
    return {folder for folder in folders if folder.name.startswith("user-manager-")}


def made_by(pid: int, found: Iterable[Path]) -> list[Path]:
    """Give those of the cgroups that the run with this process made."""
    return [cgroup for cgroup in found if cgroup.name.startswith(f"user-manager-{pid}-")]


@pytest.mark.timeout(300)  # the program is installed there anew
def test_the_unit_in_a_session(installed_venv: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.txt"
    there = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'session'}", "--durations=10"]
    done = run(*there, SESSION, options=("--journal", journal), env={"INSTALLED_VENV": str(installed_venv)})
    print(done.stdout)  # what took how long: `pytest -rP` shows it
    assert done.returncode == 0, "\n".join([done.stderr, journal.read_text(errors="replace")])


def test_the_session_is_its_own(tmp_path: Path) -> None:
    journal = tmp_path / "journal.txt"
    script = ["id -u", "echo $HOME", "ls -A /dev/shm $XDG_RUNTIME_DIR/bus", "systemctl --user is-system-running"]
    done = run("sh", "-c", "; ".join([*script, "echo hello | systemd-cat"]), options=("--journal", journal))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["1000", "/home/tester", "/run/user/1000/bus", "", "/dev/shm:", "running"]
    assert "hello" in journal.read_text()


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 128 + signal.SIGKILL)])
def test_its_exit_status_is_that_of_the_command(script: str, status: int) -> None:
    assert run("sh", "-c", script).returncode == status


def test_what_a_killed_run_leaves_the_next_one_removes(tmp_path: Path) -> None:
    run("true")  # or this test is skipped
    before = cgroups()

    def start(name: str) -> tuple[Process, Path]:
        process = Process([str(USER_SYSTEMD), "run", "sh", "-c", f"touch {tmp_path / name}; sleep 600"], tmp_path / "log")
        eventually((tmp_path / name).exists)
        (cgroup,) = made_by(process.pid, cgroups() - before)
        return process, cgroup

    killed, leftover = start("killed")
    sibling, used = start("sibling")
    try:
        killed.kill()
        run("true")  # another one that begins just now may have done it before
        assert not leftover.exists()
        assert used.exists()
    finally:
        sibling.terminate()
    assert not used.exists()


def test_a_machine_that_cannot_do_it_says_why() -> None:
    script = "while grep -q ' cgroup2 ' /proc/mounts; do umount --types cgroup2 --all; done; exec $0 run true"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(USER_SYSTEMD)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == NEVER_STARTED
    assert done.stderr == "user-systemd: no cgroup2 file system is mounted\n"
