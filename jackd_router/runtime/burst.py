"""Changes of the graph from one announcement to the next, as their net difference."""

from __future__ import annotations

from dataclasses import replace

from jackd_router.core.graph import Connection, Graph, Port, PortName
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
        replaced = set()
        added, removed, aliases = [], [], []
        for name, before in self._ports.items():
            now = graph.ports.get(name)
            if now == before:
                continue
            if before is not None and now is not None and replace(before, aliases=()) == replace(now, aliases=()):
                aliases.append(now)
                continue
            if before is not None:
                removed.append(name)
            if now is not None:
                added.append(now)
            if before is not None and now is not None:
                replaced.add(name)
        connected, disconnected = [], []
        for connection, was in self._connections.items():
            now_connected = connection in graph.connections
            anew = not replaced.isdisjoint(connection)
            if was and (anew or not now_connected):
                disconnected.append(connection)
            if now_connected and (anew or not was):
                connected.append(connection)
        return GraphDiff(
            self._previous,
            version,
            tuple(added),
            tuple(removed),
            tuple(connected),
            tuple(disconnected),
            tuple(self._renamed),
            tuple(aliases),
        )
