"""The messages between daemon and JACK host: marshalled tuples over SOCK_SEQPACKET, one message a packet.

Names are bytes here: what libjack gives need not be UTF-8. Request: (number, operation, *arguments). Answers to it:
any number of parts (number, PORTS | CONNECTIONS, rows), then one (number, DONE, *results) or (number, FAILED, text).
Requests are executed one after the other, in the order in which they were sent. Without being asked the host says
(0, LOADED, version of libjack) once, when it can take requests.
"""

from __future__ import annotations

import marshal
import socket
from typing import Any, Final

MESSAGE_BYTES: Final = 1 << 17
"""No message is longer; listings are cut into parts of ROWS_PER_PART."""
ROWS_PER_PART: Final = 200

# Operations
OPEN: Final = "open"  # (server or None, client name, ports as in REGISTER, plan as in PLAN) -> Opened as a tuple, graph in parts
CONNECT: Final = "connect"  # (source, destination) -> (code,): 0, EEXIST, or another number of libjack's
DISCONNECT: Final = "disconnect"  # (source, destination) -> (code,)
REGISTER: Final = "register"  # (((short name, is input), ...),)
UNREGISTER: Final = "unregister"  # ((short name, ...),)
PLAN: Final = "plan"  # ((serial, input names, output names, cells),): done when the realtime thread has taken it
READ_GRAPH: Final = "read-graph"  # () -> the graph in parts
LOAD: Final = "load"  # () -> (DSP load in percent,)
CLOSE: Final = "close"  # (say goodbye to the server?,): ends the host, without an answer

# Answers
LOADED: Final = "loaded"
PORTS: Final = "ports"  # rows (id, name, flags, type, aliases)
CONNECTIONS: Final = "connections"  # rows (id of source, id of destination)
DONE: Final = "done"
FAILED: Final = "failed"

PING: Final = b"?"
PONG: Final = b"!"


def send(to: socket.socket, message: tuple[Any, ...]) -> None:
    """Send one message; BlockingIOError when a non-blocking socket is full."""
    to.send(marshal.dumps(message))


def receive(origin: socket.socket) -> tuple[Any, ...] | None:
    """Give the next message, or None when the other side is gone."""
    packet = origin.recv(MESSAGE_BYTES)
    return marshal.loads(packet) if packet else None
