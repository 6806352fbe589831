"""What every command shares: parse, run, and turn whatever went wrong into one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from jackd_router.cli.arguments import parse
from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.terminal import note
from jackd_router.core.errors import RouterError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    try:
        _bear_any_name()
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        code = Exit.BROKEN_PIPE
    except CommandFailed as failure:
        note(str(failure))
        code = failure.code
    except RouterError as error:
        note(str(error))
        code = Exit.REFUSED
    except OSError as error:
        note(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        code = Exit.REFUSED
    return _flushed(code)


def _run(argv: Sequence[str] | None) -> int:
    try:
        command = parse(argv)
    except SystemExit as end:
        # argparse has said what is wrong, or given help; our caller flushes what it printed.
        return end.code if isinstance(end.code, int) else Exit.USAGE
    return command()


def _bear_any_name() -> None:
    """Let a terminal whose encoding lacks a character of a name show an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """Give the code; drop what a closed pipe did not take, or the interpreter complains of it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    return code
