"""What only a broken or hostile message bus does: a socket that answers by a script. Everything else is tested on real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted_bus(folder: Path, script: Script) -> AsyncIterator[str]:
    """Give the address of a socket where each connection is served by the script."""
    path = folder / "scripted"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix:path={path}"
    finally:
        server.close()
        await server.wait_closed()


async def accept_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what a bus says until the messages begin."""
    await reader.readuntil(b"\r\n")
    writer.write(b"OK 00000000000000000000000000000000\r\n")
    await reader.readuntil(b"BEGIN\r\n")
