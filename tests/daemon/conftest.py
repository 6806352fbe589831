"""What the tests of the real process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import StartClient
from tests.daemon.remote import Remote
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.session_bus import SessionBus

OpenRemote = Callable[[], Remote]


@pytest.fixture
def open_remote(session_bus: SessionBus) -> Iterator[OpenRemote]:
    """Give a function that connects another client to the message bus."""
    with ExitStack() as remotes:

        def open_one() -> Remote:
            remote = Remote(session_bus.address)
            remotes.callback(remote.close)
            return remote

        yield open_one


@pytest.fixture
def remote(open_remote: OpenRemote) -> Remote:
    """Give a client on the message bus."""
    return open_remote()


@pytest.fixture
def desk(running_server: JackServer, start_client: StartClient) -> JackClient:
    """Give a client with two inputs, and start another one, synth, with two outputs."""
    start_client("synth", outputs=["left", "right"])
    return start_client("desk", inputs=["left", "right"])
