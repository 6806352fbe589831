"""The JACK graph as values: ports, connections, and what one port says of itself.

A `Graph` has one writer (the mirror); everybody else reads it. Names are the keys: ids of the server never come here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import NamedTuple, NewType

PortName = NewType("PortName", str)
"""A full name, `client:port`. Bytes that are not UTF-8 are kept as surrogates (PEP 383)."""


class PortType(StrEnum):
    """What flows through a port."""

    __hash__ = str.__hash__  # Enum's own is written in Python, and asked dozens of times for each port

    AUDIO = "audio"
    MIDI = "midi"
    CV = "cv"
    OTHER = "other"


class PortFlags(IntFlag):
    """JackPortFlags, as jack/types.h has them."""

    INPUT = 1
    OUTPUT = 2
    PHYSICAL = 4
    CAN_MONITOR = 8
    TERMINAL = 16


class Connection(NamedTuple):
    """A pair of ports, connected or not: an output port and the input port that it feeds."""

    source: PortName
    destination: PortName


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the graph. `registration` tells two ports apart that had the same name one after the other.

    A pretty name, and the type CV, is metadata: no port has either while nobody wants metadata. `system_name`: what JACK2
    would call the port of a device, `system:capture_1`, where the server has other names (see core/system_names.py).
    """

    name: PortName
    type: PortType
    flags: PortFlags
    aliases: tuple[str, ...] = ()
    registration: int = 0
    pretty_name: str | None = None
    system_name: str | None = None

    @property
    def other_names(self) -> tuple[str, ...]:
        """What else the port is called, in the order in which selectors look: the aliases, then the name of JACK2."""
        return self.aliases if self.system_name is None else (*self.aliases, self.system_name)

    @property
    def client(self) -> str:
        """The name of the client: what stands before the first colon."""
        return client_of(self.name)

    @property
    def short_name(self) -> str:
        """The name without that of the client."""
        return self.name.partition(":")[2]

    @property
    def is_source(self) -> bool:
        """Whether sound comes out of this port (an output port of its client)."""
        # Asked a dozen times per event: `in` of an IntFlag costs ten times as much.
        return int(self.flags) & 2 != 0

    @property
    def is_physical(self) -> bool:
        """Whether the port stands for a plug of a device."""
        return int(self.flags) & 4 != 0

    @property
    def is_monitor(self) -> bool:
        """Whether it is an output of a device that gives what is played on it: `monitor_1` in JACK2, `monitor_FL` in PipeWire."""
        return self.is_source and self.short_name.casefold().startswith("monitor")

    @property
    def is_terminal(self) -> bool:
        """Whether what goes in here goes nowhere else in the graph, or what comes out comes from nowhere else."""
        return PortFlags.TERMINAL in self.flags


class Graph:
    """All ports and connections. Every change is idempotent: the notifications of a server may come twice."""

    __slots__ = ("_by_port", "connections", "newest", "physical", "ports")

    def __init__(self) -> None:
        self.ports: dict[PortName, Port] = {}
        self.connections: set[Connection] = set()
        self.physical: set[PortName] = set()
        """The ports of devices: few among many."""
        self.newest = 0
        """The registration of the port that came last, be it that it has gone."""
        self._by_port: dict[PortName, set[Connection]] = {}
        """The connections of each port that has any: most have none, and a copy is to cost no more than what is connected."""

    def copy(self) -> Graph:
        """Give a graph of its own with the same ports and connections."""
        other = Graph()
        other.ports = dict(self.ports)
        other.connections = set(self.connections)
        other.physical = set(self.physical)
        other.newest = self.newest
        other._by_port = {name: set(connections) for name, connections in self._by_port.items()}
        return other

    def add_port(self, port: Port) -> None:
        """Add the port, or replace what was known under its name; its connections stay."""
        self.ports[port.name] = port
        (self.physical.add if port.is_physical else self.physical.discard)(port.name)
        if port.registration > self.newest:
            self.newest = port.registration

    def remove_port(self, name: PortName) -> tuple[Connection, ...]:
        """Remove the port with its connections and give those that there were."""
        if self.ports.pop(name, None) is None:
            return ()
        self.physical.discard(name)
        dropped = tuple(self._by_port.get(name, ()))
        for connection in dropped:
            self.disconnect(connection)
        return dropped

    def connect(self, connection: Connection) -> bool:
        """Add the connection; False where it was there already, or one of its ports is not."""
        source, destination = connection
        if connection in self.connections or source not in self.ports or destination not in self.ports:
            return False
        self.connections.add(connection)
        for end in connection:
            self._by_port.setdefault(end, set()).add(connection)
        return True

    def disconnect(self, connection: Connection) -> bool:
        """Remove the connection; False where it was not there."""
        if connection not in self.connections:
            return False
        self.connections.discard(connection)
        for end in dict.fromkeys(connection):
            self._by_port[end].discard(connection)
            if not self._by_port[end]:
                del self._by_port[end]
        return True

    def connections_of(self, name: PortName) -> frozenset[Connection]:
        """The connections of one port; none where there is no such port."""
        return frozenset(self._by_port.get(name, ()))

    def clients(self) -> Iterator[str]:
        """The name of each client that has a port, once."""
        return iter(dict.fromkeys(port.client for port in self.ports.values()))


def client_of(name: PortName) -> str:
    """Give the name of the client: what stands before the first colon."""
    return name.partition(":")[0]
