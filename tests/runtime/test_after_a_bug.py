"""A bug interrupts the rules at their work: it is told, and what follows is as if it had not been there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.graph import Port, PortName
from jackd_router.runtime import reconciler
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.router import Router
from tests.conftest import StartClient
from tests.core.building import connection
from tests.runtime.in_process import loaded_router
from tests.support.eventually import until
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

CONFIG = """
[[rule]]
name = "r"
from = "synth"
to = "tape"
pair = "order"
"""
FIRST, SECOND, HELD = (connection(f"synth:out_{n} -> tape:in_{n}") for n in (1, 2, 3))


@pytest.fixture
def synth(running_server: JackServer, start_client: StartClient) -> JackClient:
    """Give the client whose outputs the rule connects."""
    return start_client("synth", outputs=["out_1", "out_2", "out_3"])


@pytest_asyncio.fixture
async def router(
    running_server: JackServer, tmp_path: Path, start_client: StartClient, synth: JackClient
) -> AsyncIterator[Router]:
    """Give a router that has connected three pairs, of which somebody has cut the last one."""
    start_client("tape", inputs=["in_1", "in_2", "in_3"])
    async with loaded_router(tmp_path, CONFIG, running_server.name) as router:
        router.start()
        await until(lambda: router.graph.connections >= {FIRST, SECOND, HELD})
        synth.disconnect(*HELD)
        await until(lambda: HELD in router.rules.held)
        yield router


class Bug:
    """Lets a method fail in the middle of its work, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: type, method: str) -> None:
        self.met = False
        works = getattr(where, method)

        def fails_once(*arguments: object) -> object:
            result = works(*arguments)
            if not self.met:
                self.met = True
                raise KeyError("a bug")
            return result

        monkeypatch.setattr(where, method, fails_once)


@pytest.mark.parametrize(
    ("where", "method"), [(Matcher, "remove_port"), (Matcher, "add_port"), (Reconciler, "_note_who"), (Reconciler, "_consider")]
)
async def test_it_goes_on_from_the_graph(
    router: Router,
    synth: JackClient,
    start_client: StartClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: type,
    method: str,
) -> None:
    bug = Bug(monkeypatch, where, method)
    synth.close()
    other = start_client("tape 2", inputs=["in_1"])
    await until(lambda: bug.met)
    start_client("synth", outputs=["out_1", "out_2"])
    await until(lambda: router.graph.connections >= {FIRST, SECOND})
    assert caplog.text.count("A turn of the reconciler failed") == 1
    await until(lambda: not router._trouble)
    assert router.rules.owned == {FIRST: "r", SECOND: "r"}
    assert router.rules.held == ()
    other.close()
    await until(lambda: PortName("tape 2:in_1") not in router.graph.ports)
    assert set(router.rules.owned) == {FIRST, SECOND}


async def test_what_is_held_stays_so(router: Router, start_client: StartClient, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = Bug(monkeypatch, Matcher, "add_port")
    start_client("synth 2", outputs=["out_1"])
    await until(lambda: bug.met)
    await until(lambda: not router._trouble)
    assert router.rules.held == (HELD,)
    assert set(router.rules.owned) == {FIRST, SECOND}


async def test_a_port_that_the_rules_cannot_take_is_left_out(
    router: Router, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    takes = Matcher.add_port

    def add_port(matcher: Matcher, port: Port) -> None:
        if port.client == "bad":
            raise KeyError("a bug")
        takes(matcher, port)

    monkeypatch.setattr(Matcher, "add_port", add_port)
    bad = start_client("bad", outputs=["out_1"])
    await until(lambda: "The rules do without the port bad:out_1" in caplog.text)
    start_client("tape 2", inputs=["in_1"])
    (tmp_path / "router.toml").write_text(CONFIG.replace('to = "tape"', 'to = "tape*"'))
    await router.reload()
    await until(lambda: connection("synth:out_1 -> tape 2:in_1") in router.graph.connections)
    bad.close()
    start_client("tape 3", inputs=["in_1"])
    await until(lambda: connection("synth:out_1 -> tape 3:in_1") in router.graph.connections)
    await until(lambda: not router._trouble)


async def test_what_happens_until_it_goes_on_is_told_from_what_we_do(
    router: Router, synth: JackClient, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jackd_router.runtime.reconciler._FIRST_BACKOFF_S", 1.0)
    bug = Bug(monkeypatch, Matcher, "add_port")
    start_client("synth 2", outputs=["out_1"])
    await until(lambda: bug.met)
    synth.disconnect(*FIRST)
    await until(lambda: not router._trouble)
    await until(lambda: set(router.rules.held) == {FIRST, HELD})
    assert router.rules.owned == {SECOND: "r"}


async def test_other_rules_are_put_in_force_meanwhile(
    router: Router, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("jackd_router.runtime.reconciler._FIRST_BACKOFF_S", 60.0)
    bug = Bug(monkeypatch, Matcher, "add_port")
    start_client("synth 2", outputs=["out_1"])
    await until(lambda: bug.met)
    (tmp_path / "router.toml").write_text(CONFIG.replace('"synth"', '"synth 2"'))
    await router.reload()
    wanted = connection("synth 2:out_1 -> tape:in_1")
    await until(lambda: router.rules.owned == {wanted: "r"})
    assert router.graph.connections >= {wanted}


async def test_it_goes_on_where_the_server_ends(
    router: Router, running_server: JackServer, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = Bug(monkeypatch, Matcher, "remove_port")
    running_server.kill()
    await until(lambda: bug.met)
    running_server.start()
    start_client("tape", inputs=["in_1", "in_2"])
    start_client("synth", outputs=["out_1", "out_2"])
    await until(lambda: router.graph.connections >= {FIRST, SECOND})


async def test_a_pause_that_does_not_end_is_told_from_others(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "_LONGEST_PAUSE_S", 0.1)
    router._reconciler.pause()
    assert not router.stands_still
    await until(lambda: router.stands_still)
    router._reconciler.resume()
    assert not router.stands_still
