"""What another program has made and cuts again at once, as a session manager does where it could not make the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackd_router.runtime import reconciler
from tests.conftest import StartClient
from tests.runtime.in_process import ONE_RULE, PAIR, loaded_router
from tests.support.eventually import until
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("is_soon", [True, False])
async def test_is_made_again_and_later_it_is_by_hand(
    running_server: JackServer, tmp_path: Path, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, is_soon: bool
) -> None:
    monkeypatch.setattr(reconciler, "_TAKEN_BACK_S", 60.0 if is_soon else 0.0)
    synth = start_client("synth", outputs=["out"])
    start_client("tape", inputs=["in"])
    async with loaded_router(tmp_path, ONE_RULE, running_server.name) as router:
        router.set_rule_enabled("r", False, persist=False)
        router.start()
        await until(lambda: set(PAIR) <= router.graph.ports.keys())
        synth.connect(*PAIR)
        await until(lambda: PAIR in router.graph.connections)
        router.set_rule_enabled("r", True, persist=False)
        ledger = router._reconciler.ledger
        await until(lambda: ledger.owned == {PAIR: "r"})
        synth.disconnect(*PAIR)
        if is_soon:
            await until(lambda: ledger.quarrels and PAIR in synth.connections())
            assert not ledger.held
        else:
            await until(lambda: PAIR in ledger.held)
            assert PAIR not in synth.connections()
