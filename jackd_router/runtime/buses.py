"""The buses: what is set on each, folded into the gains and the plan of the audio kernel, and their levels."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jackd_router.core.config import BusConfig
from jackd_router.core.errors import NoSuchBus, UserError
from jackd_router.core.graph import PortName
from jackd_router.core.mix import GAIN_MAX_DB, CellKey, Start, Strip, bus_passages, cells, strip_of
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime.state import BusState

log = logging.getLogger(__name__)

_MATRIX_LIMIT = 10.0

PlanMessage = tuple[int, tuple[bytes, ...], tuple[bytes, ...], tuple[tuple[int, ...], ...]]


class Buses:
    """All buses. Values survive every server; slots of gains and the number of the plan belong to one generation."""

    def __init__(self, on_changed: Callable[..., None]) -> None:
        """Take what to call with a bus's name and the D-Bus properties of it that changed."""
        self._on_changed = on_changed
        self._strips: dict[str, Strip] = {}
        self._configured: dict[str, BusConfig] = {}
        self._slots: dict[CellKey, tuple[int, Start]] = {}
        self._free: list[int] = []
        self._memory: SharedMemory | None = None
        self._serial = 0
        self._sample_rate_hz = 48000
        self._passages: tuple[str, tuple[tuple[PortName, PortName], ...]] | None = None
        self.changed = False
        """Whether the ports or the cells are other ones than those of the last plan."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of the configuration."""
        return tuple(self._strips)

    # ---- what exists

    def load(self, configured: Sequence[BusConfig]) -> None:
        """Make the buses those of a configuration; a value that was set by hand stays where the configured one did not change."""
        before, self._strips, self._passages = self._strips, {}, None
        for config in configured:
            strip, known = strip_of(config), before.get(config.name)
            if known is not None:
                strip = _carried_over(strip, strip_of(self._configured[config.name]), known)
            self._strips[config.name] = strip
        self._configured = {config.name: config for config in configured}
        if before != self._strips or list(before) != list(self._strips):
            self.changed = True
            self._publish()
        for name in before.keys() & self._strips.keys():
            if changed := _differing(before[name], self._strips[name]):
                self._on_changed(name, *changed)

    def restore(self, kept: Mapping[str, Mapping[str, Any]]) -> None:
        """Set what was set by hand before the daemon ended, where the configuration still says what it said then."""
        self._passages = None
        for name, entry in kept.items():
            strip = self._strips.get(name)
            if strip is None:
                continue
            configured = _values(strip)
            try:
                fresh = {key: entry["set"][key] for key in configured if entry["configured"].get(key) == configured[key]}
                self._strips[name] = _with_values(strip, configured | fresh)
            except (UserError, LookupError, TypeError, ValueError, AttributeError) as error:
                log.warning("What was kept of bus %r is of no use: %s", name, error)

    def to_keep(self, name: str) -> dict[str, dict[str, Any]]:
        """Give what is set on a bus and what the configuration says, for the state file."""
        return {"set": _values(self._strips[name]), "configured": _values(strip_of(self._configured[name]))}

    def ports(self) -> tuple[tuple[bytes, bool], ...]:
        """Give the short name of each port of ours, and whether it is an input."""
        return tuple(
            (name.encode(), is_input)
            for strip in self._strips.values()
            for names, is_input in ((strip.input_ports(), True), (strip.output_ports(), False))
            for name in names
        )

    def state(self, name: str, client_name: str, *, active: bool) -> BusState:
        """Describe one bus, its ports as those of the client."""
        strip = self._strip(name)
        return BusState(
            name=name,
            type="audio",
            inputs=tuple(PortName(f"{client_name}:{port}") for port in strip.input_ports()),
            outputs=tuple(PortName(f"{client_name}:{port}") for port in strip.output_ports()),
            gain_db=strip.gain_db,
            channel_gains_db=strip.channel_gains_db,
            mute=strip.mute,
            matrix=strip.matrix,
            active=active,
        )

    def passages(self, client_name: str) -> tuple[tuple[PortName, PortName], ...]:
        """Give (input, output) wherever sound can pass through a bus; the same object as long as nothing changed."""
        if self._passages is None or self._passages[0] != client_name:
            self._passages = client_name, tuple(bus_passages(self._strips.values(), client_name))
        return self._passages[1]

    def _strip(self, name: str) -> Strip:
        try:
            return self._strips[name]
        except KeyError:
            known = ", ".join(self._strips) or "none"
            raise NoSuchBus(f"there is no bus {name!r}; there are: {known}") from None

    # ---- what is set

    def set_gain(self, name: str, gain_db: float) -> None:
        """Set the gain of a bus; at -144 dB and below it is silent."""
        strip = self._strip(name)
        self._set(replace(strip, gain_db=_checked_gain(f"the gain of bus {name!r}", gain_db)), "Gain")

    def set_mute(self, name: str, mute: bool) -> None:
        """Make a bus silent, or let it sound as it did."""
        self._set(replace(self._strip(name), mute=mute), "Mute")

    def set_channel_gains(self, name: str, gains_db: Sequence[float]) -> None:
        """Set the trim of each input of a bus, which adds to its gain."""
        strip = self._strip(name)
        if len(gains_db) != len(strip.inputs):
            raise UserError(f"bus {name!r} has {len(strip.inputs)} inputs; {len(gains_db)} channel gains were given")
        gains = (_checked_gain(f"channel gain {i} of bus {name!r}", gain) for i, gain in enumerate(gains_db, 1))
        self._set(replace(strip, channel_gains_db=tuple(gains)), "ChannelGains")

    def set_matrix(self, name: str, matrix: Sequence[Sequence[float]]) -> None:
        """Set the mix of a bus, a row per output; where it has cells that the plan lacks, `changed` tells."""
        strip = self._strip(name)
        shape = (len(strip.outputs), len(strip.inputs))
        if len(matrix) != shape[0] or any(len(row) != shape[1] for row in matrix):
            raise UserError(f"the matrix of bus {name!r} has {shape[0]} rows (outputs) of {shape[1]} factors (inputs)")
        self._strips[name], self._passages = replace(strip, matrix=_checked_matrix(name, matrix)), None
        lacking = self._take_slots(Start.FROM_SILENCE)
        self.changed = self.changed or lacking
        self._publish()
        self._on_changed(name, "Matrix")

    def _set(self, strip: Strip, changed: str) -> None:
        before, self._strips[strip.name] = self._strips[strip.name], strip
        if before != strip:
            self._publish()
            self._on_changed(strip.name, changed)

    # ---- what the kernel runs

    def begin_generation(self, memory: SharedMemory) -> PlanMessage:
        """Give the first plan for a new server, each cell at its target from the first frame."""
        self._memory = memory
        self._slots, self._free = {}, []
        self._take_slots(Start.AT_TARGET)
        self._publish()
        return self._plan()

    def end_generation(self) -> None:
        """Let go of the memory of a host that is gone."""
        self._memory = None

    def set_sample_rate(self, sample_rate_hz: int) -> None:
        """Take the rate of the server, by which the plan counts fades in frames."""
        before, self._sample_rate_hz = self._sample_rate_hz, sample_rate_hz
        self.changed = self.changed or before != sample_rate_hz

    def plan(self) -> PlanMessage:
        """Give the plan for the buses as they are now; their targets are published."""
        self._take_slots(Start.AT_TARGET)
        self._publish()
        return self._plan()

    def _plan(self) -> PlanMessage:
        self._serial += 1
        self.changed = False
        strips = list(self._strips.values())
        mix = cells(strips, self._slots, self._sample_rate_hz)
        self._slots = {key: (slot, Start.GOES_ON) for key, (slot, _) in self._slots.items()}
        return (
            self._serial,
            tuple(name.encode() for strip in strips for name in strip.input_ports()),
            tuple(name.encode() for strip in strips for name in strip.output_ports()),
            tuple(map(tuple, mix)),
        )

    def _take_slots(self, start: Start) -> bool:
        """Give every cell that passes something a slot, and take those of buses that are gone; tell of new ones."""
        wanted = {key: gain for strip in self._strips.values() for key, gain in strip.gains()}
        gone = [self._slots.pop(key)[0] for key in list(self._slots) if key not in wanted]
        passing = {
            CellKey(strip.name, output, position)
            for strip in self._strips.values()
            for output, row in enumerate(strip.matrix)
            for position, factor in enumerate(row)
            if factor
        }
        new = passing - self._slots.keys()
        for key in sorted(new):
            slot = self._free.pop() if self._free else len(self._slots) + len(gone)
            self._slots[key] = (slot, start)
        self._free += gone  # only now: the plan that runs still sounds through them
        return bool(new)

    def _publish(self) -> None:
        """Fold everything that is set into one linear gain per slot and hand all over at once."""
        if self._memory is None:
            return
        targets = np.zeros(max((slot for slot, _ in self._slots.values()), default=-1) + 1, np.float32)
        for strip in self._strips.values():
            for key, gain in strip.gains():
                if key in self._slots:
                    targets[self._slots[key][0]] = gain
        self._memory.publish_targets(targets)

    # ---- what the levels need

    @property
    def strips(self) -> tuple[Strip, ...]:
        """Give what is set on each bus, in the order in which the plan counts ports."""
        return tuple(self._strips.values())

    @property
    def running(self) -> tuple[SharedMemory, int, int] | None:
        """Give the memory with the meters, the serial of the plan that numbers them, and the sample rate in Hz."""
        return None if self._memory is None else (self._memory, self._serial, self._sample_rate_hz)


def _values(strip: Strip) -> dict[str, Any]:
    """Give what can be set at run time, as JSON has it."""
    return {
        "gain": strip.gain_db,
        "mute": strip.mute,
        "channel_gains": list(strip.channel_gains_db),
        "matrix": [list(row) for row in strip.matrix],
    }


def _with_values(strip: Strip, values: Mapping[str, Any]) -> Strip:
    gains = tuple(_checked_gain(f"a channel gain of bus {strip.name!r}", float(gain)) for gain in values["channel_gains"])
    matrix = tuple(tuple(map(float, row)) for row in values["matrix"])
    if len(gains) != len(strip.inputs) or [len(row) for row in matrix] != [len(strip.inputs)] * len(strip.outputs):
        raise UserError("it has other channels")
    gain = _checked_gain(f"the gain of bus {strip.name!r}", float(values["gain"]))
    matrix = _checked_matrix(strip.name, matrix)
    return replace(strip, gain_db=gain, mute=bool(values["mute"]), channel_gains_db=gains, matrix=matrix)


def _carried_over(strip: Strip, configured: Strip, known: Strip) -> Strip:
    """Give the newly configured strip with what was set by hand on the known one, where the configuration did not change."""
    fresh, before, live = _values(strip), _values(configured), _values(known)
    return _with_values(strip, {key: live[key] if fresh[key] == before[key] else fresh[key] for key in fresh})


def _differing(before: Strip, now: Strip) -> list[str]:
    """Name the D-Bus properties that differ."""
    pairs = {
        "Gain": (before.gain_db, now.gain_db),
        "Mute": (before.mute, now.mute),
        "ChannelGains": (before.channel_gains_db, now.channel_gains_db),
        "Matrix": (before.matrix, now.matrix),
        "Channels": (before.inputs, now.inputs),
        "Inputs": (before.inputs, now.inputs),
        "Outputs": (before.outputs, now.outputs),
    }
    return [name for name, (one, other) in pairs.items() if one != other]


def _checked_matrix(bus: str, matrix: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    for output, row in enumerate(matrix, 1):
        for position, factor in enumerate(row, 1):
            if not abs(factor) <= _MATRIX_LIMIT:
                raise UserError(f"the factor {factor!r} at output {output}, input {position} of bus {bus!r} is not in -10 ... 10")
    return tuple(map(tuple, matrix))


def _checked_gain(what: str, gain_db: float) -> float:
    if math.isnan(gain_db) or gain_db > GAIN_MAX_DB:
        raise UserError(f"{what} cannot be {gain_db:g} dB: from -144 (silence) to +20")
    return max(gain_db, -144.0)
