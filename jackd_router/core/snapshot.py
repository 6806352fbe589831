"""A snapshot: the connections of the graph at one moment, to be put back."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from jackd_router.core.errors import UserError
from jackd_router.core.graph import Connection, PortName, client_of
from jackd_router.core.names import natural_key

NAME_BYTES = 200
"""The longest name of a snapshot: with what is added to it, it must be the name of a file (255 bytes)."""
DESCRIPTION_LIMIT = 320

_IN_WORDS = f"1 to {NAME_BYTES} bytes that can be printed, without / and \\, neither a dot first nor a blank at an end"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Connections in natural order, and what is told of them; `created_usec` since the epoch, 0 where nobody knows."""

    connections: tuple[Connection, ...] = ()
    description: str = ""
    created_usec: int = 0


def in_order(connections: Iterable[Connection]) -> tuple[Connection, ...]:
    """Give the connections as people expect them: in_2 before in_10."""
    return tuple(sorted(connections, key=lambda connection: tuple(map(natural_key, connection))))


def of_absent_clients(connections: Iterable[Connection], clients: Collection[str]) -> Iterable[Connection]:
    """Give the connections with an end whose client is not there.

    A client that is there has the connections that it has: one of its ports that is gone is not waited for.
    """
    return (pair for pair in connections if not all(client_of(end) in clients for end in pair))


def with_clients_swapped(connection: Connection, one: str, other: str) -> Connection:
    """Give the connection with one name of a client in place of another, and the other way round.

    The configured name of our own client means it also where the server gave it another: as in a rule.
    """
    names = {one: other, other: one}

    def swapped(port: PortName) -> PortName:
        client, colon, short_name = port.partition(":")
        return PortName(f"{names.get(client, client)}{colon}{short_name}")

    return Connection(swapped(connection.source), swapped(connection.destination))


def check_name(name: str) -> None:
    """Raise UserError where this cannot be the name of a snapshot, and so of a file."""
    if not is_name(name):
        raise UserError(f"{name!r} cannot be the name of a snapshot: {_IN_WORDS}")


def is_name(name: str) -> bool:
    """Whether this can be the name of a snapshot."""
    # What can be printed holds neither a NUL nor half of a surrogate pair.
    return (
        name.isprintable()
        and 0 < len(name.encode()) <= NAME_BYTES
        and not set(name) & set("/\\")
        and name.strip() == name
        and not name.startswith(".")
    )


def check_description(text: str) -> None:
    """Raise UserError where this cannot stand in one line with others."""
    if len(text) > DESCRIPTION_LIMIT or not text.isprintable():
        raise UserError(f"a description has at most {DESCRIPTION_LIMIT} characters that can be printed: {text!r}")
