"""A client of the daemon on the message bus, for tests that are plain functions: its loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from jackd_router.cli.remote import unwrapped
from jackd_router.dbus_api import names
from jackd_router.dbus_api.errors import CallError
from jackd_router.dbus_api.message_bus import Value, Variant, variant
from jackd_router.dbus_api.messages import Signal, SignalMatch
from jackd_router.dbus_api.session_bus import SessionBus

T = TypeVar("T")

NO_OPTIONS: dict[str, Variant] = {}
_DEADLINE_S = 20


class Remote:
    """One connection to the bus. Members are named `Graph.Connect`; what is in a variant stands in its place."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._signals: list[Signal] = []
        self._closed = False
        self._bus = self._run(SessionBus.open([address]))
        self._run(self._bus.subscribe(SignalMatch(sender=names.BUS_NAME), self._signals.append))

    def call(
        self, member: str, signature: str = "", *body: Value, path: str = names.ROOT_PATH, destination: str = names.BUS_NAME
    ) -> Any:
        """Call a method and give what it answers: one value, or a list where there are several. Raises CallError."""
        name = member if member.startswith("org.") else f"{names.BUS_NAME}.{member}"
        interface, _, method = name.rpartition(".")
        answer = unwrapped(self._run(self._bus.call(destination, path, interface, method, signature, body)))
        return answer[0] if len(answer) == 1 else answer

    def calls(self, members: Sequence[tuple[str, str, Sequence[Value]]]) -> list[Any]:
        """Send many calls without waiting, and give what they answer, one value each."""

        async def send() -> list[Any]:
            work = []
            for member, signature, body in members:
                interface, _, method = f"{names.BUS_NAME}.{member}".rpartition(".")
                work.append(self._bus.call(names.BUS_NAME, names.ROOT_PATH, interface, method, signature, body))
            return [unwrapped(answer)[0] for answer in await asyncio.gather(*work)]

        return self._run(send())

    def read(self, name: str, *, path: str = names.ROOT_PATH) -> Any:
        """Read the property `Interface.Name`."""
        interface, _, member = name.rpartition(".")
        return self.call(f"{names.PROPERTIES}.Get", "ss", f"{names.BUS_NAME}.{interface}", member, path=path)

    def write(self, name: str, signature: str, value: Value, *, path: str = names.ROOT_PATH) -> None:
        """Set the property `Interface.Name`."""
        interface, _, member = name.rpartition(".")
        written = variant(signature, value)
        self.call(f"{names.PROPERTIES}.Set", "ssv", f"{names.BUS_NAME}.{interface}", member, written, path=path)

    def error(self, member: str, signature: str = "", *body: Value) -> CallError:
        """Call a method that must be refused, and give the error."""
        try:
            answer = self.call(member, signature, *body)
        except CallError as error:
            return error
        raise AssertionError(f"{member}{body} answered {answer!r}")

    def signals(self, member: str) -> list[Signal]:
        """Give every signal of this name that came so far."""
        return [signal for signal in tuple(self._signals) if signal.member == member]

    def applied(self) -> list[list[str]]:
        """Give what rules have done since, as the signals told it: rule, action, source, destination."""
        return [list(action) for signal in self.signals("Applied") for action in signal.body[0]]

    def owned(self) -> bool:
        """Whether a daemon has its name on the bus."""
        return bool(self._run(self._bus.call(names.DBUS, names.DBUS_PATH, names.DBUS, "NameHasOwner", "s", [names.BUS_NAME]))[0])

    def connected(self) -> bool:
        """Whether the daemon is a client of a JACK server."""
        return bool(self.read("Server.State") == "connected")

    def ports(self, pattern: str = "") -> set[str]:
        """Give the full names of the ports that match, as the daemon sees them."""
        return set(self.call("Graph.ListPorts", "sa{sv}", pattern, NO_OPTIONS))

    def connections(self, pattern: str = "") -> set[tuple[str, str]]:
        """Give the connections of which an end matches, as the daemon sees them."""
        return {(source, end) for source, end in self.call("Graph.ListConnections", "sa{sv}", pattern, NO_OPTIONS)}

    def close(self) -> None:
        """Leave the bus, if that was not done already."""
        if self._closed:
            return
        self._closed = True
        self._run(self._bus.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_DEADLINE_S)
        self._loop.close()

    def _run(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_DEADLINE_S)
