"""Requests while other programs come and go: what the server says about their ports is no answer to ours."""

from __future__ import annotations

from collections import Counter

import pytest

from jackd_router.jack_host import protocol
from tests.conftest import StartClient
from tests.jack_io.conftest import StartHost
from tests.runtime.churn import churning
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

ROUNDS = 600


async def test_what_is_done_is_not_told_as_failed(
    running_server: JackServer, start_host: StartHost, start_client: StartClient
) -> None:
    start_client("synth", outputs=["out"])
    start_client("tape", inputs=["in"])
    host = start_host()
    await host.open(running_server.name)
    codes: Counter[tuple[str, int]] = Counter()
    with churning(running_server.name) as churn:
        churn.begin(2_000)
        for _ in range(ROUNDS):
            for operation in (protocol.CONNECT, protocol.DISCONNECT):
                codes[operation, (await host.ask(operation, b"synth:out", b"tape:in"))[0]] += 1
        churn.wait()
    assert codes == {(protocol.CONNECT, 0): ROUNDS, (protocol.DISCONNECT, 0): ROUNDS}


async def test_no_port_of_ours_is_refused(running_server: JackServer, start_host: StartHost) -> None:
    plan = (1, *(tuple(b"%s_%d" % (way, number) for number in range(16)) for way in (b"in", b"out")), (), ())
    problems = []
    with churning(running_server.name) as churn:
        churn.begin(2_000)
        for number in range(4):
            host = start_host()
            *_, problem = await host.open(running_server.name, f"router-{number}", plan=plan)
            problems.append(problem)
        churn.wait()
    assert problems == [""] * 4
