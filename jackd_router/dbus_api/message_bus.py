"""The wire to a message bus. The only module that knows dbus-next, and it knows it as connection and codec only.

What dbus-next 0.2.3 does by itself would end a daemon that lives for months, so these parts of it are replaced:

* its writer takes a full socket for a broken one and leaves the bus: 50 pipelined Introspect calls are enough (its issue 153);
* its reader keeps the loop while there is something to read, lets one sender keep all others waiting, and leaves the bus over a
  message that it cannot read;
* it keeps every signature that it has ever met, and anybody can think up new ones;
* it spins for ever where the bus hangs up during the handshake, takes an error for its unique name, and closes no socket;
* its services send tracebacks to callers and answer with error names of their own: `objects` dispatches instead.

Every private name of dbus-next that is relied upon stands in this file, and tests/dbus_api notices when one goes.
"""

from __future__ import annotations

import asyncio
import io
import logging
import struct
import sys
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeAlias

if sys.version_info >= (3, 13) or not hasattr(typing, "no_type_check_decorator"):
    # dbus-next applies it, when it is imported, to decorators that nobody calls here. Deprecated since 3.13, gone in 3.15.
    vars(typing)["no_type_check_decorator"] = lambda decorator: decorator

from dbus_next import AuthError, Message, MessageFlag, MessageType, Variant
from dbus_next._private.marshaller import Marshaller
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.aio import MessageBus as LibraryBus
from dbus_next.signature import SignatureTree

from jackd_router.dbus_api.errors import LIMITS_EXCEEDED, CallError, short
from jackd_router.dbus_api.frames import call_of, is_call, is_signal, sender_of, serial_of, wants_reply
from jackd_router.dbus_api.inbox import Inbox
from jackd_router.dbus_api.messages import Body, Call, Reply, Signal
from jackd_router.dbus_api.outbox import Outbox

__all__ = ["AuthError", "Connection", "LibraryBus", "RawBody", "Value", "Variant", "marshal", "sendable", "variant"]

_log = logging.getLogger("jackd_router.dbus")

Value: TypeAlias = "bool | int | float | str | Variant | Sequence[Value] | Mapping[str, Value]"
"""What can be sent. Tuples may stand for arrays and for structures."""

MOST_CALL_BYTES = 512 * 1024
"""Of one call. dbus-next decodes for 4 s where somebody sends a million strings, and nothing else is done meanwhile."""
MOST_ANSWER_BYTES = 64 * 1024
"""Of the answers to one sender that wait for the bus. Where it is more, his next calls wait: everybody else's answers, and all
signals, come behind his."""
MOST_REFUSAL_BYTES = 128 * 1024
"""Above this also those of his calls are not answered any more for which there is no room."""

_SLICE_S = 0.005
"""How long messages are done before the loop may turn: a flood must not keep the reconciler waiting."""
_REST_S = 0.01
"""How long nothing is done after each slice while we are flooded. What comes is taken off the bus meanwhile.

The message bus, which hands on what others say, needs the CPU, and who has rested gets it first when somebody else calls.
"""
_LONG_REST_S = 0.05
"""The same while so much comes that some of it is not even kept."""
_READ_BYTES = 262_144
_MUCH_BYTES = 16_384
"""What is read at once where the bus is ahead of us."""
_READ_S = 0.002
"""How long it is read after a message that took the whole slice."""
_SMALL_BYTES = 1024
"""A message that is decoded sooner than its header is looked at."""
_WARNING_S = 60.0
"""How often it is told at most that messages could not be read."""
_MOST_SIGNATURES = 1_000
"""That dbus-next keeps parsed: 20,000 take 28 MB. The whole API has 60."""
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
        case Variant() | bytes():
            return value  # clean since `variant` made it; dbus-next takes an array of bytes as bytes only
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
        self.check_call: Callable[[Call, int], None] = lambda call, length: None
        """Raises CallError where a call of this length is refused by its header: the arguments may take long to decode."""
        self.wants_signals_of: Callable[[str], bool] = lambda sender: True
        self._inbox = Inbox()
        self._delivery: asyncio.Handle | None = None
        self._rests = False
        self.outbox = Outbox(self._sock, self._loop, self._deliver_later, self._finalize)
        self._writer = self.outbox
        self._unreadable = 0
        self._warning_due = 0.0

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
            self.outbox.put(_raw_reply(call, signature, body, self.next_serial()), call.sender)
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
        is_answer = message.message_type in (MessageType.METHOD_RETURN, MessageType.ERROR)
        self.outbox.put(message._marshall(), (message.destination or "") if is_answer else "")
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
        """Take what the socket has: it can be read."""
        try:
            if not self._read():
                self._finalize(EOFError("the message bus hung up"))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._finalize(error)
        self._deliver_later()

    def _read(self) -> int:
        """Put what has come into the queues and give how many bytes that was: 0 where nothing comes any more."""
        chunk = self._sock.recv(_READ_BYTES)
        for frame in self._inbox.put(chunk):
            self._refuse(frame, "too many of your calls wait")
        return len(chunk)

    def _deliver(self) -> None:
        """Do what the messages want, for one slice of time.

        The socket holds 280 small messages. It is read after each message that is done, and emptied first where it was half full:
        the bus would else stand still, and what others say with it, while a flood is worked off.
        """
        self._delivery = None
        end = time.monotonic() + _SLICE_S
        frame: bytes | None = b""
        try:
            while (frame := self._inbox.take(self._may_speak)) is not None:
                self._take_frame(frame)
                now = time.monotonic()
                read_end = max(end, now + _READ_S)
                with suppress(OSError):  # nothing there now; or no bus any more, which the reader finds out
                    while self._read() > _MUCH_BYTES and time.monotonic() < read_end:
                        pass
                if now >= end:
                    break
        finally:
            if frame is not None:  # else all wait until the bus has taken what is for them
                self._deliver_later(after_slice=True)

    def _may_speak(self, sender: bytes) -> bool:
        """Tell whether not too much waits already that is for this sender."""
        return self.outbox.waits_for(_text(sender)) < MOST_ANSWER_BYTES

    def _deliver_later(self, *, after_slice: bool = False) -> None:
        """Come back for what waits: when the loop has turned, or after a rest where nobody waits for it."""
        if not self._inbox:
            return
        if self._delivery is not None:
            if not self._rests or self._inbox.is_flooded(self._may_speak):
                return
            self._delivery.cancel()  # somebody has come who does wait
        self._rests = after_slice and self._inbox.is_flooded(self._may_speak)
        if self._rests:
            rest_s = _LONG_REST_S if self._inbox.take_overflow() else _REST_S
            self._delivery = self._loop.call_later(rest_s, self._deliver)
        else:
            self._delivery = self._loop.call_soon(self._deliver)

    def _refuse(self, frame: bytes, text: str) -> None:
        """Answer a call that is not even decoded."""
        sender = sender_of(frame)
        if wants_reply(frame) and self.outbox.waits_for(_text(sender)) < MOST_REFUSAL_BYTES:
            self.outbox.put(_raw_error(_text(sender), LIMITS_EXCEEDED, text, serial_of(frame), self.next_serial()), _text(sender))

    def _take_frame(self, frame: bytes) -> None:
        """Take one message. One that cannot be read is dropped: where the next one begins is known."""
        if is_call(frame):
            if not self._is_admitted(frame):
                return
        elif is_signal(frame) and not self.wants_signals_of(_text(sender_of(frame))):
            return
        try:
            message = Unmarshaller(io.BytesIO(frame)).unmarshall()
        except _UNREADABLE as error:
            self._warn(frame, repr(error))
            return
        if len(SignatureTree._cache) > _MOST_SIGNATURES:
            SignatureTree._cache.clear()
        if message is None:
            self._warn(frame, "it ends too early")
        elif message.reply_serial in self._method_return_handlers:
            self._on_message(message)  # the answer to Hello, which dbus-next itself has sent
        else:
            self._take(_value_of(message))

    def _is_admitted(self, frame: bytes) -> bool:
        """Tell whether a call is decoded at all; else answer it."""
        if len(frame) > MOST_CALL_BYTES:
            self._refuse(frame, f"a call of {len(frame)} bytes: at most {MOST_CALL_BYTES}")
            return False
        if len(frame) > _SMALL_BYTES and (call := call_of(frame)) is not None:
            try:
                self.check_call(call, len(frame))
            except CallError as refused:
                error = short(refused)
                if call.wants_reply:
                    self.send_error(call, error.name, error.text)
                return False
        return True

    def _warn(self, frame: bytes, why: str) -> None:
        """Tell of a message that cannot be read, but not of each in a flood of them."""
        self._unreadable += 1
        now = time.monotonic()
        if now >= self._warning_due:
            others = f"; {self._unreadable - 1} others before it" if self._unreadable > 1 else ""
            sender = _text(sender_of(frame))
            _log.warning("Dropped a message of %d bytes of %s that could not be read: %s%s", len(frame), sender, why, others)
            self._unreadable, self._warning_due = 0, now + _WARNING_S

    def _finalize(self, err: Exception | None = None) -> None:
        """End the connection, once."""
        if self._disconnected:
            return
        if err is None:
            # Nobody waits for the answer to Hello any more: dbus-next would put an error where nobody looks.
            self._method_return_handlers.clear()
        super()._finalize(err)
        if self._disconnect_future.done() and not self._disconnect_future.cancelled():
            self._disconnect_future.exception()  # looked at, so that asyncio does not complain that nobody did
        self._close_socket()
        self.outbox.discard()
        self._inbox.clear()
        self._lost()

    def _close_socket(self) -> None:
        """Close what is open: nothing, where not even the address could be read."""
        for name in ("_stream", "_sock"):
            if resource := getattr(self, name, None):
                with suppress(OSError):
                    resource.close()


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


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


def _raw_error(destination: str, error_name: str, text: str, reply_serial: int, serial: int) -> bytearray:
    """Give the bytes of an error, of which a flood may want tens of thousands a second that differ in their numbers alone."""
    error = bytearray(_error_without_numbers(destination, error_name, text))
    struct.pack_into("<I", error, 8, serial)
    struct.pack_into("<I", error, 20, reply_serial)  # of the first field
    return error


@lru_cache(maxsize=16)
def _error_without_numbers(destination: str, error_name: str, text: str) -> bytes:
    body = marshal("s", [text])
    fields = [(5, variant("u", 0)), (4, variant("s", error_name)), (6, variant("s", destination)), (8, variant("g", "s"))]
    return _raw_message(MessageType.ERROR, fields, body, 0)


def _raw_reply(call: Call, signature: str, body: bytes, serial: int) -> bytes:
    """Give the bytes of a reply whose body is marshalled already: the header, padded to 8 bytes, and the body."""
    fields = [(5, variant("u", call.serial)), (6, variant("s", call.sender)), (8, variant("g", signature))]
    return _raw_message(MessageType.METHOD_RETURN, fields, body, serial)


def _raw_message(kind: MessageType, fields: list[tuple[int, Variant]], body: bytes, serial: int) -> bytes:
    version, flags = 1, MessageFlag.NO_REPLY_EXPECTED.value
    header = marshal("yyyyuua(yv)", [ord("l"), kind.value, flags, version, len(body), serial, fields])
    return header + bytes(-len(header) % 8) + body
