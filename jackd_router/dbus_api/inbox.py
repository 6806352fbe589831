"""What has come over the message bus and waits: each sender has a queue of its own, and the senders take turns.

The bus hands on what all of them send in one stream. A program that sends calls as fast as it can, and wants no answers, sends
100,000 a second and more, and 6,000 are answered: in the order of the stream, everybody else would wait for minutes after ten
seconds of that. So the stream is taken off the bus at once, and what is done next is a matter of whose turn it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from jackd_router.dbus_api.frames import Pieces, is_unasked, sender_in, subject_of, wants_reply
from jackd_router.dbus_api.names import DBUS

MOST_WAITING_BYTES = 16 * 1024 * 1024
"""What may wait of one sender: 100,000 small calls, more than ten seconds of work."""
MOST_OF_ALL_BYTES = 64 * 1024 * 1024
"""What may wait of all of them together. Where it is more, each may have its share."""
SHARE_BYTES = 1024 * 1024
MUCH = 1_000
"""Messages of one sender that wait: more than anybody has to say at once who does not ask either."""

_BUS = DBUS.encode()


@dataclass(slots=True)
class _Queue:
    frames: deque[bytes] = field(default_factory=deque)
    length: int = 0

    def add(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.length += len(frame)

    def shorten(self) -> int:
        """Forget what is more than anybody has to say, and give how many bytes that was."""
        dropped = sum(len(self.frames.pop()) for _ in range(len(self.frames) - MUCH))
        self.length -= dropped
        return dropped


class Inbox:
    """Takes bytes, gives whole messages."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._queues: dict[bytes, _Queue] = {}
        self._turns: deque[bytes] = deque()
        """Whose queues there are, each once, in the order in which they have their next turn."""
        self._length = 0
        self._has_overflowed = False

    def __bool__(self) -> bool:
        """Tell whether a whole message waits."""
        return bool(self._turns)

    def is_flooded(self, may_speak: Callable[[bytes], bool] = lambda sender: True) -> bool:
        """Tell whether what waits is much, of all who may speak now, and nobody waits for an answer to what is next."""
        queues = (queue for sender, queue in self._queues.items() if may_speak(sender))
        return all(len(queue.frames) > MUCH and not wants_reply(queue.frames[0]) for queue in queues)

    def put(self, chunk: bytes) -> list[bytes]:
        """Take what the socket gave. Gives the calls whose sender waits for an answer, and for which there is no room."""
        surplus: list[bytes] = []
        for fields, frame in self._pieces.whole(chunk):
            sender = sender_in(fields)
            if self._has_room(sender, len(frame)) or not is_unasked(frame):
                self._queue(sender, frame)
            else:
                self._has_overflowed = True
                if wants_reply(frame):
                    surplus.append(frame)
        return surplus

    def take(self, may_speak: Callable[[bytes], bool] = lambda sender: True) -> bytes | None:
        """Give the next message of the first sender whose turn it is, and who may speak now; None where there is none."""
        for _ in range(len(self._turns)):
            if may_speak(self._turns[0]):
                return self._take_of(self._turns.popleft())
            self._turns.rotate(-1)
        return None

    def _take_of(self, sender: bytes) -> bytes:
        queue = self._queues[sender]
        frame = queue.frames.popleft()
        queue.length -= len(frame)
        self._length -= len(frame)
        if queue.frames:
            self._turns.append(sender)
        else:
            del self._queues[sender]
        return frame

    def take_overflow(self) -> bool:
        """Tell whether there was no room for something since this was asked last."""
        before, self._has_overflowed = self._has_overflowed, False
        return before

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self._queues.clear()
        self._turns.clear()
        self._length = 0

    def _has_room(self, sender: bytes, length: int) -> bool:
        """Tell whether so much more of this sender may wait: one message may, however large, and whatever the bus says."""
        queue = self._queues.get(sender)
        if queue is None or sender == _BUS:
            return True
        most = SHARE_BYTES if self._length + length > MOST_OF_ALL_BYTES else MOST_WAITING_BYTES
        return queue.length + length <= most

    def _queue(self, sender: bytes, frame: bytes) -> None:
        """Put a message into the queue of its sender."""
        if sender == _BUS and (subject := subject_of(frame)) in self._queues:
            # That somebody has left comes after what he sent. One who sends a call and leaves means it; a flood nobody means.
            queue = self._queues[subject]
            self._length -= queue.shorten()
        elif sender in self._queues:
            queue = self._queues[sender]
        else:
            queue = self._queues[sender] = _Queue()
            self._turns.append(sender)
        queue.add(frame)
        self._length += len(frame)
