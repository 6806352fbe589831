"""io.github.jackd_router.Router1.Server: the JACK server."""

from __future__ import annotations

from collections.abc import Mapping

from jackd_router.core.names import shown
from jackd_router.dbus_api.message_bus import Variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.options import Options
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import ServerState

_PROPERTIES = {
    "phase": "State",
    "server_name": "ServerName",
    "implementation": "Implementation",
    "client_name": "ClientName",
    "sample_rate_hz": "SampleRate",
    "buffer_size_frames": "BufferSize",
    "realtime": "Realtime",
    "client_realtime": "ClientRealtime",
    "hints": "Hints",
    "freewheeling": "Freewheeling",
    "xrun_count": "XrunCount",
    "last_xrun_usec": "LastXrunUSec",
    "connected_usec": "ConnectedUSec",
    "retry_count": "RetryCount",
    "last_error": "LastError",
}


def changed_properties(before: ServerState, now: ServerState) -> list[str]:
    """Give the names of the properties that differ."""
    return [name for field, name in _PROPERTIES.items() if getattr(before, field) != getattr(now, field)]


class Server:
    """Implements the interface."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def state(self) -> str:
        """One word."""
        return self._router.server.phase

    @property
    def server_name(self) -> str:
        """As JACK_DEFAULT_SERVER."""
        return self._router.server.server_name

    @property
    def implementation(self) -> str:
        """Whose libjack."""
        return self._router.server.implementation

    @property
    def client_name(self) -> str:
        """Ours."""
        return shown(self._router.server.client_name)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._router.server.sample_rate_hz

    @property
    def buffer_size(self) -> int:
        """Frames."""
        return self._router.server.buffer_size_frames

    @property
    def realtime(self) -> bool:
        """Whether the server runs with real-time priority."""
        return self._router.server.realtime

    @property
    def client_realtime(self) -> bool:
        """Whether our own process thread does."""
        return self._router.server.client_realtime

    @property
    def hints(self) -> tuple[str, ...]:
        """One line each."""
        return self._router.server.hints

    @property
    def freewheeling(self) -> bool:
        """Whether the server runs as fast as it can."""
        return self._router.server.freewheeling

    @property
    def xrun_count(self) -> int:
        """Since the connection began, or the last reset."""
        return self._router.server.xrun_count

    @property
    def last_xrun_usec(self) -> int:
        """Since the epoch, 0 for never."""
        return self._router.server.last_xrun_usec

    @property
    def connected_usec(self) -> int:
        """Since the epoch, 0 while not connected."""
        return self._router.server.connected_usec

    @property
    def retry_count(self) -> int:
        """Attempts that failed since the connection was lost."""
        return self._router.server.retry_count

    @property
    def last_error(self) -> str:
        """Why the last attempt failed."""
        return self._router.server.last_error

    @property
    def midi_lost(self) -> int:
        """Events that had no room."""
        return self._router.midi_lost

    @property
    def cycle_count(self) -> int:
        """Since the connection began, or the last reset; so are the next two."""
        return self._router.cycle_cost.cycles

    @property
    def cycle_median_usec(self) -> float:
        """Microseconds."""
        return self._router.cycle_cost.median_usec

    @property
    def cycle_max_usec(self) -> float:
        """Microseconds."""
        return self._router.cycle_cost.max_usec

    async def read_dsp_load(self) -> float:
        """Percent."""
        return await self._router.dsp_load()

    async def reconnect(self, call: Call, options: Mapping[str, Variant]) -> None:
        """Try now."""
        Options(options)
        await self._router.reconnect()

    def reset_xruns(self, call: Call) -> None:
        """Count everything from 0."""
        self._router.reset_statistics()
