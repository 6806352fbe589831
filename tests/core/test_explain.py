"""Explanations: the state, the sentence and the steps for every way things can stand."""

from __future__ import annotations

from typing import Any

import pytest

from jackd_router.core.config import Unmatched
from jackd_router.core.deciding.explain import Explanation, Facts, Outcome, State, explain, explain_port_in_steps
from jackd_router.core.deciding.feedback import Danger, Feedback
from jackd_router.core.deciding.plan import Situation
from jackd_router.core.deciding.words import inactive_because
from jackd_router.core.graph import PortName, PortType
from jackd_router.core.steps import run_at_once
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


def situation(rules: str = RULES, *connected: str, **known: Any) -> Situation:
    """Give the situation of these rules among the ports above."""
    now = graph(PORTS, map(connection, connected))
    return Situation(matcher(config(rules), PORTS, graph=now), now, **known)


def explain_port(name: PortName, now: Situation, facts: Facts) -> list[tuple[PortName, Explanation]]:
    return run_at_once(explain_port_in_steps(name, lambda: now, facts))


def told(pair: str, *, connected: bool = False, facts: Facts | None = None, **known: Any) -> Explanation:
    """Explain the pair among the ports above."""
    return explain(connection(pair), situation(RULES, *([pair] if connected else []), **known), facts or Facts())


WANTED = "synth:out_1 -> mixer:in_1"
FORBIDDEN = "synth:out_1 -> mixer:in_3"
CROSSED = "synth:out_1 -> mixer:in_2"
LEFT = "hand:out -> mixer:in_1"
UNSPOKEN = "other:out -> mixer:in_1"
OFF, YES, NO, MINE = '"off" (test.toml:2)', '"yes" (test.toml:17)', '"no" (test.toml:7)', '"mine" (test.toml:12)'


@pytest.mark.parametrize(
    ("pair", "connected", "known", "state", "because"),
    [
        (WANTED, True, {}, State.CONNECTED, f"is connected: rule {YES} wants it"),
        (WANTED, False, {}, State.PENDING, f"is not connected: rule {YES} wants it; it will be made"),
        (
            WANTED,
            False,
            {"facts": Facts(paused="the rules are switched off")},
            State.PENDING,
            f"is not connected: rule {YES} wants it; nothing is done about it: the rules are switched off",
        ),
        (
            WANTED,
            False,
            {"facts": Facts(waiting={connection(WANTED)})},
            State.PENDING,
            f"is not connected: rule {YES} wants it; it will be made when the session manager of PipeWire has set the device up",
        ),
        (
            WANTED,
            False,
            {"held": {connection(WANTED)}},
            State.HELD,
            f"is not connected: rule {YES} wants it, but it was cut by hand and is held",
        ),
        (
            WANTED,
            False,
            {"facts": Facts(failures={connection(WANTED): "code -1"})},
            State.FAILED,
            f"is not connected: rule {YES} wants it, but JACK did not do it: code -1",
        ),
        (
            WANTED,
            False,
            {"refused": {connection(WANTED): Feedback(Danger.MICROPHONE, (PortName("mic:1"), PortName("amp:1")))}},
            State.REFUSED,
            f"is not connected: rule {YES} wants it, but it would make a way from a microphone to a loudspeaker "
            "(mic:1 -> amp:1); where that is meant, write allow_feedback = true into the rule",
        ),
        (
            WANTED,
            False,
            {"facts": Facts(contested={connection(WANTED)})},
            State.CONTESTED,
            f"is not connected: rule {YES} wants it, but another program keeps undoing that; "
            "the router waits before it tries again",
        ),
        (FORBIDDEN, False, {}, State.FORBIDDEN, f"is not connected: rule {NO} forbids it"),
        (FORBIDDEN, True, {}, State.FORBIDDEN, f"is connected: rule {NO} forbids it; it will be cut"),
        (
            FORBIDDEN,
            True,
            {"kept": {connection(FORBIDDEN)}},
            State.CONNECTED,
            f"is connected: it was connected by hand to stay, though rule {NO} forbids it",
        ),
        (LEFT, True, {}, State.CONNECTED, f"is connected: rule {MINE} leaves it alone"),
        (LEFT, False, {}, State.NOT_CONNECTED, f"is not connected: rule {MINE} leaves it alone"),
        (UNSPOKEN, True, {}, State.CONNECTED, "is connected: no rule speaks of it"),
        (
            UNSPOKEN,
            True,
            {"unmatched": Unmatched.REMOVE},
            State.CONNECTED,
            'is connected: no rule speaks of it, and unmatched = "remove" lets nothing stay that is so; it will be cut',
        ),
        (UNSPOKEN, False, {}, State.NOT_CONNECTED, "is not connected: no rule speaks of it"),
        (
            UNSPOKEN,
            True,
            {"owned": {connection(UNSPOKEN): "old"}},
            State.CONNECTED,
            'is connected: rule "old" made it, and no rule wants it any more; it will be cut',
        ),
    ],
)
def test_each_way_things_can_stand(pair: str, connected: bool, known: dict[str, Any], state: State, because: str) -> None:
    found = told(pair, connected=connected, **known)
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
    found = explain(connection(WANTED), situation(text), Facts())
    assert [(step.rule, step.outcome) for step in found.steps] == [("a", Outcome.DECIDES), ("b", Outcome.OVERRULED)]
    assert found.steps[1].reason == "it wants the connection, but an earlier rule has decided"


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("mixer:in_1 -> mixer:in_2", "mixer:in_1 is an input port: a connection begins at an output port"),
        ("synth:out_1 -> synth:out_2", "synth:out_2 is an output port: a connection ends at an input port"),
        ("keys:midi -> mixer:in_1", "keys:midi carries midi, mixer:in_1 audio: they cannot be connected"),
    ],
)
def test_what_cannot_be_connected(pair: str, why: str) -> None:
    found = told(pair)
    assert (found.state, found.summary, found.steps) == (State.NOT_CONNECTED, f"{pair} cannot be connected: {why}", ())


@pytest.mark.parametrize(
    ("pair", "state", "why"),
    [
        (
            "synth:out_3 -> mixer:in_1",
            State.NOT_CONNECTED,
            f"there is no port synth:out_3 now (did you mean synth:out_2?); if it were, no rule speaks of it; rule {OFF} "
            "does not: it is switched off",
        ),
        (
            "synth:out_1 -> nobody",
            State.NOT_CONNECTED,
            "there is no port nobody now; if it were, no rule speaks of it",
        ),
        (
            "hand:out_2 -> new:in",
            State.NOT_CONNECTED,
            "there is no port hand:out_2 and no port new:in now (did you mean hand:out?); if they were, "
            f"rule {MINE} leaves it alone",
        ),
    ],
)
def test_ports_that_are_not_there_are_explained_as_if_they_were(pair: str, state: State, why: str) -> None:
    found = told(pair)
    assert (found.state, found.summary) == (state, f"{pair} is not connected: {why}")


def test_a_port_that_is_not_there_leaves_no_trace() -> None:
    now = situation()
    before = now.matcher.wanted()
    explain(connection("synth:out_0 -> mixer:in_0"), now, Facts())
    explain_port(PortName("synth:out_0"), now, Facts())
    assert now.matcher.wanted() == before
    assert PortName("synth:out_0") not in now.graph.ports


def test_one_port_is_explained_with_every_peer() -> None:
    now = situation(RULES, "hand:out -> mixer:in_1")
    assert [(peer, each.state, each.decider) for peer, each in explain_port(PortName("mixer:in_1"), now, Facts())] == [
        ("hand:out", State.CONNECTED, "mine"),
        ("synth:out_1", State.PENDING, "yes"),
    ]
    absent = explain_port(PortName("synth:out_3"), now, Facts())
    assert [(peer, each.state, each.decider) for peer, each in absent] == [("mixer:in_3", State.NOT_CONNECTED, "yes")]


def test_a_port_that_is_not_there_has_the_peers_of_a_device_too() -> None:
    now = situation("[[rule]]\nname = 'r'\nfrom = 'hand'\nto = { client = 'amp', physical = true }\n")
    found = explain_port(PortName("amp:in"), now, Facts())
    assert [(peer, each.decider) for peer, each in found] == [("hand:out", "r")]
    assert "if it were an audio port of a device, rule" in found[0][1].summary


def test_names_are_shown() -> None:
    found = told(f"{PORTS[-1].name} -> mixer:in_1")
    assert found.summary == r"Caf\xe9:out -> mixer:in_1 is not connected: no rule speaks of it"


def test_the_peers_of_a_port_come_in_natural_order() -> None:
    ports = [source("a:out"), *(destination(f"b:in_{number}") for number in (1, 2, 10))]
    asked = matcher(config("[[rule]]\nname = 'r'\nfrom = 'a'\nto = 'b'\n"), ports)
    peers = explain_port(PortName("a:out"), Situation(asked, graph(ports)), Facts())
    assert [peer for peer, _ in peers] == ["b:in_1", "b:in_2", "b:in_10"]


def test_why_a_rule_does_not_count_is_told_whatever_the_pair() -> None:
    asked = situation().matcher
    reasons = {rule.name: inactive_because(asked, rule) for rule in asked.rules}
    assert reasons == {"off": "it is switched off", "no": "", "mine": "", "yes": ""}
