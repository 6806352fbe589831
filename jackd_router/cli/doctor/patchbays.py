"""Other programs of this user that connect and disconnect by themselves: two patchbays fight."""

from __future__ import annotations

from collections.abc import Iterator

from jackd_router.cli.doctor.findings import Finding, Grade, ok, warn
from jackd_router.jack_io.session_manager import SESSION_MANAGERS, running

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
    found = sorted(running((*KNOWN, *SESSION_MANAGERS)))
    for name, pid in found:
        if name in KNOWN:
            yield warn("patchbays", f"{name} runs (process {pid}): it may undo what rules do", KNOWN[name])
        else:
            text = f"{name} runs (process {pid}): it connects what plays on PipeWire to a device, but no JACK clients"
            yield Finding(Grade.OK, "patchbays", text, _WHERE_IT_SHOULD_NOT)
    if not found:
        yield ok("patchbays", "no other program is known to connect by itself")
