"""A server that dies frozen, freezes while we open, is not ours, has no room: what is told meanwhile, and what is right then."""

from __future__ import annotations

import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jackd_router.dbus_api.names import bus_path
from jackd_router.jack_io.presence import JACK2_FOLDER
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, JackClientError
from tests.support.jack_server import JackServer
from tests.support.jackdbus_server import JackDbus
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

CONFIG = """
[daemon]
watch = false

[[rule]]
name = "ears to bus"
from = "ears:*"
to = { bus = "main" }

[[rule]]
name = "bus to ears"
from = { bus = "main" }
to = "ears:*"

[[bus]]
name = "main"
channels = 1
"""
MAIN = bus_path("main")
TO_EARS = {("ears:out", "router:main_in_1"), ("router:main_out_1", "ears:in")}


def wait_until_told(router: RouterProcess, remote: Remote, state: str, status: str, text: str) -> None:
    """Wait until the state is told everywhere where people look: on D-Bus, and to the service manager."""

    def told() -> bool:
        assert (remote.read("Server.State"), remote.read("Manager.Status")) == (state, status)
        shown = remote.read("Manager.StatusText")
        assert text in shown, shown
        return bool(router.notify.last("STATUS") == shown)

    eventually(told, timeout=15)


@contextmanager
def ears(server: JackServer) -> Iterator[JackClient]:
    """Give the client that the rules want."""
    with JackClient(server.name, "ears", outputs=["out"], inputs=["in"]) as client:
        yield client


# ---- frozen


def test_a_frozen_server_that_is_killed_is_followed_by_the_next(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(CONFIG)
    eventually(remote.connected)
    running_server.freeze()
    wait_until_told(router, remote, "unresponsive", "degraded", "does not answer: it runs no cycles")
    running_server.kill()
    wait_until_told(router, remote, "connecting", "ok", "waiting for ")
    assert remote.read("Server.LastError") == "", "what ailed one that is gone"
    running_server.start()
    wait_until_told(router, remote, "connected", "ok", "48000 Hz, 256 frames")
    assert "The JACK server does not answer: it runs no cycles" in router.output()
    assert "The JACK server is gone: " in router.output()
    with ears(running_server) as client:
        eventually(lambda: client.connections() == TO_EARS)


@pytest.mark.jack2("PipeWire lets nobody freewheel but itself")
def test_a_server_that_freezes_while_it_freewheels(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(CONFIG)
    eventually(remote.connected)
    exporter = start_client("exporter")
    exporter.set_freewheel(True)
    eventually(lambda: remote.read("Server.Freewheeling"))
    running_server.freeze()
    wait_until_told(router, remote, "unresponsive", "degraded", "does not answer: it runs no cycles")
    running_server.resume()
    wait_until_told(router, remote, "connected", "ok", "48000 Hz, 256 frames")
    exporter.set_freewheel(False)


@pytest.mark.parametrize("end", ["thaw", "kill"])
def test_a_server_that_freezes_while_we_open(
    end: str, running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    running_server.freeze()
    router = start_router(CONFIG)
    wait_until_told(router, remote, "unresponsive", "degraded", "does not answer: a request is not answered")
    assert remote.ports() == set()
    if end == "kill":
        running_server.kill()
        wait_until_told(router, remote, "connecting", "ok", "waiting for ")
        running_server.start()
    else:
        running_server.resume()
    wait_until_told(router, remote, "connected", "ok", "48000 Hz, 256 frames")
    with ears(running_server) as client:
        eventually(lambda: client.connections() == TO_EARS)


def test_callers_do_not_wait_for_a_frozen_server(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(CONFIG)
    client = start_client("ears", outputs=["out"], inputs=["in"])
    eventually(lambda: remote.connections() == TO_EARS)
    running_server.freeze()
    pair = ("ears:out", "system:playback_1")
    # Nobody knows yet that it does not answer: this one waits, and in the JACK host it keeps all others waiting.
    assert remote.error("Graph.Connect", "ssa{sv}", *pair, NO_OPTIONS).name.endswith(".NotConnected")
    eventually(lambda: remote.read("Server.State") == "unresponsive")
    began = time.monotonic()
    for _ in range(5):
        assert remote.read("Server.DspLoad") == 0.0
        assert "does not answer" in remote.error("Graph.Disconnect", "ssa{sv}", *next(iter(TO_EARS)), NO_OPTIONS).text
        router.write_config(CONFIG.replace("channels = 1", "channels = 2"))
        remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        router.write_config(CONFIG)
        remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    # Each of these once waited for between 2 and 10 s.
    assert time.monotonic() - began < 10
    running_server.resume()
    wait_until_told(router, remote, "connected", "ok", "48000 Hz")
    eventually(lambda: client.connections() >= TO_EARS)


# ---- not the one that is waited for


@pytest.mark.jack2("there is one PipeWire, and it has no name")
def test_servers_of_other_names_and_users_are_told_of_and_left_alone(
    tmp_path: Path, jack_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(CONFIG)
    with JackServer(tmp_path / "studio.log") as studio, server_of_another_user(tmp_path, jack_server.name) as owner:
        others = f"none runs here, but '{jack_server.name}' of {owner}, '{studio.name}'"
        waiting = f"waiting for JACK server '{jack_server.name}'"
        wait_until_told(router, remote, "connecting", "ok", f"{waiting} ({others})")
        assert remote.read("Server.LastError") == others
        assert f"Waiting for JACK server '{jack_server.name}': {others}" in router.output()
        with JackClient(studio.name, "eyes") as eyes:
            assert not any(port.startswith("router") for port in eyes.ports())
        jack_server.start()
        wait_until_told(router, remote, "connected", "ok", f"connected to JACK server '{jack_server.name}'")
        assert remote.read("Server.LastError") == ""
    with ears(jack_server) as client:
        eventually(lambda: client.connections() == TO_EARS)


@contextmanager
def server_of_another_user(folder: Path, name: str) -> Iterator[str]:
    """Let there be a server of that name, and give whose it is.

    Who is not root is the only user inside of tests/isolate: there it is a socket at which nobody answers.
    """
    owner = pwd.getpwnam("nobody")
    if int(Path("/proc/self/uid_map").read_text().split()[2]) > owner.pw_uid:
        with JackServer(folder / "other.log", name=name, uid=owner.pw_uid):
            yield owner.pw_name
    else:
        path = JACK2_FOLDER / f"jack_{name}_{owner.pw_uid}_0"
        with socket.create_server(str(path), family=socket.AF_UNIX):
            yield owner.pw_name
        path.unlink()


@pytest.mark.jack2("jackdbus is of JACK2")
def test_jackdbus_takes_the_place_of_jackd_and_begins_anew_in_its_process(
    tmp_path: Path, running_server: JackServer, session_bus: SessionBus, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(CONFIG)
    eventually(remote.connected)
    running_server.terminate()
    with JackDbus(tmp_path, session_bus.address, name=running_server.name) as jackdbus:
        for _ in range(2):
            wait_until_told(router, remote, "connected", "ok", f"connected to JACK server '{jackdbus.name}'")
            with ears(jackdbus) as client:
                eventually(lambda: client.connections() == TO_EARS)
            jackdbus.stop_server()
            wait_until_told(router, remote, "connecting", "ok", f"waiting for JACK server '{jackdbus.name}'")
            jackdbus.start_server()


# ---- no room


def test_where_there_are_no_ports_left_buses_wait_for_them(tmp_path: Path, session_bus: SessionBus, remote: Remote) -> None:
    with (
        JackServer(tmp_path / "jackd.log", port_max=128) as server,
        JackClient(server.name, "crowd") as crowd,
        JackClient(server.name, "eyes") as eyes,
    ):
        taken = fill(crowd)
        with RouterProcess(tmp_path, CONFIG, bus_address=session_bus.address, server_name=server.name) as router:
            reason = "the buses are not as they should be: the server refused our port main_"
            wait_until_told(router, remote, "connected", "degraded", reason)
            assert reason.replace("the", "The", 1) in router.output()
            assert remote.read("Bus.Active", path=MAIN) is False
            crowd.unregister(*taken[:2])
            wait_until_told(router, remote, "connected", "ok", "connected to JACK server")
            assert remote.read("Bus.Active", path=MAIN) is True
            assert {"router:main_in_1", "router:main_out_1"} <= eyes.ports()


def fill(crowd: JackClient) -> list[str]:
    """Let a client have all ports that are left, and give them."""
    taken: list[str] = []
    with suppress(JackClientError):
        for number in range(200):
            crowd.register(f"out_{number}")
            taken.append(f"out_{number}")
    assert len(taken) < 200
    return taken


@contextmanager
def crowd_of_clients(server: JackServer) -> Iterator[Callable[[], None]]:
    """Let there be as many clients as the server takes; give what lets one of them leave."""
    command = [sys.executable, "-c", CROWD, server.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        told, answers = program.stdin, program.stdout
        assert told is not None
        assert answers is not None
        assert int(answers.readline()) > 200

        def leave_one() -> None:
            print(file=told, flush=True)
            assert answers.readline() == "left\n"

        yield leave_one
        program.communicate()


CROWD = """import ctypes, sys
jack = ctypes.CDLL("libjack.so.0")
jack.jack_client_open.restype = ctypes.c_void_p
silence = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda message: None)
jack.jack_set_error_function(silence)
clients, status, server = [], ctypes.c_int(), sys.argv[1].encode()
while client := jack.jack_client_open(b"crowd-%d" % len(clients), 1 | 2 | 4, ctypes.byref(status), server):
    clients.append(ctypes.c_void_p(client))
print(len(clients), flush=True)
for _ in sys.stdin:
    jack.jack_client_close(clients.pop())
    print("left", flush=True)
for client in clients:
    jack.jack_client_close(client)
"""


@pytest.mark.jack2("PipeWire has no such limit")
def test_where_there_are_too_many_clients_it_waits_for_one_to_leave(
    jack_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    jack_server.start()
    with crowd_of_clients(jack_server) as leave_one:
        router = start_router(CONFIG)
        wait_until_told(router, remote, "connecting", "degraded", f"waiting for JACK server '{jack_server.name}' (")
        assert remote.read("Server.RetryCount") > 0
        for _ in range(50):  # also while it is tried again
            assert "router" in remote.read("Server.LastError")
        assert router.output().count("Could not connect to the JACK server: ") == 1
        leave_one()
        wait_until_told(router, remote, "connected", "ok", f"connected to JACK server '{jack_server.name}'")


def test_where_another_client_has_our_name_we_take_the_one_that_we_are_given(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("router", outputs=["main_out_1"])
    client = start_client("ears", outputs=["out"], inputs=["in"])
    router = start_router(CONFIG)
    wait_until_told(router, remote, "connected", "ok", f"connected to {running_server.title} as 'router-01'")
    assert remote.read("Server.ClientName") == "router-01"
    eventually(lambda: client.connections() == {("ears:out", "router-01:main_in_1"), ("router-01:main_out_1", "ears:in")})
