"""A JACK host and everything that it has told, for the tests of what the daemon makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jackd_router.core.errors import Refused, ServerLost
from jackd_router.jack_host import memory, protocol
from jackd_router.jack_host.library import FOLDERS, Implementation
from jackd_router.jack_io.host_process import Answer, HostProcess
from jackd_router.jack_io.shared_memory import Event
from tests.support.eventually import eventually_async

NO_PLAN = (0, (), (), (), ())
OPEN_S, REQUEST_S = 8.0, 5.0


class Conversation:
    """One host, with what it has said so far."""

    def __init__(self, implementation: Implementation = Implementation.JACK2) -> None:
        self.implementation = implementation
        self.host = HostProcess(FOLDERS[implementation][0])
        self.loaded: list[str] = []
        self.ports: dict[int, tuple[Any, ...]] = {}
        self.connections: set[tuple[int, int]] = set()
        self.pongs = 0
        self.exits: list[int] = []
        self.events: list[Event] = []
        self.host.on_loaded = self.loaded.append
        self.host.on_part = self._take_part
        self.host.on_wake = self._take_events
        self.host.on_pong = self._count_pong
        self.host.on_exit = self.exits.append

    async def open(self, server: str, name: str = "router", *, plan: tuple[Any, ...] = NO_PLAN) -> Answer:
        """Become a client and give what the server gave: name, rate, period, realtime."""
        return await self.host.request(protocol.OPEN, self.implementation.value, server, name, plan, deadline_s=OPEN_S)

    async def ask(self, operation: str, *arguments: Any, deadline_s: float = REQUEST_S) -> Answer:
        """Send one request and give the results."""
        return await self.host.request(operation, *arguments, deadline_s=deadline_s)

    async def read_graph(self) -> dict[bytes, tuple[int, bytes, tuple[bytes, ...]]]:
        """Read the graph anew and give flags, type and aliases of each port by name; connections are in `connections`."""
        self.ports, self.connections = {}, set()
        await self.ask(protocol.READ_GRAPH)
        return {name: (flags, kind, aliases) for _, name, flags, kind, aliases in self.ports.values()}

    def number_of(self, name: bytes) -> int:
        """Give the id of a port of the graph that was read last."""
        return next(number for number, row in self.ports.items() if row[1] == name)

    def told(self, event: int, on: int) -> list[Event]:
        """Give the notifications of one kind that came so far."""
        return [one for one in self.events if (one.event, one.on) == (event, on)]

    def shut_down(self) -> list[bytes]:
        """Give the reasons of the shutdowns that were told."""
        return [one.name for one in self.events if one.event == memory.EVENT_SHUTDOWN]

    async def answers(self) -> bool:
        """Tell whether the server answers a request."""
        try:
            await self.ask(protocol.CONNECT, b"nobody:out", b"nobody:in", deadline_s=1)
        except (Refused, ServerLost):
            return False
        return True

    async def end(self, *, say_goodbye: bool = True, deadline_s: float = 2.0) -> int:
        """Close the host, if it still runs, and give its exit status."""
        self.host.close(say_goodbye=say_goodbye, deadline_s=deadline_s)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until the host has ended and give its exit status."""
        await until(lambda: self.exits, what="the host ends")
        assert len(self.exits) == 1
        return self.exits[0]

    def _take_part(self, kind: str, rows: tuple[Any, ...]) -> None:
        if kind == protocol.PORTS:
            self.ports |= {row[0]: row for row in rows}
        else:
            self.connections.update(rows)

    def _take_events(self) -> None:
        self.events += self.host.take_events()

    def _count_pong(self) -> None:
        self.pongs += 1


def held() -> tuple[int, int]:
    """Give how many descriptors and threads this process has."""
    return len([*Path("/proc/self/fd").iterdir()]), len([*Path("/proc/self/task").iterdir()])


async def until(condition: Callable[[], object], timeout_s: float = 10, what: str | None = None) -> None:
    """Wait, in the event loop, until the condition holds."""

    async def holds() -> bool:
        return bool(condition())

    await eventually_async(holds, timeout_s, what)
