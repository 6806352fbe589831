"""Threads, for what waits for the disk or the kernel, or takes long: the event loop has sound to route.

None of them keeps the program from ending: a disk may never answer.
"""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from jackd_router.core.errors import Refused

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def start_thread(work: Callable[Arguments, None], *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
    """Begin the work in a thread; raise Refused where the system has no more threads.

    Not threading.Thread: it waits until the thread runs, which took 18 ms where others wanted the CPUs, when a server had died.
    """
    try:
        _thread.start_new_thread(work, args, kwargs)
    except RuntimeError as error:
        raise Refused("the system has no more threads") from error


async def in_thread(work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Give what the work gives, or raise what it raises, from a thread; Refused where the system has no more threads.

    Not asyncio.to_thread: its pool begins later what it could find no thread for, when the caller was told that it failed.
    """
    outcome: Future[Result] = Future()
    outcome.set_running_or_notify_cancel()  # who waits may give up, the work goes on

    def run() -> None:
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  (the caller's)
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    start_thread(run)
    return await asyncio.wrap_future(outcome)
