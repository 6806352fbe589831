"""What the demo writes: headings, commands with their real output, remarks. Coloured on a terminal, plain elsewhere."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from typing import TextIO

BOLD, GREEN, RED, CYAN, DIM = "1", "1;32", "1;31", "36", "2"


class DemoFailed(Exception):
    """Something did not happen that should have."""


def bear_any_encoding() -> None:
    """Let a terminal that lacks a character show an escape instead of ending the demo."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)


def ascii_only() -> bool:
    """Whether the bars of the meters must do without block characters."""
    return not (sys.stdout.encoding or "").lower().startswith("utf")


def heading(number: int, title: str) -> None:
    """Begin a step."""
    print("\n" + _painted(f"{number}. {title}", BOLD))


def say(text: str) -> None:
    """Tell what is done now."""
    print(f"   {text}")


def well(text: str) -> None:
    """Tell what was checked and held."""
    print(_painted(f"   ok: {text}", GREEN))


def failed(text: str) -> None:
    """Tell which step went wrong, and how, on stderr."""
    print(_painted(f"demo: FAILED {text}", RED, sys.stderr), file=sys.stderr)


def command(text: str) -> None:
    """Show what a user would type."""
    print(_painted(f"   $ {text}", CYAN))


def output(lines: Iterable[str]) -> None:
    """Show what came out."""
    for line in lines:
        print(_painted(f"     {line}".rstrip(), DIM))


def check(holds: bool, what: str) -> None:
    """Go on only where it holds; `what` names the thing that must be so."""
    if not holds:
        raise DemoFailed(what)


def _painted(text: str, colour: str, stream: TextIO | None = None) -> str:
    ends_in = stream or sys.stdout
    for_people = ends_in.isatty() and os.environ.get("TERM") not in {None, "", "dumb"} and not os.environ.get("NO_COLOR")
    return f"\x1b[{colour}m{text}\x1b[0m" if for_people else text
