"""Which other servers are seen, and how they are called."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jackd_router.jack_io.other_servers import other_servers
from jackd_router.jack_io.presence import JACK2_FOLDER, jack2_socket, server_sockets
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import PipeWireServer

OWN = jack2_socket("default")
AUTO = server_sockets("auto", OWN.name)
NOBODY = 2**32 - 3
"""A uid that no user has."""


@pytest.fixture
def listeners() -> Iterator[ExitStack]:
    """Give what closes sockets and takes their files away."""
    with ExitStack() as stack:
        yield stack


def listen(listeners: ExitStack, name: str) -> socket.socket:
    """Listen as a server does, at a file of that name."""
    path = JACK2_FOLDER / name
    listeners.callback(path.unlink, missing_ok=True)
    listener = listeners.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen()
    return listener


@pytest.fixture(autouse=True)
def nobody_else() -> None:
    """Wait until no server of an earlier test is there any more."""
    eventually(lambda: other_servers(AUTO) == frozenset(), timeout=20)


@pytest.mark.jack2("of the names of JACK2 servers")
def test_a_server_of_another_name_is_seen_while_it_runs(running_server: JackServer) -> None:
    assert other_servers(AUTO) == {repr(running_server.name)}
    assert other_servers([running_server.socket]) == frozenset()
    running_server.kill()
    assert running_server.socket_path.exists()
    assert other_servers(AUTO) == frozenset()


def test_pipewire_is_seen_where_nobody_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PipeWireServer(tmp_path / "pipewire.log") as server:
        monkeypatch.setenv("PIPEWIRE_RUNTIME_DIR", server.name)
        assert other_servers([OWN]) == {"PipeWire"}
        assert other_servers([OWN, server.socket]) == frozenset()
        server.kill()
        assert other_servers([OWN]) == frozenset()


def test_names_may_be_anything_and_of_anybody(listeners: ExitStack) -> None:
    for name in (f"jack_a_b 1_{os.getuid()}_0", f"jack_default_{NOBODY}_0", "jack_stage_0", "jack_caf\udce9_0_0", "jack__0"):
        listen(listeners, name)
    listen(listeners, OWN.path.name)
    (JACK2_FOLDER / "jack_file_0_0").touch()
    listeners.callback(Path.unlink, JACK2_FOLDER / "jack_file_0_0")
    cafe = "'caf\\udce9'" if os.getuid() == 0 else "'caf\\udce9' of root"
    assert other_servers(AUTO) == {"'a_b 1'", f"'default' of user {NOBODY}", "'stage'", cafe}
