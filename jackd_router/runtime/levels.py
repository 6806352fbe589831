"""The levels of all buses, from the meter windows in the shared memory: whoever draws them polls, nothing is broadcast."""

from __future__ import annotations

import math

from jackd_router.runtime.buses import Buses
from jackd_router.runtime.state import Level

_RMS_S = 0.3
_FLOOR_DBFS = -200.0
_SILENT = Level(_FLOOR_DBFS, _FLOOR_DBFS)


class Levels:
    """Remembers for each caller up to which meter window it has seen the peaks."""

    def __init__(self, buses: Buses) -> None:
        """Take the buses whose ports the meters measure."""
        self._buses = buses
        self._seen: dict[str, int] = {}

    def read(self, caller: str) -> dict[str, tuple[Level, ...]]:
        """Give for each bus the level of each input, then of each output; silence without a server.

        The peak is that since the last call of the same caller, the RMS that of the last 300 ms.
        """
        strips = self._buses.strips
        count = sum(len(strip.inputs) + len(strip.outputs) for strip in strips)
        running = self._buses.running
        if running is None:
            return self._by_bus([_SILENT] * count)
        memory, plan, sample_rate_hz = running
        now = memory.windows
        first = min(self._seen.get(caller, now - 1), now)  # a new server counts from 0 again
        self._seen[caller] = now
        peaks, _ = memory.read_levels(first, now, plan, count)
        _, squares = memory.read_levels(now - math.ceil(_RMS_S * sample_rate_hz / memory.window_frames), now, plan, count)
        return self._by_bus(
            [Level(_dbfs(float(peak)), _dbfs(math.sqrt(square))) for peak, square in zip(peaks, squares, strict=True)]
        )

    def caller_left(self, caller: str) -> None:
        """Forget what a caller has seen."""
        self._seen.pop(caller, None)

    def _by_bus(self, levels: list[Level]) -> dict[str, tuple[Level, ...]]:
        """Deal the levels out: the plan counts the inputs of all buses first, then the outputs."""
        strips = self._buses.strips
        result = {}
        first_input, first_output = 0, sum(len(strip.inputs) for strip in strips)
        for strip in strips:
            after_inputs, after_outputs = first_input + len(strip.inputs), first_output + len(strip.outputs)
            result[strip.name] = (*levels[first_input:after_inputs], *levels[first_output:after_outputs])
            first_input, first_output = after_inputs, after_outputs
        return result


def _dbfs(value: float) -> float:
    """Give dB relative to full scale; nothing, and NaN, is the floor."""
    return max(_FLOOR_DBFS, 20.0 * math.log10(value)) if 0 < value < math.inf else _FLOOR_DBFS
