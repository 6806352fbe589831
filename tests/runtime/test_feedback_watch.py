"""The feedback guard at work, turn by turn."""

from __future__ import annotations

import itertools
import random

import pytest

from jackd_router.core.deciding.plan import Situation
from jackd_router.core.graph import Connection, Port, PortFlags, PortName, PortType
from jackd_router.runtime.feedback_watch import FeedbackWatch
from tests.core.building import config, connection, destination, graph, matcher, source

ENDS = ((destination, "in"), (source, "out"))


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


def _end(name: str) -> str:
    return name if name.startswith("'") else f"{{ bus = '{name}' }}"


@pytest.mark.parametrize("option", ["", "allow_feedback = true", "complete = true", "via = 'rack'"])
@pytest.mark.parametrize("seed", range(25))
def test_what_is_refused_does_not_depend_on_what_was_looked_at_before(seed: int, option: str) -> None:
    chance = random.Random(seed)
    buses = [f"b{number}" for number in range(4)]
    text = "".join(f"[[bus]]\nname = '{name}'\n" for name in buses)
    ways = [("'mic'", chance.choice(buses)), (chance.choice(buses), "'loud'")]
    ways += [way for way in itertools.permutations(buses, 2) if chance.random() < 0.5]
    for number, (begin, end) in enumerate(ways):
        text += f"[[rule]]\nname = '{number}'\nsame_client = true\n{option if chance.random() < 0.5 else ''}\n"
        text += f"from = {_end(begin)}\nto = {_end(end)}\n"
    ports = [_device(f"mic:{channel}", PortFlags.OUTPUT) for channel in (1, 2)]
    ports += [_device(f"loud:{channel}", PortFlags.INPUT) for channel in (1, 2)]
    ports += [make(f"router:{bus}_{end}_{channel}") for bus in buses for channel in (1, 2) for make, end in ENDS]
    ports += [destination("rack:in_1"), source("rack:out_1")]
    passages = tuple(
        (PortName(f"router:{bus}_in_{entry}"), PortName(f"router:{bus}_out_{out}"))
        for bus in buses
        for entry in (1, 2)
        for out in (1, 2)
        if entry == out or chance.random() < 0.3
    )
    now = graph(ports)
    asked = matcher(config(text), now.ports.values(), graph=now)
    watch = FeedbackWatch(now)
    watch.buses = lambda: passages
    held: set[Connection] = set()
    situation = Situation(asked, now, held=held, passages=watch.passages(asked))
    watch.look_at(situation, asked.take_changed() | set(asked.wanted()))
    for _ in range(60):
        pair = chance.choice([*asked.wanted(), *now.connections])
        if chance.random() < 0.1:
            held ^= {pair}
        elif pair in now.connections:
            now.disconnect(pair)
            asked.connection_changed(pair)
        elif pair not in situation.refused or chance.random() < 0.1:  # somebody else may make that, too
            now.connect(pair)
            asked.connection_changed(pair)
        watch.look_at(situation, {pair, *asked.take_changed()})
        another = FeedbackWatch(now)
        another.buses = watch.buses
        fresh = Situation(asked, now, held=held, passages=another.passages(asked))
        another.look_at(fresh, ())
        assert situation.refused.keys() == fresh.refused.keys()  # where there are two paths, another one may be told
