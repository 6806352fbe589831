"""What the audio kernel runs: slots for gains, buses and MIDI pairs, the plan that names them, and the targets of the gains."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np

from jackd_router.core.fade import Fade
from jackd_router.core.mix import CellKey, CellSlot, Start, Strip, cells
from jackd_router.jack_host.memory import MAX_BUSES, MAX_CELLS, MAX_PORTS, METER_WINDOWS
from jackd_router.jack_io.shared_memory import SharedMemory, bus_targets

PlanMessage = tuple[
    int, tuple[bytes, ...], tuple[bytes, ...], tuple[tuple[int, ...], ...], tuple[tuple[bytes, bytes, int, int, int], ...]
]
"""As jack_host.requests.Plan has it: serial, names of audio inputs and outputs, cells, MIDI pairs."""

Key = TypeVar("Key", bound=Hashable)


class _Slots(Generic[Key]):
    """Numbers from 0 below a limit that stay the same as long as their owner is there. More than the limit are never wanted."""

    def __init__(self, limit: int) -> None:
        self.taken: dict[Key, int] = {}
        self._limit = limit
        self._free: list[int] = []

    @property
    def count(self) -> int:
        """How many numbers were ever given."""
        return len(self.taken) + len(self._free)

    def take(self, wanted: Iterable[Key], *, keep: Iterable[Key] = ()) -> list[Key]:
        """Give a number to each that is wanted, and those of others back, but for some to keep; tell who is new."""
        wanted = dict.fromkeys(wanted)
        staying = {*wanted, *keep}
        gone = [self.taken.pop(key) for key in list(self.taken) if key not in staying]
        new = [key for key in wanted if key not in self.taken]
        for key in new:
            # Last those that are given back: the plan that runs still sounds through them, in a bus that is about to go.
            fresh = len(self.taken) + len(gone)
            self.taken[key] = self._free.pop() if self._free else fresh if fresh < self._limit else gone.pop()
        self._free += gone
        return new


class KernelPlan:
    """The plan of one generation. Nothing of it outlives the server."""

    def __init__(self, memory: SharedMemory, sample_rate_hz: int) -> None:
        """Take the memory that is shared with the kernel."""
        self.memory = memory
        self.sample_rate_hz = sample_rate_hz
        """By which the plan counts fades in frames."""
        self.ports: tuple[str, ...] = ()
        """Short names of the audio ports, as the plan numbers them: all inputs, then all outputs."""
        self.plans: list[tuple[int, tuple[str, ...]]] = []
        """Serial and ports of the last plans, and of those that have a meter window: a plan that is refused has none, ever."""
        self._cells: _Slots[CellKey] = _Slots(MAX_CELLS)
        self._begun: dict[CellKey, CellSlot] = {}
        self._owner = 0
        self._buses: _Slots[str] = _Slots(MAX_BUSES)
        self._midi: _Slots[tuple[str, str]] = _Slots(MAX_PORTS)
        self._midi_owners: dict[tuple[str, str], int] = {}
        self._bus_targets = bus_targets()

    def plan(self, strips: Sequence[Strip], serial: int) -> PlanMessage:
        """Give the plan for buses as they are now. The targets are published."""
        self._buses.take(strip.name for strip in strips)
        audio, midi = ([strip for strip in strips if strip.is_midi is kind] for kind in (False, True))
        self._midi.take(pair for strip in midi for pair in _midi_pairs(strip))
        self._midi_owners = {pair: self._midi_owners.get(pair, serial) for pair in self._midi.taken}
        self.take_cells(strips)
        self.publish(strips)
        mix = cells(audio, self._begun, self._buses.taken, self.sample_rate_hz)
        inputs, outputs = (
            tuple(name for strip in audio for name in side(strip)) for side in (Strip.input_ports, Strip.output_ports)
        )
        self.ports = inputs + outputs
        older, last = self.plans[:-METER_WINDOWS], self.plans[-METER_WINDOWS:]
        measured = self.memory.plans_measured(0, self.memory.windows) if older else ()
        self.plans = [*(plan for plan in older if plan[0] in measured), *last, (serial, self.ports)]
        return (
            serial,
            tuple(map(str.encode, inputs)),
            tuple(map(str.encode, outputs)),
            tuple(map(tuple, mix)),
            tuple(
                (
                    pair[0].encode(),
                    pair[1].encode(),
                    self._midi.taken[pair],
                    self._buses.taken[strip.name],
                    self._midi_owners[pair],
                )
                for strip in midi
                for pair in _midi_pairs(strip)
            ),
        )

    def take_cells(self, strips: Iterable[Strip]) -> bool:
        """Give every cell that passes something a slot, and take those of channels that are gone; tell of new ones."""
        factors = {key: factor for strip in strips for key, factor in strip.factors()}
        new = self._cells.take((key for key, factor in factors.items() if factor), keep=factors)
        self._begun = {key: slot for key, slot in self._begun.items() if key in self._cells.taken}
        self._owner += 1
        there = set(self.ports)
        for key in new:
            start = Start.FROM_SILENCE if there.issuperset(key) else Start.AT_TARGET
            self._begun[key] = CellSlot(self._cells.taken[key], self._owner, start)
        return bool(new)

    def publish(self, strips: Iterable[Strip]) -> None:
        """Fold everything that is set into one linear gain per slot, and hand all over at once."""
        gains = np.zeros(self._cells.count, np.float32)  # 0 also for what is gone, and sounds until the next plan runs
        for strip in strips:
            for key, gain in strip.gains():
                if key in self._cells.taken:
                    gains[self._cells.taken[key]] = gain
            if strip.name in self._buses.taken:
                self._bus_targets[self._buses.taken[strip.name]]["open"] = strip.open_channels
        self.memory.publish_targets(gains, self._bus_targets)

    def can_fade(self, name: str) -> bool:
        """Tell whether the sound of a bus can be on its way anywhere: cycles have run, and it is in the plan."""
        return self.memory.cycles > 0 and name in self._buses.taken

    def set_fade(self, name: str, fade: Fade | None) -> None:
        """Let what is published next for a bus begin such a fade, or end the one that there was."""
        target = self._bus_targets[self._buses.taken[name]]
        target["number"] += 1
        target["frames"], target["factor"], target["ratio"] = (fade.frames, fade.factor, fade.ratio) if fade else (0, 1.0, 1.0)


def _midi_pairs(strip: Strip) -> Iterable[tuple[str, str]]:
    return zip(strip.input_ports(), strip.output_ports(), strict=True)
