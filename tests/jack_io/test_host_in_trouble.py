"""The JACK host when something dies, hangs or is stopped: the server, the host itself, or the daemon."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import pytest_asyncio

from jackd_router.core.errors import ServerLost
from jackd_router.jack_host import protocol
from tests.conftest import StartClient
from tests.jack_io.conftest import StartHost
from tests.jack_io.conversation import Conversation, held, until
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import server_env
from tests.support.process import state

pytestmark = pytest.mark.asyncio

PLAN = (1, (b"main_in_1",), (b"main_out_1",), (), ())
PAIR = (b"system:capture_1", b"system:playback_1")

StartOwner = Callable[[str], tuple["subprocess.Popen[str]", int]]

OWNER = """
import asyncio, os, sys
from jackd_router.jack_host import protocol
from jackd_router.jack_host.library import FOLDERS
from jackd_router.jack_io.host_process import HostProcess

async def main():
    host = HostProcess(FOLDERS[sys.argv[3]][0])
    await host.request(protocol.OPEN, sys.argv[3], sys.argv[1], "orphan", (1, (), (b"out",), (), ()), deadline_s=8)
    print(host.pid, flush=True)
    if sys.argv[2] == "request":
        host.submit(print, protocol.CONNECT, b"orphan:out", b"system:playback_1")
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def host(running_server: JackServer, start_host: StartHost) -> AsyncIterator[Conversation]:
    """Give a host that is a client of the server."""
    host = start_host()
    await host.open(running_server.name, plan=PLAN)
    yield host


@pytest.fixture
def start_owner(running_server: JackServer) -> Iterator[StartOwner]:
    """Give a function that starts a process with a host of its own, and gives it and the pid of that host."""
    with ExitStack() as owners:

        def start(what: str) -> tuple[subprocess.Popen[str], int]:
            command = [sys.executable, "-c", OWNER, running_server.name, what, running_server.implementation.value]
            environment = os.environ | server_env(running_server.name)
            owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            owners.enter_context(owner)
            owners.callback(owner.kill)
            assert owner.stdout is not None
            return owner, int(owner.stdout.readline())

        yield start


@contextmanager
def frozen(server: JackServer) -> Iterator[None]:
    """Stop the server for a while."""
    server.freeze()
    try:
        yield
    finally:
        server.resume()


# ---- the server


async def test_death_of_the_server_is_told_and_survived(running_server: JackServer, host: Conversation) -> None:
    running_server.kill()
    await until(host.shut_down, what="libjack tells that the server is gone")
    assert not await host.answers() or (await host.ask(protocol.CONNECT, *PAIR))[0] != 0
    assert host.exits == []
    assert await host.end(say_goodbye=True) == 0


async def test_every_generation_gives_everything_back(jack_server: JackServer) -> None:
    seen: set[tuple[int, int]] = set()
    for generation in range(20):
        host = Conversation(jack_server.implementation)
        jack_server.start()
        name, *_ = await host.open(jack_server.name, plan=PLAN)
        assert name == "router"
        answers: list[object] = []
        for _ in range(30):
            host.host.submit(answers.append, protocol.CONNECT, *PAIR)
        jack_server.kill()
        if generation % 2:
            await until(host.shut_down)
            await host.end(say_goodbye=True)
        else:
            host.host.kill()
            await host.ended()
        assert len(answers) == 30
        del host
        if generation > 0:
            seen.add(held())
    assert len(seen) == 1, f"descriptors and threads after each generation: {seen}"


async def test_frozen_server_makes_requests_overdue_and_nothing_else(running_server: JackServer, host: Conversation) -> None:
    with frozen(running_server):
        with pytest.raises(ServerLost, match="did not answer within"):
            await host.ask(protocol.CONNECT, *PAIR, deadline_s=1)
        assert host.host.overdue_s >= 1
        host.host.ping()
        await until(lambda: host.pongs == 1, what="a ping is answered while the server is frozen")
        assert host.host.overdue_s > 0
    await until(lambda: host.host.overdue_s == 0.0, what="the server goes on, and so does the request")
    assert (await host.ask(protocol.DISCONNECT, *PAIR)) == (0,), "each answer must belong to its own request"
    assert host.exits == []


async def test_goodbye_to_a_frozen_server_ends_at_its_deadline(running_server: JackServer, host: Conversation) -> None:
    running_server.freeze()
    assert await host.end(say_goodbye=True, deadline_s=0.5) == -signal.SIGKILL
    running_server.kill()


async def test_close_during_a_stuck_request_ends_at_its_deadline(running_server: JackServer, host: Conversation) -> None:
    answers: list[object] = []
    running_server.freeze()
    for _ in range(200):
        host.host.submit(answers.append, protocol.CONNECT, *PAIR)
    assert await host.end(say_goodbye=False, deadline_s=0.5) == -signal.SIGKILL
    assert answers == [None] * 200
    running_server.kill()


async def test_open_at_a_frozen_server_goes_on_with_it(running_server: JackServer, start_host: StartHost) -> None:
    host = start_host()
    await until(lambda: host.loaded)
    answers: list[object] = []
    with frozen(running_server):
        host.host.submit(
            answers.append, protocol.OPEN, running_server.implementation.value, running_server.name, "router", (0, (), (), (), ())
        )
        host.host.ping()
        await until(lambda: host.pongs)
        assert answers == []
    await until(lambda: answers)
    assert answers == [(protocol.DONE, "router", 48_000, 256, running_server.says_realtime, "")]


# ---- the host


async def test_stopped_host_answers_no_ping(host: Conversation) -> None:
    os.kill(host.host.pid, signal.SIGSTOP)
    await until(lambda: state(host.host.pid) == "T")
    host.host.ping()
    with pytest.raises(ServerLost):
        await host.ask(protocol.LOAD, deadline_s=1)
    assert host.pongs == 0
    for _ in range(2000):
        host.host.ping()  # must not block where nobody reads
    os.kill(host.host.pid, signal.SIGCONT)
    await until(lambda: host.pongs)


async def test_death_of_the_host_is_told_to_everybody_who_waits(
    running_server: JackServer, host: Conversation, start_client: StartClient
) -> None:
    answers: list[object] = []
    with frozen(running_server):
        for _ in range(100):
            host.host.submit(answers.append, protocol.CONNECT, *PAIR)
        os.kill(host.host.pid, signal.SIGKILL)
        assert await host.ended() == -signal.SIGKILL
    assert answers == [None] * 100
    host.host.submit(answers.append, protocol.LOAD)
    assert len(answers) == 100, "an answer came before the caller was through"
    await until(lambda: len(answers) == 101)
    assert answers[-1] is None
    client = start_client("witness")
    await until(lambda: not any(port.startswith("router:") for port in client.ports()))


async def test_error_in_the_host_ends_it_and_is_logged(
    running_server: JackServer, host: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ServerLost):
        await host.ask("no-such-operation")
    assert await host.ended() == 3
    lines = [record.getMessage() for record in caplog.records]
    assert any("KeyError: 'no-such-operation'" in line for line in lines)
    assert all(line.startswith("The JACK host wrote: ") for line in lines)
    running_server.kill()


# ---- the daemon


@pytest.mark.parametrize("busy", ["idle", "request"])
async def test_host_leaves_the_server_when_the_daemon_is_gone(
    busy: str, start_client: StartClient, start_owner: StartOwner
) -> None:
    client = start_client("witness")
    owner, orphan = start_owner(busy)
    await until(lambda: "orphan:out" in client.ports())
    owner.kill()
    await until(lambda: state(orphan) in ("", "Z"), what="the host ends by itself")
    await until(lambda: "orphan:out" not in client.ports())


async def test_host_ends_without_the_daemon_even_at_a_frozen_server(running_server: JackServer, start_owner: StartOwner) -> None:
    owner, orphan = start_owner("idle")
    running_server.freeze()
    owner.kill()
    await until(lambda: state(orphan) in ("", "Z"), what="the host ends by itself")
    running_server.kill()
