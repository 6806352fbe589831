"""Whether a server runs: told at its start, at its end, and never otherwise."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from jackd_router.jack_host.library import Implementation
from jackd_router.jack_io import presence
from jackd_router.jack_io.presence import Presence, ServerSocket, jack2_socket, pipewire_socket
from tests.jack_io.conversation import held, until
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

APPEARED, GONE = "appeared", "gone"


def socket_at(path: Path) -> ServerSocket:
    """Give what a JACK2 server would listen on, at another place."""
    return ServerSocket(Implementation.JACK2, "test", path)


class Watch:
    """A presence, and what it has told."""

    def __init__(self, server: ServerSocket) -> None:
        self.told: list[str] = []
        self.presence = Presence(server, lambda: self.told.append(APPEARED), lambda: self.told.append(GONE))


@pytest_asyncio.fixture
async def watch(jack_server: JackServer) -> AsyncIterator[Watch]:
    """Give a watch on the test's server that is not started yet."""
    watch = Watch(jack_server.socket)
    yield watch
    watch.presence.stop()


async def test_socket_is_where_the_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jack2_socket("studio").path == Path(f"/dev/shm/jack_studio_{os.getuid()}_0")
    monkeypatch.setenv("JACK_PROMISCUOUS_SERVER", "audio")
    assert jack2_socket("studio").path == Path("/dev/shm/jack_studio_0")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.delenv("PIPEWIRE_RUNTIME_DIR", raising=False)
    assert pipewire_socket() == ServerSocket(
        Implementation.PIPEWIRE, "pipewire-0", Path("/run/user/7/pipewire-0"), Path("/run/user/7/pipewire-0.lock")
    )
    monkeypatch.setenv("PIPEWIRE_REMOTE", "other")
    monkeypatch.setenv("PIPEWIRE_RUNTIME_DIR", "/run/elsewhere")
    assert pipewire_socket().path == Path("/run/elsewhere/other")


async def test_running_server_is_told_at_once(running_server: JackServer, watch: Watch) -> None:
    watch.presence.start()
    assert watch.told == [APPEARED]
    assert watch.presence.present
    assert watch.presence.server_pid == running_server.pid


async def test_every_birth_and_death_is_told_once(jack_server: JackServer, watch: Watch) -> None:
    watch.presence.start()
    wanted: list[str] = []
    for run in range(6):
        assert watch.told == wanted
        assert not watch.presence.present
        jack_server.start()
        wanted.append(APPEARED)
        await until(lambda: watch.told == wanted)
        assert watch.presence.server_pid == jack_server.pid
        if run % 2:
            jack_server.kill()
        else:
            jack_server.terminate()
        wanted.append(GONE)
        await until(lambda: watch.told == wanted)


async def test_every_run_is_known_by_a_name_of_its_own(jack_server: JackServer, watch: Watch) -> None:
    watch.presence.start()
    assert watch.presence.server_run == ""
    seen = set()
    for _ in range(3):
        jack_server.start()
        await until(lambda: watch.presence.present)
        seen.add(watch.presence.server_run)
        other = Watch(jack_server.socket)
        other.presence.start()
        assert other.presence.server_run == watch.presence.server_run, "the next daemon"
        other.presence.stop()
        jack_server.kill()
        await until(lambda: not watch.presence.present)
        assert watch.presence.server_run == ""
    assert len(seen - {""}) == 3


async def test_a_server_that_begins_anew_in_its_process_is_another_run(tmp_path: Path) -> None:
    watch = Watch(socket_at(tmp_path / "jack_bus_0_0"))
    watch.presence.start()
    seen = set()
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "jack_bus_0_0"))
            server.listen()
            await until(lambda: watch.presence.present)
            seen.add(watch.presence.server_run)
        await until(lambda: not watch.presence.present)
        (tmp_path / "jack_bus_0_0").unlink()
    watch.presence.stop()
    assert len(seen - {""}) == 2


async def test_death_and_birth_between_two_looks_are_both_told(jack_server: JackServer, watch: Watch) -> None:
    jack_server.start()
    watch.presence.start()
    wanted = [APPEARED]
    for _ in range(3):
        jack_server.kill()
        jack_server.start()  # the event loop has seen nothing so far
        wanted.extend([GONE, APPEARED])
        await until(lambda: watch.told == wanted)
        assert watch.presence.server_pid == jack_server.pid


async def test_socket_left_behind_is_no_server(jack_server: JackServer, watch: Watch) -> None:
    jack_server.start()
    jack_server.kill()
    assert jack_server.socket_path.exists()
    watch.presence.start()
    assert (watch.told, watch.presence.present) == ([], False)
    jack_server.start()
    await until(lambda: watch.told == [APPEARED])


async def test_frozen_server_is_present_and_known_as_stopped(running_server: JackServer, watch: Watch) -> None:
    assert not watch.presence.server_stopped(), "nobody is known yet"
    watch.presence.start()
    assert not watch.presence.server_stopped()
    running_server.freeze()
    await until(watch.presence.server_stopped)
    assert watch.presence.present
    running_server.resume()
    await until(lambda: not watch.presence.server_stopped())
    running_server.kill()
    await until(lambda: watch.told == [APPEARED, GONE])
    assert not watch.presence.server_stopped()


async def test_server_that_listens_late_is_found(tmp_path: Path) -> None:
    watch = Watch(socket_at(tmp_path / "jack_late_0_0"))
    watch.presence.start()
    with socket.socket(socket.AF_UNIX) as late:
        late.bind(str(tmp_path / "jack_late_0_0"))
        tries = watch.presence
        await until(lambda: tries._tries < 0, what="the quick tries are used up")
        late.listen()
        await until(lambda: watch.told == [APPEARED])
        assert watch.presence.server_pid == os.getpid()
    await until(lambda: watch.told == [APPEARED, GONE])
    watch.presence.stop()


async def test_nobody_waits_while_the_kernel_lists_its_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipewire-0"
    watch = Watch(ServerSocket(Implementation.PIPEWIRE, "pipewire-0", path, path.with_suffix(".lock")))
    watch.presence.start()
    asked, listed = threading.Event(), threading.Event()

    def slow(lock: Path) -> int:
        asked.set()
        assert listed.wait(10)
        return os.getpid()

    monkeypatch.setattr(presence, "lock_holder", slow)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.with_suffix(".lock").touch()
        await until(asked.is_set, what="the list of locks is asked for; this is seen before it comes")
        assert watch.told == []
        listed.set()
        await until(lambda: watch.told == [APPEARED])
        assert watch.presence.server_pid == os.getpid()
        for event in (asked, listed):
            event.clear()
    await until(lambda: watch.told == [APPEARED, GONE])
    await until(asked.is_set, what="one looks again")
    watch.presence.stop()
    listed.set()
    await until(lambda: not watch.presence.present and len(asyncio.all_tasks()) == 1, what="an answer after the end is of no use")
    assert watch.told == [APPEARED, GONE]


async def test_folder_that_goes_and_comes_again_is_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    watch = Watch(socket_at(folder / "jack_bus_0_0"))
    watch.presence.start()
    wanted: list[str] = []
    for _ in range(2):
        folder.mkdir()
        await until(lambda: watch.presence._watch is not None, what="the folder is watched")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "jack_bus_0_0"))
            server.listen()
            wanted.append(APPEARED)
            await until(lambda: watch.told == wanted)
        wanted.append(GONE)
        await until(lambda: watch.told == wanted)
        (folder / "jack_bus_0_0").unlink()
        folder.rmdir()
        await until(lambda: watch.presence._watch is None, what="that there is no folder any more is noticed")
    watch.presence.stop()


async def test_nothing_is_told_after_the_end_of_the_watch(jack_server: JackServer, watch: Watch) -> None:
    before = held()
    watch.presence.start()
    watch.presence.stop()
    jack_server.start()
    second = Watch(jack_server.socket)
    second.presence.start()
    watch.presence.stop()
    third = Watch(jack_server.socket)
    third.presence.start()
    third.presence.stop()
    jack_server.kill()
    await until(lambda: second.told == [APPEARED, GONE])
    assert (watch.told, third.told) == ([], [APPEARED])
    second.presence.stop()
    assert held() == before
