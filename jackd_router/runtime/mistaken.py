"""Requests to connect that reached another port than they named.

PipeWire's libjack asks by the numbers of ports, and the server gives the number of a port that goes to what comes next. Where a
port goes after libjack has looked its name up, and another one comes, that one is connected: to be seen when WirePlumber makes a
device anew, each time when the server has stood still meanwhile (0.3.65). Nothing in the notification says who has asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.runtime.ledger import Request, registrations


class Mistaken:
    """Those that may have: their echo had not come when one of their ports went."""

    def __init__(self) -> None:
        """Know of none."""
        self._requests: list[tuple[Connection, Request]] = []

    def clear(self) -> None:
        """Forget all: another server has other numbers."""
        self._requests.clear()

    def ports_gone(self, gone: Set[PortName], requests: Iterable[tuple[Connection, Request]], now: float) -> None:
        """Remember the requests on their way that name such a port, and forget those of which nothing comes any more."""
        self._requests = [(pair, request) for pair, request in self._requests if not request.is_overdue(now)]
        self._requests += [
            (pair, request) for pair, request in requests if request.connect and not request.echoed and not gone.isdisjoint(pair)
        ]

    def take(self, connection: Connection, graph: Graph, now: float) -> Connection | None:
        """Give the pair that was asked for where this connection was made, which is not known to be ours; None for nothing.

        One end is that of the pair. The other port came after the one whose place it has taken.
        """
        made = registrations(graph, connection)
        for at, (pair, request) in enumerate(self._requests):
            if request.echoed or request.is_overdue(now) or request.ends is None or made is None:
                continue
            source_is_new, destination_is_new = (new > asked for new, asked in zip(made, request.ends, strict=True))
            if (connection.source == pair.source and destination_is_new and not source_is_new) or (
                connection.destination == pair.destination and source_is_new and not destination_is_new
            ):
                del self._requests[at]
                request.is_mistaken = True
                return pair
        return None
