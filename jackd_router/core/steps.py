"""Long work in steps: a generator pauses with `yield`, and returns what it found."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Found = TypeVar("Found")


def run_at_once(steps: Generator[None, None, Found]) -> Found:
    """Go through all steps without a pause, and give what they find."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Found = end.value
            return found
