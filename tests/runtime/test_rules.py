"""New rules that are matched with the graph while the graph goes on changing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jackd_router.core.graph import Connection
from jackd_router.runtime import slices
from jackd_router.runtime.announcer import Action
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.rules import Rules
from jackd_router.runtime.state_file import StateFile
from tests.core.building import config, connection, destination, graph, source

pytestmark = pytest.mark.asyncio

FOLLOW = '[[rule]]\nname = "record"\nfollow = "desk"\nto = "recorder"\n'
FED, FOLLOWED = connection("synth:out -> desk:in"), connection("synth:out -> recorder:in")


class Nobody:
    """An audience that is not there."""

    def acted(self, action: Action) -> None:
        """Nobody is told."""

    def holds_changed(self) -> None:
        """Nobody is told."""

    def ledger_changed(self) -> None:
        """Nobody is told."""

    def troubled(self, text: str) -> None:
        """Nobody is told."""


async def _wanted_when(turn: int, *, fed: bool, folder: Path) -> set[Connection] | None:
    """Prepare rules, while in one turn of the loop the synth is connected, or cut; None where that came too late."""
    now = graph([source("synth:out"), destination("desk:in"), destination("recorder:in")], [] if fed else [FED])
    rules = Rules(now, Reconciler(now, Nobody()), Inhibitors(lambda: None), StateFile(folder))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rules.prepare(config(FOLLOW)))
        for _ in range(turn):
            await asyncio.sleep(0)
        if task.done():
            return None
        (now.connect if fed else now.disconnect)(FED)
    matcher = task.result().matcher
    assert matcher is not None
    return set(matcher.wanted())


@pytest.mark.parametrize("fed", [True, False])
async def test_what_changes_while_rules_are_prepared_is_followed(
    fed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_SLICE_S", 0.0)  # a pause after each step
    turn = 0
    while (wanted := await _wanted_when(turn, fed=fed, folder=tmp_path)) is not None:
        assert wanted == ({FOLLOWED} if fed else set()), turn
        turn += 1
    assert turn > 5, "each pause was tried"
