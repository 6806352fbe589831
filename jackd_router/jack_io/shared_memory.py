"""The memory shared with one JACK host: notifications, gains, levels and counters, without a message."""

from __future__ import annotations

import ctypes as ct
import mmap
import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jackd_router.jack_host import memory
from jackd_router.jack_host.kernel import library
from jackd_router.jack_host.memory import Shared

# By hand: of a ctypes text numpy would make an array of single bytes. An S field gives its bytes up to the zeros.
_RECORD = np.dtype(
    [("event", "u4"), ("a", "u4"), ("b", "u4"), ("on", "i4"), ("flags", "u8"), ("usec", "u8"), ("type", "S32"), ("name", "S640")]
)
_Peaks = npt.NDArray[np.float32]
_Squares = npt.NDArray[np.float64]
_LEVEL = np.dtype(memory.Level)
_WINDOW = np.dtype(memory.Window)


class Event(NamedTuple):
    """One notification as libjack gave it; the fields of memory.Record."""

    event: int
    a: int
    b: int
    on: int
    flags: int
    usec: int
    type: bytes
    name: bytes


class SharedMemory:
    """One memfd, mapped here; the host gets the descriptor. Given back when the last reference goes."""

    def __init__(self) -> None:
        self.file = os.memfd_create("jackd-router", os.MFD_CLOEXEC)
        os.ftruncate(self.file, ct.sizeof(Shared))
        self._map = mmap.mmap(self.file, ct.sizeof(Shared))
        self._shared = Shared.from_buffer(self._map)
        self._ring = np.frombuffer(self._map, _RECORD, memory.RING_RECORDS, Shared.ring.offset)
        self._windows = np.frombuffer(self._map, _WINDOW, memory.METER_WINDOWS, Shared.window.offset)
        levels = np.frombuffer(self._map, _LEVEL, memory.METER_WINDOWS * 2 * memory.MAX_PORTS, Shared.level.offset)
        self._levels = levels.reshape(memory.METER_WINDOWS, 2 * memory.MAX_PORTS)
        self._address = ct.addressof(self._shared)
        library.shared_init(self._address)

    def close_file(self) -> None:
        """Close the descriptor once the host has it; the mapping stays."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def take_events(self) -> list[Event]:
        """Give the notifications that came since the last call, oldest first."""
        head, tail = library.ring_head(self._address), self._shared.tail
        count, first = head - tail, tail % memory.RING_RECORDS
        if count == 1:  # what waits for an answer most: 10 us instead of 40
            events = [Event._make(self._ring.item(first))]
        else:
            records = self._ring[first : first + count].tolist()
            records += self._ring[: count - len(records)].tolist()
            events = list(map(Event._make, records))
        library.ring_release(self._address, head)
        return events

    def take_overflow(self) -> bool:
        """Tell whether notifications were lost since the last call; then only reading the graph anew helps."""
        lost = bool(self._shared.overflow)
        if lost:
            self._shared.overflow = 0
        return lost

    def publish_targets(self, targets: npt.NDArray[np.float32]) -> None:
        """Set the linear gain of each slot (a contiguous array); all of them change in one and the same cycle."""
        library.publish_targets(self._address, targets.ctypes.data, len(targets))

    @property
    def cycles(self) -> int:
        """How many process cycles our client has run."""
        return int(self._shared.cycles)

    @property
    def buffer_size_frames(self) -> int:
        """The period as last notified, 0 when it was never."""
        return int(self._shared.buffer_size)

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate as last notified, 0 when it was never."""
        return int(self._shared.sample_rate)

    @sample_rate_hz.setter
    def sample_rate_hz(self, hz: int) -> None:
        self._shared.sample_rate = hz

    @property
    def freewheeling(self) -> bool:
        """Whether the server runs free of the clock."""
        return bool(self._shared.freewheeling)

    @property
    def xruns(self) -> tuple[int, int]:
        """How many xruns were notified, and when the last one was (microseconds since the epoch)."""
        return int(self._shared.xruns), int(self._shared.last_xrun_usec)

    @property
    def windows(self) -> int:
        """How many meter windows were completed."""
        return int(self._shared.windows)

    @property
    def window_frames(self) -> int:
        """The length of the last meter window, at least 1."""
        return max(int(self._windows["frames"][(self.windows - 1) % memory.METER_WINDOWS]), 1)

    def read_levels(
        self, first: int, last: int, plan: int, ports: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Give peak and sum of squares per frame of the windows first <= number < last that ran under the plan.

        Both arrays have one value per port, inputs first; zeros where no such window is left in the memory.
        """
        numbers = np.arange(max(first, last - memory.METER_WINDOWS + 1), last) % memory.METER_WINDOWS
        numbers = numbers[self._windows["plan"][numbers] == plan]
        if not len(numbers):
            return np.zeros(ports, np.float32), np.zeros(ports, np.float64)
        levels, frames = self._levels[numbers, :ports], self._windows["frames"][numbers].sum()
        return levels["peak"].max(axis=0), levels["sumsq"].sum(axis=0, dtype=np.float64) / max(frames, 1)
