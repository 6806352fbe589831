"""The requests to make and to cut connections: what the server says to each, and what is told of it.

Two things come of a request, in either order: libjack's answer, and the notification of what it did, its echo. It is over when
both have come, or when it failed. Who called us is answered when both have come, so that whoever asks for the graph next sees
what was done; or a moment after the answer, for an echo may be lost.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Set

from jackd_router.core.errors import ServerLost
from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.jack_host import protocol
from jackd_router.jack_io.host_process import Answer, HostProcess, in_time
from jackd_router.runtime.ledger import Ledger, Request
from jackd_router.runtime.mistaken import Mistaken

_CALLER_S = 2.0
"""How long somebody who calls us waits for the server."""
_CALLER_ECHO_S = 0.25
"""How much longer, where it has answered, for the notification: that may be lost."""

OnResult = Callable[[Connection, Request, int, bool], None]
"""Told with libjack's code, and whether the pair is now as it was asked for."""
OnMistake = Callable[[Connection, Request, Connection], None]
"""Told of a connection that was made in place of the pair that was asked for; last."""


class ConnectionRequests:
    """Those of one server after the other; the ledger knows which are on their way."""

    def __init__(self, graph: Graph, on_result: OnResult, on_mistake: OnMistake, look_at: Callable[[Connection], None]) -> None:
        """Take the mirror's graph, whom to tell what came of each, and who then decides about the pair anew."""
        self._graph, self._on_result, self._on_mistake, self._look_at = graph, on_result, on_mistake, look_at
        self._loop = asyncio.get_running_loop()
        self._host: HostProcess | None = None
        self._ledger = Ledger()
        self._mistaken, self._mistakes_ports = Mistaken(), False

    def begin_generation(self, host: HostProcess, ledger: Ledger, *, mistakes_ports: bool) -> None:
        """Ask this server from now on; `mistakes_ports`: a request may reach another port than it names."""
        self._host, self._ledger = host, ledger
        self._mistaken, self._mistakes_ports = Mistaken(), mistakes_ports

    def end_generation(self) -> None:
        """Tell those who wait what the server has answered, or that it is gone."""
        for _, request in self._ledger.every_request:
            _tell(request)
        self._host, self._ledger, self._mistaken = None, Ledger(), Mistaken()

    def ask(
        self, connection: Connection, connect: bool, rule: str, *, by_hand: bool = False, takes_back: bool = False
    ) -> Request:
        """Ask the server to connect or to disconnect a pair."""
        assert self._host is not None
        request = Request(connect, rule, self._loop.time(), by_hand, takes_back)
        before, self._ledger.requests[connection] = self._ledger.requests.get(connection), request
        if before is not None and before.answered:
            _tell(before)  # its echo would not be known from that of this one
        if connect and self._mistakes_ports:
            self._mistaken.asked(connection, request, self._graph.newest)
        operation = protocol.CONNECT if connect else protocol.DISCONNECT
        names = (end.encode("utf-8", "surrogateescape") for end in connection)
        self._host.submit(lambda answer: self._answered(connection, request, answer), operation, *names)
        return request

    async def ask_for_caller(self, connection: Connection, *, connect: bool) -> int:
        """Ask for somebody who waits for libjack's code; raise ServerLost."""
        if self._host is None:
            raise ServerLost("there is no JACK server")
        request = self._ledger.requests.get(connection)
        if request is None or request.connect != connect or request.answered:
            # One that asked for the opposite is answered all the same; who waits for it is told its own code.
            request = self.ask(connection, connect, "", by_hand=True)
        future: asyncio.Future[int | None] = self._loop.create_future()
        request.waiting.append(future)
        try:
            return await in_time(
                future, _CALLER_S, f"the JACK server has not answered within {_CALLER_S:g} s; it may still do it"
            )
        except ServerLost:
            if request.code is None:
                raise
            return request.code

    def note_echo(self, connection: Connection, request: Request) -> bool:
        """Note that what was asked for has happened; False where that was made with a port that went, and went with it."""
        self._mistaken.ended(request)
        is_astray = self._ledger.astray.get(connection) is request
        if is_astray and request.connect and connection not in self._graph.connections:
            if request.answered:
                _tell(request)
            return False
        request.echoed = True
        if request.answered:
            self._ledger.finish(connection, request)
            _tell(request)
        return True

    def ports_gone(self, gone: Set[PortName]) -> None:
        """Note that ports went: of a request that names one of them, another port may have been connected."""
        self._mistaken.ports_gone(gone)

    def is_mistake(self, connection: Connection) -> bool:
        """Tell whether a connection that came, and is not known to be ours, was made in place of one that we have asked for."""
        mistake = self._mistaken.told(connection, self._graph)
        if mistake is not None:
            self._take_back(*mistake, connection)
        return mistake is not None

    def _take_back(self, connection: Connection, request: Request, made: Connection) -> None:
        self._mistaken.ended(request)
        self._ledger.finish(connection, request)
        request.code = errno.ENOENT
        _tell(request)
        self._on_mistake(connection, request, made)
        self.ask(made, connect=False, rule="", takes_back=True)

    def give_up_overdue(self) -> list[Connection]:
        """Forget requests whose echo should have come by now, and give the pairs that are to be looked at for it."""
        ledger, now = self._ledger, self._loop.time()
        self._mistaken.forget_overdue(now)
        ledger.astray = {connection: request for connection, request in ledger.astray.items() if not request.is_overdue(now)}
        overdue = [connection for connection, request in ledger.requests.items() if request.is_overdue(now)]
        for connection in overdue:
            del ledger.requests[connection]
        return overdue

    def _made_instead(self, request: Request, code: int) -> Connection | None:
        """Give the connection that was made in place of the one that this request has asked for, where it still stands."""
        made = self._mistaken.answered(request, code)
        return made if made in self._graph.connections and self._ledger.on_its_way(made, connect=False) is None else None

    def _answered(self, connection: Connection, request: Request, answer: Answer | None) -> None:
        ledger = self._ledger
        request.code = None if answer is None else int(answer[1])
        request.answered, request.since = True, self._loop.time()
        if request.code is not None and (made := self._made_instead(request, request.code)):
            self._take_back(connection, request, made)
        code, is_awaited = request.code, ledger.requests.get(connection) is request
        if not is_awaited and ledger.astray.get(connection) is not request:
            _tell(request)  # of a generation that is over, or nothing came of it
            return
        done = code == 0 or (code == errno.EEXIST and request.connect)
        if is_awaited:
            is_seen = request.echoed or (connection in self._graph.connections) is request.connect
        else:
            is_seen = request.echoed and request.connect  # that one was cut may have been told because the port went
        is_over = not done or is_seen
        if is_over:
            ledger.finish(connection, request)
        # Where it could not be cut, somebody else may just have done it: who called us looks at the graph a moment later.
        comes = not is_seen and (done or (not request.connect and connection in self._graph.connections))
        if not comes:
            _tell(request)
        elif request.waiting:
            self._loop.call_later(_CALLER_ECHO_S, _tell, request)
        if code is not None and (done or is_awaited):  # that it could not be done for a port that has gone says nothing
            self._on_result(connection, request, code, done)
        if is_over or not is_awaited:  # else it is looked at when the echo comes
            self._look_at(connection)


def _tell(request: Request) -> None:
    """Answer those who wait for it, if they do not know already; with None where the server went before it answered."""
    for future in request.waiting:
        if not future.done():
            future.set_result(request.code)
