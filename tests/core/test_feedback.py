"""Which of many wanted connections the guard refuses: the same as if a path were looked for at each of them."""

from __future__ import annotations

import random
from functools import reduce
from operator import or_

import pytest

from jackd_router.core.deciding.feedback import Danger, Feedback, Guard, refusals
from jackd_router.core.deciding.sound_paths import Passages
from jackd_router.core.graph import Connection, Port, PortFlags, PortName, PortType
from tests.core.building import graph


def _ports(client: str, count: int, *flags: PortFlags) -> list[Port]:
    ends = (("in", PortFlags.INPUT), ("out", PortFlags.OUTPUT))
    names = ((f"{client}:{end}_{number}", way) for number in range(count) for end, way in ends)
    return [Port(PortName(name), PortType.AUDIO, reduce(or_, flags, way)) for name, way in names]


@pytest.mark.parametrize("seed", range(300))
def test_equals_the_search_for_each(seed: int) -> None:
    chance = random.Random(seed)
    clients, count = [f"bus{number}" for number in range(chance.randint(1, 5))], chance.randint(1, 3)
    ports = [port for client in clients for port in _ports(client, count)]
    ports += _ports("device", 2, PortFlags.PHYSICAL) + _ports("other", 2)
    density = chance.choice((0.3, 1.0))
    cells = [
        (PortName(f"{client}:in_{entry}"), PortName(f"{client}:out_{out}"))
        for client in clients
        for entry in range(count)
        for out in range(count)
        if chance.random() < density
    ]
    of_buses = chance.choice((len(cells), len(cells) // 2))
    passages = Passages.of(cells[:of_buses], cells[of_buses:])
    now = graph(chance.sample(ports, len(ports) - chance.randint(0, 2)))
    sources = [port.name for port in ports if port.is_source]
    destinations = [port.name for port in ports if not port.is_source]

    def pairs(most: int) -> list[Connection]:
        return [Connection(chance.choice(sources), chance.choice(destinations)) for _ in range(chance.randint(0, most))]

    for pair in pairs(8):
        now.connect(pair)
    wanted = [(pair, chance.random() < 0.1) for pair in pairs(25)]
    guard, expected = Guard(now, passages), dict[Connection, Feedback]()
    for pair, allowed in wanted:
        found = None if allowed else guard.closes(pair)
        if found is None:
            guard.take(pair)
        else:
            expected[pair] = found
    assert refusals(wanted, now, passages) == expected
    assert refusals(wanted, now, passages, guarded=False) == {}


def test_both_dangers_are_told_with_their_path() -> None:
    ports = [*_ports("device", 1, PortFlags.PHYSICAL), *_ports("one", 1), *_ports("two", 1)]
    cells = [(PortName(f"{bus}:in_0"), PortName(f"{bus}:out_0")) for bus in ("one", "two")]

    def pair(source: str, destination: str) -> Connection:
        return Connection(PortName(f"{source}:out_0"), PortName(f"{destination}:in_0"))

    chain = [pair("device", "one"), pair("one", "two"), pair("two", "device"), pair("two", "one")]
    assert refusals([(each, False) for each in chain], graph(ports), Passages.of(cells)) == {
        chain[2]: Feedback(
            Danger.MICROPHONE,
            tuple(map(PortName, ("device:out_0", "one:in_0", "one:out_0", "two:in_0", "two:out_0", "device:in_0"))),
        ),
        chain[3]: Feedback(Danger.LOOP, tuple(map(PortName, ("two:out_0", "one:in_0", "one:out_0", "two:in_0", "two:out_0")))),
    }
