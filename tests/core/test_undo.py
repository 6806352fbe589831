"""The steps that can be undone: which are remembered, and what they are called."""

from __future__ import annotations

import pytest

from jackd_router.core.graph import Connection, PortName
from jackd_router.core.undo import (
    DEPTH,
    AllRulesSwitched,
    Hold,
    PairChange,
    PairsChanged,
    ProfileSwitched,
    RuleSwitched,
    Standing,
    Step,
    Switch,
    UndoStack,
    sentence,
)

HERE, AWAY = Standing(connected=True), Standing(connected=False)
HELD, KEPT = Standing(connected=False, hold=Hold.CUT), Standing(connected=True, hold=Hold.KEPT)


def change(before: Standing, after: Standing, port: str = "b:in") -> PairChange:
    return PairChange(Connection(PortName("a:out"), PortName(port)), before, after)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (PairsChanged((change(AWAY, HERE),)), "connected a:out -> b:in"),
        (PairsChanged((change(AWAY, KEPT),)), "connected a:out -> b:in"),
        (PairsChanged((change(HERE, HELD),)), "disconnected a:out -> b:in"),
        (PairsChanged((change(HERE, KEPT),)), "held as connected a:out -> b:in"),
        (PairsChanged((change(AWAY, HELD),)), "held as cut a:out -> b:in"),
        (PairsChanged((change(HELD, AWAY),)), "released a:out -> b:in"),
        (PairsChanged((change(AWAY, HERE), change(AWAY, HERE, "b:2"))), "connected 2 pairs"),
        (
            PairsChanged((change(AWAY, HERE), change(HERE, AWAY, "b:2"), change(HERE, AWAY, "b:3")), "restored snapshot 'live'"),
            "restored snapshot 'live': connected a:out -> b:in, disconnected 2 pairs",
        ),
        (PairsChanged((change(AWAY, HERE, "b:\udcff\\"),)), "connected a:out -> b:\\xff\\\\"),
        (ProfileSwitched("default", "live"), "switched from profile 'default' to 'live'"),
        (RuleSwitched("wire", enabled=False, before=Switch(None, None)), "disabled rule 'wire'"),
        (AllRulesSwitched(enabled=True), "enabled all rules"),
    ],
)
def test_each_step_has_a_sentence(step: Step, told: str) -> None:
    assert sentence(step) == told


def test_the_newest_is_the_last_and_the_first_of_the_list() -> None:
    stack = UndoStack()
    first, second = ProfileSwitched("default", "live"), AllRulesSwitched(enabled=False)
    assert stack.push(1, first)
    assert stack.push(2, second)
    assert stack.last() is second
    assert stack.entries() == [(2, sentence(second)), (1, sentence(first))]
    stack.drop(second)
    assert stack.last() is first
    stack.drop(first)
    assert (stack.last(), stack.entries()) == (None, [])


def test_a_step_is_dropped_from_below_others() -> None:
    stack = UndoStack()
    taken_back, alike = AllRulesSwitched(enabled=False), AllRulesSwitched(enabled=False)
    stack.push(1, taken_back)
    stack.push(2, alike)
    stack.drop(taken_back)
    assert stack.last() is alike
    assert len(stack.entries()) == 1


def test_what_changed_nothing_is_not_remembered() -> None:
    stack = UndoStack()
    assert not stack.push(1, PairsChanged((change(HERE, HERE), change(HELD, HELD))))
    assert not stack.push(1, PairsChanged(()))
    assert stack.last() is None
    assert stack.push(1, PairsChanged((change(HERE, HERE), change(HERE, HELD, "b:2"))))
    assert stack.last() == PairsChanged((change(HERE, HELD, "b:2"),))


def test_a_hundred_steps_are_remembered() -> None:
    stack = UndoStack()
    for number in range(DEPTH + 5):
        stack.push(number, AllRulesSwitched(enabled=bool(number % 2)))
    assert [usec for usec, _ in stack.entries()] == list(range(DEPTH + 4, 4, -1))
    newest = stack.last()
    assert newest is not None
    stack.drop(newest)
    stack.push(0, AllRulesSwitched(enabled=True))
    stack.push(1, AllRulesSwitched(enabled=True))
    assert len(stack.entries()) == DEPTH == 100
