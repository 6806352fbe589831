"""The bytes that wait for the socket of a message bus. It takes the place of dbus-next's writer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

_SEND_BYTES = 262_144


class Outbox:
    """Sends what is queued when the loop turns, joined, as fast as the socket takes it. `lost` is told when that fails."""

    def __init__(self, stream: socket.socket, loop: asyncio.AbstractEventLoop, lost: Callable[[Exception], None]) -> None:
        self._socket = stream
        self._loop = loop
        self._lost = lost
        self._waiting = bytearray()
        self._is_open = False
        self._is_writing = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: bytes | bytearray) -> None:
        """Queue the bytes of a message."""
        self._waiting += message
        self._empty.clear()
        if self._is_open and not self._is_writing:
            self._is_writing = True
            self._loop.add_writer(self._socket, self._write)

    def schedule_write(self) -> None:
        """Open: dbus-next calls this, by this name, when the bus has said hello. What is sent earlier would be refused."""
        self._is_open = True

    async def emptied(self) -> None:
        """Wait until nothing waits any more."""
        await self._empty.wait()

    def discard(self) -> None:
        """Forget what waits, and what comes: there is nobody left to send it to."""
        self._is_open = False
        self._waiting.clear()
        self._empty.set()

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
        if not self._waiting:
            self._is_writing = False
            self._loop.remove_writer(self._socket)
            self._empty.set()
