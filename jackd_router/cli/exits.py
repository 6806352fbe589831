"""The exit codes of the command line, and the one error that carries them."""

from __future__ import annotations

from enum import IntEnum

from jackd_router.core.errors import RouterError


class Exit(IntEnum):
    """What the shell is told; jackd-router(1) documents the numbers."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NO_DAEMON = 3
    NO_SERVER = 4
    # As a shell reports a program that SIGINT or SIGPIPE ended: 128 + the number of the signal.
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandFailed(RouterError):
    """A command that could not do what it was asked: one line for people, and the exit code."""

    def __init__(self, text: str, code: Exit = Exit.REFUSED) -> None:
        super().__init__(text)
        self.code = code
