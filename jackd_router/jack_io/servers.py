"""Which server is followed, of those that may run: the first of them that does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jackd_router.jack_io.presence import Presence, ServerSocket


class Servers:
    """Watches several sockets and tells of one server at a time; one that stands before it takes its place."""

    def __init__(
        self,
        sockets: Sequence[ServerSocket],
        on_appeared: Callable[[], None],
        on_gone: Callable[[], None],
        on_replaced: Callable[[str], None],
    ) -> None:
        """Take the sockets, the preferred one first, and what to call; nothing happens before `start`.

        `on_replaced` gets the reason why a server that still runs is not followed any more.
        """
        self._on_appeared, self._on_gone, self._on_replaced = on_appeared, on_gone, on_replaced
        self._all = [self._presence(server) for server in sockets]
        self.current: Presence | None = None
        """The one that is followed; None while there is no server."""

    def _presence(self, server: ServerSocket) -> Presence:
        presence = Presence(server, self._choose, lambda: self._gone(presence))
        return presence

    def start(self) -> None:
        """Look now, and watch from now on."""
        for presence in self._all:
            presence.start()

    def stop(self) -> None:
        """Watch no more; nothing is called afterwards."""
        for presence in self._all:
            presence.stop()

    def look(self) -> None:
        """Look now whether the server that is followed is still there."""
        if self.current:
            self.current.look()

    @property
    def server_run(self) -> str:
        """Tells this run of the server from every other one; "" while there is none, or nobody knows."""
        return self.current.server_run if self.current else ""

    def server_age_s(self) -> float:
        """Give for how long the process of the server runs, as `Presence` does."""
        return self.current.server_age_s() if self.current else 0.0

    def server_stopped(self) -> bool:
        """Tell whether the process of the server is stopped (by a signal or a debugger)."""
        return self.current is not None and self.current.server_stopped()

    def _choose(self) -> None:
        best = next((presence for presence in self._all if presence.present), None)
        if best is None or best is self.current:
            return
        before, self.current = self.current, best
        if before is not None:
            self._on_replaced(f"{best.server.title} was started, and comes first")
        self._on_appeared()

    def _gone(self, presence: Presence) -> None:
        if presence is self.current:
            self.current = None
            self._on_gone()
            self._choose()
