"""Writes a state file again and again: python state_writer_program.py FOLDER.

It tells each profile that was kept: `secured NAME` where somebody was told that it is, `written NAME` where it is on the disk.
The end is `trouble` and what was wrong, if anything was.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jackd_router.core.graph import Connection, PortName
from jackd_router.core.kept import ServerRun
from jackd_router.runtime.state_file import StateFile

WRITES = 4
PAIR = Connection(PortName("synth:out"), PortName("desk:in"))


async def main(folder: Path) -> None:
    """Write; the profile that is kept, the owner of a pair and a port that is held always have the same name."""
    file = StateFile(folder)
    file.read()
    file.start_writing()
    first = int(file.kept.profile[1:]) + 1 if file.kept.run else 0
    for number in range(first, first + WRITES):
        name = f"p{number}"
        file.kept.profile = name
        file.kept.run = ServerRun("run", owned={PAIR: name}, held=[Connection(PortName(name), PortName("desk:in"))])
        file.changed()
        await file.secure()
        print("secured", name, flush=True)
        if number % 2:
            await file.flush()
            print("written", name, flush=True)
    print("trouble", file.trouble, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
