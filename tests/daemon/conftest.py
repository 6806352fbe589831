"""What the tests of the real process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import Remote
from tests.daemon.sound import Sound
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import PipeWireServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

OpenRemote = Callable[[], Remote]
StartBeside = Callable[..., RouterProcess]
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
def pipewire(tmp_path: Path, keep_log: Callable[[Path], None]) -> Iterator[PipeWireServer]:
    """Give a PipeWire that is not started, without a device but those that the test asks for."""
    server = PipeWireServer(tmp_path / "pipewire.log", captures=0, playbacks=0)
    keep_log(server.log)
    yield server
    if server.is_running:
        server.terminate()


@pytest.fixture
def start_beside(
    tmp_path: Path, session_bus: SessionBus, pipewire: PipeWireServer, keep_log: Callable[[Path], None]
) -> Iterator[StartBeside]:
    """Give a function that starts a daemon beside that PipeWire."""
    routers: list[RouterProcess] = []

    def start_one(config: str, *, jack2: str = "none", environment: Mapping[str, str] | None = None) -> RouterProcess:
        folder = tmp_path / "router"
        folder.mkdir()
        router = RouterProcess(folder, config, bus_address=session_bus.address, server_name=pipewire.name)
        router.extra_env |= {"JACK_DEFAULT_SERVER": jack2, **(environment or {})}
        keep_log(router.log)
        routers.append(router)
        router.start()
        return router

    yield start_one
    for router in routers:
        router.close(check=True)


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
