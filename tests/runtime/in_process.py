"""A router in the process of the test, where what it does inside can be seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jackd_router.core.graph import Connection, PortName
from jackd_router.runtime.router import Router

ONE_RULE = """
[[rule]]
name = "r"
from = "synth:out"
to = "tape:in"
"""
PAIR = Connection(PortName("synth:out"), PortName("tape:in"))
"""What it wants."""


@asynccontextmanager
async def loaded_router(folder: Path, text: str, server_name: str) -> AsyncIterator[Router]:
    """Give a router that has read this configuration, and not begun to look for a server; it is stopped at the end."""
    config = folder / "router.toml"
    config.write_text(text)
    router = Router(config, folder / "state", server_name)
    router.load()
    try:
        yield router
    finally:
        await asyncio.wait_for(router.stop(), 10)
