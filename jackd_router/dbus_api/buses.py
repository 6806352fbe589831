"""io.github.jackd_router.Router1.Buses and .Bus: the passthrough buses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jackd_router.core.errors import AlreadyExists, UserError
from jackd_router.core.graph import PortName
from jackd_router.core.names import shown
from jackd_router.dbus_api.message_bus import Variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.names import bus_path
from jackd_router.dbus_api.options import Options
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import BusState

_BUS_OPTIONS = {
    "type": "s",
    "channels": "as u",
    "outputs": "as u",
    "gain": "d",
    "channel-gains": "ad",
    "mute": "b",
    "matrix": "aad",
    "fade-ms": "d",
    "midi-channels": "au u",
}
"""The keys of a [[bus]], and their types here."""


class Buses:
    """Implements the interface Buses."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def get_bus(self, call: Call, name: str) -> str:
        """Give the path of a bus."""
        return bus_path(self._router.bus(name).name)

    async def create_bus(self, call: Call, name: str, options: Mapping[str, Variant]) -> str:
        """Make a bus."""
        given = Options(options, _BUS_OPTIONS).values
        keys = {option: option.replace("-", "_") for option in _BUS_OPTIONS}
        try:
            await self._router.create_bus(name, {keys[option]: value for option, value in given.items()})
        except AlreadyExists:
            raise
        except UserError as error:
            text = str(error)
            for option, key in keys.items():
                text = text.replace(key, option)
            raise type(error)(text) from None
        return bus_path(name)

    async def remove_bus(self, call: Call, name: str) -> None:
        """Remove a bus that was made at run time."""
        await self._router.remove_bus(name)

    async def get_levels(self, call: Call, options: Mapping[str, Variant]) -> dict[str, list[tuple[float, float]]]:
        """Give the levels since this caller last asked."""
        Options(options)
        levels = await self._router.levels(call.sender)
        return {name: [(level.peak_dbfs, level.rms_dbfs) for level in ports] for name, ports in levels.items()}


class Bus:
    """Implements the interface Bus, for the bus of one name."""

    def __init__(self, router: Router, name: str) -> None:
        self._router = router
        self.name = name

    @property
    def type(self) -> str:
        """What it carries."""
        return self._state.type

    @property
    def channels(self) -> int:
        """How many inputs it has."""
        return len(self._state.inputs)

    @property
    def inputs(self) -> list[str]:
        """Full names of its input ports."""
        return _names(self._state.inputs)

    @property
    def outputs(self) -> list[str]:
        """Full names of its output ports."""
        return _names(self._state.outputs)

    @property
    def origin(self) -> str:
        """Where the configuration defines it."""
        return shown(self._state.origin)

    @property
    def active(self) -> bool:
        """Whether a server carries it."""
        return self._state.active

    @property
    def gain(self) -> float:
        """Of all channels, in dB."""
        return self._state.gain_db

    def set_gain(self, call: Call, gain_db: float) -> None:
        """Fade to another gain."""
        self._router.set_bus_gain(self.name, gain_db)

    @property
    def mute(self) -> bool:
        """Whether it is silent."""
        return self._state.mute

    def set_mute(self, call: Call, mute: bool) -> None:
        """Fade out, or in."""
        self._router.set_bus_mute(self.name, mute)

    @property
    def channel_gains(self) -> tuple[float, ...]:
        """Of each input, in dB."""
        return self._state.channel_gains_db

    def set_channel_gains(self, call: Call, gains_db: Sequence[float]) -> None:
        """Fade to other gains."""
        self._router.set_bus_channel_gains(self.name, gains_db)

    @property
    def matrix(self) -> tuple[tuple[float, ...], ...]:
        """Rows are outputs, columns inputs."""
        return self._state.matrix

    def set_matrix(self, call: Call, matrix: Sequence[Sequence[float]]) -> None:
        """Fade to another matrix."""
        self._router.set_bus_matrix(self.name, matrix)

    async def fade_to(self, call: Call, gain_db: float, duration_ms: int) -> None:
        """Fade the gain, linear in dB, and answer at the end."""
        await self._router.fade_bus(self.name, gain_db, duration_ms)

    @property
    def midi_channels(self) -> tuple[int, ...]:
        """Those that pass a bus of MIDI."""
        return self._state.midi_channels

    def set_midi_channels(self, call: Call, channels: Sequence[int]) -> None:
        """Let others pass."""
        self._router.set_bus_midi_channels(self.name, channels)

    @property
    def _state(self) -> BusState:
        return self._router.bus(self.name)


def _names(ports: Sequence[PortName]) -> list[str]:
    return [shown(port) for port in ports]
