"""The messages between daemon and JACK host: marshalled tuples over SOCK_SEQPACKET, one message a packet.

Names are bytes here: what libjack gives need not be UTF-8. Request: (number, operation, *arguments). Answers to it:
any number of parts (number, PORTS | CONNECTIONS | METADATA, rows), then one (number, DONE, *results) or (number, FAILED, text).
Requests are executed one after the other, in the order in which they were sent. Without being asked the host says
(0, LOADED, version of libjack) once, when it can take requests.

The answer to READ_METADATA alone is told beside the others, with number 0: JACK2's lies in a database that can keep its
reader waiting for ever, and no request is to wait behind that one.
"""

from __future__ import annotations

import marshal
import os
import socket
from typing import Any, Final

PACKET_BYTES: Final = 1 << 16
"""A longer message goes as a file in memory: a socket takes no packet of the 1.8 MB that the biggest mix makes."""
ROWS_PER_PART: Final = 200

# Operations
OPEN: Final = "open"  # (whose server, its name, client name, requests.Plan) -> (*Opened, why no ports or ""), graph in parts
LOOK: Final = (
    "look"  # (whose server, its name, client name, metadata, too?) -> (), in parts: as a client that takes part in nothing
)
CONNECT: Final = "connect"  # (source, destination) -> (code,): 0, EEXIST, or another number of libjack's
DISCONNECT: Final = "disconnect"  # (source, destination) -> (code,)
PLAN: Final = "plan"  # (requests.Plan) -> (): what our ports are, and what passes between them
READ_GRAPH: Final = "read-graph"  # () -> the graph in parts
READ_METADATA: Final = "read-metadata"  # (ids of ports) -> (), at once; later METADATA in parts and METADATA_READ, unnumbered
LOAD: Final = "load"  # () -> (DSP load in percent,)
CLOSE: Final = "close"  # (say goodbye to the server?,): ends the host, without an answer

# Answers
LOADED: Final = "loaded"
PORTS: Final = "ports"  # rows (id, name, flags, type, aliases)
CONNECTIONS: Final = "connections"  # rows (id of source, id of destination)
METADATA: Final = "metadata"  # rows (id, name, pretty name or None, signal type or None) of the ports that are still there
METADATA_READ: Final = "metadata-read"  # (why there is no metadata at all, or "",): the last one for a request
DONE: Final = "done"
FAILED: Final = "failed"

PING: Final = b"?"
PONG: Final = b"!"


def send(to: socket.socket, message: tuple[Any, ...]) -> None:
    """Send one message; BlockingIOError when a non-blocking socket is full."""
    packet = marshal.dumps(message)
    if len(packet) <= PACKET_BYTES:
        to.send(packet)
        return
    with open(os.memfd_create("jackd-router-message", os.MFD_CLOEXEC), "wb") as file:
        file.write(packet)
        file.flush()
        socket.send_fds(to, [_IN_A_FILE], [file.fileno()])


def receive(origin: socket.socket) -> tuple[Any, ...] | None:
    """Give the next message, or None when the other side is gone."""
    try:
        packet, files, _, _ = socket.recv_fds(origin, PACKET_BYTES, 1)
    except ConnectionError:
        return None  # it went without reading all that we had sent
    for number in files:
        with open(number, "rb") as file:
            file.seek(0)  # the sender's position is ours
            packet = file.read()
    return marshal.loads(packet) if packet else None


_IN_A_FILE = b"file"
