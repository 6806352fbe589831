"""When somebody who asked for a connection is answered: the server's answer and its notification come in any order, or not."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jackd_router.core.errors import ServerLost
from jackd_router.core.graph import Graph
from jackd_router.jack_host import protocol
from jackd_router.runtime import connection_requests
from jackd_router.runtime.connection_requests import ConnectionRequests
from jackd_router.runtime.ledger import Ledger
from tests.core.building import connection, destination, source

PAIR, OTHER = connection("synth:out -> tape:in"), connection("synth:out -> radio:in")
REFUSED = -1
NEVER_S = 3_600.0

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time answer nobody, but where a test says so."""
    monkeypatch.setattr(connection_requests, "_CALLER_S", NEVER_S)
    monkeypatch.setattr(connection_requests, "_CALLER_ECHO_S", NEVER_S)


class World:
    """Requests to a server that answers, and tells what was done, when a test says so."""

    def __init__(self) -> None:
        self.graph, self.ledger = Graph(), Ledger()
        for port in (source("synth:out"), destination("tape:in")):
            self.graph.add_port(replace(port, registration=self.graph.newest + 1))
        self._waiting: list[Callable[[Any], None]] = []
        self.requests = ConnectionRequests(self.graph, lambda *_: None, lambda *_: None, lambda _: None)
        self.requests.begin_generation(self, self.ledger, mistakes_ports=True)  # type: ignore[arg-type]

    def submit(self, done: Callable[[Any], None], operation: str, *names: bytes) -> None:
        """Take a request, as the JACK host does."""
        self._waiting.append(done)

    async def call(self, calls: asyncio.TaskGroup, *, connect: bool = True) -> asyncio.Task[int]:
        """Let somebody ask for the pair, connected or not."""
        task = calls.create_task(self.requests.ask_for_caller(PAIR, connect=connect))
        await _all_done()
        return task

    async def answer(self, code: int) -> None:
        """Let the server answer the request that waits longest."""
        self._waiting.pop(0)((protocol.DONE, code))
        await _all_done()

    async def tell(self, *, connected: bool) -> None:
        """Let the server tell what became of the pair."""
        (self.graph.connect if connected else self.graph.disconnect)(PAIR)
        request = self.ledger.on_its_way(PAIR, connect=connected)
        if request is not None:
            self.requests.note_echo(PAIR, request)
        await _all_done()

    async def take_port(self) -> None:
        """Let the destination go."""
        self.graph.remove_port(PAIR.destination)
        self.ledger.forget_ports({PAIR.destination})
        self.requests.ports_gone({PAIR.destination})
        await _all_done()


async def _all_done() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("connect", [True, False])
@pytest.mark.parametrize("first", ["answer", "notification"])
async def test_both_are_waited_for(connect: bool, first: str) -> None:
    world = World()
    await world.tell(connected=not connect)
    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls, connect=connect)
        await (world.answer(0) if first == "answer" else world.tell(connected=connect))
        assert not call.done()
        await (world.tell(connected=connect) if first == "answer" else world.answer(0))
        assert call.result() == 0


async def test_what_was_not_done_is_answered_at_once() -> None:
    world = World()
    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls)
        await world.answer(REFUSED)
        assert call.result() == REFUSED


async def test_what_others_have_made_is_waited_for() -> None:
    world = World()
    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls)
        await world.answer(errno.EEXIST)
        assert not call.done()
        await world.tell(connected=True)
        assert call.result() == errno.EEXIST


async def test_what_could_not_be_cut_may_have_been_cut_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_requests, "_CALLER_ECHO_S", 0.02)
    world = World()
    await world.tell(connected=True)
    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls, connect=False)
        await world.answer(REFUSED)
        assert not call.done(), "their notification may be on its way"
        assert await call == REFUSED


@pytest.mark.parametrize(
    ("patience", "patience_s"), [("_CALLER_ECHO_S", 0.02), ("_CALLER_S", 0.05)], ids=["it is lost", "the answer is late"]
)
async def test_a_notification_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch, patience: str, patience_s: float) -> None:
    monkeypatch.setattr(connection_requests, patience, patience_s)
    world = World()
    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls)
        await world.answer(0)
        assert await call == 0


async def test_no_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_requests, "_CALLER_S", 0.02)
    world = World()
    with pytest.raises(ServerLost, match="has not answered"):
        await world.requests.ask_for_caller(PAIR, connect=True)


@pytest.mark.parametrize("connect", [True, False])
async def test_who_asks_next_does_not_keep_the_first_waiting(connect: bool) -> None:
    world = World()
    async with asyncio.TaskGroup() as calls:
        first = await world.call(calls)
        await world.answer(0)
        second = await world.call(calls, connect=connect)
        assert first.result() == 0
        await world.tell(connected=True)
        await world.answer(errno.EEXIST if connect else 0)
        if not connect:
            await world.tell(connected=False)
        assert second.result() == (errno.EEXIST if connect else 0)


async def test_a_port_that_goes_with_what_was_made_ends_the_waiting() -> None:
    world = World()
    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls)
        await world.answer(0)
        await world.take_port()
        request = world.ledger.on_its_way(PAIR, connect=True)
        assert request is not None
        assert not world.requests.note_echo(PAIR, request)
        await _all_done()
        assert call.result() == 0


async def test_the_end_of_the_server_ends_the_waiting() -> None:
    answered, not_answered = World(), World()
    async with asyncio.TaskGroup() as calls:
        first = await answered.call(calls)
        await answered.answer(0)
        answered.requests.end_generation()
        assert await first == 0
    asyncio.get_running_loop().call_soon(not_answered.requests.end_generation)
    with pytest.raises(ServerLost, match="went away"):
        await not_answered.requests.ask_for_caller(PAIR, connect=True)


@pytest.mark.parametrize("first", ["answer", "notification"])
async def test_who_got_another_port_connected_is_told_so(first: str) -> None:
    world = World()

    def tell_of_mistake() -> None:
        world.graph.connect(OTHER)
        assert world.requests.is_mistake(OTHER) is (first == "answer")

    async with asyncio.TaskGroup() as calls:
        call = await world.call(calls)
        await world.take_port()
        world.graph.add_port(replace(destination(OTHER.destination), registration=world.graph.newest + 1))
        if first == "notification":
            tell_of_mistake()
        await world.answer(0)
        if first == "answer":
            assert not call.done()
            tell_of_mistake()
        await _all_done()
        assert call.result() == errno.ENOENT
    assert world.ledger.on_its_way(OTHER, connect=False)
