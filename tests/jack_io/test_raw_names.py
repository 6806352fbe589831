"""Names as libjack allows them: not UTF-8, and as long as can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from jackd_router.jack_host import memory, protocol
from tests.jack_io.conftest import StartHost
from tests.jack_io.conversation import until
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

CLIENT = b"caf\xe9 \xff[1]"
OUTPUT = b"\xfe" * 200
# With the client's name and the colon: the server cuts what is longer than 256 bytes.
LONGEST = b"n" * (256 - len(CLIENT) - 1)
OTHER = b"\xe4 (2): \x80/*?"

PROGRAM = """
import ctypes, sys
jack = ctypes.CDLL("libjack.so.0")
jack.jack_client_open.restype = jack.jack_port_register.restype = ctypes.c_void_p
jack.jack_port_register.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]
server, name, *ports = (bytes.fromhex(text) for text in sys.argv[1:])
status = ctypes.c_int()
client = jack.jack_client_open(name, 1 | 2 | 4, ctypes.byref(status), server)
assert client
assert jack.jack_activate(ctypes.c_void_p(client)) == 0
for position, port in enumerate(ports):
    assert jack.jack_port_register(client, port, b"32 bit float mono audio", 2 - position % 2, 0)
print("ready", flush=True)
sys.stdin.read()
jack.jack_client_close(ctypes.c_void_p(client))
"""


@pytest.fixture
def raw_client(running_server: JackServer) -> Iterator[None]:
    """Let there be a client with ports of such names."""
    arguments = [name.hex() for name in (running_server.name.encode(), CLIENT, OUTPUT, OTHER, LONGEST)]
    with (
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        ExitStack() as end,
    ):
        end.callback(process.kill)  # also when it does not answer: Popen would wait for it for ever
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        assert process.communicate(timeout=10)
    assert process.returncode == 0


FULL = [CLIENT + b":" + name for name in (OUTPUT, OTHER, LONGEST)]


@pytest.mark.usefixtures("raw_client")
async def test_listing_keeps_every_byte(running_server: JackServer, start_host: StartHost) -> None:
    host = start_host()
    await host.open(running_server.name)
    found = await host.read_graph()
    assert [name for name in found if not name.startswith(b"system:")] == FULL


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
    assert [event.name for event in host.told(memory.EVENT_PORT, 1)] == FULL
    assert host.told(memory.EVENT_CLIENT, 1)[-1].name == CLIENT
