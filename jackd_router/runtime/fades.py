"""Fades that run in the audio kernel: where each is, and that somebody waits for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jackd_router.core.errors import RouterError
from jackd_router.core.fade import Fade
from jackd_router.jack_io.shared_memory import SharedMemory

_SHORTEST_S = 0.005
"""A server that runs late is not asked more often than this."""
_LONGEST_PERIOD_FRAMES = 8192
"""Where the server never told its period."""


class RunningFade:
    """One fade of one bus, by the frames that the kernel has processed: it ends when the sound is there, however late."""

    def __init__(self, fade: Fade, memory: SharedMemory, sample_rate_hz: int, on_end: Callable[[], None]) -> None:
        """Take the fade that was just published, and what to call at its end."""
        self._fade, self._memory, self._sample_rate_hz, self._on_end = fade, memory, sample_rate_hz, on_end
        self._begin = memory.frames
        # It may begin with the cycle after the one that runs now.
        self._end = self._begin + fade.frames + (memory.buffer_size_frames or _LONGEST_PERIOD_FRAMES)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[RouterError | None] = self._loop.create_future()
        # Not looked at before it is known to whoever began it: a server that freewheels may be through already.
        self._timer = self._look_later()

    def _look_later(self) -> asyncio.TimerHandle:
        left = self._end - self._memory.frames
        return self._loop.call_later(max(left / self._sample_rate_hz, _SHORTEST_S), self._look)

    def _look(self) -> None:
        if self._memory.frames < self._end:
            self._timer = self._look_later()
        else:
            self._on_end()
            self._tell(None)

    def _tell(self, error: RouterError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    @property
    def gain_db(self) -> float:
        """The gain now."""
        return self._fade.gain_db(self._memory.frames - self._begin)

    def cancel(self, error: RouterError) -> None:
        """Let who waits have this error: the fade does not come to its end."""
        self._timer.cancel()
        self._tell(error)

    async def finished(self) -> None:
        """Wait for the end; raise the error with which it was cancelled."""
        # Shielded: that one caller does not wait any more is no end of the fade.
        if error := await asyncio.shield(self._ended):
            raise error
