"""The kernel between numpy buffers: a port is the address of a buffer, and libjack's functions are ours."""

from __future__ import annotations

import ctypes as ct
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from jackd_router.jack_host.kernel import Kernel, library
from jackd_router.jack_host.memory import AT_TARGET, Shared
from jackd_router.jack_io.shared_memory import SharedMemory, bus_targets

Samples = NDArray[np.float32]
Cells = Sequence[tuple[int, int, int]]
"""Positions of input and output, slot of the gain."""

FADE_FRAMES = 480
FLOOR = 10 ** (-144 / 20)
MOST_FRAMES = 8192

_POINTER, _U32, _INT = ct.c_void_p, ct.c_uint32, ct.c_int
_ARGUMENT_TYPES: dict[type, type] = {bytes: ct.c_char_p, int: _INT, ct.c_uint64: ct.c_uint64}


MidiEvent = tuple[int, bytes]
"""Frame within the cycle, and the bytes."""


class _MidiEvent(ct.Structure):
    """jack_midi_event_t."""

    _fields_ = [("frame", _U32), ("bytes", ct.c_size_t), ("byte", ct.POINTER(ct.c_ubyte))]


class MidiBuffer:
    """The buffer of a MIDI port in one cycle, as libjack keeps it: events in order, and so many bytes of room."""

    def __init__(self, room: int = 32_000) -> None:
        self.room = room
        self._written: list[tuple[int, ct.Array[ct.c_ubyte]]] = []

    def write(self, frame: int, event: bytes) -> bool:
        """Append an event, as a client that plays would."""
        place = self.reserve(frame, len(event))
        if place is None:
            return False
        place[:] = list(event)
        return True

    @property
    def events(self) -> list[MidiEvent]:
        """What stands in it."""
        return [(frame, bytes(event)) for frame, event in self._written]

    def clear(self) -> None:
        """Take out everything."""
        self._written.clear()

    def reserve(self, frame: int, size: int) -> ct.Array[ct.c_ubyte] | None:
        """Give the place for an event; None where there is no room, or an event of a later frame."""
        if (self._written and frame < self._written[-1][0]) or sum(len(event) for _, event in self._written) + size > self.room:
            return None
        self._written.append((frame, (ct.c_ubyte * size)()))
        return self._written[-1][1]

    def read(self, index: int) -> tuple[int, ct.Array[ct.c_ubyte]]:
        """Give an event: its frame, and the place where it stands."""
        return self._written[index]


class FakePorts:
    """What libjack would tell of ports: by id a name, flags, a type and aliases; and the MIDI of a cycle."""

    def __init__(self) -> None:
        self.midi: list[MidiBuffer] = []
        """By the number of the port, which is its address less 1."""
        self._known: dict[int, tuple[ct.Array[ct.c_char], int, ct.Array[ct.c_char], tuple[bytes, ...]]] = {}
        self.buffer_takes_s = 0.0
        prototypes: dict[str, tuple[type, Callable[..., int | None]]] = {
            "get_buffer": (ct.CFUNCTYPE(_POINTER, _POINTER, _U32), self._buffer),
            # 0 is no port, so that the handle of id 0 is 1.
            "port_by_id": (ct.CFUNCTYPE(_POINTER, _POINTER, _U32), lambda client, number: self._handle(number)),
            "port_name": (ct.CFUNCTYPE(_POINTER, _POINTER), lambda port: ct.addressof(self._known[port - 1][0])),
            "port_flags": (ct.CFUNCTYPE(_INT, _POINTER), lambda port: self._known[port - 1][1]),
            "port_type": (ct.CFUNCTYPE(_POINTER, _POINTER), lambda port: ct.addressof(self._known[port - 1][2])),
            "port_aliases": (ct.CFUNCTYPE(_INT, _POINTER, ct.POINTER(_POINTER)), self._aliases),
            "midi_count": (ct.CFUNCTYPE(_U32, _POINTER), lambda port: len(self.midi[port - 1].events)),
            "midi_get": (ct.CFUNCTYPE(_INT, ct.POINTER(_MidiEvent), _POINTER, _U32), self._read_midi),
            "midi_clear": (ct.CFUNCTYPE(None, _POINTER), lambda port: self.midi[port - 1].clear()),
            "midi_reserve": (ct.CFUNCTYPE(_POINTER, _POINTER, _U32, ct.c_size_t), self._reserve_midi),
        }
        self._callbacks = {name: prototype(function) for name, (prototype, function) in prototypes.items()}

    @property
    def functions(self) -> dict[str, int]:
        """Give the addresses, as the adapter gives those of libjack."""
        return {name: ct.cast(callback, _POINTER).value or 0 for name, callback in self._callbacks.items()}

    def add(self, number: int, name: bytes, *, flags: int = 1, kind: bytes = b"audio", aliases: tuple[bytes, ...] = ()) -> None:
        """Let there be a port."""
        self._known[number] = (ct.create_string_buffer(name), flags, ct.create_string_buffer(kind), aliases)

    def remove(self, number: int) -> None:
        """Let there be none of that id."""
        del self._known[number]

    def _buffer(self, port: int, frames: int) -> int:
        time.sleep(self.buffer_takes_s)
        return port

    def _handle(self, number: int) -> int | None:
        return number + 1 if number in self._known else None

    def _read_midi(self, into: ct._Pointer[_MidiEvent], port: int, index: int) -> int:
        frame, place = self.midi[port - 1].read(index)
        into[0] = _MidiEvent(frame, len(place), ct.cast(place, ct.POINTER(ct.c_ubyte)))
        return 0

    def _reserve_midi(self, port: int, frame: int, size: int) -> int | None:
        place = self.midi[port - 1].reserve(frame, size)
        return None if place is None else ct.addressof(place)

    def _aliases(self, port: int, into: ct.Array[ct.c_void_p]) -> int:
        aliases = self._known[port - 1][3]
        for alias, buffer in zip(aliases, into, strict=False):
            ct.memmove(buffer, alias + b"\0", len(alias) + 1)
        return len(aliases)


class Rig:
    """One kernel, its shared memory mapped twice as in the two processes, and buffers for its ports."""

    def __init__(self, inputs: int = 1, outputs: int = 1, midi: int = 0) -> None:
        self.memory = SharedMemory()
        self.memory.sample_rate_hz = 48_000
        self._map = mmap.mmap(self.memory.file, ct.sizeof(Shared))
        self.shared = Shared.from_buffer(self._map)
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.ports = FakePorts()
        self.kernel = Kernel(ct.addressof(self.shared), self.eventfd, self.ports.functions)
        self.x = np.zeros((inputs, MOST_FRAMES), np.float32)
        self.y = np.full((outputs, MOST_FRAMES), 7, np.float32)
        self.ports.midi = [MidiBuffer() for _ in range(2 * midi)]
        self.buses = bus_targets()
        self._gains: tuple[float, ...] = ()
        self._serial = 0
        # The process callback sets its thread to flush denormals: not the thread on which all other tests run.
        self._realtime = ThreadPoolExecutor(1)

    def __enter__(self) -> Rig:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give everything back."""
        self._realtime.shutdown()
        self.kernel.free()
        self.memory.close_file()
        os.close(self.eventfd)

    # ---- sound

    def set_gains(self, *gains: float) -> None:
        """Set the target of each slot, from 0."""
        self._gains = gains
        self.memory.publish_targets(np.array(gains, np.float32), self.buses)

    def fade_in_db(self, start: float, end: float, frames: int) -> None:
        """Fade slot 0 from one gain to another, linear in dB; a gain of 0 is silence, -144 dB."""
        ratio = max(start, FLOOR) / max(end, FLOOR)
        self.buses[0]["number"] += 1
        self.buses[0]["frames"], self.buses[0]["ratio"] = frames, ratio
        self.buses[0]["factor"] = ratio ** (-1 / frames)
        self.set_gains(end)

    def end_fade(self, gain: float) -> None:
        """Set slot 0 as one that no longer fades in dB."""
        self.buses[0]["number"] += 1
        self.buses[0]["frames"] = 0
        self.set_gains(gain)

    def open(self, *channels: int, bus: int = 0) -> None:
        """Let these MIDI channels (1 to 16) of a bus pass, and no others."""
        self.buses[bus]["open"] = sum(1 << (channel - 1) for channel in channels)
        self.set_gains(*self._gains)

    def set_plan(
        self,
        cells: Cells = (),
        start: int = AT_TARGET,
        *,
        owners: Sequence[int] = (),
        fade_frames: int = FADE_FRAMES,
        midi: Sequence[tuple[int, int]] = (),
        midi_slots: Sequence[tuple[int, int]] = (),
    ) -> int:
        """Hand over a plan with all audio ports, of bus 0. Give its serial.

        `owners`: of each cell's slot; without them every cell begins anew, which is the owner of its serial.
        `midi`: number and bus of each MIDI pair. `midi_slots`: slot and owner of each; without them each has its own.
        """
        self._serial += 1
        owners = owners or [self._serial] * len(cells)
        rows = [(*cell, 0, fade_frames, start, owner) for cell, owner in zip(cells, owners, strict=True)]
        slots = midi_slots or [(number, 1) for number, _ in midi]
        pairs = [
            (2 * number + 1, 2 * number + 2, slot, bus, owner) for (number, bus), (slot, owner) in zip(midi, slots, strict=True)
        ]
        inputs, outputs = ([row.ctypes.data for row in rows] for rows in (self.x, self.y))
        self.kernel.set_plan(self._serial, inputs, outputs, rows, pairs)
        return self._serial

    def cycle(self, frames: int = 64) -> Samples:
        """Run one cycle with what stands in `x` and give what came out."""
        self.y[:] = 7
        assert self._realtime.submit(library.kernel_on_process, frames, self.kernel.address).result() == 0
        return self.y[:, :frames].copy()

    def play(self, *events: MidiEvent, pair: int = 0) -> list[MidiEvent]:
        """Run one cycle with these events at the input of a MIDI pair, and give what came out of it."""
        source, destination = self.ports.midi[2 * pair : 2 * pair + 2]
        source.clear()
        for event in events:
            assert source.write(*event)
        self.cycle()
        source.clear()
        return destination.events

    def outputs(self) -> Iterator[list[MidiEvent]]:
        """Give what the last cycle left at the output of each MIDI pair."""
        return (buffer.events for buffer in self.ports.midi[1::2])

    def thread_id(self) -> int:
        """Give the thread on which cycles run."""
        return self._realtime.submit(threading.get_native_id).result()

    def cycles(self, frames: int, total: int) -> Samples:
        """Run cycles until at least so many frames have passed, and give all that came out."""
        return np.concatenate([self.cycle(frames) for _ in range(-(-total // frames))], axis=1)

    # ---- notifications

    def notify(self, callback: str, *arguments: int | bytes | ct.c_uint64) -> None:
        """Call one of the kernel's callbacks as libjack would."""
        types = [_ARGUMENT_TYPES[type(argument)] for argument in arguments]
        ct.CFUNCTYPE(_INT, *types, _POINTER)(Kernel.callback(callback))(*arguments, self.kernel.address)

    def wakes(self) -> int:
        """Give how often the daemon was woken since the last call."""
        try:
            return os.eventfd_read(self.eventfd)
        except BlockingIOError:
            return 0
