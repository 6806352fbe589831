"""The command line: it talks to the daemon over D-Bus like any other program, and decides nothing."""

from __future__ import annotations

from jackd_router.cli.program import main

__all__ = ["main"]
