"""What the router remembers of pairs of ports between two turns: whose they are, and what became of its requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from jackd_router.core.graph import Connection, Graph, PortName

_ECHO_S = 1.0
"""How long after the server's answer the notification of what it has done may take."""
_FIRST_RETRY_S, _LAST_RETRY_S = 0.05, 5.0
_UNDONE_TIMES, _UNDONE_WITHIN_S = 3, 5.0
_PEACE_S = 600.0
"""After so long without a quarrel the next one begins with the shortest truce."""
_FIRST_TRUCE_S, _LAST_TRUCE_S = 2.0, 300.0


@dataclass(slots=True)
class Request:
    """A request on its way: to connect or to disconnect, for which rule ("" where none speaks of it, or `by_hand`)."""

    connect: bool
    rule: str
    since: float
    by_hand: bool = False
    """Somebody who called us asked for it."""
    takes_back: bool = False
    """To cut what the server has connected by mistake."""
    waiting: list[asyncio.Future[int | None]] = field(default_factory=list)
    answered: bool = False
    code: int | None = None
    """What callers are told: libjack's answer, or that it came to nothing; None where the server went before it answered."""
    echoed: bool = False
    """The notification of it came, be it that the opposite came after it."""

    def is_overdue(self, now: float) -> bool:
        """Tell whether the notification of what the server has answered should have come by now."""
        return self.answered and now - self.since > _ECHO_S


@dataclass(slots=True)
class Failure:
    """A connection that the server did not make: how often in a row, when to try again, and its code."""

    times: int
    due: float
    code: int


@dataclass(slots=True)
class Quarrel:
    """Another program that undoes what we do: when, and until when we let it have its way."""

    undone: deque[float] = field(default_factory=lambda: deque(maxlen=_UNDONE_TIMES))
    truces: int = 0
    until: float = 0.0


@dataclass(slots=True)
class Ledger:
    """Facts about pairs, valid for one run of one server. Registrations tell a port from its successor of the same name."""

    owned: dict[Connection, str] = field(default_factory=dict)
    held: dict[Connection, tuple[int, int]] = field(default_factory=dict)
    """Cut by hand, and left so."""
    kept: dict[Connection, tuple[int, int]] = field(default_factory=dict)
    """Connected by hand, to stay so."""
    requests: dict[Connection, Request] = field(default_factory=dict)
    astray: dict[Connection, Request] = field(default_factory=dict)
    """Requests on their way of which a port went meanwhile: if another one has its name by then, they act on that one."""
    failures: dict[Connection, Failure] = field(default_factory=dict)
    quarrels: dict[Connection, Quarrel] = field(default_factory=dict)

    @property
    def holds(self) -> tuple[Connection, ...]:
        """Pairs that stay as somebody wanted them by hand: cut or connected."""
        return (*self.held, *self.kept)

    @property
    def _tables(self) -> tuple[dict[Connection, Any], ...]:
        """What is valid only as long as both ports are there."""
        return (
            self.owned,
            self.held,
            self.kept,
            self.requests,  # a port that comes again under the name must not wait for the echo of its predecessor
            self.failures,
            self.quarrels,
        )

    def forget_ports(self, gone: Set[PortName]) -> bool:
        """Forget what was valid only as long as these ports were there; tell whether a hold was among it."""
        released = False
        for connection, request in self.requests.items():
            # A connection that was told was made with the port that went. That one was cut is told of each port that goes, and
            # an answer may overtake what is told.
            if not (gone.isdisjoint(connection) or (request.connect and request.echoed)):
                self.astray[connection] = request
        for table in self._tables:
            for connection in [connection for connection in table if not gone.isdisjoint(connection)]:
                del table[connection]
                released = released or table is self.held or table is self.kept
        return released

    def compare(self, graph: Graph) -> None:
        """Forget what is not so in this graph: for when a bug has interrupted what the ledger was told."""
        self.forget_ports({end for table in self._tables for pair in table for end in pair if end not in graph.ports})
        for connection in self.owned.keys() - graph.connections:
            del self.owned[connection]
        for connection in self.kept.keys() - graph.connections - self.requests.keys():
            del self.kept[connection]
        for hold in (self.held, self.kept):
            for connection in [each for each, ends in hold.items() if registrations(graph, each) != ends]:
                del hold[connection]

    @property
    def every_request(self) -> tuple[tuple[Connection, Request], ...]:
        """Every request that is on its way, those that went astray first."""
        return (*self.astray.items(), *self.requests.items())

    def on_its_way(self, connection: Connection, *, connect: bool) -> Request | None:
        """Give the request that asks for this, if there is one."""
        each = (self.requests.get(connection), self.astray.get(connection))
        return next((request for request in each if request is not None and request.connect is connect), None)

    def finish(self, connection: Connection, request: Request) -> None:
        """Note that nothing comes of a request any more."""
        for table in (self.requests, self.astray):
            if table.get(connection) is request:
                del table[connection]

    def fail(self, connection: Connection, code: int, now: float) -> Failure:
        """Note that the server did not make a connection; the next attempt waits twice as long as the last one did."""
        times = self.failures[connection].times + 1 if connection in self.failures else 1
        due = now + min(_FIRST_RETRY_S * 2 ** min(times - 1, 10), _LAST_RETRY_S)
        self.failures[connection] = Failure(times, due, code)
        return self.failures[connection]

    def undo(self, connection: Connection, now: float) -> bool:
        """Note that somebody undid what we did; True when the pair is contested from now on."""
        quarrel = self.quarrels.setdefault(connection, Quarrel())
        if now - quarrel.until > _PEACE_S:
            quarrel.truces = 0
        quarrel.undone.append(now)
        if len(quarrel.undone) < _UNDONE_TIMES or now - quarrel.undone[0] > _UNDONE_WITHIN_S:
            return False
        self.let_have_its_way(connection, quarrel.truces + 1, now)
        return True

    def let_have_its_way(self, connection: Connection, truces: int, now: float, rest_s: float = _LAST_TRUCE_S) -> None:
        """Begin a truce, the how manieth it is, or go on with the rest of it; the rest is not longer than the whole."""
        quarrel = self.quarrels.setdefault(connection, Quarrel())
        whole_s = min(_FIRST_TRUCE_S * 2 ** min(truces - 1, 10), _LAST_TRUCE_S)
        quarrel.truces, quarrel.until = truces, now + min(rest_s, whole_s)
        quarrel.undone.clear()
        quarrel.undone.extend((quarrel.until,) * (_UNDONE_TIMES - 1))  # one more is enough right after the truce

    def contested(self, connection: Connection, now: float) -> bool:
        """Tell whether a truce holds."""
        quarrel = self.quarrels.get(connection)
        return quarrel is not None and now < quarrel.until

    def next_due(self, now: float) -> float | None:
        """Give when the next retry or the end of a truce is due; None when nothing waits."""
        dues = [failure.due for failure in self.failures.values() if failure.due > now]
        dues += [quarrel.until for quarrel in self.quarrels.values() if quarrel.until > now]
        return min(dues, default=None)


def registrations(graph: Graph, connection: Connection) -> tuple[int, int] | None:
    """Give the registrations of both ports; None where one of them is not there."""
    source, destination = (graph.ports.get(end) for end in connection)
    return (source.registration, destination.registration) if source and destination else None
