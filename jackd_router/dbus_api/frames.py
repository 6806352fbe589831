"""What the header of a message says, read from its bytes: for most of what a flood brings nothing else is looked at."""

from __future__ import annotations

import struct

from jackd_router.dbus_api.messages import Call

_HEAD_BYTES = 16
_IS_LITTLE = ord("l")
_LITTLE, _BIG = struct.Struct("<I4xI"), struct.Struct(">I4xI")
"""From the fifth byte on: the length of the body, the serial number, the length of the fields."""
_PATH, _INTERFACE, _MEMBER, _SENDER, _SIGNATURE = 1, 2, 3, 7, 8
_SENDER_FIELD = b"\x07\x01s\0"
"""How the field of the header begins that tells the sender."""
_NAME_OWNER_CHANGED = b"NameOwnerChanged\0"


def is_call(frame: bytes) -> bool:
    """Tell whether the message is a method call."""
    return frame[1] == 1


def wants_reply(stream: bytes | bytearray, start: int = 0) -> bool:
    """Tell whether the message is a method call whose sender waits for an answer."""
    return stream[start + 1] == 1 and not stream[start + 2] & 1


def is_signal(frame: bytes) -> bool:
    """Tell whether the message is a signal."""
    return frame[1] == 4


def is_unasked(stream: bytes | bytearray, start: int = 0) -> bool:
    """Tell whether the message is a call or a signal: of answers the message bus lets none pass that nobody asked for."""
    return stream[start + 1] not in (2, 3)


def serial_of(frame: bytes) -> int:
    """Give the serial number of the message."""
    return int.from_bytes(frame[8:12], "little" if frame[0] == ord("l") else "big")


def sender_of(stream: bytes | bytearray, start: int = 0) -> bytes:
    """Give the sender of the message that begins there, b"" where it has none."""
    # The bus writes it after all that the sender wrote, or over what he wrote there. A number of his may look like one, but
    # only fields begin at a multiple of 8.
    at = stream.rfind(_SENDER_FIELD, start + _HEAD_BYTES, body_start(stream, start))
    while at >= 0 and (at - start) % 8:
        at = stream.rfind(_SENDER_FIELD, start + _HEAD_BYTES, at + len(_SENDER_FIELD) - 1)
    return b"" if at < 0 else bytes(stream[at + 8 : stream.find(b"\0", at + 8)])


def call_of(frame: bytes) -> Call | None:
    """Give a call without its arguments; None where the header holds what the specification does not know."""
    order = "<" if frame[0] == ord("l") else ">"
    at, end = _HEAD_BYTES, _HEAD_BYTES + struct.unpack_from(f"{order}I", frame, 12)[0]
    texts: dict[int, str] = {}
    try:
        while at < end:
            at += -at % 8
            code, kind = frame[at], frame[at + 1 : at + 4]
            at += 4
            if kind in (b"\x01s\0", b"\x01o\0"):
                (length,) = struct.unpack_from(f"{order}I", frame, at)
                at += 4
            elif kind == b"\x01g\0":
                length = frame[at]
                at += 1
            elif kind == b"\x01u\0":
                at += 4
                continue
            else:
                return None
            texts[code] = frame[at : at + length].decode()
            at += length + 1
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    return Call(
        sender=texts.get(_SENDER, ""),
        path=texts.get(_PATH, ""),
        interface=texts.get(_INTERFACE),
        member=texts.get(_MEMBER, ""),
        signature=texts.get(_SIGNATURE, ""),
        body=[],
        serial=serial_of(frame),
        wants_reply=wants_reply(frame),
    )


def subject_of(frame: bytes) -> bytes:
    """Give whose name it is of which the message bus tells that its owner has changed, b"" where it tells something else."""
    body = body_start(frame)
    if frame.find(_NAME_OWNER_CHANGED, _HEAD_BYTES, body) < 0:
        return b""
    return frame[body + 4 : frame.find(b"\0", body + 4)]


def body_start(stream: bytes | bytearray, start: int = 0) -> int:
    """Give where the body of the message begins, which begins itself at `start`."""
    _, fields = (_LITTLE if stream[start] == _IS_LITTLE else _BIG).unpack_from(stream, start + 4)
    return int(start + _HEAD_BYTES + (fields + 7 & -8))


def frame_end(received: bytearray, start: int) -> int | None:
    """Give where the message ends that begins at `start`, or None while it is not whole."""
    if len(received) < start + _HEAD_BYTES:
        return None
    body, fields = (_LITTLE if received[start] == _IS_LITTLE else _BIG).unpack_from(received, start + 4)
    end = int(start + _HEAD_BYTES + (fields + 7 & -8) + body)
    return end if len(received) >= end else None
