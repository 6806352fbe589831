"""A mix of which each next plan is another one, while one bus of it stays what it is: for tests and benchmarks of live plans."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from jackd_router.jack_host import protocol
from jackd_router.jack_host.memory import AT_TARGET, FROM_SILENCE
from tests.jack_io.conversation import Conversation

CHANGES = ("cell", "port", "bus")
_FADE_FRAMES = 480
_MOST_BUSES, _MOST_PORTS = 6, 8
_SLOTS = 1 + (_MOST_BUSES + 2) * _MOST_PORTS**2

Side = tuple[str, int]
"""in or out, and a number from 1."""


@dataclass(slots=True)
class _Bus:
    inputs: list[int]
    outputs: list[int]
    cells: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    """(input, output) -> (slot, how it begins, owner of the slot)."""


class ChangingMix:
    """`main` has one input and one output at unity, and stays; `desk` keeps its first ports; others come and go."""

    def __init__(self, seed: int) -> None:
        """Take the seed of all changes."""
        self._random = Random(seed)
        self._serial = 0
        self._free = list(range(1, _SLOTS))
        self._gone: list[int] = []
        self._buses = {"main": _Bus([1], [1], {(1, 1): (0, AT_TARGET, 1)}), "desk": _Bus([1], [1])}

    def targets(self) -> Any:
        """Give the gains of all slots: unity for that of main, anything for the others."""
        gains = np.random.default_rng(1).uniform(-2, 2, _SLOTS).astype(np.float32)
        gains[0] = 1
        return gains

    def ports(self) -> tuple[tuple[bytes, bool], ...]:
        """Give the short name of each port, and whether it is an input."""
        return tuple(
            (_name(bus, way, number), way == "in")
            for bus, has in self._buses.items()
            for way, numbers in (("in", has.inputs), ("out", has.outputs))
            for number in numbers
        )

    def plan(self) -> tuple[Any, ...]:
        """Give the plan as protocol.PLAN takes it."""
        self._serial += 1
        inputs, outputs = (tuple(name for name, is_input in self.ports() if is_input is way) for way in (True, False))
        cells = []
        for bus, has in self._buses.items():
            for (source, end), (slot, *begins) in has.cells.items():
                places = inputs.index(_name(bus, "in", source)), outputs.index(_name(bus, "out", end))
                cells.append((*places, slot, 0, _FADE_FRAMES, *begins))
        self._free += self._gone  # as the daemon does: what the plan that runs still sounds through is not given away
        self._gone = []
        return self._serial, inputs, outputs, tuple(cells), ()

    def change(self) -> str:
        """Change a cell, a port or a bus, and tell which."""
        kind = self._random.choice(CHANGES)
        {"cell": self._change_cell, "port": self._change_port, "bus": self._change_bus}[kind]()
        return kind

    def _some_bus(self) -> _Bus:
        return self._buses[self._random.choice([name for name in self._buses if name != "main"])]

    def _change_cell(self) -> None:
        bus = self._some_bus()
        place = self._random.choice(bus.inputs), self._random.choice(bus.outputs)
        if place in bus.cells:
            self._gone.append(bus.cells.pop(place)[0])
        else:
            bus.cells[place] = (self._free.pop(), FROM_SILENCE, self._serial + 1)

    def _change_port(self) -> None:
        bus = self._some_bus()
        side, numbers = self._random.choice(((0, bus.inputs), (1, bus.outputs)))
        if len(numbers) == 1 or (len(numbers) < _MOST_PORTS and self._random.random() < 0.5):
            numbers.append(max(numbers) + 1)
            return
        number = numbers.pop(self._random.randrange(1, len(numbers)))
        for place in [place for place in bus.cells if place[side] == number]:
            self._gone.append(bus.cells.pop(place)[0])

    def _change_bus(self) -> None:
        others = [name for name in self._buses if name not in ("main", "desk")]
        if others and (len(others) == _MOST_BUSES or self._random.random() < 0.5):
            gone = self._buses.pop(self._random.choice(others))
            self._gone += [slot for slot, *_ in gone.cells.values()]
            return
        name = next(name for name in map("fx-{}".format, range(_MOST_BUSES)) if name not in self._buses)
        bus = _Bus([1, 2], [1, 2], {(n, n): (self._free.pop(), AT_TARGET, self._serial + 1) for n in (1, 2)})
        buses = list(self._buses.items())
        buses.insert(self._random.randrange(len(buses) + 1), (name, bus))
        self._buses = dict(buses)


async def replan(host: Conversation, mix: ChangingMix, count: int) -> Counter[str]:
    """Let the host take so many plans, each when the one before runs, and give how often what was changed."""
    done: Counter[str] = Counter()
    for _ in range(count):
        done[mix.change()] += 1
        await host.ask(protocol.PLAN, mix.plan())
    return done


def _name(bus: str, way: str, number: int) -> bytes:
    return f"{bus}_{way}_{number}".encode()
