"""Who has stopped the automatic work for a while, and until when: the cookie is given back, or its owner leaves."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from jackd_router.core.errors import LimitExceeded, NoSuchInhibitor

_MOST = 64


class Inhibitors:
    """Holds with a holder."""

    def __init__(self, on_changed: Callable[[], None]) -> None:
        """Take what to call when somebody inhibits, or no longer does."""
        self._on_changed = on_changed
        self._cookies = itertools.count(1)
        self._holders: dict[int, tuple[str, str, str]] = {}

    def __bool__(self) -> bool:
        """Whether anybody inhibits."""
        return bool(self._holders)

    def records(self) -> tuple[tuple[int, str, str, str], ...]:
        """Give cookie, caller, who and why of each."""
        return tuple((cookie, *holder) for cookie, holder in self._holders.items())

    def add(self, caller: str, who: str, why: str) -> int:
        """Begin to inhibit and give the cookie that ends it."""
        if len(self._holders) >= _MOST:
            raise LimitExceeded(f"{_MOST} callers inhibit the router already: give a cookie back first")
        cookie = next(self._cookies)
        self._holders[cookie] = (caller, who, why)
        self._on_changed()
        return cookie

    def remove(self, cookie: int) -> None:
        """End what the cookie stands for."""
        if self._holders.pop(cookie, None) is None:
            raise NoSuchInhibitor(f"no inhibitor has the cookie {cookie}")
        self._on_changed()

    def caller_left(self, caller: str) -> None:
        """End everything of a caller that is gone."""
        gone = [cookie for cookie, (holder, _, _) in self._holders.items() if holder == caller]
        for cookie in gone:
            del self._holders[cookie]
        if gone:
            self._on_changed()
