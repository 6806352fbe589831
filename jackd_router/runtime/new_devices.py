"""The devices of a PipeWire that has just begun, as long as a session manager may be about to set them up.

A device that pipewire.conf makes has ports at once. When a session manager comes to it, it gets other ones: a sink then has a
monitor beside each. PipeWire 0.3.65 crashes at that, or lets the connection fall, where the first ones are connected. It would
crash again and again, as we are there before the session manager is: so rules leave such ports alone until then, whatever the
version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf

from jackd_router.core.errors import Refused
from jackd_router.core.graph import Connection, Graph, PortName, PortType
from jackd_router.jack_io.session_manager import youngest_s
from jackd_router.jack_io.threads import in_thread
from jackd_router.runtime.mirror import PortChange

_ALONE_S = 0.4
"""At this age of PipeWire its session manager runs, if it has one: systemd starts one with the other."""
_EARLIER_S = 1.0
"""So much older than PipeWire its session manager may be; one that is older still is another one's."""
_MANAGED_S = 3.0
"""At this age a session manager has set the devices up that there were at the beginning."""
_CALM_S = 0.05
"""Devices that are just being set up are left alone until so long after the last change of one."""


class NewDevices:
    """Keeps the pairs that wait for a device to be set up."""

    def __init__(self, graph: Graph, look_at: Callable[[Iterable[Connection]], None]) -> None:
        """Take the mirror's graph, and who decides about pairs anew; nothing waits before `begin_generation`."""
        self._graph, self._look_at = graph, look_at
        self._loop = asyncio.get_running_loop()
        self.waiting: set[Connection] = set()
        self._until = self._calm_at = 0.0
        self._newest = 0
        self._monitored: set[str] | None = None
        """The clients that have a monitor; None while nobody has looked."""
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._calm_timer: asyncio.TimerHandle | None = None

    def begin_generation(self, server_age_s: float) -> None:
        """Work on a PipeWire that runs for so long, with what there is in its graph."""
        self.end_generation()
        if server_age_s < _MANAGED_S:
            born = self._loop.time() - server_age_s
            self._newest = self._graph.newest
            self._wait_until(born + _MANAGED_S)
            self._wait_until_calm()
            self._looking = self._loop.create_task(self._look_for_manager(born))

    def end_generation(self) -> None:
        """Forget the server that is gone."""
        self._until = self._calm_at = 0.0
        self.waiting.clear()
        for each in (self._looking, self._timer, self._calm_timer):
            if each is not None:
                each.cancel()
        self._looking = self._timer = self._calm_timer = None

    def awaits(self, connection: Connection) -> bool:
        """Tell whether the pair is not to be made yet; it is named again when it may be."""
        if self._loop.time() >= self._until or not any(map(self._is_new, connection)):
            return False
        self.waiting.add(connection)
        return True

    def keeps(self, connection: Connection) -> bool:
        """Tell whether the pair is not to be cut yet, as one that waits may take its place; it is named again, too."""
        if all(pair.source != connection.source for pair in self.waiting):
            return False
        self.waiting.add(connection)
        return True

    def ports_changed(self, changes: Iterable[PortChange]) -> None:
        """Note which devices are being set up."""
        self._monitored = None
        ports = (port for change in changes for port in (change.before, change.now))
        if self._loop.time() < self._until and any(port and (port.is_physical or port.is_monitor) for port in ports):
            self._wait_until_calm()

    def _is_new(self, name: PortName) -> bool:
        port = self._graph.ports.get(name)
        if port is None or not port.is_physical or port.type is PortType.MIDI:
            return False
        if self._loop.time() < self._calm_at:
            return True
        monitored = self._clients_with_monitor()
        if port.is_source:  # nothing tells whether it is set up, but that others are, or that it is not the first one
            return port.registration <= self._newest and not monitored
        return monitored.isdisjoint((port.client, f"{port.client} Monitor"))  # jack.merge-monitor = false

    def _clients_with_monitor(self) -> set[str]:
        if self._monitored is None:
            self._monitored = {port.client for port in self._graph.ports.values() if port.is_monitor}
        return self._monitored

    def _wait_until_calm(self) -> None:
        if self._calm_timer is not None:
            self._calm_timer.cancel()
        self._calm_at = self._loop.time() + _CALM_S
        self._calm_timer = self._loop.call_at(self._calm_at, self._release)

    def _wait_until(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._until = when
        self._timer = self._loop.call_at(when, self._release)

    def _release(self) -> None:
        waiting, self.waiting = self.waiting, set()
        self._look_at(waiting)

    async def _look_for_manager(self, born: float) -> None:
        await asyncio.sleep(born + _ALONE_S - self._loop.time())
        with suppress(Refused, OSError):  # where it cannot be known, it is waited for
            age_s = await in_thread(youngest_s)
            now = self._loop.time()
            started = now - age_s if age_s is not None else -inf
            self._wait_until(started + _MANAGED_S if started > born - _EARLIER_S else now)
