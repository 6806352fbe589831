"""The state file where its writer is killed, or the disk fails, in any of the calls of the system that write it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from jackd_router.runtime.state_file import StateFile
from jackd_router.runtime.whole_files import remove_leftovers
from tests.runtime.state_writer_program import PAIR, WRITES
from tests.support.preloaded import FaultyDisk

pytestmark = pytest.mark.asyncio

_PROGRAM = Path(__file__).with_name("state_writer_program.py")


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    return FaultyDisk(tmp_path)


def write(folder: Path, fault: dict[str, str]) -> tuple[int, list[str]]:
    """Let the program write on such a disk; give how it ended and what it said."""
    command = [sys.executable, str(_PROGRAM), str(folder)]
    program = subprocess.run(command, env=os.environ | fault, capture_output=True, text=True, timeout=30, check=False)
    return program.returncode, program.stdout.splitlines()


def make(folder: Path) -> None:
    folder.mkdir()


def kept_in(folder: Path) -> str:
    """Give the one name that everything of the state has, as the next daemon reads it; "" where there is no state."""
    file = StateFile(folder)
    file.read()
    assert file.trouble == ""
    if file.kept.run is None:
        assert file.kept.profile == "default"
        return ""
    (held,) = file.kept.run.held
    names = {file.kept.profile, file.kept.run.owned[PAIR], str(held.source)}
    assert len(names) == 1, f"mixed: {names}"
    return file.kept.profile


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


CALLS = {"open kill": 7, "write kill": 50, "write half": 50, "fsync kill": 3, "rename kill": 5, "unlink kill": 1}
"""The calls that are met, and how many of each there must be at least: the program was killed in them."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", CALLS)
async def test_killed_in_any_call_it_is_the_old_or_the_new_one(tmp_path: Path, disk: FaultyDisk, call: str) -> None:
    kind, what = call.split()
    # Each call of write has a small piece of the file: one in nineteen is enough, unless more is asked for.
    step = 19 if kind == "write" and not os.environ.get("STATE_FAULTS") else 1
    for number in count(1, step):
        folder = tmp_path / f"state-{number}"
        make(folder)
        status, said = write(folder, disk.env(kind, number, what, folder))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        answered = [int(line.split()[1][1:]) for line in said]
        last = max(answered, default=-1)
        assert kept_in(folder) in (f"p{last}" if answered else "", f"p{last + 1}"), f"killed in {call} {number}: {said}"
        remove_leftovers(folder)
        assert names_in(folder) <= {"state.json", "state.recent.json"}
    assert number > CALLS[call]


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", ["state.json", "state.recent.json"])
async def test_a_good_file_that_cannot_be_read_stays_as_it_is(tmp_path: Path, disk: FaultyDisk, name: str, error: int) -> None:
    folder = tmp_path / "state"
    for fault in ({}, disk.env("fsync", 0, str(errno.EIO), folder / ".state")):
        write(folder, fault)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert name in before
    status, said = write(folder, disk.env("open", 0, str(error), folder / name))
    assert status == 0
    assert f"{folder / name} cannot be read ({os.strerror(error)})" in said[-1]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


ERRORS = {"open": errno.EMFILE, "write": errno.EIO, "fsync": errno.EIO, "rename": errno.EROFS}


@pytest.mark.parametrize(("call", "error"), ERRORS.items())
async def test_a_call_that_fails_loses_nothing(tmp_path: Path, disk: FaultyDisk, call: str, error: int) -> None:
    folder = tmp_path / "state"
    write(folder, {})
    assert (kept_in(folder), names_in(folder)) == ("p3", {"state.json"})
    status, said = write(folder, disk.env(call, 0, str(error), folder / ".state"))
    assert status == 0
    assert said[-1] == f"trouble what is set by hand cannot be saved: {os.strerror(error)}"
    # What cannot be made durable may be there all the same.
    assert kept_in(folder) == ("p7" if call == "fsync" else "p3")
    assert names_in(folder) == {"state.json"} | ({"state.recent.json"} if call == "fsync" else set())
    before = int(kept_in(folder)[1:])
    write(folder, disk.env(call, 1, str(error), folder / ".state"))
    assert (kept_in(folder), names_in(folder)) == (f"p{before + WRITES}", {"state.json"})
