"""The feedback guard: would a connection lead a microphone to a loudspeaker, or one of our buses into itself?

Sound runs along connections, through our buses where a cell of the matrix is not zero (gain and mute may change any
moment) and through the clients of `via`. Other programs are not looked into: what they do is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jackd_router.core.graph import Connection, Graph, PortName, PortType


class Danger(StrEnum):
    """What a path of sound can be."""

    MICROPHONE = "microphone"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A path that should not be: from a microphone to a loudspeaker, or from a port of a bus back to it."""

    danger: Danger
    path: tuple[PortName, ...]


@dataclass(frozen=True, slots=True)
class Passages:
    """Where sound passes inside of clients: from inputs to outputs, and back. `bus_ports`: those of our buses."""

    onward: Mapping[PortName, frozenset[PortName]] = field(default_factory=dict)
    back: Mapping[PortName, frozenset[PortName]] = field(default_factory=dict)
    bus_ports: frozenset[PortName] = frozenset()

    @staticmethod
    def of(buses: Iterable[tuple[PortName, PortName]], others: Iterable[tuple[PortName, PortName]] = ()) -> Passages:
        """Give the passages for (input, output) of buses and of other clients."""
        buses = tuple(buses)
        onward: dict[PortName, set[PortName]] = {}
        back: dict[PortName, set[PortName]] = {}
        for entry, out in (*buses, *others):
            onward.setdefault(entry, set()).add(out)
            back.setdefault(out, set()).add(entry)
        return Passages(
            {port: frozenset(outs) for port, outs in onward.items()},
            {port: frozenset(entries) for port, entries in back.items()},
            frozenset(port for pair in buses for port in pair),
        )


class Guard:
    """Looks for feedback in a graph with some connections more, which are taken one after the other."""

    def __init__(self, graph: Graph, passages: Passages) -> None:
        """Take what there is."""
        self._graph, self._passages = graph, passages
        self._onward: dict[PortName, set[PortName]] = {}
        self._back: dict[PortName, set[PortName]] = {}

    def concerns(self, connection: Connection) -> bool:
        """Tell whether the connection can be a piece of any path that should not be."""
        ports, (source, destination) = self._graph.ports, connection
        # Most pairs begin at no microphone and at no bus: this is asked of thousands of them, and nothing else is then.
        if not (is_microphone(self._graph, source) or (source in self._passages.back and source in ports)):
            return False
        if not (is_loudspeaker(self._graph, destination) or (destination in self._passages.onward and destination in ports)):
            return False
        return ports[source].type is not PortType.MIDI

    def take(self, connection: Connection) -> None:
        """Count a connection as made."""
        self._onward.setdefault(connection.source, set()).add(connection.destination)
        self._back.setdefault(connection.destination, set()).add(connection.source)

    def closes(self, connection: Connection) -> Feedback | None:
        """Give what a connection closes, be it there already or not."""
        if not self.concerns(connection):
            return None
        before, after = self._back_to_microphone(connection.source), self._onward_to_loudspeaker(connection.destination)
        if before and after:
            return Feedback(Danger.MICROPHONE, (*before, *after))
        loop = self._search(connection.destination, lambda port: port == connection.source, onward=True)
        if loop and not self._passages.bus_ports.isdisjoint(loop):
            return Feedback(Danger.LOOP, (connection.source, *loop))
        return None

    def _back_to_microphone(self, port: PortName) -> tuple[PortName, ...]:
        return self._search(port, lambda each: is_microphone(self._graph, each), onward=False)[::-1]

    def _onward_to_loudspeaker(self, port: PortName) -> tuple[PortName, ...]:
        return self._search(port, lambda each: is_loudspeaker(self._graph, each), onward=True)

    def _search(self, begin: PortName, is_end: Callable[[PortName], bool], *, onward: bool) -> tuple[PortName, ...]:
        """Give the shortest way along the sound, or against it; () where there is none."""
        came_from: dict[PortName, PortName | None] = {begin: None}
        waiting = [begin]
        for port in waiting:
            if is_end(port):
                return tuple(_way_back(port, came_from))[::-1]
            for other in self._further(port, onward=onward):
                if other not in came_from:
                    came_from[other] = port
                    waiting.append(other)
        return ()

    def _further(self, port: PortName, *, onward: bool) -> list[PortName]:
        there = self._graph.ports.get(port)
        inside = (self._passages.onward if onward else self._passages.back).get(port, ())
        if there is None or there.is_source is not onward:
            return sorted(inside)  # an input, looking onward, or an output, looking back: through the client
        asked = (self._onward if onward else self._back).get(port, set())
        ends = (pair.destination if onward else pair.source for pair in self._graph.connections_of(port))
        return sorted(asked.union(ends))


def refusals(
    wanted: Iterable[tuple[Connection, bool]], graph: Graph, passages: Passages, *, guarded: bool = True
) -> dict[Connection, Feedback]:
    """Give which of the wanted connections, in the order in which rules decide, must not be made, and why.

    Each comes with whether its rule allows feedback. What there is counts first, then what is wanted, one after the other.
    """
    guard = Guard(graph, passages)
    refused = {}
    for connection, allowed in wanted:
        feedback = None if allowed or not guarded else guard.closes(connection)
        if feedback is None:
            guard.take(connection)
        else:
            refused[connection] = feedback
    return refused


def is_microphone(graph: Graph, name: PortName) -> bool:
    """Tell whether sound of the room comes out of the port."""
    port = graph.ports.get(name)
    return port is not None and port.is_source and port.is_physical and not port.is_monitor


def is_loudspeaker(graph: Graph, name: PortName) -> bool:
    """Tell whether what goes into the port is heard in the room."""
    port = graph.ports.get(name)
    return port is not None and not port.is_source and port.is_physical


def _way_back(port: PortName | None, came_from: Mapping[PortName, PortName | None]) -> Iterable[PortName]:
    while port is not None:
        yield port
        port = came_from[port]
