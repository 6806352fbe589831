"""The metadata thread: reads what the daemon asks for, apart from all requests, and never while somebody writes.

Metadata lies in a database that all JACK2 programs of the user share, and JACK2 lets a reader and a writer lock each other out
of it for ever: the writer hangs, and with it the server, as soon as a client leaves. A program that set three properties of each
of its 32 ports hung in its 15th to 32nd start beside us when every event was answered at once (3 runs of 3). Programs write in
bursts, most of them right after they registered a port; read when nobody had written for a while, it did not in 540 starts.

A program that is killed in the middle of a call leaves the database locked as well. It is this thread that waits then, but not
the requests, and not the sound.
"""

from __future__ import annotations

import socket
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from jackd_router.jack_host import protocol
from jackd_router.jack_host.memory import Shared

if TYPE_CHECKING:
    from jackd_router.jack_host.adapter import JackClient

_CALM_S = 0.05
_MOST_S = 1.0
"""How long nobody must have written before something is read, and the longest wait for that."""

_STUCK_S = 0.3
"""How long the end of the process waits for a reader. A port takes 5 us; nobody takes so long who is not stuck."""


class Metadata:
    """The metadata of the ports of one client; there is no thread before somebody asks."""

    def __init__(self, control: socket.socket, shared: int) -> None:
        """Take the socket to the daemon, where packets of two threads do not mix, and the address of the shared memory."""
        self._control = control
        self._shared = Shared.from_address(shared)
        self._asked: SimpleQueue[tuple[JackClient, tuple[int, ...], float]] = SimpleQueue()
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None
        self._listening_since = 0.0

    def listen(self) -> None:
        """Take that from now on the client is told whenever somebody writes, and of every new port."""
        self._listening_since = time.monotonic()

    def ask(self, client: JackClient, numbers: tuple[int, ...]) -> None:
        """Let the metadata of ports be told, by their ids."""
        # Whose port is new may be about to write. What was there before we listened is not new.
        self._asked.put((client, numbers, time.monotonic() if self._thread else self._listening_since))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="metadata", daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """Read no more; False where a reader is stuck, so that libjack's close would be, too."""
        return self._reading.acquire(timeout=_STUCK_S)

    def _run(self) -> None:
        while True:
            client, numbers, since = self._asked.get()
            try:
                self._tell(client, numbers, since)
            except ConnectionError:
                return  # the daemon is gone, and the request thread leaves the server

    def _wait_for_calm(self, since: float, end: float) -> None:
        """Wait until nobody has written for a while that begins at that time or later; not beyond the end."""
        while True:
            written = float(self._shared.last_property_usec) / 1e6
            pause_s = min(max(written, since) + _CALM_S, end) - time.monotonic()
            if pause_s <= 0:
                return
            time.sleep(pause_s)

    def _tell(self, client: JackClient, numbers: tuple[int, ...], since: float) -> None:
        rows: list[Any] = []
        end = time.monotonic() + _MOST_S
        for number in numbers:
            self._wait_for_calm(since, end)
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
