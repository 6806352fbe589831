"""The bytes that wait for the socket of a message bus. It takes the place of dbus-next's writer.

Everything goes out in the order in which it came, so that no signal overtakes an answer; whose answers wait is counted.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable

_SEND_BYTES = 262_144


class Outbox:
    """Sends what is queued when the loop turns, joined, as fast as the socket takes it.

    `sent` is told whenever less waits than before, and `lost` when sending fails.
    """

    def __init__(
        self, stream: socket.socket, loop: asyncio.AbstractEventLoop, sent: Callable[[], None], lost: Callable[[Exception], None]
    ) -> None:
        self._socket = stream
        self._loop = loop
        self._sent, self._lost = sent, lost
        self._waiting = bytearray()
        self._messages: deque[tuple[str, int]] = deque()
        """For whom each message is that waits, and its length."""
        self._first_sent = 0
        """Of the first of them."""
        self._waiting_for: Counter[str] = Counter()
        self._is_open = False
        self._is_writing = False
        self._progress = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def waits_for(self, destination: str) -> int:
        """Give how many bytes wait for somebody; "" is for all that is for nobody alone."""
        return self._waiting_for[destination]

    def put(self, message: bytes | bytearray, destination: str = "") -> None:
        """Queue the bytes of a message."""
        self._waiting += message
        self._messages.append((destination, len(message)))
        self._waiting_for[destination] += len(message)
        if self._is_open and not self._is_writing:
            self._is_writing = True
            self._loop.add_writer(self._socket, self._write)

    def schedule_write(self) -> None:
        """Open: dbus-next calls this, by this name, when the bus has said hello. What is sent earlier would be refused."""
        self._is_open = True

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until this is so; it is asked whenever less waits than before."""
        while not is_so():
            self._progress.clear()
            await self._progress.wait()

    def discard(self) -> None:
        """Forget what waits, and what comes: there is nobody left to send it to."""
        self._is_open = False
        self._waiting.clear()
        self._messages.clear()
        self._waiting_for.clear()
        self._first_sent = 0
        self._progress.set()

    def _write(self) -> None:
        """Send what the socket takes now. A full socket means later; dbus-next would leave the bus."""
        try:
            with memoryview(self._waiting) as waiting, waiting[:_SEND_BYTES] as part:
                sent = self._socket.send(part)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        del self._waiting[:sent]
        self._count(sent)
        if not self._waiting:
            self._is_writing = False
            self._loop.remove_writer(self._socket)
        self._progress.set()
        self._sent()

    def _count(self, sent: int) -> None:
        """Note that so many bytes wait no longer. A message counts until its end is sent."""
        self._first_sent += sent
        while self._messages and self._first_sent >= self._messages[0][1]:
            destination, length = self._messages.popleft()
            self._first_sent -= length
            self._waiting_for[destination] -= length
            if not self._waiting_for[destination]:
                del self._waiting_for[destination]
