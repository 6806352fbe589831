"""Waiting, in a test that runs in the event loop, for something that the loop does."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.eventually import eventually_async


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds."""

    async def holds() -> object:
        return condition()

    await eventually_async(holds, timeout=30)
