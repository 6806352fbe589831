"""Whether JACK can connect two ports at all, and if not, why, in words that name the port."""

from __future__ import annotations

import difflib

from jackd_router.core.errors import IncompatiblePorts, NoSuchPort
from jackd_router.core.graph import Connection, Graph, Port, PortName
from jackd_router.core.names import shown
from jackd_router.core.selecting.selectors import flow


def check_connectable(graph: Graph, connection: Connection) -> None:
    """Raise NoSuchPort or IncompatiblePorts where the two ends cannot be connected."""
    source, destination = (find_port(graph, end) for end in connection)
    if not source.is_source:
        raise IncompatiblePorts(f"{shown(source.name)} is an input port: a connection begins at an output port")
    if destination.is_source:
        raise IncompatiblePorts(f"{shown(destination.name)} is an output port: a connection ends at an input port")
    if flow(source.type) is not flow(destination.type):
        raise IncompatiblePorts(
            f"{shown(source.name)} carries {source.type}, {shown(destination.name)} {destination.type}: they cannot be connected"
        )


def has_ends(graph: Graph, connection: Connection) -> bool:
    """Tell whether both ports are there."""
    return all(end in graph.ports for end in connection)


def find_port(graph: Graph, name: PortName) -> Port:
    """Give the port of that name; raise NoSuchPort, which names the nearest one that there is."""
    port = graph.ports.get(name)
    if port is None:
        near = [owner] if (owner := also_called(graph, name)) else difflib.get_close_matches(name, graph.ports, n=1)
        hint = f"; did you mean {shown(near[0])}?" if near else ""
        raise NoSuchPort(f"there is no port {shown(name) or repr('')}{hint}")
    return port


def also_called(graph: Graph, name: str) -> PortName | None:
    """Give the port that has this for another name: an alias, or what JACK2 would call it."""
    return next((port.name for port in graph.ports.values() if name in port.other_names), None)
