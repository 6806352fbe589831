"""Other programs of this user that connect and disconnect by themselves: two patchbays fight."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jackd_router.cli.doctor.findings import Finding, Grade, ok, warn
from jackd_router.jack_io.session_manager import SESSION_MANAGERS

KNOWN = {
    "aj-snapshot": "end it; `jackd-router snapshot` does the same",
    "jack-matchmaker": "end it, and write its patterns as rules: man jackd-router.toml",
    "jack-plumbing": "end it, and write its rules here: man jackd-router.toml",
    "jackpatch": 'let rules leave alone what it connects: action = "leave"',
    "pipeswitch": "end it, and write its links as rules: man jackd-router.toml",
    "qjackctl": "switch its patchbay off (Patchbay, Deactivate), as far as rules speak of the same ports",
    "qpwgraph": "switch its patchbay off (Patchbay, Activated), as far as rules speak of the same ports",
    "ray-jackpatch": 'let rules leave alone what it connects: action = "leave"',
}
"""What to do about each; `man jackd-router.toml` has a word for those who come from them."""
_WHERE_IT_SHOULD_NOT = (
    'where it should not, a rule wins: action = "forbid", or exclusive; '
    'or start the program with PIPEWIRE_PROPS="{ node.autoconnect = false }"'
)


def findings() -> Iterator[Finding]:
    """Look for them."""
    found = sorted(running())
    for name, pid in found:
        if name in KNOWN:
            yield warn("patchbays", f"{name} runs (process {pid}): it may undo what rules do", KNOWN[name])
        else:
            text = f"{name} runs (process {pid}): it connects what plays on PipeWire to a device, but no JACK clients"
            yield Finding(Grade.OK, "patchbays", text, _WHERE_IT_SHOULD_NOT)
    if not found:
        yield ok("patchbays", "no other program is known to connect by itself")


def running() -> Iterator[tuple[str, int]]:
    """Give each, by its name and process id."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if folder.name.isdecimal() and folder.stat().st_uid == os.getuid() and (name := _program(folder)):
                yield name, int(folder.name)


def _program(process: Path) -> str | None:
    """Give which of them a process is: by its own name, or by the script that an interpreter runs."""
    words = [os.fsdecode(word).rpartition("/")[2] for word in (process / "cmdline").read_bytes().split(b"\0")]
    names = words[:2] if words[0].startswith("python") else words[:1]
    return next((name for name in (*KNOWN, *SESSION_MANAGERS) if name in names), None)
