"""Answers every call that wants an answer, and does nothing else: `echo_program.py ADDRESS` says under which name.

What calls wait here is the message bus's own share of what they wait elsewhere.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # it is a program, and its folder would stand there

from jackd_router.dbus_api.frames import sender_of, serial_of, wants_reply
from jackd_router.dbus_api.message_bus import Connection, RawBody
from jackd_router.dbus_api.messages import Call


class _Echo(Connection):
    """Takes messages in the order in which they come."""

    _received = b""

    def _message_reader(self) -> None:
        if not self.unique_name:
            super()._message_reader()  # the answer to Hello
            return
        self._received += self._sock.recv(262_144)
        start = 0
        while len(self._received) >= start + 16:
            (body,), (fields,) = (struct.unpack_from("<I", self._received, start + at) for at in (4, 12))
            end = start + 16 + (fields + 7) // 8 * 8 + body
            if len(self._received) < end:
                break
            frame = self._received[start:end]
            if wants_reply(frame):
                self.send_reply(
                    Call(sender_of(frame).decode(), "", None, "", "", [], serial_of(frame), wants_reply=True), "", RawBody(b"")
                )
            start = end
        self._received = self._received[start:]


async def _main(address: str) -> None:
    ended = asyncio.Event()
    echo = _Echo(address, lambda message: None, ended.set)
    await echo.open()
    print(echo.unique_name, flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
