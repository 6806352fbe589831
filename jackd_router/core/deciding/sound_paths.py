"""Where sound runs: along connections, through our buses where a cell of the matrix is not zero, through clients of `via`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from jackd_router.core.graph import Connection, Graph, PortName


@dataclass(frozen=True, slots=True)
class Passages:
    """Where sound passes inside of clients: from inputs to outputs, and back."""

    onward: Mapping[PortName, frozenset[PortName]] = field(default_factory=dict)
    back: Mapping[PortName, frozenset[PortName]] = field(default_factory=dict)
    bus_ports: frozenset[PortName] = frozenset()
    """Those of our buses."""
    has_others: bool = False
    """Whether sound passes through other clients, too."""
    groups: Mapping[PortName, int] = field(default_factory=dict)
    """The number of the group of each port: passages alone join those of one group."""

    @staticmethod
    def of(buses: Iterable[tuple[PortName, PortName]], others: Iterable[tuple[PortName, PortName]] = ()) -> Passages:
        """Give the passages for (input, output) of buses and of other clients."""
        buses, others = tuple(buses), tuple(others)
        onward: dict[PortName, set[PortName]] = {}
        back: dict[PortName, set[PortName]] = {}
        for entry, out in (*buses, *others):
            onward.setdefault(entry, set()).add(out)
            back.setdefault(out, set()).add(entry)
        return Passages(
            {port: frozenset(outs) for port, outs in onward.items()},
            {port: frozenset(entries) for port, entries in back.items()},
            frozenset(port for pair in buses for port in pair),
            bool(others),
            _groups(onward, back),
        )


class SoundPaths:
    """The ways through a graph with some connections more, which are taken one after the other."""

    def __init__(self, graph: Graph, passages: Passages) -> None:
        """Take what there is."""
        self._graph, self._passages = graph, passages
        self._onward: dict[PortName, set[PortName]] = {}
        self._back: dict[PortName, set[PortName]] = {}

    def take(self, connection: Connection) -> None:
        """Count a connection as made."""
        self._onward.setdefault(connection.source, set()).add(connection.destination)
        self._back.setdefault(connection.destination, set()).add(connection.source)

    def shortest(self, begin: PortName, is_end: Callable[[PortName], bool], *, onward: bool) -> tuple[PortName, ...]:
        """Give the shortest way along the sound, or against it; () where there is none."""
        came_from: dict[PortName, PortName | None] = {begin: None}
        waiting = [begin]
        for port in waiting:
            if is_end(port):
                return tuple(_way_back(port, came_from))[::-1]
            for other in sorted(self.next_to(port, onward=onward)):
                if other not in came_from:
                    came_from[other] = port
                    waiting.append(other)
        return ()

    def spread(self, reached: set[PortName], begin: Iterable[PortName], *, onward: bool) -> None:
        """Add to a set all that is reached along the sound, or against it; what is in it already was followed before."""
        waiting = [port for port in begin if port not in reached]
        reached.update(waiting)
        while waiting:
            others = self.next_to(waiting.pop(), onward=onward) - reached
            reached |= others
            waiting += others

    def next_to(self, port: PortName, *, onward: bool) -> Set[PortName]:
        """Give where sound goes from a port next, or comes from."""
        there = self._graph.ports.get(port)
        if there is None or there.is_source is not onward:
            # An input, looking onward, or an output, looking back: through the client.
            return (self._passages.onward if onward else self._passages.back).get(port, frozenset())
        ends = {pair.destination if onward else pair.source for pair in self._graph.connections_of(port)}
        return ends.union((self._onward if onward else self._back).get(port, ()))


class Reach:
    """Tells of most connections at once that they close nothing, as connections are taken one after the other.

    A path is looked for only where there may be one: for each of a thousand pairs that would take seconds.
    """

    def __init__(self, graph: Graph, passages: Passages, paths: SoundPaths) -> None:
        """Take what there is, and what the paths of the same graph have taken already."""
        self._graph, self._passages, self._paths = graph, passages, paths
        self._heard: set[PortName] = set()
        """Where a microphone can be heard."""
        self._audible: set[PortName] = set()
        """What can be heard in the room."""
        paths.spread(self._heard, (name for name in graph.physical if is_microphone(graph, name)), onward=True)
        paths.spread(self._audible, (name for name in graph.physical if is_loudspeaker(graph, name)), onward=False)
        self._groups_onward: dict[int, set[int]] = {}
        for port in passages.back:
            for destination in paths.next_to(port, onward=True):
                self._join(port, destination)

    def take(self, connection: Connection) -> None:
        """Count a connection as made, which the paths have taken before."""
        if connection.source in self._heard:
            self._paths.spread(self._heard, (connection.destination,), onward=True)
        if connection.destination in self._audible:
            self._paths.spread(self._audible, (connection.source,), onward=False)
        self._join(*connection)

    def may_close(self, connection: Connection) -> bool:
        """Tell whether the connection leads a microphone to a loudspeaker, or may lead a port back to itself."""
        if connection.source in self._heard and connection.destination in self._audible:
            return True
        begin, end = (self._passages.groups.get(port) for port in reversed(connection))
        if begin is None or end is None:
            return False
        reached, waiting = {begin}, [begin]
        while waiting and end not in reached:
            others = self._groups_onward.get(waiting.pop(), set()) - reached
            reached |= others
            waiting += others
        return end in reached

    def _join(self, source: PortName, destination: PortName) -> None:
        begin, end = (self._passages.groups.get(port) for port in (source, destination))
        if begin is not None and end is not None:
            self._groups_onward.setdefault(begin, set()).add(end)


def is_microphone(graph: Graph, name: PortName) -> bool:
    """Tell whether sound of the room comes out of the port."""
    port = graph.ports.get(name)
    return port is not None and port.is_source and port.is_physical and not port.is_monitor


def is_loudspeaker(graph: Graph, name: PortName) -> bool:
    """Tell whether what goes into the port is heard in the room."""
    port = graph.ports.get(name)
    return port is not None and not port.is_source and port.is_physical


def _groups(onward: Mapping[PortName, Set[PortName]], back: Mapping[PortName, Set[PortName]]) -> dict[PortName, int]:
    groups: dict[PortName, int] = {}
    for number, begin in enumerate((*onward, *back)):
        waiting = [begin]
        while waiting:
            port = waiting.pop()
            if port not in groups:
                groups[port] = number
                waiting += (*onward.get(port, ()), *back.get(port, ()))
    return groups


def _way_back(port: PortName | None, came_from: Mapping[PortName, PortName | None]) -> Iterator[PortName]:
    while port is not None:
        yield port
        port = came_from[port]
