"""Explanations: the state, the sentence and the steps for every way things can stand."""

from __future__ import annotations

import pytest

from jackd_router.core.config import Unmatched
from jackd_router.core.explain import Explanation, Facts, Outcome, State, explain
from jackd_router.core.graph import PortType
from tests.core.building import config, connection, destination, graph, matcher, source

RULES = """
[[rule]]
name = "off"
enabled = false
from = "synth"
to = "mixer"
[[rule]]
name = "no"
action = "forbid"
from = "synth:out_1"
to = "mixer:in_3"
[[rule]]
name = "mine"
action = "leave"
from = "hand"
to = "*"
[[rule]]
name = "yes"
from = "synth"
to = "mixer"
"""
PORTS = [
    *(source(f"synth:out_{number}") for number in (1, 2)),
    *(destination(f"mixer:in_{number}") for number in (1, 2, 3)),
    source("hand:out"),
    source("other:out"),
    source("keys:midi", PortType.MIDI),
    source(b"Caf\xe9:out".decode(errors="surrogateescape")),
]


def told(pair: str, *, connected: bool = False, facts: Facts | None = None) -> Explanation:
    """Explain the pair among the ports above."""
    now = graph(PORTS, [connection(pair)] if connected else [])
    return explain(connection(pair), now, matcher(config(RULES), PORTS), facts or Facts())


WANTED = "synth:out_1 -> mixer:in_1"
FORBIDDEN = "synth:out_1 -> mixer:in_3"
CROSSED = "synth:out_1 -> mixer:in_2"
LEFT = "hand:out -> mixer:in_1"
UNSPOKEN = "other:out -> mixer:in_1"
YES, NO, MINE = '"yes" (test.toml:17)', '"no" (test.toml:7)', '"mine" (test.toml:12)'


@pytest.mark.parametrize(
    ("pair", "connected", "facts", "state", "because"),
    [
        (WANTED, True, Facts(), State.CONNECTED, f"is connected: rule {YES} wants it"),
        (WANTED, False, Facts(), State.PENDING, f"is not connected: rule {YES} wants it; it will be made"),
        (
            WANTED,
            False,
            Facts(paused="the rules are switched off"),
            State.PENDING,
            f"is not connected: rule {YES} wants it; nothing is done about it: the rules are switched off",
        ),
        (
            WANTED,
            False,
            Facts(held={connection(WANTED)}),
            State.HELD,
            f"is not connected: rule {YES} wants it, but it was cut by hand and is held",
        ),
        (
            WANTED,
            False,
            Facts(failed={connection(WANTED): "code -1"}),
            State.FAILED,
            f"is not connected: rule {YES} wants it, but JACK did not do it: code -1",
        ),
        (
            WANTED,
            False,
            Facts(refused={connection(WANTED): "it would feed back"}),
            State.REFUSED,
            f"is not connected: rule {YES} wants it, but it is refused: it would feed back",
        ),
        (
            WANTED,
            False,
            Facts(contested={connection(WANTED)}),
            State.CONTESTED,
            f"is not connected: rule {YES} wants it, but another program keeps undoing that; "
            "the router waits before it tries again",
        ),
        (FORBIDDEN, False, Facts(), State.FORBIDDEN, f"is not connected: rule {NO} forbids it"),
        (FORBIDDEN, True, Facts(), State.FORBIDDEN, f"is connected: rule {NO} forbids it; it will be cut"),
        (
            FORBIDDEN,
            True,
            Facts(kept={connection(FORBIDDEN)}),
            State.CONNECTED,
            f"is connected: it was connected by hand to stay, though rule {NO} forbids it",
        ),
        (LEFT, True, Facts(), State.CONNECTED, f"is connected: rule {MINE} leaves it alone"),
        (LEFT, False, Facts(), State.NOT_CONNECTED, f"is not connected: rule {MINE} leaves it alone"),
        (UNSPOKEN, True, Facts(), State.CONNECTED, "is connected: no rule speaks of it"),
        (
            UNSPOKEN,
            True,
            Facts(unmatched=Unmatched.REMOVE),
            State.CONNECTED,
            "is connected: no rule speaks of it; it will be cut",
        ),
        (UNSPOKEN, False, Facts(), State.NOT_CONNECTED, "is not connected: no rule speaks of it"),
        (
            UNSPOKEN,
            True,
            Facts(owned={connection(UNSPOKEN): "old"}),
            State.CONNECTED,
            'is connected: rule "old" made it, and no rule wants it any more; it will be cut',
        ),
    ],
)
def test_each_way_things_can_stand(pair: str, connected: bool, facts: Facts, state: State, because: str) -> None:
    found = told(pair, connected=connected, facts=facts)
    assert (found.state, found.summary) == (state, f"{pair} {because}")


def test_a_pair_that_a_rule_covers_and_does_not_choose() -> None:
    found = told(CROSSED)
    assert found.state is State.NOT_CONNECTED
    assert [(step.rule, step.outcome) for step in found.steps] == [("off", Outcome.DISABLED), ("yes", Outcome.NOT_CHOSEN)]
    assert found.steps[1].reason == (
        'its selectors match both ports, but pair = "auto" makes synth:out_1 -> mixer:in_1, synth:out_2 -> mixer:in_2'
    )


def test_the_steps_name_every_rule_in_deciding_order() -> None:
    found = told(WANTED)
    assert [(step.rule, step.origin, step.outcome) for step in found.steps] == [
        ("off", "test.toml:2", Outcome.DISABLED),
        ("yes", "test.toml:17", Outcome.DECIDES),
    ]


def test_a_rule_that_comes_too_late_is_overruled() -> None:
    text = "[[rule]]\nname = 'a'\naction = 'leave'\nfrom = '*'\nto = '*'\n[[rule]]\nname = 'b'\nfrom = '*'\nto = 'mixer:in_1'\n"
    found = explain(connection(WANTED), graph(PORTS), matcher(config(text), PORTS), Facts())
    assert [(step.rule, step.outcome) for step in found.steps] == [("a", Outcome.DECIDES), ("b", Outcome.OVERRULED)]
    assert found.steps[1].reason == "it wants the connection, but an earlier rule has decided"


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("synth:out_3 -> mixer:in_1", "there is no port synth:out_3; did you mean synth:out_2?"),
        ("synth:out_1 -> nobody", "there is no port nobody"),
        ("mixer:in_1 -> mixer:in_2", "mixer:in_1 is an input port: a connection begins at an output port"),
        ("synth:out_1 -> synth:out_2", "synth:out_2 is an output port: a connection ends at an input port"),
        ("keys:midi -> mixer:in_1", "keys:midi carries midi, mixer:in_1 audio: they cannot be connected"),
    ],
)
def test_what_cannot_be_connected(pair: str, why: str) -> None:
    found = told(pair)
    assert (found.state, found.summary, found.steps) == (State.NOT_CONNECTED, f"{pair} cannot be connected: {why}", ())


def test_names_are_shown() -> None:
    found = told(f"{PORTS[-1].name} -> mixer:in_1")
    assert found.summary == r"Caf\xe9:out -> mixer:in_1 is not connected: no rule speaks of it"
