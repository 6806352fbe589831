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
_LEVEL = np.dtype(memory.Level)
_WINDOW = np.dtype(memory.Window)
_BUS = np.dtype(memory.Bus)


def bus_targets() -> npt.NDArray[np.void]:
    """Give what is said of each bus slot (memory.Bus), nothing yet: no MIDI passes, and no fade was asked for."""
    return np.zeros(memory.MAX_BUSES, _BUS)


def _middle_ns(bucket: int) -> float:
    """Give the middle of what `cost_bucket` of kernel.c counts there; at most 6.3 % from any cost in it."""
    octave, part = divmod(bucket, 8)
    if octave == 0:
        return float(bucket)
    width = 1 << (octave - 1)
    return (8 + part) * width + (width - 1) / 2


COST_NS = tuple(map(_middle_ns, range(memory.COST_BUCKETS)))
"""What a cycle cost that is counted in each of the buckets."""


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
        try:
            self._map = mmap.mmap(self.file, ct.sizeof(Shared))
        except OSError:  # it takes a descriptor of its own
            self.close_file()
            raise
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

    def publish_targets(self, gains: npt.NDArray[np.float32], buses: npt.NDArray[np.void]) -> None:
        """Set the linear gain of each slot, and what is said of each bus; all of it changes in one and the same cycle.

        Both arrays are contiguous; `buses` is one of `bus_targets`.
        """
        library.publish_targets(self._address, gains.ctypes.data, len(gains), buses.ctypes.data)

    @property
    def frames(self) -> int:
        """How many frames our client has processed."""
        return int(self._shared.frames)

    @property
    def midi_lost(self) -> int:
        """How many MIDI events an output had no room for."""
        return int(self._shared.midi_lost)

    @property
    def cycles(self) -> int:
        """How many process cycles our client has run."""
        return int(self._shared.cycles)

    def read_costs(self) -> tuple[int, ...]:
        """Give how many process cycles, without those of a freewheel, fell into each bucket of cost."""
        return tuple(self._shared.cost)

    @property
    def most_cost_ns(self) -> int:
        """The longest that our process callback took, since the start or `forget_most_cost`."""
        return int(self._shared.max_ns)

    def forget_most_cost(self) -> None:
        """Look for the longest anew. A cycle that ends at this very moment may count, or not."""
        self._shared.max_ns = 0

    @property
    def thread_id(self) -> int:
        """The thread on which the process callback runs, 0 before its first cycle."""
        return int(self._shared.thread)

    @property
    def locked(self) -> bool:
        """Whether all memory that the process callback uses could be locked."""
        return not self._shared.unlocked

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

    def first_of(self, frames: float, last: int) -> int:
        """Give the number of the first of the fewest windows before `last` that have so many frames together."""
        lengths = self._windows["frames"][self._left(0, last)]
        return max(0, last - 1 - int(np.searchsorted(np.cumsum(lengths[::-1]), frames)))

    def read_levels(
        self, first: int, last: int, plan: int, ports: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Give peak and sum of squares per frame of the windows first <= number < last that ran under the plan.

        Both arrays have one value per port, inputs first; zeros where no such window is left in the memory. Of a port that
        had a NaN, or what has no finite square, those windows are left out of the sum, as long as there are others.
        """
        numbers = self._numbers(first, last, plan)
        if not len(numbers):
            return np.zeros(ports, np.float32), np.zeros(ports, np.float64)
        levels, frames = self._levels[numbers, :ports], self._windows["frames"][numbers, np.newaxis]
        squares = levels["sumsq"].astype(np.float64)
        finite = np.isfinite(squares)
        sums, lengths = np.where(finite, squares, 0).sum(axis=0), np.where(finite, frames, 0).sum(axis=0)
        powers = np.where(lengths, sums / np.maximum(lengths, 1), np.fmax.reduce(squares))
        return levels["peak"].max(axis=0), powers

    def frames_of(self, first: int, last: int, plan: int) -> int:
        """Give how many frames the windows have of which `read_levels` tells."""
        return int(self._windows["frames"][self._numbers(first, last, plan)].sum())

    def plans_measured(self, first: int, last: int) -> frozenset[int]:
        """Give the serials of the plans under which these windows ran, of those that are left in the memory."""
        return frozenset(self._windows["plan"][self._left(first, last)].tolist())

    def _numbers(self, first: int, last: int, plan: int) -> npt.NDArray[np.intp]:
        numbers = self._left(first, last)
        ran: npt.NDArray[np.bool_] = self._windows["plan"][numbers] == plan
        return numbers[ran]

    def _left(self, first: int, last: int) -> npt.NDArray[np.intp]:
        # But for the oldest one, which the kernel may be writing.
        return np.arange(max(first, last - memory.METER_WINDOWS + 1), last, dtype=np.intp) % memory.METER_WINDOWS
