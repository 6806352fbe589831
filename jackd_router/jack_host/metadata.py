"""The metadata thread: reads what the daemon asks for, apart from all requests.

Metadata lies in a database that all JACK2 programs of the user share. One that is killed in the middle of a call can leave it
locked, and then every reader waits for ever: this thread, but not the requests, and not the sound.
"""

from __future__ import annotations

import socket
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from jackd_router.jack_host import protocol

if TYPE_CHECKING:
    from jackd_router.jack_host.adapter import JackClient

_STUCK_S = 0.3
"""How long the end of the process waits for a reader. A port takes 5 us; nobody takes so long who is not stuck."""


class Metadata:
    """The metadata of the ports of one client; there is no thread before somebody asks."""

    def __init__(self, control: socket.socket) -> None:
        """Take the socket to the daemon; packets of two threads do not mix."""
        self._control = control
        self._asked: SimpleQueue[tuple[JackClient, tuple[int, ...]]] = SimpleQueue()
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, client: JackClient, numbers: tuple[int, ...]) -> None:
        """Let the metadata of ports be told, by their ids."""
        self._asked.put((client, numbers))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="metadata", daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """Read no more; False where a reader is stuck, so that libjack's close would be, too."""
        return self._reading.acquire(timeout=_STUCK_S)

    def _run(self) -> None:
        while True:
            client, numbers = self._asked.get()
            try:
                self._tell(client, numbers)
            except ConnectionError:
                return  # the daemon is gone, and the request thread leaves the server

    def _tell(self, client: JackClient, numbers: tuple[int, ...]) -> None:
        rows: list[Any] = []
        for number in numbers:
            with self._reading:
                row = client.read_metadata(number)
            if row:
                rows.append(row)
        problem = ""
        if not any(value for *_, pretty_name, signal_type in rows for value in (pretty_name, signal_type)):
            with self._reading:
                problem = "" if client.can_read_metadata() else "the database of the JACK server's metadata is broken"
        for first in range(0, len(rows), protocol.ROWS_PER_PART):
            protocol.send(self._control, (0, protocol.METADATA, tuple(rows[first : first + protocol.ROWS_PER_PART])))
        protocol.send(self._control, (0, protocol.METADATA_READ, (problem,)))
