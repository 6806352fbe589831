"""Waiting for a condition, with a deadline, in the one place where tests sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL_S = 0.01


class _Attempts:
    """Calls the condition until it holds, and remembers why it did not."""

    def __init__(self, timeout: float, what: str | None) -> None:
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._what = what
        self.last: object = None

    def give_up_when_late(self) -> None:
        """Raise AssertionError once the deadline has passed."""
        if time.monotonic() < self._deadline:
            return
        what = f"{self._what}: " if self._what else ""
        cause = self.last if isinstance(self.last, AssertionError) else None
        raise AssertionError(f"{what}not within {self._timeout:g} s; last: {self.last!r}") from cause


def eventually(condition: Callable[[], T], timeout: float = 10, what: str | None = None) -> T:
    """Give the first true value of the condition. An AssertionError in it counts as "not yet"."""
    attempts = _Attempts(timeout, what)
    while True:
        try:
            value = condition()
            if value:
                return value
            attempts.last = value
        except AssertionError as error:
            attempts.last = error
        attempts.give_up_when_late()
        time.sleep(_INTERVAL_S)


async def eventually_async(
    condition: Callable[[], Awaitable[T]],
    timeout: float = 10,  # noqa: ASYNC109  (the same as that of `eventually`, and it must tell what it last saw)
    what: str | None = None,
) -> T:
    """Give the first true value of the awaited condition. An AssertionError in it counts as "not yet"."""
    attempts = _Attempts(timeout, what)
    while True:
        try:
            value = await condition()
            if value:
                return value
            attempts.last = value
        except AssertionError as error:
            attempts.last = error
        attempts.give_up_when_late()
        await asyncio.sleep(_INTERVAL_S)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that comes true while the event loop runs."""

    async def holds() -> object:
        return condition()

    await eventually_async(holds)
