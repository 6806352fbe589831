"""The buses: what is set on each, folded into the gains and the plan of the audio kernel, and their levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace

from jackd_router.core.bus_values import (
    BusValues,
    KeptValues,
    carried_over,
    checked_channel_gains,
    checked_gain,
    checked_matrix,
    checked_midi_channels,
    named_by,
    values_of,
)
from jackd_router.core.config import DEFAULT_PROFILE, BusConfig, Profile
from jackd_router.core.errors import Cancelled, NoSuchBus, ServerLost, UserError
from jackd_router.core.fade import Fade
from jackd_router.core.graph import PortName
from jackd_router.core.mix import Strip, bus_passages, strip_of
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime.fades import RunningFade
from jackd_router.runtime.kernel_plan import KernelPlan, PlanMessage
from jackd_router.runtime.state import BusState

_LONGEST_FADE_MS = 3_600_000


class Buses:
    """All buses. Values survive every server; what the kernel runs belongs to one generation."""

    def __init__(self, on_changed: Callable[..., None]) -> None:
        """Take what to call with a bus's name and the D-Bus properties of it that changed."""
        self._on_changed = on_changed
        self._strips: dict[str, Strip] = {}
        self._config: tuple[BusConfig, ...] = ()
        self._profile = DEFAULT_PROFILE
        self._configured: dict[str, BusValues] = {}
        self._fades: dict[str, RunningFade] = {}
        self._kernel: KernelPlan | None = None
        self._planned: tuple[str, ...] = ()
        """The names of those in the last plan."""
        self._sounding: frozenset[str] = frozenset()
        """... and in the last one that was taken."""
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
        before, past, origins = self._strips, self._configured, self._origins()
        came = profile.name != self._profile.name
        self._strips, self._configured, self._passages = {}, {}, None
        for bus in config:
            now = self._configured[bus.name] = values_of(bus, profile)
            name, values = bus.name, now
            if name in before and before[name].type is bus.type:
                switched = named_by(self._profile, name) | named_by(profile, name) if came else frozenset()
                values = carried_over(_values(before[name]), past[name], now, switched=switched)
            elif name in kept and kept[name].live.shape == now.shape:
                values = carried_over(kept[name].live, kept[name].configured, now)
            self._strips[name] = _strip(bus, values)
        self._config, self._profile = tuple(config), profile
        for name in [name for name in self._fades if self._strips.get(name) != before[name]]:
            self._stop_fade(name, goes_on=name in self._strips and self._strips[name].gain_db == before[name].gain_db)
        self._tell_differences(before)
        for name, origin in self._origins().items():
            if origins.get(name, origin) != origin:
                self._on_changed(name, "Origin")

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

    def port_names(self) -> Iterator[str]:
        """Give the short name of each port of ours."""
        for strip in self._strips.values():
            yield from (*strip.input_ports(), *strip.output_ports())

    def state(self, name: str, client_name: str) -> BusState:
        """Describe one bus, its ports as those of the client."""
        strip = self._strip(name)
        return BusState(
            name=name,
            type=strip.type,
            inputs=tuple(PortName(f"{client_name}:{port}") for port in strip.input_ports()),
            outputs=tuple(PortName(f"{client_name}:{port}") for port in strip.output_ports()),
            gain_db=self._gain_now(name),
            channel_gains_db=strip.channel_gains_db,
            mute=strip.mute,
            matrix=strip.matrix,
            midi_channels=_midi_channels(strip),
            active=name in self._sounding,
            origin=self._origins()[name],
        )

    def _gain_now(self, name: str) -> float:
        """Give the gain in dB, in the middle of a fade as well."""
        return self._fades[name].gain_db if name in self._fades else self._strips[name].gain_db

    def _origins(self) -> dict[str, str]:
        return {bus.name: str(bus.origin or "") for bus in self._config}

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
        self._audio_strip(name, "gain")
        self._set(name, "Gain", gain_db=checked_gain(f"the gain of bus {name!r}", gain_db))

    def begin_fade(self, name: str, gain_db: float, duration_ms: int) -> RunningFade | None:
        """Fade the gain of a bus in a straight line of dB; None where it is there at once, as it is without a server.

        In no time it takes what any change of the bus takes. Another change of the bus that comes first cancels it, and begins
        where the fade is then.
        """
        strip = self._audio_strip(name, "gain")
        gain_db = checked_gain(f"the gain of bus {name!r}", gain_db)
        if duration_ms > _LONGEST_FADE_MS:
            raise UserError(f"a fade of {duration_ms} ms is too long: at most {_LONGEST_FADE_MS} (an hour)")
        kernel = self._kernel
        frames = round((duration_ms or strip.fade_ms) * kernel.sample_rate_hz / 1000) if kernel else 0
        if kernel is None or not kernel.can_fade(name) or not frames or self._gain_now(name) == gain_db:
            self._set(name, "Gain", gain_db=gain_db)
            return None
        self._stop_fade(name)
        start_db = self._strips[name].gain_db
        fade = Fade(start_db, gain_db, frames)
        self._strips[name] = replace(self._strips[name], gain_db=gain_db)
        kernel.set_fade(name, fade)
        self._publish()
        running = RunningFade(fade, kernel.memory, kernel.sample_rate_hz, lambda: self._fade_ended(name))
        self._fades[name] = running
        return running

    def _fade_ended(self, name: str) -> None:
        self._fades.pop(name, None)
        self._on_changed(name, "Gain")

    def _stop_fade(self, name: str, *, goes_on: bool = True) -> bool:
        """End a fade, if there is one, and tell whether there was; the bus `goes_on` where it is now, or has another gain."""
        running = self._fades.pop(name, None)
        if running is None:
            return False
        running.cancel(Cancelled(f"something else was set on bus {name!r} before its fade came to the end"))
        if goes_on:
            self._strips[name] = replace(self._strips[name], gain_db=running.gain_db)
        if self._kernel:
            self._kernel.set_fade(name, None)
        return True

    def set_mute(self, name: str, mute: bool) -> None:
        """Make a bus silent, or let it sound as it did."""
        self._set(name, "Mute", mute=mute)

    def set_channel_gains(self, name: str, gains_db: Sequence[float]) -> None:
        """Set the trim of each input of a bus, which adds to its gain."""
        strip = self._audio_strip(name, "channel gains")
        if len(gains_db) != len(strip.inputs):
            raise UserError(f"bus {name!r} has {len(strip.inputs)} inputs; {len(gains_db)} channel gains were given")
        self._set(name, "ChannelGains", channel_gains_db=checked_channel_gains(name, gains_db))

    def set_matrix(self, name: str, matrix: Sequence[Sequence[float]]) -> None:
        """Set the mix of a bus, a row per output; where it has cells that the plan lacks, `changed` tells."""
        strip = self._audio_strip(name, "matrix")
        shape = (len(strip.outputs), len(strip.inputs))
        if len(matrix) != shape[0] or any(len(row) != shape[1] for row in matrix):
            raise UserError(f"the matrix of bus {name!r} has {shape[0]} rows (outputs) of {shape[1]} factors (inputs)")
        self._set(name, "Matrix", matrix=checked_matrix(name, matrix))

    def set_midi_channels(self, name: str, channels: Sequence[int]) -> None:
        """Set which MIDI channels pass a bus; what sounds on others is ended."""
        if not self._strip(name).is_midi:
            raise UserError(f"bus {name!r} carries audio: it has no MIDI channels")
        self._set(name, "MidiChannels", midi_channels=checked_midi_channels(name, channels))

    def _audio_strip(self, name: str, what: str) -> Strip:
        strip = self._strip(name)
        if strip.is_midi:
            raise UserError(f"bus {name!r} carries MIDI: it has no {what}")
        return strip

    def _set(self, name: str, changed: str, **values: object) -> None:
        before = self._strip(name)
        # A fade on its way to the very gain that is set is to be there now.
        fading = name in self._fades and "gain_db" in values
        if replace(before, **values) == before and not fading:  # type: ignore[arg-type]
            return
        stopped = self._stop_fade(name)
        self._strips[name] = replace(self._strips[name], **values)  # type: ignore[arg-type]
        if changed == "Matrix":
            self._passages = None
            if self._kernel:
                self.changed = self._kernel.take_cells(self._strips.values()) or self.changed
        self._publish()
        self._on_changed(name, *dict.fromkeys((changed, *(["Gain"] if stopped else []))))

    # ---- what the kernel runs

    def begin_generation(self, memory: SharedMemory) -> PlanMessage:
        """Give the first plan for a new server, each cell at its target from the first frame."""
        self._kernel = KernelPlan(memory, self._sample_rate_hz)
        return self.plan()

    def end_generation(self) -> None:
        """Let go of the memory of a host that is gone; what faded is at its end."""
        self._kernel = None
        self._now_sounding(())
        fades, self._fades = self._fades, {}
        for name, running in fades.items():
            running.cancel(ServerLost(f"the JACK server went away while bus {name!r} faded: its gain is that at the end"))
            self._on_changed(name, "Gain")

    def set_sample_rate(self, sample_rate_hz: int) -> None:
        """Take the rate of the server, by which the plan counts fades in frames."""
        self.changed = self.changed or self._sample_rate_hz != sample_rate_hz
        self._sample_rate_hz = sample_rate_hz
        if self._kernel:
            self._kernel.sample_rate_hz = sample_rate_hz

    def plan(self) -> PlanMessage:
        """Give the plan for the buses as they are now; their targets are published. Only while there is a generation."""
        assert self._kernel is not None
        self._serial += 1
        self.changed = False
        self._planned = self.names
        return self._kernel.plan(tuple(self._strips.values()), self._serial)

    def plan_taken(self) -> None:
        """Note that the last plan runs: the ports are there, and sound passes."""
        self._now_sounding(self._planned)

    def _now_sounding(self, names: Sequence[str]) -> None:
        before, self._sounding = self._sounding, frozenset(names)
        for name in self.names:
            if (name in before) is not (name in self._sounding):
                self._on_changed(name, "Active")

    def _publish(self) -> None:
        if self._kernel:
            self._kernel.publish(self._strips.values())

    # ---- what the levels need

    @property
    def strips(self) -> tuple[Strip, ...]:
        """Give what is set on each bus, in the order in which the plan counts ports."""
        return tuple(self._strips.values())

    @property
    def running(self) -> KernelPlan | None:
        """Give what the kernel runs: the memory with the meters, and the plan that numbers them."""
        return self._kernel


def _strip(bus: BusConfig, values: BusValues) -> Strip:
    return replace(
        strip_of(bus),
        gain_db=values.gain_db,
        channel_gains_db=values.channel_gains_db,
        mute=values.mute,
        matrix=values.matrix,
        midi_channels=values.midi_channels,
    )


def _values(strip: Strip) -> BusValues:
    return BusValues(strip.gain_db, strip.mute, strip.channel_gains_db, strip.matrix, strip.midi_channels)


def _without_gains(strip: Strip) -> Strip:
    return replace(strip, gain_db=0.0, mute=False, channel_gains_db=(), midi_channels=())


def _midi_channels(strip: Strip) -> tuple[int, ...]:
    """Give those that pass: none where the bus is one of sound."""
    return strip.midi_channels if strip.is_midi else ()


def _differing(before: Strip, now: Strip) -> list[str]:
    """Name the D-Bus properties that differ."""
    pairs = {
        "Gain": (before.gain_db, now.gain_db),
        "Mute": (before.mute, now.mute),
        "ChannelGains": (before.channel_gains_db, now.channel_gains_db),
        "Type": (before.type, now.type),
        "Matrix": (before.matrix, now.matrix),
        "MidiChannels": (_midi_channels(before), _midi_channels(now)),
        "Channels": (before.inputs, now.inputs),
        "Inputs": (before.inputs, now.inputs),
        "Outputs": (before.outputs, now.outputs),
    }
    return [name for name, (one, other) in pairs.items() if one != other]
