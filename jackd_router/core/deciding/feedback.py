"""The feedback guard: would a connection lead a microphone to a loudspeaker, or one of our buses into itself?

A bus counts as it is wired, be it muted or not: gain and mute may change any moment. Other programs than those of `via` are
not looked into: what they do is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from jackd_router.core.deciding.sound_paths import Passages, Reach, SoundPaths, is_loudspeaker, is_microphone
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


class Guard:
    """Looks for feedback in a graph with some connections more, which are taken one after the other."""

    def __init__(self, graph: Graph, passages: Passages) -> None:
        """Take what there is."""
        self._graph, self._passages = graph, passages
        self._paths = SoundPaths(graph, passages)
        self._reach: Reach | None = None

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
        self._paths.take(connection)
        if self._reach is not None:
            self._reach.take(connection)

    def may_close(self, connection: Connection) -> bool:
        """Tell whether `closes` has to be asked, which takes longer: for when many are asked of."""
        if self._reach is None:
            self._reach = Reach(self._graph, self._passages, self._paths)
        return self._reach.may_close(connection)

    def closes(self, connection: Connection) -> Feedback | None:
        """Give what a connection closes, be it there already or not."""
        if not self.concerns(connection):
            return None
        before = self._paths.shortest(connection.source, lambda port: is_microphone(self._graph, port), onward=False)[::-1]
        after = self._paths.shortest(connection.destination, lambda port: is_loudspeaker(self._graph, port), onward=True)
        if before and after:
            return Feedback(Danger.MICROPHONE, (*before, *after))
        loop = self._paths.shortest(connection.destination, lambda port: port == connection.source, onward=True)
        if loop and not self._passages.bus_ports.isdisjoint(loop):
            return Feedback(Danger.LOOP, (connection.source, *loop))
        return None


def refusals(
    wanted: Iterable[tuple[Connection, bool]], graph: Graph, passages: Passages, *, guarded: bool = True
) -> dict[Connection, Feedback]:
    """Give which of the wanted connections, in the order in which rules decide, must not be made, and why.

    Each comes with whether its rule allows feedback. What there is counts first, then what is wanted, one after the other.
    """
    if not guarded:
        return {}
    guard = Guard(graph, passages)
    refused = {}
    for connection, allowed in wanted:
        feedback = guard.closes(connection) if not allowed and guard.may_close(connection) else None
        if feedback is None:
            guard.take(connection)
        else:
            refused[connection] = feedback
    return refused
