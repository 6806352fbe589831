"""Names as libjack allows them: not UTF-8, and as long as can be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jackd_router.jack_host import memory, protocol
from tests.jack_io.conftest import StartHost
from tests.jack_io.conversation import until
from tests.support.jack_server import JackServer
from tests.support.raw_client import client_with_raw_names

pytestmark = pytest.mark.asyncio

CLIENT = b"caf\xe9 \xff[1]"
OUTPUT = b"\xfe" * 200
# With the client's name and the colon: the server cuts what is longer than 256 bytes.
LONGEST = b"n" * (256 - len(CLIENT) - 1)
OTHER = b"\xe4 (2): \x80/*?"


@pytest.fixture
def raw_client(running_server: JackServer) -> Iterator[None]:
    """Let there be a client with ports of such names."""
    with client_with_raw_names(running_server.name, CLIENT, OUTPUT, OTHER, LONGEST):
        yield


FULL = [CLIENT + b":" + name for name in (OUTPUT, OTHER, LONGEST)]


@pytest.mark.usefixtures("raw_client")
async def test_listing_keeps_every_byte(running_server: JackServer, start_host: StartHost) -> None:
    host = start_host()
    await host.open(running_server.name)
    found = await host.read_graph()
    assert {name for name in found if not name.startswith(b"system:")} == {*FULL}


@pytest.mark.usefixtures("raw_client")
async def test_connect_takes_every_byte(running_server: JackServer, start_host: StartHost) -> None:
    host = start_host()
    await host.open(running_server.name)
    assert await host.ask(protocol.CONNECT, FULL[0], FULL[1]) == (0,)
    assert await host.ask(protocol.CONNECT, FULL[2], b"system:playback_1") == (0,)
    await host.read_graph()
    pairs = {(host.ports[source][1], host.ports[destination][1]) for source, destination in host.connections}
    assert pairs == {(FULL[0], FULL[1]), (FULL[2], b"system:playback_1")}
    assert await host.ask(protocol.DISCONNECT, FULL[0], FULL[1]) == (0,)


async def test_notification_keeps_every_byte(
    running_server: JackServer, start_host: StartHost, request: pytest.FixtureRequest
) -> None:
    host = start_host()
    await host.open(running_server.name)
    request.getfixturevalue("raw_client")
    await until(lambda: len(host.told(memory.EVENT_PORT, 1)) == len(FULL))
    assert {event.name for event in host.told(memory.EVENT_PORT, 1)} == {*FULL}
    assert host.told(memory.EVENT_CLIENT, 1)[-1].name == CLIENT
