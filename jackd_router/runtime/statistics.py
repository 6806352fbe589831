"""What is counted of one generation: xruns, and what our own process cycles cost."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from operator import sub

from jackd_router.jack_io.shared_memory import COST_NS, SharedMemory
from jackd_router.runtime.state import CycleCost

_NONE = (0,) * len(COST_NS)


class Statistics:
    """Counts from the beginning of the generation, or from the last reset: all figures speak of the same time."""

    def __init__(self) -> None:
        """Have nothing to count yet."""
        self._memory: SharedMemory | None = None
        self._xruns_before = 0
        self._costs_before = _NONE

    def begin_generation(self, memory: SharedMemory) -> None:
        """Count what the host of a new generation puts into its memory, from 0."""
        self._memory, self._xruns_before, self._costs_before = memory, 0, _NONE

    def end_generation(self) -> None:
        """Have nothing to count any more."""
        self._memory = None

    def reset(self) -> None:
        """Count from now on."""
        if self._memory is not None:
            self._xruns_before, _ = self._memory.xruns
            self._costs_before = self._memory.read_costs()
            self._memory.forget_most_cost()

    @property
    def xruns(self) -> tuple[int, int]:
        """How many xruns there were, and when the last one was (microseconds since the epoch, 0 for never)."""
        if self._memory is None:
            return 0, 0
        count, last_usec = self._memory.xruns
        count -= self._xruns_before
        return count, last_usec if count else 0

    @property
    def cycle_cost(self) -> CycleCost:
        """What our process callback cost."""
        if self._memory is None:
            return CycleCost()
        up_to = tuple(accumulate(map(sub, self._memory.read_costs(), self._costs_before)))
        cycles = up_to[-1]
        if not cycles:
            return CycleCost()
        middle = bisect_left(up_to, (cycles + 1) // 2)
        return CycleCost(cycles, COST_NS[middle] / 1000, self._memory.most_cost_ns / 1000)
