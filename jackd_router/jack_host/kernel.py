"""The binding of kernel.c: addresses of its callbacks for libjack, and its functions for both processes."""

from __future__ import annotations

import ctypes as ct
from collections.abc import Mapping, Sequence
from pathlib import Path

from jackd_router.jack_host.memory import Cell, Midi, Plan, Shared

_POINTER, _U32, _INT = ct.c_void_p, ct.c_uint32, ct.c_int


class LibJack(ct.Structure):
    """The functions of libjack that the kernel calls (struct libjack), by their addresses."""

    _fields_ = [
        (name, _POINTER)
        for name in (
            *("get_buffer", "port_by_id", "port_name", "port_flags", "port_type", "port_aliases"),
            *("midi_count", "midi_get", "midi_clear", "midi_reserve"),
        )
    ]


_PATH = str(Path(__file__).with_name("_kernel.so"))


def keep_deleted() -> None:
    """Let what libjack deletes stay for a while; before libjack is loaded. See deleted.c: it would crash otherwise."""
    ct.CDLL(_PATH, ct.RTLD_GLOBAL)


def _load() -> ct.CDLL:
    library = ct.CDLL(_PATH)
    signatures = {
        "shared_size": (ct.c_size_t,),
        "shared_init": (None, _POINTER),
        "publish_targets": (None, _POINTER, _POINTER, _U32, _POINTER),
        "ring_head": (ct.c_uint64, _POINTER),
        "ring_release": (None, _POINTER, ct.c_uint64),
        "cost_bucket": (_U32, ct.c_uint64),
        "kernel_last_message": (ct.c_char_p,),
        "kernel_on_error_message": (None, ct.c_char_p),
        "kernel_new": (_POINTER, _POINTER, _INT, _POINTER),
        "kernel_free": (None, _POINTER),
        "kernel_set_client": (None, _POINTER, _POINTER),
        "kernel_set_plan": (_INT, _POINTER, _POINTER),
        "kernel_settled": (_INT, _POINTER),
        "kernel_on_process": (_INT, _U32, _POINTER),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    if library.shared_size() != ct.sizeof(Shared):
        raise ImportError(f"_kernel.so and memory.py differ: build anew ({library.shared_size()} != {ct.sizeof(Shared)} bytes)")
    return library


library = _load()


class Kernel:
    """The native callbacks of one JACK client. Python owns nothing that the realtime thread reads."""

    CALLBACKS: Mapping[str, str] = {
        "jack_set_process_callback": "kernel_on_process",
        "jack_set_port_registration_callback": "kernel_on_port_registration",
        "jack_set_port_connect_callback": "kernel_on_port_connect",
        "jack_set_client_registration_callback": "kernel_on_client_registration",
        "jack_set_port_rename_callback": "kernel_on_port_rename",
        "jack_set_buffer_size_callback": "kernel_on_buffer_size",
        "jack_set_sample_rate_callback": "kernel_on_sample_rate",
        "jack_set_freewheel_callback": "kernel_on_freewheel",
        "jack_set_xrun_callback": "kernel_on_xrun",
        "jack_on_info_shutdown": "kernel_on_info_shutdown",
        "jack_set_property_change_callback": "kernel_on_property_change",
    }
    """libjack's function that sets a callback -> ours."""

    def __init__(self, shared: int, eventfd: int, functions: Mapping[str, int]) -> None:
        """Take the address of the shared memory, the eventfd that wakes the daemon, and libjack's functions."""
        address = library.kernel_new(shared, eventfd, ct.byref(LibJack(**functions)))
        if not address:
            raise MemoryError("no memory for the audio kernel")
        self.address: int = address

    @staticmethod
    def callback(name: str) -> int:
        """Give the address of one of our callbacks."""
        return ct.cast(getattr(library, name), ct.c_void_p).value or 0

    def set_client(self, client: int) -> None:
        """Tell the notifications whose ports to look up (jack_client_t *)."""
        library.kernel_set_client(self.address, client)

    def set_plan(
        self,
        serial: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        cells: Sequence[tuple[int, ...]],
        midi: Sequence[tuple[int, ...]] = (),
    ) -> None:
        """Hand over the audio ports (jack_port_t *), the cells of the mix, and the MIDI pairs, as in memory.Cell and .Midi."""
        in_ports = (ct.c_void_p * len(inputs))(*inputs)
        out_ports = (ct.c_void_p * len(outputs))(*outputs)
        rows = (Cell * len(cells))(*(Cell(*cell) for cell in sorted(cells, key=lambda cell: cell[1])))
        pairs = (Midi * len(midi))(*(Midi(*pair) for pair in midi))
        arrays = (ct.cast(array, ct.c_void_p) for array in (in_ports, out_ports, rows, pairs))
        plan = Plan(serial, len(inputs), len(outputs), len(cells), len(midi), *arrays)
        if library.kernel_set_plan(self.address, ct.byref(plan)):
            ports = f"{len(inputs)} inputs, {len(outputs)} outputs, {len(midi)} MIDI pairs"
            raise MemoryError(f"a plan of {ports} and {len(cells)} cells is more than there is room for")

    @staticmethod
    def take_message() -> str:
        """Give the last error message of libjack, and forget it."""
        text = (library.kernel_last_message() or b"").decode(errors="replace").strip()
        library.kernel_on_error_message(b"")
        return text

    def settled(self) -> bool:
        """Tell whether the last plan runs and no older one is in use."""
        return bool(library.kernel_settled(self.address))

    def free(self) -> None:
        """Give the memory back; only after the client is closed."""
        library.kernel_free(self.address)
