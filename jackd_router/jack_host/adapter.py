"""libjack through JACK-Client: the one module that knows `jack._lib`, `jack._ffi` and `Client._ptr`.

JACK-Client gives the library, its declarations and the opening of a client. Its port objects are left alone: they are
live pointers whose names change when the server uses an id again, and one name that is not UTF-8 makes its listings
fail for the whole graph. Everything here is bytes and ids. No two threads may be in here at once, but that one more may
read metadata: that is no request to the server.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jack

from jackd_router.jack_host.kernel import Kernel
from jackd_router.jack_host.library import Implementation, implementation

_EXACT_NAME_S = 1.2
"""How long the name of a client that died a moment ago may still be taken, or that of a host of ours that is just leaving."""
_TRY_AGAIN_S = 0.005

_MOMENT_S = 0.001
_MOST_ATTEMPTS = 20
_OF_ANOTHER = errno.ENOENT
"""The code of an error that may be about a port of somebody else."""

_MOST_READY_S = 0.1
"""How long new ports wait at most for the cycle after which it is known that they have no connections."""

_NEAR = 16
"""How many ids ahead the next port of a listing is looked for before it is searched by name."""

PortRow = tuple[int, bytes, int, bytes, tuple[bytes, ...]]
"""id, name, flags, type, aliases."""

MetadataRow = tuple[int, bytes, bytes | None, bytes | None]
"""id, name, pretty name, signal type."""

_METADATA_KEYS = (b"http://jackaudio.org/metadata/pretty-name", b"http://jackaudio.org/metadata/signal-type")
_ANY_SUBJECT = (1 << 32) + 1  # the first port

_SAMPLE_BYTES = 4
_AUDIO, _MIDI = b"32 bit float mono audio", b"8 bit raw midi"

_lib, _ffi = jack._lib, jack._ffi  # type: ignore[attr-defined]  # not declared: they are private


class JackError(Exception):
    """libjack said no; the text says what it said."""


class OwnPort(NamedTuple):
    """A port of our client, under its short name."""

    short_name: bytes
    is_input: bool
    is_midi: bool = False


class Opened(NamedTuple):
    """What the server gave us."""

    client_name: str
    sample_rate_hz: int
    buffer_size_frames: int
    realtime: bool


def library_version() -> str:
    """Give libjack's own version text: "1.9.21", or "3.0.0.0 (using PipeWire 0.3.65)". Needs no server."""
    return str(jack.version_string())


def is_pipewire() -> bool:
    """Tell whether this libjack is PipeWire's."""
    return implementation(library_version()) is Implementation.PIPEWIRE


def collect_messages() -> None:
    """Let libjack's messages go to the kernel, for the text of an error, instead of to stderr."""
    for setter, callback in (
        (_lib.jack_set_error_function, "kernel_on_error_message"),
        (_lib.jack_set_info_function, "kernel_on_info_message"),
    ):
        setter(_ffi.cast(_ffi.typeof(setter).args[0], Kernel.callback(callback)))


def functions() -> dict[str, int]:
    """Give the addresses of the functions that the kernel calls."""
    return {
        name: int(_ffi.cast("uintptr_t", _ffi.addressof(_lib, f"jack_{symbol}")))
        for name, symbol in {
            "get_buffer": "port_get_buffer",
            "port_by_id": "port_by_id",
            "port_name": "port_name",
            "port_flags": "port_flags",
            "port_type": "port_type",
            "port_aliases": "port_get_aliases",
            "midi_count": "midi_get_event_count",
            "midi_get": "midi_event_get",
            "midi_clear": "midi_clear_buffer",
            "midi_reserve": "midi_event_reserve",
        }.items()
    }


class JackClient:
    """One client of one server, with native callbacks only."""

    def __init__(self, name: str, server: str | None, kernel: Kernel) -> None:
        """Open the client and set its callbacks; raise JackError where the server does not take us."""
        # PipeWire's is the one that $PIPEWIRE_REMOTE names.
        self._client = _open(name, None if is_pipewire() else server)
        self._ptr = self._client._ptr
        self._kernel = kernel
        self._ports: dict[OwnPort, Any] = {}
        self._is_active = False
        kernel.set_client(int(_ffi.cast("uintptr_t", self._ptr)))
        for setter, callback in Kernel.CALLBACKS.items():
            self._set_callback(setter, Kernel.callback(callback))
        if is_pipewire():
            self._hear_of_shutdown()

    def _set_callback(self, setter: str, address: int) -> None:
        function = getattr(_lib, setter)
        callback = _ffi.cast(_ffi.typeof(function).args[1], address)
        if function(self._ptr, callback, _ffi.cast("void *", self._kernel.address)):
            raise JackError(f"libjack did not take our callback: {setter} failed")

    def _hear_of_shutdown(self) -> None:
        """Set the older of the two callbacks as well: PipeWire up to 0.3.65 never calls jack_on_info_shutdown's.

        JACK-Client does not declare it; the loader gives the library that is loaded already.
        """
        setter = ctypes.CDLL("libjack.so.0").jack_on_shutdown
        setter.restype, setter.argtypes = None, [ctypes.c_void_p] * 3
        setter(int(_ffi.cast("uintptr_t", self._ptr)), Kernel.callback("kernel_on_shutdown"), self._kernel.address)

    def describe(self) -> Opened:
        """Give what the server gave us; needs no request."""
        client = self._client
        return Opened(client.name, client.samplerate, client.blocksize, bool(client.realtime))

    def activate(self) -> None:
        """Let the callbacks come; from here on no event is lost."""
        _forget_messages()
        if all(_lib.jack_activate(self._ptr) for _ in _attempts()):
            raise JackError(_last_message("the server did not activate our client"))
        self._is_active = True

    def close(self) -> None:
        """Leave the server; may hang, so the daemon has a deadline for it."""
        self._client.close()

    @property
    def ports(self) -> frozenset[OwnPort]:
        """Our ports."""
        return frozenset(self._ports)

    def register(self, own: OwnPort) -> None:
        """Make a port of ours."""
        flags = _lib.JackPortIsInput if own.is_input else _lib.JackPortIsOutput
        kind = _MIDI if own.is_midi else _AUDIO
        for _ in _attempts():  # a port that was refused by mistake has its number already, and gets the same one again
            _forget_messages()
            if port := _lib.jack_port_register(self._ptr, own.short_name, kind, flags, 0):
                break
        else:
            reason = _last_message("has it ports left (jackd -p)?")
            raise JackError(f"the server refused our port {own.short_name.decode()}: {reason}")
        self._ports[own] = port

    def make_ready(self, new: Iterable[OwnPort]) -> None:
        """Look at the buffers of new ports, so that the realtime thread need not wait for their pages.

        libjack locks the server's memory, 100 MB, but the usual limit of a user who is in no group audio is 8.

        For that of an input it follows the connections. Those of the port that had this number before stand until the next cycle;
        through other numbers that were given again they may lead in a circle by then, and JACK2's libjack crashes. To ask it for
        connections waits for that cycle. Before the first one nobody is heard through an input: it may wait for its pages then.
        """
        frames = int(_lib.jack_get_buffer_size(self._ptr))
        end = time.monotonic() + _MOST_READY_S
        for own in new:
            port = self._ports[own]
            if not own.is_input or (self._is_active and time.monotonic() < end and not _lib.jack_port_connected(port)):
                buffer = _lib.jack_port_get_buffer(port, frames)
                if buffer:
                    _ffi.buffer(buffer, frames * _SAMPLE_BYTES)[:]

    def unregister(self, own: OwnPort) -> None:
        """Take a port of ours away; the kernel must not use it any more."""
        port = self._ports.pop(own, None)
        if port:
            _lib.jack_port_unregister(self._ptr, port)

    def address(self, own: OwnPort) -> int:
        """Give the jack_port_t * of a port of ours."""
        return int(_ffi.cast("uintptr_t", self._ports[own]))

    def connect(self, source: bytes, destination: bytes) -> int:
        """Give libjack's code: 0, EEXIST, or why not."""
        return self._ask(_lib.jack_connect, source, destination, connected=True)

    def disconnect(self, source: bytes, destination: bytes) -> int:
        """Give libjack's code: 0, or why not."""
        return self._ask(_lib.jack_disconnect, source, destination, connected=False)

    def _ask(self, function: Callable[..., Any], source: bytes, destination: bytes, *, connected: bool) -> int:
        for attempt in _attempts():
            code = int(function(self._ptr, source, destination))
            if attempt and code == errno.EEXIST:
                return 0  # since the attempt before
            if code != _OF_ANOTHER or not is_pipewire():
                break
            if self._are_connected(source, destination) is connected:
                return 0
        # A port has gone since then: what was asked for first may have been done.
        return _OF_ANOTHER if attempt and code else code

    def _are_connected(self, source: bytes, destination: bytes) -> bool:
        port = _lib.jack_port_by_name(self._ptr, source)
        return bool(port) and bool(_lib.jack_port_connected_to(port, destination))

    def load_percent(self) -> float:
        """Give the DSP load as the server computes it."""
        return float(_lib.jack_cpu_load(self._ptr))

    def read_ports(self) -> Iterator[PortRow]:
        """List all ports, whether of active clients or not."""
        names = _strings(_lib.jack_get_ports(self._ptr, _ffi.NULL, _ffi.NULL, 0))
        for name, port in self._find(names):
            yield (_id(port), name, _lib.jack_port_flags(port), _ffi.string(_lib.jack_port_type(port)), _aliases(port))

    def read_connections(self) -> Iterator[tuple[int, int]]:
        """List all connections, by the ids of source and destination."""
        names = _strings(_lib.jack_get_ports(self._ptr, _ffi.NULL, _ffi.NULL, _lib.JackPortIsOutput))
        everybody = _strings(_lib.jack_get_ports(self._ptr, _ffi.NULL, _ffi.NULL, 0))
        ids = {name: _id(port) for name, port in self._find(everybody)}
        for name, port in self._find(names):
            for other in _strings(_lib.jack_port_get_all_connections(self._ptr, port)):
                if name in ids and other in ids:
                    yield ids[name], ids[other]

    def read_metadata(self, number: int) -> MetadataRow | None:
        """Give what is said of a port; None where there is none. The name is read last: it tells whose the values are."""
        port = self._by_id(number)
        if not port:
            return None
        subject = _lib.jack_port_uuid(port)
        pretty_name, signal_type = (_property(subject, key) for key in _METADATA_KEYS)
        name = _lib.jack_port_name(port)
        return (number, _ffi.string(name), pretty_name, signal_type) if name else None

    def can_read_metadata(self) -> bool:
        """Tell whether metadata can be read at all: jack_get_property says the same of none and of a broken database.

        PipeWire has no database that could be broken, and says the same of none at all.
        """
        if is_pipewire():
            return True
        found = _ffi.new("jack_description_t *")
        count = int(_lib.jack_get_properties(_ANY_SUBJECT, found))
        if count > 0:
            _lib.jack_free_description(found, 0)
        return count >= 0

    def _find(self, names: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
        """Look the ports up that are still there.

        JACK2 lists in the order of its table, so that a walk along the ids finds nearly all: 2.3 ms for 1,500 ports,
        where the linear search of jack_port_by_name for each costs 29. PipeWire's ids are serials: it searches.
        """
        last = 0
        for name in names:
            port = next((p for p in map(self._by_id, range(last + 1, last + 1 + _NEAR)) if _is(p, name)), None)
            port = port or _lib.jack_port_by_name(self._ptr, name)
            if port:
                last = _id(port)
                yield name, port

    def _by_id(self, number: int) -> Any:
        return _lib.jack_port_by_id(self._ptr, number)


def _open(name: str, server: str | None) -> Any:
    """Open a client of this very name, or, where another program keeps it, of one that the server makes of it."""
    end = time.monotonic() + _EXACT_NAME_S
    others = (f"{name}-{number:02}" for number in itertools.count(1))  # as JACK2 makes them
    asked = name
    while True:
        exact = time.monotonic() < end
        _forget_messages()
        try:
            client = jack.Client(asked, use_exact_name=exact, no_start_server=True, servername=server)
        except jack.JackOpenError as error:
            if not exact or error.status.server_failed:
                raise JackError(_last_message(str(error))) from None
        else:
            if _is_called_so(client):
                return client
            client.close()
            asked = asked if exact else next(others)
        time.sleep(_TRY_AGAIN_S)


def _attempts() -> Iterator[int]:
    """Give a number, from 0 on, for each time that the server is asked for something before that is taken for refused.

    PipeWire's libjack (0.3.65) takes an error about a port of somebody else, gone before it was looked at, for the answer to the
    request of that moment. What was asked for is done all the same, in a moment.
    """
    yield 0
    if is_pipewire():
        for attempt in range(1, _MOST_ATTEMPTS):
            time.sleep(_MOMENT_S)
            yield attempt


def _is_called_so(client: Any) -> bool:
    """Tell whether the server calls the client what it is told to be called.

    PipeWire 0.3.65 lets several have one name. Who comes while another is there is told the name, too, but to everybody who knows
    both, itself among them, it is `router-81`: such names differ from one client to the next.
    """
    return not is_pipewire() or bool(client.get_client_name_by_uuid(client.uuid) == client.name)


def _is(port: Any, name: bytes) -> bool:
    """Tell whether this is the living port of that name: an empty place in the table may keep its name, but has no flags."""
    if not port or _lib.jack_port_flags(port) <= 0:
        return False
    found = _lib.jack_port_name(port)
    return bool(found) and bool(_ffi.string(found) == name)


def _property(subject: int, key: bytes) -> bytes | None:
    value, kind = _ffi.new("char **"), _ffi.new("char **")
    if _lib.jack_get_property(subject, key, value, kind):
        return None
    text = bytes(_ffi.string(value[0]))
    for string in (value[0], kind[0]):
        _lib.jack_free(string)
    return text


def _forget_messages() -> None:
    """What libjack said before is no reason of what fails now: it complains of locked memory on many a healthy machine."""
    Kernel.take_message()


def _last_message(otherwise: str) -> str:
    return Kernel.take_message() or otherwise


def _strings(array: Any) -> list[bytes]:
    """Take over a NULL-terminated array of strings that libjack allocated."""
    if not array:
        return []
    found: list[bytes] = []
    while array[len(found)]:
        found.append(_ffi.string(array[len(found)]))
    _lib.jack_free(array)
    return found


def _id(port: Any) -> int:
    """Give the id that notifications use; the same arithmetic holds for JACK2 and PipeWire."""
    return (int(_lib.jack_port_uuid(port)) & 0xFFFFFFFF) - 1


def _aliases(port: Any) -> tuple[bytes, ...]:
    size = _lib.jack_port_name_size()
    buffers = [_ffi.new("char[]", size) for _ in range(2)]
    array = _ffi.new("char *[2]", buffers)
    _lib.jack_port_get_aliases(port, array)  # of PipeWire one may be the second: what it writes counts, not how many it says
    return tuple(filter(None, map(_ffi.string, buffers)))
