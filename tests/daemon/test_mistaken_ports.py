"""What PipeWire connects in place of a port that went before it had our request, and what it only seems to."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jackd_router.dbus_api.errors import CallError
from tests.daemon.conftest import StartBeside
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.pipewire_server import PipeWireServer

RULE = """
[[rule]]
name = "to tape"
enabled = false
from = "synth:out"
to = "tape:in"
"""
ANOTHER = """
[[rule]]
name = "another"
from = "synth:out"
to = "other:in"
"""
WANTED, MADE = ("synth:out", "tape:in"), ("synth:out", "other:in")
TOLD = "JACK connected synth:out -> other:in instead of synth:out -> tape:in, of which a port went meanwhile"

_PIDFD_GETFD = 438
"""The number of the system call, on every architecture of this century: Python 3.11 has no function for it."""


@pytest.fixture
def synth(pipewire: PipeWireServer) -> Iterator[JackClient]:
    """Give a client that plays, on a PipeWire that runs, beside those of `tape` and `other`."""
    pipewire.start()
    with JackClient(pipewire.name, "synth", outputs=["out"]) as client:
        yield client


@pytest.fixture
def tape(pipewire: PipeWireServer, synth: JackClient) -> Iterator[JackClient]:
    """Give the client whose port will go."""
    with JackClient(pipewire.name, "tape", inputs=["in"]) as client:
        yield client


@pytest.fixture
def other(pipewire: PipeWireServer, synth: JackClient) -> Iterator[JackClient]:
    """Give the client whose port takes its place."""
    with JackClient(pipewire.name, "other") as client:
        yield client


def sockets_of(pid: int) -> list[socket.socket]:
    """Give duplicates of all that a server has: each holds what a client has sent and the server has not read."""
    process = os.pidfd_open(pid)
    links = {int(fd.name): str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    numbers = [fd for fd, link in links.items() if link.startswith("socket:")]
    sockets = [socket.socket(fileno=ctypes.CDLL(None).syscall(_PIDFD_GETFD, process, fd, 0)) for fd in numbers]
    os.close(process)
    return sockets


def unread(one: socket.socket) -> int:
    """Give how many bytes wait in a socket."""
    if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return 0
    return int.from_bytes(fcntl.ioctl(one, termios.FIONREAD, bytes(4)), sys.byteorder)


@contextmanager
def standing_still(server: PipeWireServer) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Let the server stand still; give a function that calls another and returns when a request has reached the server."""
    sockets = sockets_of(server.pid)
    answers: list[Future[object]] = []
    with ThreadPoolExecutor() as asking:
        server.freeze()

        def ask(question: Callable[[], object]) -> None:
            before = sum(map(unread, sockets))
            answers.append(asking.submit(question))
            eventually(lambda: sum(map(unread, sockets)) > before)

        try:
            yield ask
        finally:
            server.resume()
            for one in sockets:
                one.close()
        for answer in answers:
            answer.result(10)


@contextmanager
def taking_the_place(
    server: PipeWireServer, tape: JackClient, other: JackClient
) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Do the same where a port of one client goes first, and one of another client comes."""
    with standing_still(server) as ask:
        ask(lambda: tape.unregister("in"))
        ask(lambda: other.register("in", flow="input"))
        yield ask


def rule_asks(remote: Remote) -> None:
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "to tape", True, NO_OPTIONS)


def somebody_asks(remote: Remote, member: str = "Connect") -> None:
    # There is no such port, unless the answer comes before the news.
    with suppress(CallError):
        remote.call(f"Graph.{member}", "ssa{sv}", *WANTED, NO_OPTIONS)


@pytest.mark.parametrize("asks", [rule_asks, somebody_asks])
def test_what_takes_the_place_is_taken_back(
    pipewire: PipeWireServer,
    start_beside: StartBeside,
    remote: Remote,
    synth: JackClient,
    tape: JackClient,
    other: JackClient,
    asks: Callable[[Remote], None],
) -> None:
    router = start_beside(RULE)
    eventually(lambda: remote.connected() and set(WANTED) <= remote.ports())
    with taking_the_place(pipewire, tape, other) as ask:
        ask(lambda: asks(remote))
    eventually(lambda: TOLD in router.output())
    eventually(lambda: "Disconnected synth:out -> other:in as nobody has asked for it" in router.output())
    eventually(lambda: not synth.connections() and not remote.connections())
    assert (remote.read("Rules.Held"), remote.read("Rules.Kept")) == ([], [])


def test_it_is_also_where_somebody_has_changed_his_mind(
    pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote, synth: JackClient, tape: JackClient, other: JackClient
) -> None:
    router = start_beside("")
    eventually(lambda: remote.connected() and set(WANTED) <= remote.ports())
    with ThreadPoolExecutor() as asking:
        with taking_the_place(pipewire, tape, other) as ask:
            ask(lambda: somebody_asks(remote))
            changed = asking.submit(somebody_asks, remote, "Disconnect")
            eventually(lambda: remote.call("Manager.GetStatus") and not changed.done())
        changed.result(10)
    eventually(lambda: TOLD in router.output())
    eventually(lambda: not synth.connections() and not remote.connections())


def test_what_another_rule_wants_is_made_again_for_that_rule(
    pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote, synth: JackClient, tape: JackClient, other: JackClient
) -> None:
    router = start_beside(RULE + ANOTHER)
    eventually(lambda: remote.connected() and set(WANTED) <= remote.ports())
    with taking_the_place(pipewire, tape, other) as ask:
        ask(lambda: rule_asks(remote))
    eventually(lambda: TOLD in router.output())
    eventually(lambda: ["another", "connect", *MADE] in remote.applied())
    eventually(lambda: synth.connections() == remote.connections() == {MADE})
    assert remote.call("Rules.Explain", "ss", *MADE)[0] == "connected"


@pytest.mark.parametrize("is_new", [True, False])
def test_what_others_connect_stays(
    pipewire: PipeWireServer,
    start_beside: StartBeside,
    remote: Remote,
    synth: JackClient,
    tape: JackClient,
    other: JackClient,
    is_new: bool,
) -> None:
    """Nothing has come of our request; a port that came later, or one that was there before, is connected by somebody else."""
    if not is_new:
        other.register("in", flow="input")
    router = start_beside(RULE)
    eventually(lambda: remote.connected() and set(WANTED) <= remote.ports())
    with standing_still(pipewire) as ask:
        ask(lambda: tape.unregister("in"))
        ask(lambda: rule_asks(remote))
    if is_new:
        other.register("in", flow="input")
    eventually(lambda: set(MADE) <= synth.ports())
    synth.connect(*MADE)
    eventually(lambda: remote.connections() == {MADE})
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)  # which waits until all that follows is done
    synth.assert_connections({MADE})
    assert "instead of" not in router.output()
