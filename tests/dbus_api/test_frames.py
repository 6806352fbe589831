"""What the bytes of a message say before anything is decoded."""

from __future__ import annotations

import struct

import pytest
from dbus_next import Message, MessageFlag, MessageType

from jackd_router.dbus_api.frames import call_of, is_call, is_signal, is_unasked, sender_of, serial_of, wants_reply
from jackd_router.dbus_api.messages import Call
from tests.dbus_api.flood import with_header_field
from tests.dbus_api.test_inbox import SENDER, call


def test_what_a_header_says() -> None:
    silent = call(":1.99", 2**32 - 1, flags=MessageFlag.NO_REPLY_EXPECTED)
    assert (sender_of(silent), serial_of(silent), wants_reply(silent), is_call(silent)) == (b":1.99", 2**32 - 1, False, True)
    assert wants_reply(call(":1.99", 1))
    nobody = bytes(Message(path="/", interface="a.b", member="C", message_type=MessageType.SIGNAL, serial=9)._marshall())
    assert (sender_of(nobody), is_call(nobody)) == (b"", False)
    head, path = bytes.fromhex("42010001 00000000 00000005 0000001a"), bytes.fromhex("01016f00 00000001") + b"/\0"
    big_endian = head + bytes.fromhex("07017300 00000004") + b":1.5" + bytes(4) + path + bytes(6)
    assert (sender_of(big_endian), serial_of(big_endian)) == (b":1.5", 5)


def test_nobody_speaks_for_another() -> None:
    """The bus writes the sender last; what looks like it stands in a field that nobody knows, or in the body."""
    pretended = "\x07\x01s"
    with_field = bytes(Message("a.b", "/a", "a.b", "C", serial=1)._marshall())
    for _ in range(8):  # so that one of them begins where a field may begin
        with_field, pretended = with_header_field(with_field, 37, pretended), f"x{pretended}"
    assert sender_of(with_header_field(with_field, SENDER, ":1.2")) == b":1.2"
    assert sender_of(call(":1.2", 1, "xxxx\x07\x01s")) == b":1.2"


def test_a_number_in_the_header_is_no_sender() -> None:
    """On dbus-daemon a sender that somebody wrote himself is overwritten in its place, and what comes after it stays there."""
    frame = call(":1.2", 1, "xxxx:1.9")
    (length,) = struct.unpack_from("<I", frame, 12)
    fields, body = frame[16 : 16 + length], frame[16 + (length + 7) // 8 * 8 :]
    fields += bytes(-len(fields) % 8) + b"\x05\x01u\0" + b"\x07\x01s\0"  # the serial number of what is answered
    frame = frame[:12] + struct.pack("<I", len(fields)) + fields + bytes(-len(fields) % 8) + body
    assert sender_of(frame) == b":1.2"
    told = call_of(frame)
    assert told is not None
    assert told.sender == ":1.2"


@pytest.mark.parametrize("interface", ["a.b", None])
def test_a_call_without_its_arguments(interface: str | None) -> None:
    message = Message("a.b", "/a/b", interface, "Call", signature="sau", body=["x" * 100, [1, 2]], serial=77)
    message.flags = MessageFlag.NO_REPLY_EXPECTED
    frame = with_header_field(bytes(message._marshall()), SENDER, ":1.5")
    assert call_of(frame) == Call(":1.5", "/a/b", interface, "Call", "sau", [], 77, wants_reply=False)


def test_what_nobody_knows_is_no_call() -> None:
    good = call(":1.5", 1)
    assert call_of(good)
    assert call_of(good.replace(b"\x03\x01s\0", b"\x03\x01x\0")) is None, "a field of another type"
    assert call_of(good[:40]) is None, "half a header"


def test_signals_and_calls_come_unasked() -> None:
    assert [is_unasked(bytes([ord("l"), kind])) for kind in (1, 2, 3, 4)] == [True, False, False, True]
    assert [is_signal(bytes([ord("l"), kind])) for kind in (1, 2, 3, 4)] == [False, False, False, True]
