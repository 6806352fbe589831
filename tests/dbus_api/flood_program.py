"""Floods the daemon: `flood_program.py ADDRESS INTERFACE.MEMBER SECONDS` says "began", and at the end how many calls it sent.

With `NAME` behind that it floods somebody else. A `?` behind the member: it wants answers, and reads them.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # it is a program, and its folder would stand there

from dbus_next import MessageFlag

from jackd_router.dbus_api import names
from jackd_router.dbus_api.message_bus import Value
from tests.dbus_api.flood import Flood

_AT_ONCE = 200
_SERIAL_AT, _FIRST_SERIAL = 8, 1_000
_ARGUMENTS: dict[str, tuple[str, list[Value]]] = {"Reload": ("a{sv}", [{}]), "GetGraph": ("t", [0])}


async def _main(address: str, name: str, seconds: float, destination: str = names.BUS_NAME) -> None:
    interface, _, member = name.rstrip("?").partition(".")
    flags = MessageFlag.NONE if name.endswith("?") else MessageFlag.NO_REPLY_EXPECTED
    signature, body = _ARGUMENTS.get(member, ("", []))
    async with await Flood.open(address) as flood:
        call = bytearray(
            flood.call(destination, names.ROOT_PATH, f"{names.BUS_NAME}.{interface}", member, signature, body, flags=flags)
        )
        print("began", flush=True)
        end, sent = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            for _ in range(_AT_ONCE):
                sent += 1
                struct.pack_into("<I", call, _SERIAL_AT, _FIRST_SERIAL + sent)
                flood.send_bytes(call)
            await flood.sent()
            await asyncio.sleep(0)
        print(sent)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:]))
