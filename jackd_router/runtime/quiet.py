"""Quiet: how long nothing has changed, in the graph and at each client.

A program that comes or goes tells its ports one by one: what would remove a connection, and the rest of a fan-out, waits.
"""

from __future__ import annotations

from jackd_router.core.graph import Connection, PortName, client_of

QUIET_S = 0.02
"""Quiet is when nothing has changed for so long."""
NEVER_QUIET_S = 0.5
"""... but nothing waits for ever: in a graph that never rests connections are still removed, and cuts by hand still count."""


class Quiet:
    """Remembers when something changed; times are those of the event loop."""

    def __init__(self) -> None:
        self._changed_at = 0.0
        self._clients: dict[str, float] = {}
        self._shrunk: dict[str, float] = {}

    def graph_changed(self, now: float) -> None:
        """Note that anything changed."""
        self._changed_at = now

    def port_changed(self, name: PortName, now: float, *, gone: bool) -> None:
        """Note that a port of a client came, changed or went."""
        client = client_of(name)
        self._clients[client] = now
        if gone:
            self._shrunk[client] = now

    def is_quiet(self, now: float) -> bool:
        """Tell whether the whole graph rests."""
        return now - self._changed_at >= QUIET_S

    def is_over(self, since: float, now: float) -> bool:
        """Tell whether what waits since then waits no longer: all is quiet, or it never will be."""
        return self.is_quiet(now) or now - since >= NEVER_QUIET_S

    def is_busy(self, connection: Connection, now: float, *, is_fan_out: bool) -> bool:
        """Tell whether a pair may be another one in a moment, as one of its clients comes (of a fan-out) or goes.

        A client that leaves takes its ports away one by one; what the others are paired with meanwhile is soon gone.
        """
        times = self._clients if is_fan_out else self._shrunk
        return any(now - times.get(client_of(end), 0.0) < QUIET_S for end in connection)

    def forget(self, now: float) -> None:
        """Forget clients that have long been quiet."""
        for times in (self._clients, self._shrunk):
            for client in [client for client, at in times.items() if now - at >= QUIET_S]:
                del times[client]

    def clear(self) -> None:
        """Forget all clients: the server is gone."""
        self._clients.clear()
        self._shrunk.clear()
