"""The writing of the state file: only the newest, only where allowed, and never a failure of the daemon."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jackd_router.core.graph import Connection, PortName
from jackd_router.core.kept import ServerRun
from jackd_router.runtime.state_file import StateFile
from tests.dbus_api.until import until
from tests.support.ordinary_user import no_more_threads

pytestmark = pytest.mark.asyncio

RAW = Connection(PortName("caf\udce9:out"), PortName("system:playback_1"))


def profile_in(file: StateFile) -> str:
    """Give the profile that the file on the disk names, "" where there is none."""
    return str(json.loads(file.path.read_text())["profile"]) if file.path.exists() else ""


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def fill(ballast: Path) -> None:
    """Write until the disk takes no more."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def remount(disk: Path, how: str) -> None:
    """Let the disk be read only ("ro"), or not ("rw")."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_the_newest_is_written_soon_or_at_the_end(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.start_writing()
    for number in range(50):
        file.kept.profile = f"p{number}"
        file.changed()
    await until(lambda: profile_in(file) == "p49")
    file.kept.profile = "last"
    file.changed()
    await file.flush()
    assert profile_in(file) == "last"
    assert names_in(file.path.parent) == ["state.json"]
    assert (file.path.stat().st_mode & 0o777, file.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_changes_while_it_is_written_are_written_after_it(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.start_writing()

    profiles = iter(("first", "second"))

    def change_once_more() -> None:
        file.kept.profile = next(profiles)
        if file.kept.profile == "first":
            file.changed()  # while the writer is on its way

    file.about_to_write = change_once_more
    file.changed()
    await until(lambda: profile_in(file) == "second")
    assert next(profiles, None) is None


async def test_nothing_is_written_before_it_is_allowed(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.kept.profile = "live"
    file.changed()
    await file.flush()
    assert not file.path.exists()
    file.start_writing()
    await until(lambda: profile_in(file) == "live")


async def test_where_nothing_changed_nothing_is_written(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.start_writing()
    await file.flush()
    assert not file.path.parent.exists()


async def test_a_link_stays_one(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "kept.json"
    target.parent.mkdir()
    file = StateFile(tmp_path)
    file.path.symlink_to("dotfiles/kept.json")
    file.start_writing()
    for profile in ("one", "two"):
        file.kept.profile = profile
        file.changed()
        await file.flush()
        assert file.path.is_symlink()
        assert json.loads(target.read_text())["profile"] == profile
    assert names_in(target.parent) == ["kept.json"]


async def test_what_is_written_is_read_by_the_next(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.start_writing()
    owned = {RAW: "r"}
    file.kept.run = ServerRun("run", owned=owned, held=owned.keys())
    file.changed()
    await file.flush()
    assert r"caf\\xe9:out" in file.path.read_text()
    following = StateFile(tmp_path)
    following.read()
    assert following.kept.run == ServerRun("run", owned={RAW: "r"}, held=(RAW,))


async def test_a_full_disk_is_one_warning_until_there_is_room(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ballast = small_disk / "ballast"
    fill(ballast)
    file = StateFile(small_disk / "state")
    file.start_writing()
    for profile in ("one", "two"):
        file.kept.profile = profile
        file.changed()
        await file.flush()
    (warning,) = warnings(caplog)
    assert "No space left on device" in warning
    assert profile_in(file) == ""
    assert names_in(small_disk / "state") == [], "half a file is left"
    ballast.unlink()
    file.kept.profile = "three"
    file.changed()
    await file.flush()
    assert profile_in(file) == "three"
    assert len(warnings(caplog)) == 1
    assert "is written again" in caplog.messages[-1]


async def test_a_disk_that_may_not_be_written_is_one_warning(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    (small_disk / "state.json").write_text("damaged")
    remount(small_disk, "ro")
    file = StateFile(small_disk)
    file.read()
    (warning,) = warnings(caplog)
    assert "nor set aside" in warning
    caplog.clear()
    file.start_writing()
    for _ in range(3):
        file.changed()
        await file.flush()
    (warning,) = warnings(caplog)
    assert "Read-only file system" in warning
    assert file.path.read_text() == "damaged"


async def test_where_there_is_no_thread_it_is_told_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = StateFile(tmp_path)
    file.start_writing()
    with no_more_threads():
        file.kept.profile = "live"
        file.changed()
        await file.secure()
        await file.flush()
        assert file.trouble == "what is set by hand cannot be saved: the system has no more threads"
    assert len(warnings(caplog)) == 1
    await file.flush()
    assert (profile_in(file), file.trouble) == ("live", "")


async def test_a_folder_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("")
    file = StateFile(tmp_path / "state")
    file.read()
    file.start_writing()
    file.changed()
    await file.flush()
    assert ["Not a directory" in warning for warning in warnings(caplog)] == [True, False]


async def test_a_file_that_cannot_be_read_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = StateFile(tmp_path)
    file.path.mkdir()
    file.read()
    (warning,) = warnings(caplog)
    assert "Is a directory" in warning
    assert names_in(tmp_path) == ["state.damaged.json"]


async def test_what_is_no_file_of_ours_is_set_aside_without_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for damage, reason in ((huge, "larger than 64 MiB"), (pipe, "no regular file")):
        caplog.clear()
        state = StateFile(tmp_path)
        damage.rename(state.path)
        state.read()
        (warning,) = warnings(caplog)
        assert reason in warning
        assert "state.damaged.json" in state.trouble


async def test_a_folder_is_set_aside_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "state.damaged.json").write_text("an earlier one")
    file = StateFile(tmp_path)
    (file.path / "with something in it").mkdir(parents=True)
    file.read()
    assert sorted(names_in(tmp_path)) == ["state.damaged-2.json", "state.damaged.json"]
    file.start_writing()
    file.kept.profile = "live"
    file.changed()
    await file.flush()
    assert profile_in(file) == "live"


async def test_a_damaged_file_that_cannot_be_set_aside_is_not_written_over(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (small_disk / "state.json").write_text("damaged")
    remount(small_disk, "ro")
    file = StateFile(small_disk)
    file.read()
    file.start_writing()
    file.kept.profile = "live"
    file.changed()
    await file.flush()
    assert "lost" in file.trouble
    assert "cannot be saved" in file.trouble
    remount(small_disk, "rw")
    await file.flush()
    assert profile_in(file) == "live"
    assert (small_disk / "state.damaged.json").read_text() == "damaged"
    assert "cannot be saved" not in file.trouble


# ---- what is kept at once


async def secured(folder: Path, profile: str) -> StateFile:
    """Give a state file in which a change was kept at once, and not more."""
    file = StateFile(folder)
    file.read()
    file.start_writing()
    file.kept.profile = profile
    file.changed()
    await file.secure()
    return file


def profile_read(folder: Path) -> str:
    """Give what the next daemon finds."""
    file = StateFile(folder)
    file.read()
    return file.kept.profile


async def test_a_change_is_kept_before_it_is_written(tmp_path: Path) -> None:
    file = await secured(tmp_path, "live")
    assert names_in(tmp_path) == ["state.recent.json"]
    assert profile_read(tmp_path) == "live"
    await file.flush()
    assert names_in(tmp_path) == ["state.json"]
    assert profile_read(tmp_path) == "live"


async def test_an_older_or_damaged_one_counts_for_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await secured(tmp_path, "older")
    recent = tmp_path / "state.recent.json"
    older = recent.read_bytes()
    file = await secured(tmp_path, "newer")
    await file.flush()
    for damage in (older, b"", older[:-20], b"\xff"):
        recent.write_bytes(damage)
        assert profile_read(tmp_path) == "newer"
    assert warnings(caplog) == []


async def test_beside_a_damaged_one_it_is_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = await secured(tmp_path, "live")
    file.path.write_bytes(b"damaged")
    following = StateFile(tmp_path)
    following.read()
    assert following.kept.profile == "live"
    (warning,) = warnings(caplog)
    assert "starting with state.recent.json" in warning
    assert "lost" not in following.trouble
    assert "state.damaged.json" in following.trouble


async def test_where_it_cannot_be_written_the_other_one_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "state.recent.json").mkdir()
    file = await secured(tmp_path, "live")
    assert profile_in(file) == "live"
    assert file.trouble == ""


async def test_what_is_owned_is_told_in_few_words(tmp_path: Path) -> None:
    pairs = [Connection(PortName(f"a:{n}"), PortName("b:in")) for n in range(1000)]
    owned = dict.fromkeys(pairs, "r")
    file = StateFile(tmp_path)
    file.start_writing()
    file.kept.run = ServerRun("run", owned=owned)
    file.changed()
    await file.flush()
    del owned[pairs[0]]
    owned[pairs[1]] = "another"
    owned[RAW] = "r"
    file.changed()
    await file.secure()
    assert (tmp_path / "state.recent.json").stat().st_size < 1000
    following = StateFile(tmp_path)
    following.read()
    assert following.kept.run == ServerRun("run", owned=owned)


async def test_nobody_waits_for_a_disk_that_takes_nothing(small_disk: Path) -> None:
    fill(small_disk / "ballast")
    file = await secured(small_disk / "state", "live")
    assert names_in(small_disk / "state") == []
    await file.flush()
    assert "No space left on device" in file.trouble
