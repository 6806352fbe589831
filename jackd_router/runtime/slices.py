"""Long work in the event loop, in slices: others get their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar

Found = TypeVar("Found")

_SLICE_S = 0.003
"""How long others wait at most, but for a single step that takes longer."""


async def run_in_slices(steps: Generator[None, None, Found]) -> Found:
    """Go through all steps, resting whenever a slice is over, and give what they find."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _SLICE_S
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: Found = stop.value
            return found
        if loop.time() >= end:
            await asyncio.sleep(0)
            end = loop.time() + _SLICE_S


def run_in_turns(steps: Generator[None, None, None]) -> None:
    """Go through all steps in turns of the loop to come, a slice in each; nobody waits for that."""
    loop = asyncio.get_running_loop()

    def go_on() -> None:
        end = loop.time() + _SLICE_S
        for _ in steps:
            if loop.time() >= end:
                loop.call_soon(go_on)
                return

    loop.call_soon(go_on)
