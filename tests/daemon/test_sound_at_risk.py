"""Realtime priority and locked memory: what the daemon finds out about them, and to whom it says what."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import StartClient
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

pytestmark = pytest.mark.timeout(120)

WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-sys_nice,-ipc_lock", "prlimit", "--rtprio=0", "--memlock=65536", "--")
"""Root is above limits as long as it has these two capabilities."""

BUS = '[[bus]]\nname = "main"\nchannels = 2\n'
SERVER, CLIENT, MEMORY = "jackd -R", "limit rtprio (now 0)", "limit memlock (now 64 KiB)"
"""What each hint speaks of."""


def may_be_realtime() -> bool:
    """Whether this machine lets us: a container may not, and a user without limits may not."""
    return subprocess.run(["chrt", "--fifo", "1", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def router(tmp_path: Path, session_bus: SessionBus, jack_server: JackServer) -> RouterProcess:
    """Give a daemon that is not started yet."""
    return RouterProcess(tmp_path, BUS, bus_address=session_bus.address, server_name=jack_server.name)


def has_hints(remote: Remote, *texts: str) -> bool:
    """Whether these are the hints now, and no other."""
    hints = remote.read("Server.Hints")
    return len(hints) == len(texts) and all(text in hint for text, hint in zip(texts, hints, strict=True))


def warnings(router: RouterProcess, text: str) -> int:
    """Give how often the log warns of it."""
    return sum("warning: " in line and text in line for line in router.output().splitlines())


def test_priority_is_that_of_the_thread(jack_server: JackServer, router: RouterProcess, remote: Remote) -> None:
    permitted = may_be_realtime()
    jack_server.realtime_priority = 10
    jack_server.start()
    with router:
        eventually(lambda: remote.connected() and remote.read("Server.Realtime"))
        # By then the daemon has looked more than twice: 4 s of sound.
        eventually(lambda: remote.read("Server.CycleCount") > 4 * 48_000 / 256, timeout=20)
        assert remote.read("Server.ClientRealtime") is permitted
        assert any("rtprio" in hint for hint in remote.read("Server.Hints")) is not permitted
        assert has_realtime_thread(router) is permitted


def has_realtime_thread(router: RouterProcess) -> bool:
    """Whether chrt finds a thread of the JACK host that has realtime priority."""
    command = ["chrt", "--all-tasks", "--pid", str(router.host_pid())]
    return "SCHED_FIFO" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.jack2("PipeWire lets nobody freewheel but itself, and always says that it is realtime")
def test_freewheel_is_no_lack_of_priority(
    jack_server: JackServer, router: RouterProcess, remote: Remote, start_client: StartClient
) -> None:
    permitted = may_be_realtime()
    jack_server.realtime_priority = 10
    jack_server.start()
    exporter = start_client("exporter", outputs=["out"])
    with router:
        eventually(lambda: remote.connected() and remote.read("Server.CycleCount") > 4 * 48_000 / 256, timeout=20)
        before = (remote.read("Server.ClientRealtime"), remote.read("Server.Hints"))
        assert before[0] is permitted
        exporter.set_freewheel(True)
        eventually(lambda: remote.read("Server.Freewheeling"))
        eventually(lambda: not has_realtime_thread(router), what="JACK2 takes the priority from its clients")
        cycles = remote.read("Server.CycleCount")
        until = time.monotonic() + 3  # the daemon looks twice
        eventually(lambda: time.monotonic() > until)
        assert (remote.read("Server.ClientRealtime"), remote.read("Server.Hints")) == before
        assert remote.read("Server.CycleCount") == cycles
        exporter.set_freewheel(False)
        eventually(lambda: remote.read("Server.CycleCount") > cycles + 4 * 48_000 / 256, timeout=20)
        assert (remote.read("Server.ClientRealtime"), remote.read("Server.Hints")) == before


@pytest.mark.jack2("PipeWire lets nobody freewheel but itself, and always says that it is realtime")
def test_a_server_without_priority_is_told_once_until_it_is_mended(
    jack_server: JackServer, router: RouterProcess, remote: Remote
) -> None:
    jack_server.start()
    with router:
        eventually(lambda: has_hints(remote, SERVER))
        assert remote.read("Server.Realtime") is remote.read("Server.ClientRealtime") is False
        assert remote.read("Manager.Status") == "ok"
        assert remote.call("Manager.GetStatus")["hints"] == remote.read("Server.Hints")
        assert warnings(router, SERVER) == 1

        jack_server.kill()
        eventually(lambda: has_hints(remote))
        jack_server.start()
        eventually(lambda: has_hints(remote, SERVER))
        assert warnings(router, SERVER) == 1

        jack_server.terminate()
        jack_server.realtime_priority = 10
        jack_server.start()
        eventually(lambda: remote.read("Server.Realtime"))
        eventually(lambda: remote.read("Server.CycleCount") > 4 * 48_000 / 256, timeout=20)
        jack_server.terminate()
        jack_server.realtime_priority = None
        jack_server.start()
        eventually(lambda: has_hints(remote, SERVER))
        assert warnings(router, SERVER) == 2


def test_limits_that_are_too_low_are_named(jack_server: JackServer, router: RouterProcess, remote: Remote) -> None:
    jack_server.realtime_priority = 10
    jack_server.start()
    router.wrapper = WITHOUT_PRIVILEGES
    with router:
        eventually(lambda: has_hints(remote, CLIENT, MEMORY))
        assert remote.read("Server.Realtime") is True
        assert remote.read("Server.ClientRealtime") is False
        assert remote.read("Manager.Status") == "ok"
        assert [warnings(router, text) for text in (CLIENT, MEMORY)] == [1, 1]

        told = router.cli("status").stdout
        assert ", realtime without us, " in told
        assert "\nHint 1   " in told
        assert "\nHint 2   " in told
        status = json.loads(router.cli("status", "--json").stdout)
        assert (status["realtime"], status["client_realtime"]) == (True, False)
        assert status["hints"] == remote.read("Server.Hints")
