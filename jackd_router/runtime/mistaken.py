"""Requests to connect that reached another port than they named.

PipeWire's libjack asks by the numbers of ports, and the server gives the number of a port that goes to what comes next. Where a
port goes after libjack has looked its name up, and another one comes, that one is connected: to be seen when WirePlumber makes a
device anew, and each time when the server has stood still meanwhile (0.3.65). No notification says who has asked.
"""

from __future__ import annotations

import errno
from collections.abc import Set
from dataclasses import dataclass

from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.runtime.ledger import Request

_MAY_BE_DONE = (0, errno.ENOENT)
"""The codes after which there may be a connection: success, and what libjack says where the server has complained of anything."""


@dataclass(slots=True, eq=False)
class _Asked:
    pair: Connection
    request: Request
    newest: int
    """The registration of the newest port when it was asked for."""
    made: Connection | None = None
    """What came of it, if its answer says that something did."""


class Mistaken:
    """Follows the requests to connect of one server, from when they are asked until their echo comes or cannot come any more."""

    def __init__(self) -> None:
        """Know of none."""
        self._asked: dict[int, _Asked] = {}
        self._lost: dict[PortName, list[_Asked]] = {}
        """Those of which a port went, by the names of both ends."""

    def asked(self, pair: Connection, request: Request, newest: int) -> None:
        """Follow this one; `newest`: the registration of the newest port of now."""
        self._asked[id(request)] = _Asked(pair, request, newest)

    def ended(self, request: Request) -> None:
        """Forget one of which is known what came of it."""
        one = self._asked.pop(id(request), None)
        for end in one.pair if one is not None else ():
            self._lost[end] = [other for other in self._lost.get(end, ()) if other is not one]
            if not self._lost[end]:
                del self._lost[end]

    def forget_overdue(self, now: float) -> None:
        """Forget those whose echo should have come by now."""
        for one in [one for one in self._asked.values() if one.request.is_overdue(now)]:
            self.ended(one.request)

    def ports_gone(self, gone: Set[PortName]) -> None:
        """Note which of them another port may have reached from now on."""
        for one in self._asked.values():
            if not gone.isdisjoint(one.pair):
                for end in one.pair:
                    others = self._lost.setdefault(end, [])
                    if one not in others:
                        others.append(one)

    def told(self, connection: Connection, graph: Graph) -> tuple[Connection, Request] | None:
        """Give what was asked for where this connection, which is not known to be ours, was made instead; None for nothing.

        One end is that of the pair, and the other port came later than the request. Of a request that is not answered yet,
        the answer decides.
        """
        for end, (name, other) in enumerate(zip(connection, reversed(connection), strict=True)):
            port = graph.ports.get(other)
            for one in self._lost.get(name, ()):
                if one.pair[end] != name or port is None or port.registration <= one.newest:
                    continue
                if one.request.answered:
                    return one.pair, one.request
                one.made = connection
        return None

    def answered(self, request: Request, code: int) -> Connection | None:
        """Give what was made instead of what this request has asked for; None for nothing, as far as is known now."""
        one = self._asked.get(id(request))
        if one is None or request.echoed:
            return None
        if code not in _MAY_BE_DONE:
            self.ended(request)
            return None
        return one.made
