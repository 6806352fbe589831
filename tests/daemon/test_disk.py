"""The disk is full, may not be written, or holds nonsense: the daemon says so, works all the same, and saves when it can."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

MAIN = bus_path("main")
CONFIG = """
[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "system:playback_*"

[[bus]]
name = "main"
"""
WANTED = {("synth:left", "system:playback_1"), ("synth:right", "system:playback_2")}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give the folder for what is kept, on a disk of 64 KiB of its own."""
    folder = tmp_path / "state"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def router(
    tmp_path: Path, disk: Path, session_bus: SessionBus, running_server: JackServer, keep_log: Callable[[Path], None]
) -> Iterator[RouterProcess]:
    """Give a daemon that is not started yet."""
    router = RouterProcess(tmp_path, CONFIG, bus_address=session_bus.address, server_name=running_server.name)
    keep_log(router.log)
    yield router
    router.close(check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def status(remote: Remote) -> tuple[str, str]:
    return remote.read("Manager.Status"), remote.read("Manager.StatusText")


def tells(remote: Remote, text: str) -> bool:
    """Whether the status is worse than well because of this."""
    health, told = status(remote)
    return health == "degraded" and text in told


def test_a_full_disk(disk: Path, router: RouterProcess, remote: Remote, start_client: StartClient) -> None:
    router.start()
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    remote.write("Bus.Gain", "d", -1.0, path=MAIN)
    eventually(lambda: tells(remote, "what is set by hand cannot be saved: No space left on device"))
    assert router.output().count("cannot be written") == 1
    synth = start_client("synth", outputs=["left", "right"])
    eventually(lambda: synth.connections() == WANTED)
    ballast.unlink()
    remote.write("Bus.Gain", "d", -2.0, path=MAIN)
    eventually(lambda: status(remote)[0] == "ok")
    assert "is written again" in router.output()
    router.kill()
    router.start()
    assert remote.read("Bus.Gain", path=MAIN) == -2.0


def test_a_disk_that_may_not_be_written(disk: Path, router: RouterProcess, remote: Remote, start_client: StartClient) -> None:
    state = disk / "jackd-router" / "state.json"
    state.parent.mkdir()
    state.write_bytes(b"nonsense")
    remount(disk, "ro")
    router.start()
    eventually(lambda: tells(remote, "the state file cannot be read"))
    remote.write("Bus.Gain", "d", -1.0, path=MAIN)
    eventually(lambda: tells(remote, "cannot be saved: Read-only file system"))
    synth = start_client("synth", outputs=["left", "right"])
    eventually(lambda: synth.connections() == WANTED)
    assert "No copy of the configuration could be kept" in router.output()
    remount(disk, "rw")
    remote.write("Bus.Gain", "d", -2.0, path=MAIN)
    eventually(lambda: "cannot be saved" not in status(remote)[1])
    assert (state.parent / "state.damaged.json").read_bytes() == b"nonsense"
    router.kill()
    router.start()
    assert remote.read("Bus.Gain", path=MAIN) == -2.0
    assert status(remote)[0] == "ok"


def test_what_killed_writers_have_left_is_removed(disk: Path, router: RouterProcess) -> None:
    left = ["jackd-router/.state.json.a1_b2c3d", "jackd-router/last-good/.router-12345678.toml.abcdefgh"]
    left.append("jackd-router/snapshots/.gig.toml.z9y8x7w6")
    stays = ["jackd-router/.state.json.swp", "jackd-router/snapshots/.gig.toml.swp"]
    for name in (*left, *stays):
        (disk / name).parent.mkdir(parents=True, exist_ok=True)
        (disk / name).write_text("half a file")
    router.start()
    assert [name for name in left if (disk / name).exists()] == []
    assert all((disk / name).exists() for name in stays)


def test_a_copy_of_the_configuration_that_is_damaged_too(disk: Path, router: RouterProcess, remote: Remote) -> None:
    router.start()
    router.stop()
    (copy,) = (disk / "jackd-router" / "last-good").iterdir()
    copy.write_bytes(os.urandom(1000))
    router.write_config("nonsense")
    router.start()
    assert status(remote)[0] == "error"
    assert "there are no rules" in status(remote)[1]
    assert "is of no use either" in router.output()
    router.write_config(CONFIG)
    eventually(lambda: status(remote)[0] == "ok")
