"""What has come over the message bus and waits: each sender has a queue of its own, and the senders take turns.

The bus hands on what all of them send in one stream. A program that sends calls as fast as it can, and wants no answers, sends
40,000 a second, and 6,000 are answered: in the order of the stream, everybody else would wait for two minutes after ten seconds
of that. So the stream is taken off the bus at once, and what is done next is a matter of whose turn it is.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from jackd_router.dbus_api.names import DBUS

MOST_WAITING_BYTES = 16 * 1024 * 1024
"""What may wait of one sender: 100,000 small calls, more than ten seconds of work."""
MUCH = 1_000
"""Messages of one sender that wait: more than anybody has to say at once who does not ask either."""

_HEAD_BYTES = 16
_SENDER_FIELD = b"\x07\x01s\0"
"""How the field of the header begins that tells the sender. The bus itself writes it, after all that the sender wrote."""
_BUS = DBUS.encode()
_NAME_OWNER_CHANGED = b"NameOwnerChanged\0"


@dataclass(slots=True)
class _Queue:
    frames: deque[bytes] = field(default_factory=deque)
    length: int = 0

    def add(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.length += len(frame)


class Inbox:
    """Takes bytes, gives whole messages."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._queues: dict[bytes, _Queue] = {}
        self._turns: deque[bytes] = deque()
        """Whose queues there are, each once, in the order in which they have their next turn."""

    def __bool__(self) -> bool:
        """Tell whether a whole message waits."""
        return bool(self._turns)

    @property
    def is_flooded(self) -> bool:
        """Whether what waits is much, of whoever it is, and nobody waits for an answer to what is next."""
        return all(len(queue.frames) > MUCH and not wants_reply(queue.frames[0]) for queue in self._queues.values())

    def put(self, chunk: bytes) -> list[bytes]:
        """Take what the socket gave. Gives the messages for which there is no room, because too much of their sender waits."""
        self._received += chunk
        surplus: list[bytes] = []
        start = 0
        while (end := _frame_end(self._received, start)) is not None:
            frame = bytes(self._received[start:end])
            if not self._queue(frame):
                surplus.append(frame)
            start = end
        del self._received[:start]
        return surplus

    def take(self) -> bytes:
        """Give the next message of the sender whose turn it is. Raises IndexError where nothing waits."""
        sender = self._turns.popleft()
        queue = self._queues[sender]
        frame = queue.frames.popleft()
        queue.length -= len(frame)
        if queue.frames:
            self._turns.append(sender)
        else:
            del self._queues[sender]
        return frame

    def clear(self) -> None:
        """Forget everything."""
        self._received.clear()
        self._queues.clear()
        self._turns.clear()

    def _queue(self, frame: bytes) -> bool:
        """Put a message into the queue of its sender; False where that is full."""
        sender = sender_of(frame)
        if sender == _BUS and (subject := _subject_of(frame)) in self._queues:
            self._queues[subject].add(frame)  # that somebody has left comes after what he sent
            return True
        queue = self._queues.get(sender)
        if queue is None:
            queue = self._queues[sender] = _Queue()
            self._turns.append(sender)
        elif queue.length + len(frame) > MOST_WAITING_BYTES and sender != _BUS and _is_unasked(frame):
            return False
        queue.add(frame)
        return True


def is_call(frame: bytes) -> bool:
    """Tell whether the message is a method call."""
    return frame[1] == 1


def wants_reply(frame: bytes) -> bool:
    """Tell whether the message is a method call whose sender waits for an answer."""
    return is_call(frame) and not frame[2] & 1


def _is_unasked(frame: bytes) -> bool:
    """Tell whether the message is a call or a signal: of answers the message bus lets none pass that nobody asked for."""
    return frame[1] not in (2, 3)


def serial_of(frame: bytes) -> int:
    """Give the serial number of the message."""
    return int.from_bytes(frame[8:12], "little" if frame[0] == ord("l") else "big")


def sender_of(frame: bytes) -> bytes:
    """Give the sender of the message, b"" where it has none."""
    at = frame.rfind(_SENDER_FIELD, _HEAD_BYTES, _body_start(frame))
    return b"" if at < 0 else frame[at + 8 : frame.find(b"\0", at + 8)]


def _subject_of(frame: bytes) -> bytes:
    """Give whose name it is of which the message bus tells that its owner has changed, b"" where it tells something else."""
    body = _body_start(frame)
    if frame.find(_NAME_OWNER_CHANGED, _HEAD_BYTES, body) < 0:
        return b""
    return frame[body + 4 : frame.find(b"\0", body + 4)]


def _body_start(frame: bytes | bytearray, start: int = 0) -> int:
    """Give where the body of the message begins, which begins itself at `start`."""
    (fields,) = struct.unpack_from("<I" if frame[start] == ord("l") else ">I", frame, start + 12)
    return int(start + _HEAD_BYTES + (fields + 7) // 8 * 8)


def _frame_end(received: bytearray, start: int) -> int | None:
    """Give where the message ends that begins at `start`, or None while it is not whole."""
    if len(received) < start + _HEAD_BYTES:
        return None
    (body,) = struct.unpack_from("<I" if received[start] == ord("l") else ">I", received, start + 4)
    end = int(_body_start(received, start) + body)
    return end if len(received) >= end else None
