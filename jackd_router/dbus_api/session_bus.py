"""Our place on the session bus: calls with a deadline, subscriptions, names, and the end of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, assert_never

from jackd_router.dbus_api.addresses import session_addresses
from jackd_router.dbus_api.errors import NO_REPLY, UNKNOWN_OBJECT, BusLost, CallError
from jackd_router.dbus_api.message_bus import AuthError, Connection, RawBody, Value
from jackd_router.dbus_api.messages import Body, Call, Reply, Signal, SignalMatch, name_owner_match
from jackd_router.dbus_api.names import DBUS, DBUS_PATH

_CONNECT_DEADLINE_S = 5.0
CALL_DEADLINE_S = 25.0
_BUS_DEADLINE_S = 5.0
"""What the bus itself is asked; only one that is frozen does not answer."""
_CLOSE_DEADLINE_S = 1.0

_DO_NOT_QUEUE = 4
_PRIMARY_OWNER = 1
_ALREADY_OWNER = 4


async def connect_session(*, deadline_s: float = _CONNECT_DEADLINE_S) -> SessionBus:
    """Connect to the session bus of the user. Raises BusLost."""
    return await SessionBus.open(session_addresses(), deadline_s=deadline_s)


class SessionBus:
    """One connection to a message bus. Once lost it stays lost: open another one. `open` makes it."""

    def __init__(self, address: str) -> None:
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._subscribers: list[tuple[SignalMatch, Callable[[Signal], None]]] = []
        self._lost = asyncio.Event()
        self._connection = Connection(address, self._take, self._end)
        self._connection.wants_signals_of = self._wants_signals_of
        self.on_call: Callable[[Call], None] = self._refuse

    @classmethod
    async def open(cls, addresses: Sequence[str], *, deadline_s: float = _CONNECT_DEADLINE_S) -> Self:
        """Connect to the bus at the first of these addresses that answers. Raises BusLost, which tells why none did."""
        reasons: list[str] = []
        for address in addresses:
            try:
                bus = cls(address)
                async with asyncio.timeout(deadline_s):
                    await bus._connection.open()
            except TimeoutError:
                reasons.append(f"{address}: no answer within {deadline_s:g} s")
            except (OSError, EOFError, ValueError, AuthError) as error:
                reasons.append(f"{address}: {error}")
            else:
                return bus
        raise BusLost(f"there is no message bus ({'; '.join(reasons)})")

    async def __aenter__(self) -> Self:
        """Give the connection."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the bus."""
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether the bus is there."""
        return self._connection.connected

    @property
    def unique_name(self) -> str:
        """The name that the bus gave this connection."""
        return self._connection.unique_name or ""

    @property
    def backlog_bytes(self) -> int:
        """How much waits because the bus does not take it."""
        return len(self._connection.outbox)

    @property
    def signal_backlog_bytes(self) -> int:
        """How much of that is for nobody alone."""
        return self._connection.outbox.waits_for("")

    def check_calls(self, check: Callable[[Call, int], None]) -> None:
        """Let this look at the header of each large call, and its length in bytes, before it is decoded; it raises CallError."""
        self._connection.check_call = check

    async def drained(self) -> None:
        """Wait until everything is sent, or the bus is gone."""
        await self._connection.outbox.until(lambda: not self.backlog_bytes)

    async def signals_taken(self, most_bytes: int) -> None:
        """Wait until no more than this waits that is for nobody alone, or the bus is gone."""
        await self._connection.outbox.until(lambda: self.signal_backlog_bytes <= most_bytes)

    async def lost(self) -> None:
        """Wait until the bus is gone."""
        await self._lost.wait()

    async def close(self) -> None:
        """Send what is queued, then leave the bus."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_DEADLINE_S):
                await self.drained()
        self._connection.close()

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Value] = (),
        *,
        autostart: bool = True,
        deadline_s: float = CALL_DEADLINE_S,
    ) -> Body:
        """Call a method and give what it answers. Raises CallError, also when no answer comes in time, and BusLost.

        `autostart`: whether the bus may start the service where it does not run.
        """
        if not self.connected:
            raise BusLost("the message bus went away")
        serial = self._connection.send_call(destination, path, interface, member, signature, body, autostart=autostart)
        self._replies[serial] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(deadline_s):
                reply = await self._replies[serial]
        except TimeoutError:
            raise CallError(NO_REPLY, f"{destination} did not answer {member} within {deadline_s:g} s") from None
        finally:
            self._replies.pop(serial, None)
        if reply.error_name:
            raise CallError(reply.error_name, str(reply.body[0]) if reply.body else "")
        return reply.body

    async def subscribe(self, match: SignalMatch, callback: Callable[[Signal], None]) -> None:
        """Call back for each such signal while the connection lasts. Once this has returned none is missed."""
        self._subscribers.append((match, callback))
        await self.call(DBUS, DBUS_PATH, DBUS, "AddMatch", "s", [match.rule], deadline_s=_BUS_DEADLINE_S)

    async def watch_name(self, name: str, callback: Callable[[str], None]) -> None:
        """Call back with the new owner of the name whenever it changes, "" when it has none any more."""
        await self.subscribe(name_owner_match(name), lambda signal: callback(signal.body[2]))

    async def request_name(self, name: str) -> bool:
        """Take the name; False, and no waiting in a queue, where another connection has it."""
        body = (name, _DO_NOT_QUEUE)
        (outcome,) = await self.call(DBUS, DBUS_PATH, DBUS, "RequestName", "su", body, deadline_s=_BUS_DEADLINE_S)
        return outcome in (_PRIMARY_OWNER, _ALREADY_OWNER)

    def emit(self, path: str, interface: str, member: str, signature: str = "", body: Sequence[Value] = ()) -> None:
        """Send a signal; nothing happens where the bus is gone."""
        if self.connected:
            self._connection.send_signal(path, interface, member, signature, body)

    def answer(self, call: Call, signature: str, body: Sequence[Value] | RawBody) -> None:
        """Answer a call; nothing happens where nobody waits for it."""
        if self.connected and call.wants_reply:
            self._connection.send_reply(call, signature, body)

    def answer_error(self, call: Call, error: CallError) -> None:
        """Answer a call with an error; nothing happens where nobody waits for it."""
        if self.connected and call.wants_reply:
            self._connection.send_error(call, error.name, error.text)

    def _take(self, message: Call | Reply | Signal) -> None:
        """Give what came to whom it is for."""
        match message:
            case Call():
                self.on_call(message)
            case Signal():
                for match, callback in tuple(self._subscribers):
                    if match.matches(message):
                        callback(message)
            case Reply():
                waiting = self._replies.pop(message.serial, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case _:
                assert_never(message)

    def _wants_signals_of(self, sender: str) -> bool:
        """Tell whether anybody listens to signals of this sender: everybody can send us some, and large ones."""
        return sender == DBUS or any(match.sender != DBUS for match, _ in self._subscribers)

    def _refuse(self, call: Call) -> None:
        """Answer a call to a connection that offers nothing."""
        self.answer_error(call, CallError(UNKNOWN_OBJECT, "there are no objects here"))

    def _end(self) -> None:
        """Tell everybody who waits that the bus is gone."""
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(BusLost("the message bus went away before the answer came"))
        self._subscribers.clear()
        self._lost.set()
