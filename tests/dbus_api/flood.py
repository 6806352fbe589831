"""A caller that wants no reply and does not wait for anything: it sends as much as the message bus takes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dbus_next import Message, MessageFlag

from jackd_router.dbus_api.message_bus import Connection, Value, sendable


class Flood:
    """A connection that sends calls which want no reply, and messages that were made by hand."""

    def __init__(self, address: str) -> None:
        self._connection = Connection(address, lambda message: None, lambda: None)

    @classmethod
    async def open(cls, address: str) -> Self:
        """Connect."""
        flood = cls(address)
        await flood._connection.open()
        return flood

    async def __aenter__(self) -> Self:
        """Give the connection."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the bus."""
        self.close()

    @property
    def unique_name(self) -> str:
        """What the bus calls it."""
        return self._connection.unique_name or ""

    def send(
        self, destination: str, path: str, interface: str | None, member: str, signature: str = "", body: Sequence[Value] = ()
    ) -> None:
        """Queue one call."""
        self.send_bytes(self.call(destination, path, interface, member, signature, body))

    def call(
        self,
        destination: str,
        path: str,
        interface: str | None,
        member: str,
        signature: str = "",
        body: Sequence[Value] = (),
        *,
        flags: MessageFlag = MessageFlag.NO_REPLY_EXPECTED,
    ) -> bytes:
        """Give the bytes of one call; without an answer it may be sent again and again: nobody looks at its number."""
        message = Message(
            destination,
            path,
            interface,
            member,
            flags=flags,
            signature=signature,
            body=sendable(body),
            serial=self._connection.next_serial(),
        )
        return bytes(message._marshall())

    def send_bytes(self, message: bytes | bytearray) -> None:
        """Queue what is a message already, or pretends to be one."""
        self._connection.outbox.put(message)

    async def sent(self) -> None:
        """Wait until the bus has everything."""
        outbox = self._connection.outbox
        await outbox.until(lambda: not len(outbox))

    def close(self) -> None:
        """Leave."""
        self._connection.close()


def with_header_field(message: bytes, code: int, text: str = "what") -> bytes:
    """Give the message with a string field of this code put after its other fields."""
    (length,) = struct.unpack_from("<I", message, 12)
    fields, body = message[16 : 16 + length], message[16 + (length + 7) // 8 * 8 :]
    fields += bytes(-len(fields) % 8) + bytes([code]) + b"\x01s\0" + struct.pack("<I", len(text.encode())) + text.encode() + b"\0"
    return message[:12] + struct.pack("<I", len(fields)) + fields + bytes(-len(fields) % 8) + body
