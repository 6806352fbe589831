"""The buses: what is set on each, folded into the gains and the plan of the audio kernel, and their levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace

import numpy as np

from jackd_router.core.bus_values import (
    BusValues,
    KeptValues,
    carried_over,
    checked_channel_gains,
    checked_gain,
    checked_matrix,
    named_by,
    values_of,
)
from jackd_router.core.config import DEFAULT_PROFILE, BusConfig, Profile
from jackd_router.core.errors import NoSuchBus, UserError
from jackd_router.core.graph import PortName
from jackd_router.core.mix import CellKey, Start, Strip, bus_passages, cells, strip_of
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime.state import BusState

PlanMessage = tuple[int, tuple[bytes, ...], tuple[bytes, ...], tuple[tuple[int, ...], ...]]


class Buses:
    """All buses. Values survive every server; slots of gains and the number of the plan belong to one generation."""

    def __init__(self, on_changed: Callable[..., None]) -> None:
        """Take what to call with a bus's name and the D-Bus properties of it that changed."""
        self._on_changed = on_changed
        self._strips: dict[str, Strip] = {}
        self._config: tuple[BusConfig, ...] = ()
        self._profile = DEFAULT_PROFILE
        self._configured: dict[str, BusValues] = {}
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

    def load(self, config: Sequence[BusConfig], profile: Profile, kept: Mapping[str, KeptValues]) -> None:
        """Make the buses those of a configuration, with the values that the profile gives them.

        A value that was set by hand stays where the configured one did not change; that of a bus that comes, or comes
        again, is the kept one.
        """
        before, past = self._strips, self._configured
        came = profile.name != self._profile.name
        self._strips, self._configured, self._passages = {}, {}, None
        for bus in config:
            now = self._configured[bus.name] = values_of(bus, profile)
            name, values = bus.name, now
            if name in before:
                switched = named_by(self._profile, name) | named_by(profile, name) if came else frozenset()
                values = carried_over(_values(before[name]), past[name], now, switched=switched)
            elif name in kept:
                values = carried_over(kept[name].live, kept[name].configured, now)
            self._strips[name] = _strip(bus, values)
        self._config, self._profile = tuple(config), profile
        self._tell_differences(before)

    def switch(self, profile: Profile) -> None:
        """Set what the profile names, and give back what only the one before it named."""
        self.load(self._config, profile, {})

    def _tell_differences(self, before: Mapping[str, Strip]) -> None:
        now = self._strips
        # Gains alone need no other plan.
        self.changed = self.changed or [*map(_without_gains, before.values())] != [*map(_without_gains, now.values())]
        if before != now:
            self._publish()
        for name in before.keys() & now.keys():
            if changed := _differing(before[name], now[name]):
                self._on_changed(name, *changed)

    def keep(self, kept: MutableMapping[str, KeptValues], name: str) -> None:
        """Note in `kept` what was set on a bus by hand, or that nothing was."""
        live, configured = _values(self._strips[name]), self._configured[name]
        if live == configured:
            kept.pop(name, None)
        else:
            kept[name] = KeptValues(live, configured)

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
        self._set(replace(strip, gain_db=checked_gain(f"the gain of bus {name!r}", gain_db)), "Gain")

    def set_mute(self, name: str, mute: bool) -> None:
        """Make a bus silent, or let it sound as it did."""
        self._set(replace(self._strip(name), mute=mute), "Mute")

    def set_channel_gains(self, name: str, gains_db: Sequence[float]) -> None:
        """Set the trim of each input of a bus, which adds to its gain."""
        strip = self._strip(name)
        if len(gains_db) != len(strip.inputs):
            raise UserError(f"bus {name!r} has {len(strip.inputs)} inputs; {len(gains_db)} channel gains were given")
        self._set(replace(strip, channel_gains_db=checked_channel_gains(name, gains_db)), "ChannelGains")

    def set_matrix(self, name: str, matrix: Sequence[Sequence[float]]) -> None:
        """Set the mix of a bus, a row per output; where it has cells that the plan lacks, `changed` tells."""
        strip = self._strip(name)
        shape = (len(strip.outputs), len(strip.inputs))
        if len(matrix) != shape[0] or any(len(row) != shape[1] for row in matrix):
            raise UserError(f"the matrix of bus {name!r} has {shape[0]} rows (outputs) of {shape[1]} factors (inputs)")
        self._strips[name], self._passages = replace(strip, matrix=checked_matrix(name, matrix)), None
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


def _strip(bus: BusConfig, values: BusValues) -> Strip:
    return replace(
        strip_of(bus),
        gain_db=values.gain_db,
        channel_gains_db=values.channel_gains_db,
        mute=values.mute,
        matrix=values.matrix,
    )


def _values(strip: Strip) -> BusValues:
    return BusValues(strip.gain_db, strip.mute, strip.channel_gains_db, strip.matrix)


def _without_gains(strip: Strip) -> Strip:
    return replace(strip, gain_db=0.0, mute=False, channel_gains_db=())


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
