"""The devices of a PipeWire that has just begun, as long as a session manager may be about to set them up.

A sink that pipewire.conf makes has ports at once, and gets other ones, and a monitor beside each, when a session manager comes
to it. Where the first ones are connected by then, PipeWire 0.3.65 crashes or carries no sound to them any more; and it does so
again when it is started again, as we are there before the session manager is. So nothing is connected to them until then.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jackd_router.core.errors import Refused
from jackd_router.core.graph import Graph, PortName
from jackd_router.jack_io import session_manager
from jackd_router.jack_io.threads import in_thread

_ALONE_S = 0.4
"""At this age of PipeWire the process of its session manager is there, if there is to be one."""
_MANAGED_S = 1.5
"""At this age the session manager has seen to the devices that there were at the beginning."""


class NewDevices:
    """Tells which sinks are to be left alone for a moment."""

    def __init__(self, graph: Graph) -> None:
        """Take the mirror's graph; no sink is to be left alone before `begin_generation`."""
        self._graph = graph
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._looking: asyncio.Task[None] | None = None

    def begin_generation(self, server_age_s: float) -> None:
        """Work on a PipeWire that runs for so long."""
        if server_age_s < _MANAGED_S:
            born = self._loop.time() - server_age_s
            self._until = born + _MANAGED_S
            self._looking = self._loop.create_task(self._look(born + _ALONE_S))

    def end_generation(self) -> None:
        """Forget the server that is gone."""
        self._until = 0.0
        if self._looking is not None:
            self._looking.cancel()

    def awaits_set_up(self, destination: PortName) -> bool:
        """Tell whether the port is one of a sink that a session manager may still make anew."""
        port = self._graph.ports.get(destination)
        if self._loop.time() >= self._until or port is None or not port.is_physical:
            return False
        return not any(other.is_monitor and other.client == port.client for other in self._graph.ports.values())

    async def _look(self, due: float) -> None:
        await asyncio.sleep(due - self._loop.time())
        runs = False
        with suppress(Refused):  # no more threads
            runs = await in_thread(session_manager.runs)
        if not runs:
            self._until = 0.0
