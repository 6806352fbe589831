"""The realtime thread of a running host, from outside: what it asks of the kernel of the system, and that no page is missing.

Its only system call is futex, and that is libjack's own: JackLinuxFutex, the semaphore on which JACK2 lets each client
wait for its turn in the cycle (FUTEX_WAIT), and by which a client wakes those that come after it (FUTEX_WAKE).

All memory that it touches is there before: ours is populated, and libjack locks the server's, 100 MB with the buffers of
all ports. Where it may not (8 MB are the usual limit of a user who is in no group audio), another thread has looked at the
buffers of new ports first. What is left is libjack's own: a page of its tables of connections, of which there are two in turn.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, noise
from tests.support.jack_server import JackServer
from tests.support.process import Process, switches
from tests.support.router_process import RouterProcess

CHANNELS = 64
CONFIG = f"""
[daemon]
watch = false

[[bus]]
name = "main"
channels = {CHANNELS}

[[rule]]
name = "in"
from = "studio:out_*"
to = {{ bus = "main" }}

[[rule]]
name = "out"
from = {{ bus = "main" }}
to = "studio:in_*"
"""
MORE = f"""
[[bus]]
name = "more"
channels = {CHANNELS}

[[rule]]
name = "in more"
from = "studio:out_*"
to = {{ bus = "more" }}
"""


USUAL_LIMIT = ("setpriv", "--bounding-set=-ipc_lock", "prlimit", "--memlock=8388608", "--")
"""Enough for the 5 MB of ours, but not for the server's memory."""


MOST_OF_LIBJACK = 4
"""Faults for 128 new ports; it were 33 when nobody had looked at their buffers."""


class Faults(NamedTuple):
    """Pages that a thread has missed so far."""

    minor: int
    major: int


@pytest.fixture
def studio(running_server: JackServer, start_client: StartClient) -> JackClient:
    """Give a client that plays noise and listens."""
    client = start_client("studio", outputs=["out_1", "out_2"], inputs=["in_1", "in_2"])
    client.play_forever({port: noise(4800) for port in ("out_1", "out_2")})
    return client


@pytest.fixture(params=["all memory is locked", "our memory is locked"])
def router(request: pytest.FixtureRequest, studio: JackClient, start_router: StartRouter) -> RouterProcess:
    """Give a daemon whose bus the studio plays into and hears."""
    started = start_router(CONFIG)
    if request.param == "our memory is locked":
        started.stop()
        started.wrapper = USUAL_LIMIT
        started.start()
    wired = {("studio:out_1", "router:main_in_1"), ("router:main_out_1", "studio:in_1")}
    eventually(lambda: wired <= studio.connections(), what="the studio hears the bus")
    return started


@pytest.fixture
def thread(router: RouterProcess) -> Path:
    """Give the realtime thread of the host after its first second, as its folder in /proc."""
    host = router.host_pid()
    assert host is not None
    before = switches(host)
    eventually(lambda: max(_growth(host, before).values()) >= 200, what="a second of periods of 256 frames")
    growth = _growth(host, before)
    return Path(f"/proc/{host}/task/{max(growth, key=growth.__getitem__)}")


@pytest.mark.jack2("PipeWire's thread reads and writes descriptors")
def test_makes_no_system_call_of_its_own_and_misses_no_page(
    thread: Path, router: RouterProcess, remote: Remote, studio: JackClient, tmp_path: Path
) -> None:
    with _calls_of(thread, tmp_path) as calls:
        faults = _faults(thread)
        _turn_gain(remote, "main")
        assert _faults(thread) == faults
        router.write_config(CONFIG + MORE)
        remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        eventually(lambda: ("studio:out_1", "router:more_in_1") in studio.connections(), what="the new bus is fed")
        _turn_gain(remote, "more")
        minor, major = _faults(thread)
        assert major == faults.major
        assert minor - faults.minor <= (MOST_OF_LIBJACK if router.wrapper else 0)
        faults = _faults(thread)
        _turn_gain(remote, "more")
        assert _faults(thread) == faults
    assert len(calls) > 200, calls
    others = [call for call in calls if not re.match(r"futex\(0x[0-9a-f]+, FUTEX_(WAIT|WAKE), ", call)]
    assert not others
    assert any("FUTEX_WAKE" in call for call in calls), "nobody came after us in the cycle"


def _turn_gain(remote: Remote, bus: str) -> None:
    """Set the gain of a bus many times: each is a new target for all of its channels."""
    for number in range(200):
        remote.write("Bus.Gain", "d", -number / 10, path=bus_path(bus))


def _growth(pid: int, before: dict[int, int]) -> dict[int, int]:
    return {number: count - before.get(number, 0) for number, count in switches(pid).items()}


def _faults(thread: Path) -> Faults:
    fields = (thread / "stat").read_text().rpartition(")")[2].split()
    return Faults(int(fields[7]), int(fields[9]))


@contextmanager
def _calls_of(thread: Path, folder: Path) -> Iterator[list[str]]:
    """Let strace watch one thread meanwhile; afterwards the list has its system calls."""
    output, calls = folder / "calls", list[str]()
    strace = Process(["strace", "-p", thread.name, "-o", str(output)], folder / "strace.log")
    try:
        eventually(lambda: "attached" in strace.output() or strace.status(), what="strace is attached")
        assert strace.status() is None, strace.output()
        yield calls
    finally:
        strace.send(signal.SIGINT)
        strace.wait()
    calls += output.read_text().splitlines()
