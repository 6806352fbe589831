"""The wire to a message bus. The only module that knows dbus-next, and it knows it as connection and codec only.

What dbus-next 0.2.3 does by itself would end a daemon that lives for months, so these parts of it are replaced:

* its writer takes a full socket for a broken one and leaves the bus: 50 pipelined Introspect calls are enough (its issue 153);
* its reader keeps the loop while there is something to read, and leaves the bus over a message that it cannot read;
* it spins for ever where the bus hangs up during the handshake, takes an error for its unique name, and closes no socket;
* its services send tracebacks to callers and answer with error names of their own: `objects` dispatches instead.

Every private name of dbus-next that is relied upon stands in this file, and tests/dbus_api notices when one goes.
"""

from __future__ import annotations

import io
import logging
import struct
import sys
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

if sys.version_info >= (3, 13) or not hasattr(typing, "no_type_check_decorator"):
    # dbus-next applies it, when it is imported, to decorators that nobody calls here. Deprecated since 3.13, gone in 3.15.
    vars(typing)["no_type_check_decorator"] = lambda decorator: decorator

from dbus_next import AuthError, Message, MessageFlag, MessageType, Variant
from dbus_next._private.marshaller import Marshaller
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.aio import MessageBus as LibraryBus

from jackd_router.dbus_api.messages import Body, Call, Reply, Signal
from jackd_router.dbus_api.outbox import Outbox

__all__ = ["AuthError", "Connection", "LibraryBus", "RawBody", "Value", "Variant", "marshal", "sendable", "variant"]

_log = logging.getLogger("jackd_router.dbus")

Value: TypeAlias = "bool | int | float | str | Variant | Sequence[Value] | Mapping[str, Value]"
"""What can be sent. Tuples may stand for arrays and for structures."""

_SLICE_S = 0.005
"""How long messages are taken before the loop may turn: a flood of calls must not keep the reconciler waiting."""
_READ_BYTES = 65_536
_HEADER_BYTES = 16
_UNREADABLE = (ValueError, TypeError, LookupError, EOFError, RecursionError, struct.error)
"""What the decoder of dbus-next raises over a message that it does not understand."""


class RawBody(bytes):
    """The body of a message, marshalled already."""


def variant(signature: str, value: Value) -> Variant:
    """Give the value with its type, made fit to be sent."""
    return Variant(signature, sendable(value))


def marshal(signature: str, values: Sequence[Value]) -> bytes:
    """Give these values as bytes, little endian, for a place whose offset in the message is a multiple of 8."""
    return bytes(Marshaller(signature, sendable(values)).marshall())


def sendable(value: Value) -> Any:
    """Give the value as dbus-next takes it, without what would make the bus throw us off: NUL and lone surrogates in text."""
    match value:
        case str():
            return value if value.isascii() and "\0" not in value else _clean(value)
        case Variant():
            return value  # clean since `variant` made it
        case Mapping():
            return {sendable(key): sendable(entry) for key, entry in value.items()}
        case Sequence():
            return [sendable(entry) for entry in value]
        case _:
            return value


def _clean(text: str) -> str:
    """Replace what cannot be part of a D-Bus string."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Connection(LibraryBus):
    """A connection of dbus-next with a reader, a writer and an end of our own.

    `take` gets each message that comes. `lost` is called once, when the connection has ended, whoever ended it.
    """

    def __init__(self, address: str, take: Callable[[Call | Reply | Signal], None], lost: Callable[[], None]) -> None:
        try:
            super().__init__(bus_address=address)
        except BaseException:
            self._close_socket()
            raise
        self._take = take
        self._lost = lost
        self._received = bytearray()
        self._is_reading = True
        self.outbox = Outbox(self._sock, self._loop, self._finalize)
        self._writer = self.outbox

    async def open(self) -> None:
        """Connect. Raises OSError, EOFError, ValueError or AuthError; on any error, and when cancelled, nothing stays open."""
        try:
            await self.connect()
            if not (self.unique_name or "").startswith(":"):
                raise ConnectionRefusedError(self.unique_name)  # dbus-next takes the text of an error for a name
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection at once; what was not sent yet is lost."""
        self._finalize(None)

    def send_call(
        self, destination: str, path: str, interface: str, member: str, signature: str, body: Sequence[Value], *, autostart: bool
    ) -> int:
        """Send a method call and give its serial number."""
        flags = MessageFlag.NONE if autostart else MessageFlag.NO_AUTOSTART
        message = Message(destination, path, interface, member, flags=flags, signature=signature, body=sendable(body))
        return self._send(message)

    def send_signal(self, path: str, interface: str, member: str, signature: str, body: Sequence[Value]) -> None:
        """Send a signal to everybody who wants it."""
        self._send(Message.new_signal(path, interface, member, signature, sendable(body)))

    def send_reply(self, call: Call, signature: str, body: Sequence[Value] | RawBody) -> None:
        """Answer a call."""
        if isinstance(body, RawBody):
            self.outbox.put(_raw_reply(call, signature, body, self.next_serial()))
        else:
            self._send(
                Message(
                    destination=call.sender or None,
                    message_type=MessageType.METHOD_RETURN,
                    flags=MessageFlag.NO_REPLY_EXPECTED,
                    reply_serial=call.serial,
                    signature=signature,
                    body=sendable(body),
                )
            )

    def send_error(self, call: Call, error_name: str, text: str) -> None:
        """Answer a call with an error."""
        self._send(
            Message(
                destination=call.sender or None,
                message_type=MessageType.ERROR,
                flags=MessageFlag.NO_REPLY_EXPECTED,
                error_name=error_name,
                reply_serial=call.serial,
                signature="s",
                body=[sendable(text)],
            )
        )

    def _send(self, message: Message) -> int:
        message.serial = self.next_serial()
        self.outbox.put(message._marshall())
        return message.serial

    async def _auth_readline(self) -> str:
        """Read one line of the handshake."""
        line = b""
        while not line.endswith(b"\r\n"):
            octet = await self._loop.sock_recv(self._sock, 1)
            if not octet:
                raise EOFError("the message bus hung up during the handshake")
            line += octet
        return line[:-2].decode()

    def _message_reader(self) -> None:
        """Read what the socket has."""
        try:
            chunk = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._finalize(error)
            return
        if not chunk:
            self._finalize(EOFError("the message bus hung up"))
            return
        self._received += chunk
        self._deliver()

    def _deliver(self) -> None:
        """Take whole messages for one slice of time. What is left then waits for the loop to turn, and the socket with it."""
        end = time.monotonic() + _SLICE_S
        try:
            while not self._disconnected and (frame := self._next_frame()):
                self._take_frame(frame)
                if time.monotonic() >= end:
                    break
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Come back for the messages that are here already, else read on."""
        if self._disconnected:
            return
        if _frame_bytes(self._received) is not None:
            if self._is_reading:
                self._is_reading = False
                self._loop.remove_reader(self._fd)
            self._loop.call_soon(self._deliver)
        elif not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._fd, self._message_reader)

    def _next_frame(self) -> bytes | None:
        """Take the bytes of one whole message off those that came."""
        length = _frame_bytes(self._received)
        if length is None:
            return None
        frame = bytes(self._received[:length])
        del self._received[:length]
        return frame

    def _take_frame(self, frame: bytes) -> None:
        """Take one message. One that cannot be read is dropped: where the next one begins is known."""
        try:
            message = Unmarshaller(io.BytesIO(frame)).unmarshall()
        except _UNREADABLE as error:
            _log.warning("Dropped a message of %d bytes that could not be read: %r", len(frame), error)
            return
        if message is None:
            _log.warning("Dropped a message of %d bytes that ends too early", len(frame))
        elif message.reply_serial in self._method_return_handlers:
            self._on_message(message)  # the answer to Hello, which dbus-next itself has sent
        else:
            self._take(_value_of(message))

    def _finalize(self, err: Exception | None = None) -> None:
        """End the connection, once."""
        if self._disconnected:
            return
        super()._finalize(err)
        if self._disconnect_future.done() and not self._disconnect_future.cancelled():
            self._disconnect_future.exception()  # looked at, so that asyncio does not complain that nobody did
        self._close_socket()
        self.outbox.discard()
        self._lost()

    def _close_socket(self) -> None:
        """Close what is open: nothing, where not even the address could be read."""
        for name in ("_stream", "_sock"):
            if resource := getattr(self, name, None):
                with suppress(OSError):
                    resource.close()


def _frame_bytes(received: bytearray) -> int | None:
    """Give the length of the first message among these bytes, or None while it is not whole."""
    if len(received) < _HEADER_BYTES:
        return None
    order = "<" if received[0] == ord("l") else ">"
    body, _serial, fields = struct.unpack_from(f"{order}III", received, 4)
    length = int(_HEADER_BYTES + (fields + 7) // 8 * 8 + body)
    return length if len(received) >= length else None


def _value_of(message: Message) -> Call | Reply | Signal:
    """Give the message as a value of ours."""
    body: Body = message.body
    match message.message_type:
        case MessageType.METHOD_CALL:
            return Call(
                sender=message.sender or "",
                path=message.path or "",
                interface=message.interface,
                member=message.member or "",
                signature=message.signature,
                body=body,
                serial=message.serial,
                wants_reply=not message.flags & MessageFlag.NO_REPLY_EXPECTED,
            )
        case MessageType.SIGNAL:
            return Signal(message.sender or "", message.path or "", message.interface or "", message.member or "", body)
        case MessageType.METHOD_RETURN | MessageType.ERROR:
            return Reply(message.reply_serial or 0, message.error_name or "", body)


def _raw_reply(call: Call, signature: str, body: bytes, serial: int) -> bytes:
    """Give the bytes of a reply whose body is marshalled already: the header, padded to 8 bytes, and the body."""
    version = 1
    fields = [(5, variant("u", call.serial)), (6, variant("s", call.sender)), (8, variant("g", signature))]
    kind, flags = MessageType.METHOD_RETURN.value, MessageFlag.NO_REPLY_EXPECTED.value
    header = marshal("yyyyuua(yv)", [ord("l"), kind, flags, version, len(body), serial, fields])
    return header + bytes(-len(header) % 8) + body
