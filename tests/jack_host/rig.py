"""The kernel between numpy buffers: a port is the address of a buffer, and libjack's functions are ours."""

from __future__ import annotations

import ctypes as ct
import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from jackd_router.jack_host.kernel import Kernel, library
from jackd_router.jack_host.memory import AT_TARGET, Shared
from jackd_router.jack_io.shared_memory import SharedMemory

Samples = NDArray[np.float32]
Cells = Sequence[tuple[int, int, int]]
"""Positions of input and output, slot of the gain."""

FADE_FRAMES = 480
MOST_FRAMES = 8192

_POINTER, _U32, _INT = ct.c_void_p, ct.c_uint32, ct.c_int
_ARGUMENT_TYPES: dict[type, type] = {bytes: ct.c_char_p, int: _INT, ct.c_uint64: ct.c_uint64}


class FakePorts:
    """What libjack would tell of ports: by id a name, flags, a type and aliases."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ct.Array[ct.c_char], int, ct.Array[ct.c_char], tuple[bytes, ...]]] = {}
        prototypes: dict[str, tuple[type, Callable[..., int | None]]] = {
            "get_buffer": (ct.CFUNCTYPE(_POINTER, _POINTER, _U32), lambda port, frames: port),
            # 0 is no port, so that the handle of id 0 is 1.
            "port_by_id": (ct.CFUNCTYPE(_POINTER, _POINTER, _U32), lambda client, number: self._handle(number)),
            "port_name": (ct.CFUNCTYPE(_POINTER, _POINTER), lambda port: ct.addressof(self._known[port - 1][0])),
            "port_flags": (ct.CFUNCTYPE(_INT, _POINTER), lambda port: self._known[port - 1][1]),
            "port_type": (ct.CFUNCTYPE(_POINTER, _POINTER), lambda port: ct.addressof(self._known[port - 1][2])),
            "port_aliases": (ct.CFUNCTYPE(_INT, _POINTER, ct.POINTER(_POINTER)), self._aliases),
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

    def _handle(self, number: int) -> int | None:
        return number + 1 if number in self._known else None

    def _aliases(self, port: int, into: ct.Array[ct.c_void_p]) -> int:
        aliases = self._known[port - 1][3]
        for alias, buffer in zip(aliases, into, strict=False):
            ct.memmove(buffer, alias + b"\0", len(alias) + 1)
        return len(aliases)


class Rig:
    """One kernel, its shared memory mapped twice as in the two processes, and buffers for its ports."""

    def __init__(self, inputs: int = 1, outputs: int = 1) -> None:
        self.memory = SharedMemory()
        self.memory.sample_rate_hz = 48_000
        self._map = mmap.mmap(self.memory.file, ct.sizeof(Shared))
        self.shared = Shared.from_buffer(self._map)
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.ports = FakePorts()
        self.kernel = Kernel(ct.addressof(self.shared), self.eventfd, self.ports.functions)
        self.x = np.zeros((inputs, MOST_FRAMES), np.float32)
        self.y = np.full((outputs, MOST_FRAMES), 7, np.float32)
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
        self.memory.publish_targets(np.array(gains, np.float32))

    def set_plan(
        self, cells: Cells, start: int = AT_TARGET, *, starts: Sequence[int] = (), fade_frames: int = FADE_FRAMES
    ) -> int:
        """Hand over a plan with all ports; `starts` says of each cell how it enters. Give its serial."""
        self._serial += 1
        rows = [(*cell, fade_frames, how) for cell, how in zip(cells, starts or [start] * len(cells), strict=True)]
        self.kernel.set_plan(self._serial, [row.ctypes.data for row in self.x], [row.ctypes.data for row in self.y], rows)
        return self._serial

    def cycle(self, frames: int = 64) -> Samples:
        """Run one cycle with what stands in `x` and give what came out."""
        self.y[:] = 7
        assert self._realtime.submit(library.kernel_on_process, frames, self.kernel.address).result() == 0
        return self.y[:, :frames].copy()

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
