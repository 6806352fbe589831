"""What the tests of the real process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import Remote
from tests.daemon.sound import Sound
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.session_bus import SessionBus

OpenRemote = Callable[[], Remote]
StartSound = Callable[..., Sound]


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


@pytest.fixture
def start_sound(jack_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote) -> StartSound:
    """Give a function that starts a daemon with buses, and clients that send and receive around the one named main."""

    def start(config: str, *, inputs: int = 1, outputs: int = 1) -> Sound:
        jack_server.synchronous = True
        jack_server.start()
        mouth = start_client("mouth", outputs=[f"out_{n}" for n in range(1, inputs + 1)])
        ears = start_client("ears", inputs=[f"in_{n}" for n in range(1, outputs + 1)])
        sound = Sound(mouth, ears, start_router(Sound.RULES + config), remote)
        sound.wait_for_connections()
        return sound

    return start
