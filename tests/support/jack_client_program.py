"""The program behind `JackClient`: a JACK client that does what the lines on its standard input ask for.

One request a line, as JSON, and one line for each answer. The end of the input ends the program.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, NoReturn, TypeAlias, cast

import jack
import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
OwnMidiPort: TypeAlias = Any  # JACK-Client declares none of its own
Answer: TypeAlias = dict[str, object]
Event: TypeAlias = tuple[int, bytes]
"""Frame, and the bytes."""

_METADATA = "http://jackaudio.org/metadata/"


class Sound:
    """What the process callback sends, records and compares. Swapped whole by the request thread."""

    def __init__(
        self,
        send: dict[str, Samples],
        record: Sequence[str],
        frames: int,
        *,
        expect: dict[str, Samples] | None = None,
        at: int | None = None,
        repeat: bool = False,
    ) -> None:
        self.send = send
        self.recorded = {port: np.zeros(frames, np.float32) for port in record}
        self.frames = frames
        self.expect = expect or {}
        self.differing = 0
        self.first: int | None = None
        self.at = at
        self.repeat = repeat
        self.position = 0
        self.xruns = 0
        self.done = threading.Event()

    def block(self, samples: Samples | None, frames: int) -> Samples:
        """Give the next frames of what is sent or expected on a port."""
        out = np.zeros(frames, np.float32)
        if samples is not None and samples.size:
            at = np.arange(self.position, self.position + frames)
            inside = at < samples.size
            out = samples[at % samples.size] if self.repeat else np.where(inside, samples[at % samples.size], out)
        return out

    def keep(self, port: str, block: Samples) -> None:
        """Append what came in on a port."""
        end = min(self.position + block.size, self.frames)
        self.recorded[port][self.position : end] = block[: max(0, end - self.position)]

    def compare(self, port: str, block: Samples) -> None:
        """Count the frames that are not bit for bit what is expected: a NaN never equals itself."""
        wrong = np.flatnonzero(block.view(np.uint32) != self.block(self.expect[port], block.size).view(np.uint32))
        if wrong.size:
            self.differing += wrong.size
            self.first = self.position + int(wrong[0]) if self.first is None else self.first

    def advance(self, frames: int) -> None:
        """Go on to the next period."""
        self.position += frames
        if not self.repeat and self.position >= self.frames:
            self.done.set()


class Events:
    """The MIDI events that the process callback sends and records, by frames from its begin on: see Sound."""

    def __init__(self, send: dict[str, list[Event]], record: Sequence[str], frames: int, *, at: int | None = None) -> None:
        self.send = {port: deque(sorted(events, key=itemgetter(0))) for port, events in send.items()}
        self.recorded: dict[str, list[Event]] = {port: [] for port in record}
        self.frames = frames
        self.at = at
        self.position = 0
        self.done = threading.Event()

    def advance(self, client: jack.Client, ports: dict[str, OwnMidiPort], frames: int) -> None:
        """Send and record one period."""
        if self.at is not None and client.last_frame_time < self.at:
            for port in ports.values():
                if port.is_output:
                    port.clear_buffer()
            return
        self.at = None
        for name, port in ports.items():
            if port.is_output:
                port.clear_buffer()
                waiting = self.send.get(name, deque())
                while waiting and waiting[0][0] < self.position + frames:
                    frame, event = waiting.popleft()
                    port.write_midi_event(frame - self.position, event)
            elif name in self.recorded and not self.done.is_set():
                for frame, data in port.incoming_midi_events():
                    self.recorded[name].append((self.position + frame, bytes(data)))
        self.position += frames
        if self.position >= self.frames:
            self.done.set()


class Program:
    """The client, its ports, and one method for each request."""

    def __init__(self, name: str, *, active: bool) -> None:
        self.client = jack.Client(name, no_start_server=True)
        self.audio: dict[str, jack.OwnPort] = {}  # replaced, never changed: the process callback walks over it
        self.midi: dict[str, OwnMidiPort] = {}
        self.sound = Sound({}, (), 0, repeat=True)
        self.events = Events({}, (), 0)
        self.client.set_process_callback(self.process)
        self.client.set_xrun_callback(self.xrun)
        if active:
            self.client.activate()

    def activate(self) -> Answer:
        """Take part, where the client was started without."""
        self.client.activate()
        return {}

    def process(self, frames: int) -> None:
        """Send, record and compare one period."""
        self.events.advance(self.client, self.midi, frames)
        sound = self.sound
        ports = self.audio
        # The server's clock, which is the same for all clients in a period, is asked for the beginning only: after an
        # xrun it jumps, but with --sync no client misses a period.
        begun = sound.at is None or self.client.last_frame_time >= sound.at
        if begun:
            sound.at = None
        for name, port in ports.items():
            if port.is_output:
                port.get_array()[:] = sound.block(sound.send.get(name), frames) if begun else 0
        if not begun or sound.done.is_set():
            return
        for name in sound.recorded:
            sound.keep(name, ports[name].get_array())
        for name in sound.expect:
            sound.compare(name, ports[name].get_array())
        sound.advance(frames)

    def xrun(self, delayed_usecs: float) -> None:
        """Count a period that the server could not finish in time."""
        self.sound.xruns += 1

    def register(self, ports: list[str], type: str, flow: str) -> Answer:  # noqa: A002  (JACK's word)
        """Add ports."""
        group = {
            ("audio", "output"): self.client.outports,
            ("audio", "input"): self.client.inports,
            ("midi", "output"): self.client.midi_outports,
            ("midi", "input"): self.client.midi_inports,
        }[type, flow]
        if type == "audio":
            self.audio = self.audio | {port: cast(jack.OwnPort, group.register(port)) for port in ports}
        else:
            self.midi = self.midi | {port: group.register(port) for port in ports}
        return {}

    def unregister(self, ports: list[str]) -> Answer:
        """Remove own ports."""
        for port in ports:
            self._take(port).unregister()
        return {}

    def rename(self, port: str, new_name: str) -> Answer:
        """Rename an own audio port."""
        renamed = self._take(port)
        renamed.shortname = new_name
        self.audio = self.audio | {new_name: renamed}
        return {}

    def set_property(self, port: str, key: str, value: str) -> Answer:
        """Set what metadata says of an own port."""
        self.client.set_property(self._port(port).uuid, _METADATA + key, value.encode("utf-8", "surrogateescape"))
        return {}

    def remove_property(self, port: str, key: str | None) -> Answer:
        """Remove one key, or all, of an own port."""
        subject = self._port(port).uuid
        if key is None:
            self.client.remove_properties(subject)
        else:
            self.client.remove_property(subject, _METADATA + key)
        return {}

    def remove_all_properties(self) -> Answer:
        """Remove all metadata of everybody."""
        self.client.remove_all_properties()
        return {}

    def connect(self, source: str, destination: str) -> Answer:
        """Connect two ports."""
        self.client.connect(source, destination)
        return {}

    def disconnect(self, source: str, destination: str) -> Answer:
        """Disconnect two ports."""
        self.client.disconnect(source, destination)
        return {}

    def ports(self) -> Answer:
        """List all ports."""
        return {"ports": [port.name for port in self._all_ports()]}

    def _all_ports(self, *, is_output: bool = False) -> list[jack.Port]:
        """Ask for them, and again where one of those that libjack has named is gone when JACK-Client looks at it."""
        for _ in range(20):
            with suppress(jack.JackError):
                return self.client.get_ports(is_output=is_output)
        return self.client.get_ports(is_output=is_output)

    def connections(self) -> Answer:
        """List all connections."""
        sources = self._all_ports(is_output=True)
        pairs = [(source.name, end.name) for source in sources for end in self.client.get_all_connections(source)]
        return {"connections": pairs}

    def set_buffer_size(self, frames: int) -> Answer:
        """Change the buffer size of the server."""
        self.client.blocksize = frames
        return {}

    def set_freewheel(self, on: bool) -> Answer:
        """Let the server run free of the clock, or not."""
        self.client.set_freewheel(on)
        return {}

    def frame_time(self) -> Answer:
        """Give the frame at which the present period began."""
        return {"frame": self.client.last_frame_time}

    def begin(self, send: dict[str, str], record: list[str], frames: int, at: int | None) -> Answer:
        """Send once and record, from the first period at or after a frame of the server on, or from the next one."""
        self.sound = Sound(_decoded(send), record, frames, at=at)
        return {}

    def finish(self, more: int | None) -> Answer:
        """Wait for the end of what was begun, or end it so many frames from now."""
        sound = self.sound
        if more is not None:
            sound.frames = min(sound.frames, sound.position + more)
        if not sound.done.wait(10):
            raise jack.JackError("no periods: the server stands still")
        recorded = {port: block[: sound.frames] for port, block in sound.recorded.items()}
        channels = {port: base64.b64encode(block.tobytes()).decode() for port, block in recorded.items()}
        return {"channels": channels, "xruns": sound.xruns}

    def begin_midi(self, send: dict[str, list[tuple[int, str]]], record: list[str], frames: int, at: int | None) -> Answer:
        """Send events, and record from the same frame on."""
        played = {port: [(frame, bytes.fromhex(event)) for frame, event in events] for port, events in send.items()}
        self.events = Events(played, record, frames, at=at)
        return {}

    def finish_midi(self) -> Answer:
        """Wait for the end of what was begun."""
        if not self.events.done.wait(10):
            raise jack.JackError("no periods: the server stands still")
        return self.heard()

    def heard(self) -> Answer:
        """Give what was recorded so far."""
        recorded = self.events.recorded
        return {"events": {port: [(frame, data.hex()) for frame, data in found] for port, found in recorded.items()}}

    def forever(self, send: dict[str, str], expect: dict[str, str], at: int | None) -> Answer:
        """Repeat blocks, and compare what comes in with blocks that repeat, as `begin` does once."""
        self.sound = Sound(_decoded(send), (), 0, expect=_decoded(expect), at=at, repeat=True)
        return {}

    def compared(self) -> Answer:
        """Tell what the comparison has found so far."""
        sound = self.sound
        return {"frames": sound.position, "differing": sound.differing, "first": sound.first}

    def _port(self, name: str) -> jack.OwnPort:
        return (self.audio | self.midi)[name]

    def _take(self, name: str) -> jack.OwnPort:
        port = self._port(name)
        self.audio = {key: value for key, value in self.audio.items() if key != name}
        self.midi = {key: value for key, value in self.midi.items() if key != name}
        return port


def _decoded(send: dict[str, str]) -> dict[str, Samples]:
    return {port: np.frombuffer(base64.b64decode(text), np.float32) for port, text in send.items()}


def _leave(client: jack.Client) -> NoReturn:
    """Close the client and end the program without Python.

    JACK2 cancels the thread of the process callback wherever it is: in the middle of Python it takes the GIL with it. So
    the C library does all that remains, which needs no GIL: the last function that it is given is called first. What is left
    is that the thread may be cancelled within malloc.
    """
    libc = ctypes.CDLL(None)
    lib, ffi = jack._lib, jack._ffi  # type: ignore[attr-defined]  # not declared: they are private
    close = int(ffi.cast("uintptr_t", ffi.addressof(lib, "jack_client_close")))
    pointer = int(ffi.cast("uintptr_t", client._ptr))  # type: ignore[attr-defined]
    # No handlers of others after the closing: libjack's threads may still be in a callback then.
    libc.__cxa_atexit(libc._exit, ctypes.c_void_p(0), None)
    libc.__cxa_atexit(ctypes.c_void_p(close), ctypes.c_void_p(pointer), None)
    libc.exit(0)
    raise AssertionError("exit does not come back")


def main(name: str, *, active: bool) -> None:
    """Answer requests until there are no more."""
    jack.set_error_function(lambda message: None)
    jack.set_info_function(lambda message: None)
    try:
        program = Program(name, active=active)
    except jack.JackError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        os._exit(1)
    print(json.dumps({"name": program.client.name}), flush=True)
    for line in sys.stdin:
        if not line.endswith("\n"):
            break  # Ctrl-C came while the other side wrote it
        arguments = json.loads(line)
        try:
            answer: Answer = getattr(program, arguments.pop("request"))(**arguments)
        except jack.JackError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    program.sound, program.audio, program.midi = Sound({}, (), 0, repeat=True), {}, {}  # so that it is there less
    _leave(program.client)


if __name__ == "__main__":
    main(sys.argv[1], active="--inactive" not in sys.argv)
