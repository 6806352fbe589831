"""A server as a table in memory, with JACK2's ids: the lowest free one is used again at once.

What real servers do at their own pace is here at the pace of a test, so that hypothesis can search in it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.jack_host import memory
from jackd_router.jack_io.shared_memory import Event

AUDIO = b"32 bit float mono audio"

PortRow = tuple[int, bytes, int, bytes, tuple[bytes, ...]]
Row = tuple[bytes, int]
"""Name and flags."""
Seen = tuple[dict[PortName, tuple[PortType, PortFlags]], set[Connection]]

Operation = tuple[str, int, int]
"""What to do, and two numbers that choose the ports or names to do it with."""
OPERATIONS = ("register", "register", "unregister", "crash", "connect", "connect", "disconnect", "rename", "alias")


def event(kind: int, a: int = 0, b: int = 0, *, on: int = 1, flags: int = 0, name: bytes = b"") -> Event:
    """Give a notification as the JACK host's memory has it."""
    return Event(kind, a, b, on, flags, 0, AUDIO if kind == memory.EVENT_PORT and on else b"", name)


class ModelServer:
    """Ports by id and connections by ids; every change gives its notifications."""

    def __init__(self, names: int = 12) -> None:
        self.ports: dict[int, Row] = {}
        self.connections: set[tuple[int, int]] = set()
        self._names = names

    def do(self, operation: Operation) -> list[Event]:
        """Do it, where it can be done, and give the notifications in JACK2's order."""
        what, first, second = operation
        match what:
            case "register":
                return self._register(b"a:%d" % (first % self._names), flags=1 + second % 2)
            case "rename":
                return self._rename(self._chosen(first), b"a:%d" % (second % self._names))
            case "alias":
                number = self._chosen(first)
                return [event(memory.EVENT_ALIAS, number, name=b"alias %d" % (second % 2))] if number else []
            case "unregister":
                return self._unregister(self._chosen(first))
            case "crash":  # JACK2 tells the end of each port of a client that dies twice
                events = self._unregister(self._chosen(first))
                return events + events[-1:]
            case _:
                return self._change_connection(self._chosen(first), self._chosen(second), on=what == "connect")

    def seen(self) -> Seen:
        """Give the truth by names."""
        names = {number: PortName(name.decode()) for number, (name, _) in self.ports.items()}
        ports = {names[number]: (PortType.AUDIO, PortFlags(flags)) for number, (_, flags) in self.ports.items()}
        return ports, {Connection(names[source], names[destination]) for source, destination in self.connections}

    def _chosen(self, number: int) -> int:
        return sorted(self.ports)[number % len(self.ports)] if self.ports else 0

    def _taken(self, name: bytes) -> bool:
        return any(known == name for known, _ in self.ports.values())

    def _register(self, name: bytes, flags: int) -> list[Event]:
        if self._taken(name):
            return []
        number = next(number for number in range(1, len(self.ports) + 2) if number not in self.ports)
        self.ports[number] = (name, flags)
        return [event(memory.EVENT_PORT, number, flags=flags, name=name)]

    def _rename(self, number: int, name: bytes) -> list[Event]:
        if not number or self._taken(name):
            return []
        self.ports[number] = (name, self.ports[number][1])
        return [event(memory.EVENT_RENAME, number, name=name)]

    def _unregister(self, number: int) -> list[Event]:
        if not number:
            return []
        gone = sorted(pair for pair in self.connections if number in pair)
        self.connections.difference_update(gone)
        del self.ports[number]
        return [*(event(memory.EVENT_CONNECTION, *pair, on=0) for pair in gone), event(memory.EVENT_PORT, number, on=0)]

    def _change_connection(self, source: int, destination: int, *, on: bool) -> list[Event]:
        pair = (source, destination)
        flags = [self.ports[number][1] for number in pair if number]
        if flags != [PortFlags.OUTPUT, PortFlags.INPUT] or (pair in self.connections) == on:
            return []
        (self.connections.add if on else self.connections.discard)(pair)
        return [event(memory.EVENT_CONNECTION, *pair, on=int(on))]


class TornReader:
    """Reads a model server as the JACK host reads a real one: row by row, while the server goes on."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.ports: list[PortRow] = []
        self.connections: list[tuple[int, int]] = []

    def read(self) -> Iterator[None]:
        """Read one thing at each turn."""
        server = self._server
        listed = [name for name, _ in server.ports.values()]
        yield
        for name in listed:
            for number, (known, flags) in server.ports.items():
                if known == name:
                    self.ports.append((number, name, flags, AUDIO, ()))
            yield
        sources = [name for name, flags in server.ports.values() if flags == PortFlags.OUTPUT]
        yield
        ids = {name: number for number, (name, _) in server.ports.items()}
        yield
        for name in sources:
            for source, destination in sorted(server.connections):
                other = server.ports[destination][0]
                if server.ports[source][0] == name and name in ids and other in ids:
                    self.connections.append((ids[name], ids[other]))
            yield


def seen(graph: Graph) -> Seen:
    """Give what a graph says, without registrations and aliases."""
    return {name: (port.type, port.flags) for name, port in graph.ports.items()}, set(graph.connections)


def whole(graph: Graph) -> tuple[dict[PortName, Port], set[Connection]]:
    """Give all that a graph says."""
    return dict(graph.ports), set(graph.connections)


def history(operations: Iterable[Operation], server: ModelServer | None = None) -> list[Event]:
    """Give the notifications of all operations."""
    server = server or ModelServer()
    return [told for operation in operations for told in server.do(operation)]


def random_operations(seed: int, count: int, numbers: int = 100_000, what: Sequence[str] = OPERATIONS) -> list[Operation]:
    """Give operations that are the same for the same seed."""
    rng = random.Random(seed)
    return [(rng.choice(what), rng.randrange(numbers), rng.randrange(numbers)) for _ in range(count)]
