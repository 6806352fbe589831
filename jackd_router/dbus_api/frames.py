"""What the header of a message says, read from its bytes: for most of what a flood brings nothing else is looked at."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

from jackd_router.dbus_api.messages import Call

_HEAD_BYTES = 16
_IS_LITTLE = ord("l")
_LITTLE, _BIG = struct.Struct("<I4xI"), struct.Struct(">I4xI")
"""From the fifth byte on: the length of the body, the serial number, the length of the fields."""
_PATH, _INTERFACE, _MEMBER, _SENDER, _SIGNATURE = 1, 2, 3, 7, 8
_SENDER_FIELD = b"\x07\x01s\0"
"""How the field of the header begins that tells the sender."""
_KNOWN_FIELDS, _KNOWN_BYTES = 256, 512
"""Of how many headers, and how long ones, it is remembered who their sender is."""
_NAME_OWNER_CHANGED = b"NameOwnerChanged\0"


def is_call(frame: bytes) -> bool:
    """Tell whether the message is a method call."""
    return frame[1] == 1


def wants_reply(frame: bytes) -> bool:
    """Tell whether the message is a method call whose sender waits for an answer."""
    return frame[1] == 1 and not frame[2] & 1


def is_signal(frame: bytes) -> bool:
    """Tell whether the message is a signal."""
    return frame[1] == 4


def is_unasked(frame: bytes) -> bool:
    """Tell whether the message is a call or a signal: of answers the message bus lets none pass that nobody asked for."""
    return frame[1] not in (2, 3)


def serial_of(frame: bytes) -> int:
    """Give the serial number of the message."""
    return int.from_bytes(frame[8:12], "little" if frame[0] == ord("l") else "big")


def sender_of(frame: bytes) -> bytes:
    """Give the sender of the message, b"" where it has none."""
    return sender_in(frame[_HEAD_BYTES : body_start(frame)])


def sender_in(fields: bytes) -> bytes:
    """Give the sender that the fields of a header tell, b"" where they tell none."""
    # One who floods sends the same header again and again.
    return _known_sender_in(fields) if len(fields) <= _KNOWN_BYTES else _sender_in(fields)


def _sender_in(fields: bytes) -> bytes:
    # The bus writes it after all that the sender wrote, or over what he wrote there. A number of his may look like one, but
    # only fields begin at a multiple of 8.
    at = fields.rfind(_SENDER_FIELD)
    while at >= 0 and at % 8:
        at = fields.rfind(_SENDER_FIELD, 0, at + len(_SENDER_FIELD) - 1)
    return b"" if at < 0 else fields[at + 8 : fields.find(b"\0", at + 8)]


_known_sender_in = lru_cache(_KNOWN_FIELDS)(_sender_in)


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


def body_start(frame: bytes) -> int:
    """Give where the body of the message begins."""
    _, fields = (_LITTLE if frame[0] == _IS_LITTLE else _BIG).unpack_from(frame, 4)
    return int(_HEAD_BYTES + (fields + 7 & -8))


class Pieces:
    """Cuts what the socket gives into messages. Each costs half a microsecond: a flood brings up to 240,000 a second."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._missing = _HEAD_BYTES
        """How many bytes must come before it is known more of the next message: its header, or its end."""

    def clear(self) -> None:
        """Forget what has come of the next message."""
        self._pieces, self._missing = [], _HEAD_BYTES

    def whole(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give each message that is whole now, and before it the fields of its header. All of them must be taken."""
        self._pieces.append(piece)
        self._missing -= len(piece)
        if self._missing > 0:
            return
        stream = b"".join(self._pieces)
        little, big, is_little, length = _LITTLE.unpack_from, _BIG.unpack_from, _IS_LITTLE, len(stream)
        start, end = 0, _HEAD_BYTES
        while length >= start + _HEAD_BYTES:
            body, fields = (little if stream[start] == is_little else big)(stream, start + 4)
            fields_start = start + _HEAD_BYTES
            body_start = fields_start + (fields + 7 & -8)
            end = body_start + body
            if end > length:
                break
            yield stream[fields_start:body_start], stream[start:end]
            start, end = end, end + _HEAD_BYTES
        self._pieces = [stream[start:]]
        self._missing = end - length
