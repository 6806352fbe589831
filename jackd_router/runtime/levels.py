"""The levels of all buses, from the meter windows in the shared memory: whoever draws them polls, nothing is broadcast."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping

from jackd_router.core.mix import Strip
from jackd_router.jack_io.shared_memory import SharedMemory
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.kernel_plan import KernelPlan
from jackd_router.runtime.state import Level

_RMS_S = 0.3
_FLOOR_DBFS, _CEILING_DBFS = -200.0, 200.0
_SILENT = Level(_FLOOR_DBFS, _FLOOR_DBFS)
_PATIENCE_S = 60.0
"""Who has not asked for so long draws no meters any more, and nobody wakes up three times a second for it."""
_COLLECT_S = 0.3
"""The kernel keeps 64 windows of at least 10 ms: who asks less often than twice a second would miss some."""


class Levels:
    """Keeps for each caller the peaks since its last call, by port: plans come and go meanwhile, and number ports anew."""

    def __init__(self, buses: Buses) -> None:
        """Take the buses whose ports the meters measure."""
        self._buses = buses
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._memory: SharedMemory | None = None
        self._plans: list[tuple[int, tuple[str, ...]]] = []
        """Serial and ports, as in KernelPlan, of the plans that have a window."""
        self._collected = 0
        self._peaks: dict[str, dict[str, float]] = {}
        self._asked_at: dict[str, float] = {}

    def read(self, caller: str) -> dict[str, tuple[Level, ...]]:
        """Give for each bus the level of each input, then of each output; silence without a server.

        The peak is that since the last call of the same caller, or of the last window where none was completed since; the
        RMS is that of the last 300 ms.
        """
        running = self._collect()
        if running is None:
            return {strip.name: (_SILENT,) * len(_ports(strip)) for strip in self._buses.strips}
        memory, now = running.memory, self._collected
        peaks = self._peaks.get(caller) or self._read_peaks(memory, now - 1, now)
        self._peaks[caller], self._asked_at[caller] = {}, self._loop.time()
        powers = self._read_powers(memory, memory.first_of(_RMS_S * running.sample_rate_hz, now), now)
        return {
            strip.name: tuple(
                Level(_dbfs(peaks.get(port, 0.0)), _dbfs(math.sqrt(powers.get(port, 0.0)))) for port in _ports(strip)
            )
            for strip in self._buses.strips
        }

    def caller_left(self, caller: str) -> None:
        """Forget what a caller has not seen yet."""
        self._peaks.pop(caller, None)
        self._asked_at.pop(caller, None)

    def _collect(self) -> KernelPlan | None:
        """Keep the peaks of the windows that were completed since the last time; give what runs."""
        running = self._buses.running
        if running is None:
            self._memory = None
            return None
        memory = running.memory
        if memory is not self._memory:  # a new server, which counts windows from 0 again
            self._memory, self._collected = memory, 0
        first, self._collected = self._collected, memory.windows
        measured = memory.plans_measured(0, self._collected)
        self._plans = [plan for plan in running.plans if plan[0] in measured]
        if first < self._collected:
            new = self._read_peaks(memory, first, self._collected)
            for caller, kept in self._peaks.items():
                self._peaks[caller] = _highest((kept, new))
        if self._timer is None:
            self._timer = self._loop.call_later(_COLLECT_S, self._collect_again)
        return running

    def _collect_again(self) -> None:
        """Go on as long as somebody may ask: the next one who asks begins anew."""
        self._timer = None
        for caller in [caller for caller, asked in self._asked_at.items() if self._loop.time() - asked > _PATIENCE_S]:
            self.caller_left(caller)
        if self._peaks:
            self._collect()

    def _read_peaks(self, memory: SharedMemory, first: int, last: int) -> dict[str, float]:
        return _highest(
            dict(zip(ports, memory.read_levels(first, last, serial, len(ports))[0].tolist(), strict=True))
            for serial, ports in self._plans
        )

    def _read_powers(self, memory: SharedMemory, first: int, last: int) -> dict[str, float]:
        """Give the mean square of each port over the windows of all plans; one without a finite value counts where all are so."""
        sums: dict[str, float] = {}
        frames: dict[str, int] = {}
        bad: dict[str, float] = {}
        for serial, ports in self._plans:
            if length := memory.frames_of(first, last, serial):
                powers = memory.read_levels(first, last, serial, len(ports))[1].tolist()
                for port, power in zip(ports, powers, strict=True):
                    if not math.isfinite(power):
                        bad[port] = power
                        continue
                    sums[port] = sums.get(port, 0.0) + power * length
                    frames[port] = frames.get(port, 0) + length
        return bad | {port: total / frames[port] for port, total in sums.items()}


def _ports(strip: Strip) -> tuple[str, ...]:
    """Give the ports that have a level: those of MIDI have none."""
    return () if strip.is_midi else (*strip.input_ports(), *strip.output_ports())


def _highest(peaks: Iterable[Mapping[str, float]]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for one in peaks:
        for port, peak in one.items():
            highest[port] = max(peak, highest.get(port, 0.0))
    return highest


def _dbfs(value: float) -> float:
    """Give dB relative to full scale; silence and NaN are the floor, infinity the ceiling."""
    if value == math.inf:
        return _CEILING_DBFS
    return min(max(_FLOOR_DBFS, 20.0 * math.log10(value)), _CEILING_DBFS) if value > 0 else _FLOOR_DBFS
