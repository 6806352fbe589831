"""The feedback guard at work, turn by turn."""

from __future__ import annotations

from jackd_router.core.deciding.plan import Situation
from jackd_router.core.graph import Port, PortFlags, PortName, PortType
from jackd_router.runtime.feedback_watch import FeedbackWatch
from tests.core.building import config, connection, destination, graph, matcher, source


def _device(name: str, direction: PortFlags) -> Port:
    return Port(PortName(name), PortType.AUDIO, direction | PortFlags.PHYSICAL)


def test_what_is_not_wanted_any_more_takes_no_part_though_the_ways_change_in_the_same_turn() -> None:
    microphone, loudspeaker = _device("mic:1", PortFlags.OUTPUT), _device("loud:1", PortFlags.INPUT)
    text = "[[rule]]\nname = 'r'\nfrom = 'mic'\nto = 'loud'\nvia = 'gate'\n"
    now = graph([microphone, loudspeaker])
    asked = matcher(config(text), now.ports.values(), graph=now)
    watch = FeedbackWatch(now)
    situation = Situation(asked, now, passages=watch.passages(asked))
    direct = connection("mic:1 -> loud:1")
    assert watch.look_at(situation, asked.take_changed()) == {direct}
    for port in (destination("gate:in"), source("gate:out")):
        now.add_port(port)
        asked.add_port(port)
    # Of the two pieces of the way the second in order is refused; the direct pair is decided against.
    watch.look_at(situation, asked.take_changed())
    assert situation.refused.keys() == {connection("mic:1 -> gate:in")}
