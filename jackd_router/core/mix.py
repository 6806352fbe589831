"""How buses become one mix matrix: cells between our input and output ports, and one linear gain for each cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import cycle
from typing import NamedTuple

from jackd_router.core.config import ALL_MIDI_CHANNELS, BusConfig, BusType
from jackd_router.core.graph import PortName

SILENCE_DB = -144.0
"""This gain, and any below it, is exact silence."""
GAIN_MAX_DB = 20.0


class Start(IntEnum):
    """How a cell begins: with ports that are new, at its target; as new sound between ports that are there, from silence."""

    AT_TARGET = 0
    FROM_SILENCE = 1


class CellKey(NamedTuple):
    """A cell of one bus: short names of its two ports. It is the same one wherever its channels stand among the others."""

    output: str
    input: str


class CellSlot(NamedTuple):
    """Where the gain of a cell is kept; `owner`, from 1, tells it from all that have had the slot before."""

    slot: int
    owner: int
    start: Start


class Cell(NamedTuple):
    """A cell of the whole mix, as the kernel takes it: positions among all audio ports, slots of its gain and its bus."""

    input: int
    output: int
    slot: int
    bus: int
    fade_frames: int
    start: int
    owner: int


@dataclass(frozen=True, slots=True)
class Strip:
    """What is set on one bus at one moment; gains in dB, one of `channel_gains_db` and one matrix column per input.

    One of MIDI has no gains and an empty matrix: each input passes to the output of the same position.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    gain_db: float
    channel_gains_db: tuple[float, ...]
    mute: bool
    matrix: tuple[tuple[float, ...], ...]
    fade_ms: float
    type: BusType = BusType.AUDIO
    midi_channels: tuple[int, ...] = ALL_MIDI_CHANNELS

    @property
    def is_midi(self) -> bool:
        """Whether it carries events, and no sound."""
        return self.type is BusType.MIDI

    @property
    def open_channels(self) -> int:
        """The MIDI channels that pass now: a bit for each, from the lowest; 0 where nothing passes."""
        return 0 if self.mute or not self.is_midi else sum(1 << (channel - 1) for channel in self.midi_channels)

    def input_ports(self) -> list[str]:
        """Give the short names of the input ports."""
        return [f"{self.name}_in_{channel}" for channel in self.inputs]

    def output_ports(self) -> list[str]:
        """Give the short names of the output ports."""
        return [f"{self.name}_out_{channel}" for channel in self.outputs]

    def factors(self) -> Iterator[tuple[CellKey, float]]:
        """Give the factor of each cell in the matrix, also 0."""
        if self.is_midi:
            return
        inputs = self.input_ports()
        for output, row in zip(self.output_ports(), self.matrix, strict=True):
            for entry, factor in zip(inputs, row, strict=True):
                yield CellKey(output, entry), factor

    def gains(self) -> Iterator[tuple[CellKey, float]]:
        """Give the linear gain of each cell, also of those that pass nothing."""
        columns = [0.0 if self.mute else _together(self.gain_db, gain) for gain in self.channel_gains_db]
        for (key, factor), column in zip(self.factors(), cycle(columns)):  # factors go row by row
            yield key, factor * column if factor else 0.0


def strip_of(config: BusConfig) -> Strip:
    """Give what is set on a bus as the configuration has it."""
    return Strip(
        name=config.name,
        inputs=config.inputs,
        outputs=config.outputs,
        gain_db=config.gain_db,
        channel_gains_db=channel_gains_of(config),
        mute=config.mute,
        matrix=matrix_of(config),
        fade_ms=config.fade_ms,
        type=config.type,
        midi_channels=config.midi_channels,
    )


def channel_gains_of(config: BusConfig) -> tuple[float, ...]:
    """Give the trim of each input in dB; none of a bus of MIDI."""
    return () if config.type is BusType.MIDI else config.channel_gains_db or (0.0,) * len(config.inputs)


def matrix_of(config: BusConfig) -> tuple[tuple[float, ...], ...]:
    """Give the matrix; an empty one of a bus of MIDI."""
    return () if config.type is BusType.MIDI else config.matrix or identity(len(config.outputs), len(config.inputs))


def bus_passages(strips: Iterable[Strip], client_name: str) -> Iterator[tuple[PortName, PortName]]:
    """Give (input, output), by full names, wherever sound can pass through a bus: gain and mute may change any moment."""
    for strip in strips:
        for key, factor in strip.factors():
            if factor:
                yield PortName(f"{client_name}:{key.input}"), PortName(f"{client_name}:{key.output}")


def amplitude(gain_db: float) -> float:
    """Give the linear factor of a gain in dB: exactly 1.0 at 0 dB, exactly 0.0 at -144 dB and below."""
    return 0.0 if gain_db <= SILENCE_DB else float(10.0 ** (gain_db / 20.0))


def _together(gain_db: float, trim_db: float) -> float:
    """Give the linear factor of a gain and a trim: where either is silence, no sum of them is heard."""
    return 0.0 if min(gain_db, trim_db) <= SILENCE_DB else amplitude(gain_db + trim_db)


def identity(outputs: int, inputs: int) -> tuple[tuple[float, ...], ...]:
    """Give the matrix that leads each input to the output of the same position."""
    return tuple(tuple(float(i == o) for i in range(inputs)) for o in range(outputs))


def cells(
    strips: Sequence[Strip], slots: Mapping[CellKey, CellSlot], buses: Mapping[str, int], sample_rate_hz: int
) -> list[Cell]:
    """Give the cells of the mix for the strips of audio in their order; a cell without a slot is not in it.

    `buses` has the slot of each bus.
    """
    inputs, outputs = (
        {name: at for at, name in enumerate(name for strip in strips for name in side(strip))}
        for side in (Strip.input_ports, Strip.output_ports)
    )
    found = []
    for strip in strips:
        fade_frames = max(1, round(strip.fade_ms * sample_rate_hz / 1000.0))
        for key, _ in strip.factors():
            if key in slots:
                slot, owner, start = slots[key]
                ends = inputs[key.input], outputs[key.output]
                found.append(Cell(*ends, slot, buses[strip.name], fade_frames, start.value, owner))
    return found
