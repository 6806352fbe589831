"""Requests that are on their way when a port goes, and act on another one that has come under its name."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jackd_router.core.graph import PortName
from jackd_router.jack_host import protocol
from jackd_router.jack_io.host_process import HostProcess
from jackd_router.runtime.router import Router
from tests.conftest import StartClient
from tests.runtime.in_process import ONE_RULE, PAIR, loaded_router
from tests.support.eventually import until
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio


class Post:
    """What the router asks the JACK host for, to be kept back for a while."""

    def __init__(self, host: HostProcess) -> None:
        self._host = host
        self._submit = host.submit
        self.kept: list[tuple[Any, ...]] = []
        self.answered = 0

    def keep(self, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
        """Let requests for this operation wait until `deliver`."""

        def submit(done: Callable[..., None], *request: Any) -> None:
            if request[0] == operation:
                self.kept.append((done, *request))
            else:
                self._submit(done, *request)

        monkeypatch.setattr(self._host, "submit", submit)

    def deliver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let everything go its way again, what was kept first."""
        monkeypatch.setattr(self._host, "submit", self._submit)
        for done, *request in self.kept:
            self._submit(functools.partial(self._answered, done), *request)

    def _answered(self, done: Callable[..., None], answer: Any) -> None:
        self.answered += 1
        done(answer)


@pytest_asyncio.fixture
async def router(running_server: JackServer, tmp_path: Path) -> AsyncIterator[Router]:
    """Give a router that has one rule and is a client of the server."""
    async with loaded_router(tmp_path, ONE_RULE, running_server.name) as router:
        router.start()
        await until(lambda: router.server.connected_usec > 0)
        yield router


@pytest.fixture
def post(router: Router) -> Post:
    """Give what the router asks for."""
    host = router._events.keeper.host
    assert host is not None
    return Post(host)


async def is_there(router: Router, *names: str) -> None:
    """Wait for ports."""
    await until(lambda: all(PortName(name) in router.graph.ports for name in names))


async def replace(router: Router, synth: JackClient) -> None:
    """Let the port go, and another one come under its name."""
    before = router.graph.ports[PAIR.source].registration
    synth.unregister("out")
    synth.register("out")
    await until(lambda: PAIR.source in router.graph.ports and router.graph.ports[PAIR.source].registration != before)


async def test_connection_that_is_made_after_all_is_taken_back_by_its_rule(
    router: Router, post: Post, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_client("tape", inputs=["in"])
    await is_there(router, "tape:in")
    post.keep(monkeypatch, protocol.CONNECT)
    synth = start_client("synth", outputs=["out"])
    await until(lambda: bool(post.kept))
    router.set_rule_enabled("r", False, persist=False)
    await replace(router, synth)
    post.deliver(monkeypatch)
    await until(lambda: post.answered == len(post.kept))
    await asyncio.sleep(0.5)  # as long as it takes to be told of it
    await until(lambda: PAIR not in synth.connections())
    ledger = router._reconciler.ledger
    assert not ledger.astray
    assert not ledger.owned
    assert not ledger.holds


async def test_connection_that_is_cut_after_all_is_not_taken_for_cut_by_hand(
    router: Router, post: Post, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_client("tape", inputs=["in"])
    synth = start_client("synth", outputs=["out"])
    await until(lambda: PAIR in router.graph.connections)
    post.keep(monkeypatch, protocol.DISCONNECT)
    router.set_rule_enabled("r", False, persist=False)
    await until(lambda: bool(post.kept))
    await replace(router, synth)
    synth.connect(*PAIR)
    router.set_rule_enabled("r", True, persist=False)
    await until(lambda: PAIR in router.graph.connections)
    post.deliver(monkeypatch)
    await until(lambda: post.answered == len(post.kept))
    ledger = router._reconciler.ledger
    await asyncio.sleep(0.5)  # as long as it takes to tell a cut by hand
    assert PAIR in synth.connections()
    assert not ledger.holds
    assert ledger.owned == {PAIR: "r"}


async def test_what_was_made_with_the_port_that_went_is_not_cut_by_hand(
    router: Router, post: Post, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_client("tape", inputs=["in"])
    await is_there(router, "tape:in")
    host = router._events.keeper.host
    assert host is not None
    with monkeypatch.context() as deaf:
        submit, answers = host.submit, []

        def submit_and_hear_nothing(done: Callable[..., None], *request: Any) -> None:
            deaf.setattr(host, "take_events", lambda: ())  # what is told from now on comes all at once
            submit(lambda answer: answers.append((done, answer)), *request)

        deaf.setattr(host, "submit", submit_and_hear_nothing)
        synth = start_client("synth", outputs=["out"])
        await until(lambda: bool(answers))
        await until(lambda: PAIR in synth.connections())
        synth.unregister("out")
        synth.register("out")
    router._events.woken(host)
    for done, answer in answers:
        done(answer)
    await until(lambda: PAIR in synth.connections())
    ledger = router._reconciler.ledger
    await until(lambda: ledger.owned == {PAIR: "r"})
    assert not ledger.holds
