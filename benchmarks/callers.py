"""Calls the daemon as fast as it answers: `python -m benchmarks.callers ADDRESS`, until it is ended."""

from __future__ import annotations

import asyncio
import sys

from jackd_router.dbus_api.names import BUS_NAME, ROOT_PATH
from jackd_router.dbus_api.session_bus import SessionBus

_AT_ONCE = 8


async def _call_for_ever(bus: SessionBus) -> None:
    while True:
        await bus.call(BUS_NAME, ROOT_PATH, f"{BUS_NAME}.Manager", "GetStatus", "", ())


async def _main(address: str) -> None:
    async with await SessionBus.open([address]) as bus, asyncio.TaskGroup() as callers:
        for _ in range(_AT_ONCE):
            callers.create_task(_call_for_ever(bus))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
