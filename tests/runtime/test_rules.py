"""New rules that are matched with the graph while the graph goes on changing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.runtime import slices
from jackd_router.runtime.announcer import Action
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.rules import Prepared, Rules
from jackd_router.runtime.state_file import StateFile
from tests.core.building import config, connection, destination, graph, matcher, source
from tests.core.test_properties import Answers

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


# ---- reloads that share rules with what is in force

BEFORE = "".join(
    f"[[rule]]\nname = '{name}'\nfrom = '{source_}'\nto = '{to}'\n"
    for name, source_, to in (("stays", "synth", "desk"), ("goes", "/(s).*:out/", "rec*"), ("moves", "mic*", "desk"))
)
AFTER = "".join(
    f"[[rule]]\nname = '{name}'\nfrom = '{source_}'\nto = '{to}'\n"
    for name, source_, to in (("moves", "mic*", "desk"), ("new", "/(m).*:(out)/", "recorder:*n"), ("stays", "synth", "desk"))
)
PORTS = (source("synth:out"), source("mic:out"), destination("desk:in"), destination("recorder:in"))
LATER = source("mic 2:out")


def _in_force(text: str, folder: Path) -> tuple[Graph, Reconciler, Rules]:
    now = graph(PORTS, [FED])
    reconciler = Reconciler(now, Nobody())
    rules = Rules(now, reconciler, Inhibitors(lambda: None), StateFile(folder))
    rules.put_in_force(config(text), rules.matcher(config(text)))
    return now, reconciler, rules


async def _all_done() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


def _rules_in_the_book(reconciler: Reconciler) -> int:
    """Give how many rules ports are matched with."""
    return len(reconciler.matcher.membership._enrolled)


def _answers(asked: Matcher, now: Graph) -> Answers:
    return Answers.of(asked, list(now.ports.values()))


async def _prepared_while(
    rules: Rules, text: str, turn: int, meanwhile: Callable[[], object] | None
) -> tuple[Prepared | None, bool]:
    """Prepare rules, and do something in one turn of the loop (None: cancel that); tell whether it came in time."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rules.prepare(config(text)))
        for _ in range(turn):
            await asyncio.sleep(0)
        in_time = not task.done()
        if in_time:
            (meanwhile or task.cancel)()
    return None if task.cancelled() else task.result(), in_time


def _comes(port: Port, now: Graph, reconciler: Reconciler) -> None:
    now.add_port(port)
    reconciler.matcher.add_port(port)


def _goes(port: Port, now: Graph, reconciler: Reconciler) -> None:
    now.remove_port(port.name)
    reconciler.matcher.remove_port(port.name)


def _comes_and_another_goes(now: Graph, reconciler: Reconciler) -> None:
    _comes(LATER, now, reconciler)
    _goes(PORTS[0], now, reconciler)


async def test_ports_that_come_and_go_while_rules_are_prepared_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_SLICE_S", 0.0)  # a pause after each step
    turn, in_time = 0, True
    while in_time:
        now, reconciler, rules = _in_force(BEFORE, tmp_path)
        prepared, in_time = await _prepared_while(rules, AFTER, turn, partial(_comes_and_another_goes, now, reconciler))
        assert prepared is not None
        rules.put_prepared_in_force(prepared)
        await _all_done()
        assert _answers(reconciler.matcher, now) == _answers(matcher(config(AFTER), now.ports.values(), graph=now), now), turn
        assert _rules_in_the_book(reconciler) == 3
        turn += 1
    assert turn > 5, "each pause was tried"


async def test_what_is_cancelled_half_way_leaves_the_rules_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_SLICE_S", 0.0)
    now, reconciler, rules = _in_force(BEFORE, tmp_path)
    in_force, before = reconciler.matcher, _answers(reconciler.matcher, now)
    turn, in_time = 0, True
    while in_time:
        prepared, in_time = await _prepared_while(rules, AFTER, turn, None)
        if prepared is not None:
            prepared.drop()
        await _all_done()
        assert reconciler.matcher is in_force
        assert _answers(in_force, now) == before, turn
        assert _rules_in_the_book(reconciler) == 3, turn
        turn += 1
    assert turn > 5, "each pause was tried"
    _goes(PORTS[0], now, reconciler)
    assert _answers(in_force, now) == _answers(matcher(config(BEFORE), now.ports.values(), graph=now), now)


@pytest.mark.parametrize("other", [BEFORE.replace("desk", "recorder"), '[client]\nname = "other"\n' + BEFORE])
async def test_rules_that_are_put_in_force_meanwhile_are_what_others_are_prepared_beside(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_SLICE_S", 0.0)
    turn, in_time = 0, True
    while in_time:
        now, reconciler, rules = _in_force(BEFORE, tmp_path)
        first = await rules.prepare(config(other))
        prepared, in_time = await _prepared_while(rules, AFTER, turn, partial(rules.put_prepared_in_force, first))
        assert prepared is not None
        asked = prepared.matcher
        assert asked is not None
        _comes(LATER, now, reconciler)
        if asked.book is not reconciler.matcher.book:
            asked.add_port(LATER)
        assert _answers(asked, now) == _answers(matcher(config(AFTER), now.ports.values(), graph=now), now), turn
        turn += 1
    assert turn > 5, "each pause was tried"


async def test_a_rule_that_is_switched_while_others_are_prepared_is_off_there_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_SLICE_S", 0.0)
    off = AFTER.replace("name = 'stays'", "name = 'stays'\nenabled = false")
    turn, in_time = 0, True
    while in_time:
        now, reconciler, rules = _in_force(BEFORE, tmp_path)
        prepared, in_time = await _prepared_while(
            rules, AFTER, turn, partial(rules.set_rule_enabled, "stays", False, persist=False)
        )
        assert prepared is not None
        rules.put_prepared_in_force(prepared)
        wanted = matcher(config(off if in_time else AFTER), now.ports.values()).wanted()
        assert set(reconciler.matcher.wanted()) == set(wanted), turn
        turn += 1
    assert turn > 5, "each pause was tried"


async def test_metadata_that_only_the_new_rules_ask_for_makes_a_book_of_their_own(tmp_path: Path) -> None:
    now, reconciler, rules = _in_force(BEFORE, tmp_path)
    cv = Port(PortName("lfo:out"), PortType.CV, PortFlags.OUTPUT)
    now.add_port(cv)
    reconciler.matcher.add_port(cv)
    text = AFTER + "[[rule]]\nname = 'cv'\nfrom = { type = 'cv' }\nto = 'desk'\n"
    prepared = await rules.prepare(config(text))
    assert prepared.matcher is not None
    assert prepared.matcher.book is not reconciler.matcher.book
    assert connection("lfo:out -> desk:in") in prepared.matcher.wanted()
    rules.put_prepared_in_force(prepared)
    prepared = await rules.prepare(config(text + BEFORE.replace("name = '", "name = 'other ")))
    assert prepared.matcher is not None
    assert prepared.matcher.book is reconciler.matcher.book
