"""The command `run`: the daemon in the foreground."""

from __future__ import annotations

from pathlib import Path


def run(*, config: Path | None, log_level: str) -> int:
    """Run the daemon until it is told to end, and give its exit code."""
    # Imported here: no other command needs the daemon's code.
    from jackd_router.daemon import main

    return main(config, log_level=log_level)
