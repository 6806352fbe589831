"""The command `doctor`: what goes wrong in practice, and what to do about it. Each module looks at one part."""

from __future__ import annotations


def doctor(*, json: bool) -> int:
    """Look at everything, show what was found, and give the exit code."""
    # Imported here: no other command needs what it looks at.
    from jackd_router.cli.doctor.command import examine

    return examine(json=json)
