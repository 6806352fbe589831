"""The feedback guard at work, turn by turn."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterable, Mapping

import pytest

from jackd_router.core.deciding.feedback import Feedback
from jackd_router.core.deciding.matcher import Matcher
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


class World:
    """Buses that rules lead into each other, microphones, loudspeakers and a rack, and whatever happens to them."""

    def __init__(self, chance: random.Random, option: str) -> None:
        self._chance, self._option = chance, option
        self._buses = [f"b{number}" for number in range(4)]
        ports = [_device(f"mic:{channel}", PortFlags.OUTPUT) for channel in (1, 2)]
        ports += [_device(f"loud:{channel}", PortFlags.INPUT) for channel in (1, 2)]
        ports += [make(f"router:{bus}_{end}_{channel}") for bus in self._buses for channel in (1, 2) for make, end in ENDS]
        self._ports = [*ports, destination("rack:in_1"), source("rack:out_1")]
        self._away: list[Port] = []
        self.graph = graph(self._ports)
        self.matcher = self.other_rules()
        self.held: set[Connection] = set()
        self.passages: tuple[tuple[PortName, PortName], ...] = ()
        self.wire()

    def other_rules(self) -> Matcher:
        """Put other rules in force."""
        text = "".join(f"[[bus]]\nname = '{name}'\n" for name in self._buses)
        ways = [("'mic'", self._chance.choice(self._buses)), (self._chance.choice(self._buses), "'loud'")]
        ways += [way for way in itertools.permutations(self._buses, 2) if self._chance.random() < 0.5]
        for number, (begin, end) in enumerate(ways):
            option = self._option if self._chance.random() < 0.5 else ""
            text += f"[[rule]]\nname = '{number}'\nsame_client = true\n{option}\nfrom = {_end(begin)}\nto = {_end(end)}\n"
        self.matcher = matcher(config(text), self.graph.ports.values(), graph=self.graph)
        self.matcher.take_changed()
        return self.matcher

    def wire(self) -> None:
        """Set other cells of the buses."""
        self.passages = tuple(
            (PortName(f"router:{bus}_in_{entry}"), PortName(f"router:{bus}_out_{out}"))
            for bus in self._buses
            for entry, out in itertools.product((1, 2), repeat=2)
            if entry == out or self._chance.random() < 0.3
        )

    def look(self, watch: FeedbackWatch, refused: Mapping[Connection, Feedback], pairs: Iterable[Connection]) -> Situation:
        """Let a watch look at some pairs."""
        watch.buses = lambda: self.passages
        situation = Situation(self.matcher, self.graph, held=self.held, passages=watch.passages(self.matcher), refused=refused)
        watch.look_at(situation, pairs)
        return situation

    def happen(self, refused: Collection[Connection]) -> set[Connection]:
        """Let something happen, or two things before anybody looks; give the pairs that are named for it."""
        named: set[Connection] = set()
        for _ in range(self._chance.choice((1, 1, 2))):
            what = self._chance.random()
            if what < 0.2:
                named |= self._port()
            elif what < 0.23:
                self.wire()
            else:
                named |= self._pair(refused)
        return named | self.matcher.take_changed()

    def _pair(self, refused: Collection[Connection]) -> set[Connection]:
        ports = [self._chance.choice([port.name for port in self._ports if port.is_source is way]) for way in (True, False)]
        pair = self._chance.choice([*self.matcher.wanted(), *self.graph.connections, Connection(*ports)])
        if self._chance.random() < 0.15:
            self.held ^= {pair}
        if self._chance.random() < 0.1:
            return {pair}
        if pair in self.graph.connections:
            self.graph.disconnect(pair)
        elif pair in self.matcher.wanted().keys() - refused or self._chance.random() < 0.2:  # somebody else may make that, too
            self.graph.connect(pair)
        self.matcher.connection_changed(pair)
        return {pair}

    def _port(self) -> set[Connection]:
        if self._away:
            port = self._away.pop()
            self.graph.add_port(port)
            self.matcher.add_port(port)
            return set()
        name = PortName(self._chance.choice(("mic:1", "mic:2", "loud:1")))
        self._away.append(self.graph.ports[name])
        dropped = self.graph.remove_port(name)
        for pair in dropped:
            self.matcher.connection_changed(pair)
        self.matcher.remove_port(name)
        self.held -= {pair for pair in self.held if name in pair}
        return set(dropped)


@pytest.mark.parametrize("option", ["", "allow_feedback = true", "complete = true", "via = 'rack'"])
@pytest.mark.parametrize("seed", range(60))
def test_what_is_refused_does_not_depend_on_what_was_looked_at_before(seed: int, option: str) -> None:
    chance = random.Random(seed)
    world = World(chance, option)
    watch = FeedbackWatch(world.graph)
    now = world.look(watch, {}, ())
    for _ in range(60):
        pairs = world.happen(now.refused)
        if chance.random() < 0.1:
            world.other_rules()
            watch.clear()
        now = world.look(watch, now.refused, pairs)
        fresh = world.look(FeedbackWatch(world.graph), {}, ())
        assert now.refused.keys() == fresh.refused.keys()  # where there are two paths, another one may be told
