"""Plans that change under the sound, as fast as the host takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackd_router.jack_host import protocol
from jackd_router.jack_io.shared_memory import bus_targets
from tests.jack_io.conftest import StartHost
from tests.jack_io.conversation import until
from tests.jack_io.replans import CHANGES, ChangingMix, replan
from tests.support.jack_client import JackClient, noise, play_and_compare
from tests.support.jack_server import JackServer
from tests.support.samples import random_bits

pytestmark = pytest.mark.asyncio

PLANS = 600
"""`make bench BENCH=replans` takes 10,000."""


@pytest.mark.jack2("needs a server of another shape")
async def test_bystander_does_not_notice_that_the_plan_changes(tmp_path: Path, start_host: StartHost) -> None:
    host, mix = start_host(), ChangingMix(seed=1)
    host.host.memory.publish_targets(mix.targets(), bus_targets())
    block = random_bits(20_011, seed=1)
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True, period_frames=64) as server,
        JackClient(server.name, "mouth", outputs=["out", "noise"]) as mouth,
        JackClient(server.name, "ears", inputs=["in", "desk"]) as ears,
    ):
        await host.open(server.name, plan=mix.plan())
        for pair in (
            (b"mouth:out", b"router:main_in_1"),
            (b"router:main_out_1", b"ears:in"),
            (b"mouth:noise", b"router:desk_in_1"),
            (b"router:desk_out_1", b"ears:desk"),
        ):
            assert await host.ask(protocol.CONNECT, *pair) == (0,)
        play_and_compare(mouth, {"out": block, "noise": noise(20_011)}, ears, {"in": block})
        await until(ears.passed)
        connections = ears.connections()
        done = await replan(host, mix, PLANS)
        assert min(done[kind] for kind in CHANGES) > PLANS / 6
        end = ears.passed() + 4_800
        await until(lambda: ears.passed() >= end)
        assert ears.compared().differing == 0, ears.compared()
        assert ears.connections() == connections
        assert {port for port in ears.ports() if port.startswith("router:")} == {f"router:{n.decode()}" for n, _ in mix.ports()}
