"""Changes of the graph from one announcement to the next, as their net difference."""

from __future__ import annotations

from dataclasses import replace

from jackd_router.core.graph import Connection, Graph, Port, PortName, PortType
from jackd_router.runtime.mirror import Changes
from jackd_router.runtime.state import GraphDiff

_MOST_RECORDS = 1000
"""A bigger burst is announced as "read it anew": telling it would cost everybody more than reading."""


class Burst:
    """Collects what was there before the first change of each port and connection."""

    def __init__(self, version: int) -> None:
        """Take the version of the graph that was announced last."""
        self._previous = version
        self._ports: dict[PortName, Port | None] = {}
        self._connections: dict[Connection, bool] = {}
        self._renamed: list[tuple[PortName, PortName]] = []

    def add(self, changes: Changes) -> None:
        """Take one fold."""
        for change in changes.ports:
            self._ports.setdefault(change.name, change.before)
        for connection, now in changes.connections:
            self._connections.setdefault(connection, not now)
        self._renamed += changes.renamed

    def take(self, graph: Graph, version: int) -> GraphDiff:
        """Give the difference to the graph as it is now, and begin anew."""
        diff = self._difference(graph, version)
        self.__init__(version)  # type: ignore[misc]
        return diff

    def _difference(self, graph: Graph, version: int) -> GraphDiff:
        if len(self._ports) + len(self._connections) > _MOST_RECORDS:
            return GraphDiff(self._previous, version, resync=True)
        pairs = [(before, graph.ports.get(name)) for name, before in self._ports.items()]
        changed = [(before, now) for before, now in pairs if before != now and not is_same(before, now)]
        replaced = {before.name for before, now in changed if before and now}
        # A port that was replaced took its connections with it, even those that are there again.
        ends = [
            (connection, was, connection in graph.connections, not replaced.isdisjoint(connection))
            for connection, was in self._connections.items()
        ]
        return GraphDiff(
            self._previous,
            version,
            ports_added=tuple(now for _, now in changed if now),
            ports_removed=tuple(before.name for before, _ in changed if before),
            connected=tuple(connection for connection, was, now, anew in ends if now and (anew or not was)),
            disconnected=tuple(connection for connection, was, now, anew in ends if was and (anew or not now)),
            renamed=tuple(self._renamed),
            aliases=tuple(
                now for before, now in pairs if before and now and is_same(before, now) and before.other_names != now.other_names
            ),
            metadata=tuple(
                now for before, now in pairs if now and _metadata(now) != _metadata(before if is_same(before, now) else None)
            ),
        )


def is_same(before: Port | None, now: Port | None) -> bool:
    """Tell whether it is the same port, whatever its aliases and its metadata are."""
    return before is not None and now is not None and _bare(before) == _bare(now)


def _metadata(port: Port | None) -> tuple[str | None, bool]:
    """Give what metadata says of the port; nothing of one that is not there."""
    return (port.pretty_name, port.type is PortType.CV) if port else (None, False)


def _bare(port: Port) -> Port:
    return replace(
        port, aliases=(), pretty_name=None, system_name=None, type=PortType.AUDIO if port.type is PortType.CV else port.type
    )
