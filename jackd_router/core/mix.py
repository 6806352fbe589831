"""How buses become one mix matrix: cells between our input and output ports, and one linear gain for each cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from jackd_router.core.config import BusConfig
from jackd_router.core.graph import PortName

SILENCE_DB = -144.0
"""This gain, and any below it, is exact silence."""
GAIN_MAX_DB = 20.0


class Start(IntEnum):
    """How a cell enters a plan: it runs already; with new ports, at its target; as new sound, from silence."""

    GOES_ON = 0
    AT_TARGET = 1
    FROM_SILENCE = 2


class CellKey(NamedTuple):
    """A cell of one bus: positions of its output and its input, from 0."""

    bus: str
    output: int
    input: int


class Cell(NamedTuple):
    """A cell of the whole mix, as the kernel takes it: positions among all ports, slot of its gain."""

    input: int
    output: int
    slot: int
    fade_frames: int
    start: int


@dataclass(frozen=True, slots=True)
class Strip:
    """What is set on one bus at one moment; gains in dB, one of `channel_gains_db` and one matrix column per input."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    gain_db: float
    channel_gains_db: tuple[float, ...]
    mute: bool
    matrix: tuple[tuple[float, ...], ...]
    fade_ms: float

    def input_ports(self) -> list[str]:
        """Give the short names of the input ports."""
        return [f"{self.name}_in_{channel}" for channel in self.inputs]

    def output_ports(self) -> list[str]:
        """Give the short names of the output ports."""
        return [f"{self.name}_out_{channel}" for channel in self.outputs]

    def gains(self) -> Iterable[tuple[CellKey, float]]:
        """Give the linear gain of each cell, also of those that pass nothing."""
        columns = [0.0 if self.mute else amplitude(self.gain_db + gain) for gain in self.channel_gains_db]
        for output, row in enumerate(self.matrix):
            for position, factor in enumerate(row):
                yield CellKey(self.name, output, position), factor * columns[position] if factor else 0.0


def strip_of(config: BusConfig) -> Strip:
    """Give what is set on a bus as the configuration has it."""
    return Strip(
        name=config.name,
        inputs=config.inputs,
        outputs=config.outputs,
        gain_db=config.gain_db,
        channel_gains_db=config.channel_gains_db or (0.0,) * len(config.inputs),
        mute=config.mute,
        matrix=config.matrix or identity(len(config.outputs), len(config.inputs)),
        fade_ms=config.fade_ms,
    )


def bus_passages(strips: Iterable[Strip], client_name: str) -> Iterator[tuple[PortName, PortName]]:
    """Give (input, output), by full names, wherever sound can pass through a bus: gain and mute may change any moment."""
    for strip in strips:
        for output, row in zip(strip.output_ports(), strip.matrix, strict=True):
            for entry, factor in zip(strip.input_ports(), row, strict=True):
                if factor:
                    yield PortName(f"{client_name}:{entry}"), PortName(f"{client_name}:{output}")


def amplitude(gain_db: float) -> float:
    """Give the linear factor of a gain in dB: exactly 1.0 at 0 dB, exactly 0.0 at -144 dB and below."""
    return 0.0 if gain_db <= SILENCE_DB else float(10.0 ** (gain_db / 20.0))


def identity(outputs: int, inputs: int) -> tuple[tuple[float, ...], ...]:
    """Give the matrix that leads each input to the output of the same position."""
    return tuple(tuple(float(i == o) for i in range(inputs)) for o in range(outputs))


def cells(strips: Iterable[Strip], slots: Mapping[CellKey, tuple[int, Start]], sample_rate_hz: int) -> list[Cell]:
    """Give the cells of the mix for the strips in their order; a cell without a slot is not in it."""
    found = []
    first_input = first_output = 0
    for strip in strips:
        fade_frames = max(1, round(strip.fade_ms * sample_rate_hz / 1000.0))
        for output in range(len(strip.outputs)):
            for position in range(len(strip.inputs)):
                slot = slots.get(CellKey(strip.name, output, position))
                if slot is not None:
                    found.append(Cell(first_input + position, first_output + output, slot[0], fade_frames, slot[1].value))
        first_input += len(strip.inputs)
        first_output += len(strip.outputs)
    return found
