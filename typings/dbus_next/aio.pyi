"""The connection of dbus-next, with those of its private names that are relied upon."""

import asyncio
import socket
from io import BufferedRWPair

from dbus_next import Message

class MessageBus:
    unique_name: str | None
    _disconnected: bool
    _disconnect_future: asyncio.Future[None]
    _fd: int
    _loop: asyncio.AbstractEventLoop
    _method_return_handlers: dict[int | None, object]
    _sock: socket.socket
    _stream: BufferedRWPair
    _writer: object
    def __init__(self, bus_address: str | None = None) -> None: ...
    @property
    def connected(self) -> bool: ...
    async def connect(self) -> MessageBus: ...
    def next_serial(self) -> int: ...
    async def _auth_readline(self) -> str: ...
    def _finalize(self, err: Exception | None = None) -> None: ...
    def _message_reader(self) -> None: ...
    def _on_message(self, msg: Message) -> None: ...
