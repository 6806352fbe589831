"""A real JACK client in a process of its own, as any other program on the machine would be."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tests.support.eventually import eventually
from tests.support.pipewire_server import client_env, is_pipewire

Samples: TypeAlias = NDArray[np.float32]
Answer: TypeAlias = dict[str, object]
MidiEvent: TypeAlias = tuple[int, bytes]
"""Frame, and the bytes."""

_PROGRAM = Path(__file__).with_name("jack_client_program.py")
_TIMEOUT_S = 15


class JackClientError(Exception):
    """What libjack answered when it refused."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What came in while a block was sent. Position 0 of every channel is the first frame that was sent."""

    channels: Mapping[str, Samples]
    xruns: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many frames were compared, how many samples differed, and the frame of the first that did."""

    frames: int
    differing: int
    first: int | None


def noise(frames: int, seed: int = 1) -> Samples:
    """Give a pseudo-random block between -1 and 1, of which no part looks like another."""
    return np.random.default_rng(seed).uniform(-1, 1, frames).astype(np.float32)


def offset_of(block: Samples, recorded: Samples) -> int | None:
    """Give the frame at which the block is found bit for bit, None where it is not."""
    wanted, there = block.view(np.uint32), recorded.view(np.uint32)
    for start in np.flatnonzero(there[: there.size - wanted.size + 1] == wanted[0]):
        if np.array_equal(there[start : start + wanted.size], wanted):
            return int(start)
    return None


started_clients: list[JackClient] = []
"""All that the present test has started."""


class JackClient:
    """One client with the given ports: `out_*` in `outputs`, `in_*` in `inputs`, or any other names."""

    def __init__(
        self,
        server_name: str,
        name: str,
        *,
        outputs: Sequence[str] = (),
        inputs: Sequence[str] = (),
        midi_outputs: Sequence[str] = (),
        midi_inputs: Sequence[str] = (),
        active: bool = True,
    ) -> None:
        env = os.environ | client_env(server_name)
        self._popen = subprocess.Popen(
            [sys.executable, str(_PROGRAM), name, *([] if active else ["--inactive"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            process_group=0,  # Ctrl-C is for whoever started it, and ends it in good order
        )
        self._ends = False
        hello = self._answer()
        self.server_name = server_name
        self.name = str(hello["name"])
        started_clients.append(self)
        for group, port_type, flow in (
            (outputs, "audio", "output"),
            (inputs, "audio", "input"),
            (midi_outputs, "midi", "output"),
            (midi_inputs, "midi", "input"),
        ):
            if group:
                self.ask("register", ports=list(group), type=port_type, flow=flow)

    def __enter__(self) -> JackClient:
        """Give itself, active and with its ports."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the server, if it has not left already."""
        self.close()

    @property
    def pid(self) -> int:
        """The process id of the client."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._popen.poll()

    @property
    def has_crashed(self) -> bool:
        """Whether it ended in a crash before it was asked to end. That is libjack's: a test only ever kills a client."""
        return not self._ends and self.status in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)

    def ask(self, request: str, **arguments: object) -> Answer:
        """Send one request to the client and give its answer; JackClientError where libjack refused."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps({"request": request, **arguments}) + "\n")
        self._popen.stdin.flush()
        return self._answer()

    def activate(self) -> None:
        """Take part: a client that was started with `active=False` has ports, but none that can be connected."""
        self.ask("activate")

    def register(self, *ports: str, type: str = "audio", flow: str = "output") -> None:  # noqa: A002  (JACK's word)
        """Add ports: of type audio or midi, output or input."""
        self.ask("register", ports=list(ports), type=type, flow=flow)

    def unregister(self, *ports: str) -> None:
        """Remove own ports, by short name."""
        self.ask("unregister", ports=list(ports))

    def rename(self, port: str, new_name: str) -> None:
        """Rename an own audio port, by short names."""
        self.ask("rename", port=port, new_name=new_name)

    def set_property(self, port: str, key: str, value: str) -> None:
        """Set what metadata says of an own port, by short name; the key is the last word of JACK's ("pretty-name")."""
        self.ask("set_property", port=port, key=key, value=value)

    def remove_property(self, port: str, key: str | None = None) -> None:
        """Remove what metadata says of an own port: one key, or all of them."""
        self.ask("remove_property", port=port, key=key)

    def remove_all_properties(self) -> None:
        """Remove all metadata of everybody."""
        self.ask("remove_all_properties")

    def connect(self, source: str, destination: str) -> None:
        """Connect any two ports, by full name."""
        self.ask("connect", source=source, destination=destination)

    def disconnect(self, source: str, destination: str) -> None:
        """Disconnect any two ports, by full name."""
        self.ask("disconnect", source=source, destination=destination)

    def ports(self) -> frozenset[str]:
        """Give the full names of all ports of the server."""
        return frozenset(_strings(self.ask("ports")["ports"]))

    def connections(self) -> frozenset[tuple[str, str]]:
        """Give all connections of the server, as this client sees them."""
        pairs = self.ask("connections")["connections"]
        assert isinstance(pairs, list)
        return frozenset((str(source), str(destination)) for source, destination in pairs)

    def assert_connections(self, expected: Set[tuple[str, str]]) -> None:
        """Assert that these are all connections of the server, where something has just answered that they are."""
        self.assert_seen(self.connections, expected)

    def assert_seen(self, seen: Callable[[], object], expected: object) -> None:
        """Assert what this client sees: on JACK2 now, whose clients share one memory; on PipeWire once the news reach it."""
        if is_pipewire(self.server_name):
            eventually(lambda: seen() == expected)
        assert seen() == expected

    def set_buffer_size(self, frames: int) -> None:
        """Change the buffer size of the server."""
        self.ask("set_buffer_size", frames=frames)

    def set_freewheel(self, on: bool) -> None:
        """Let the server run free of the clock, as for an export, or in time again."""
        self.ask("set_freewheel", on=on)

    def frame_time(self) -> int:
        """Give the frame at which the present period of the server began: a clock that all clients share."""
        return int(str(self.ask("frame_time")["frame"]))

    def begin(self, send: Mapping[str, Samples], record: Sequence[str], frames: int, *, at: int | None = None) -> None:
        """Begin what `exchange` does, with the first period at or after a frame of the server; `finish` gives the result."""
        self.ask("begin", send=_encoded(send), record=list(record), frames=frames, at=at)

    def finish(self, *, more: int | None = None) -> Recording:
        """Wait for the end of what was begun; `more`: end it when so many frames more have passed, if it lasts longer."""
        answer = self.ask("finish", more=more)
        channels = answer["channels"]
        assert isinstance(channels, dict)
        decoded = {str(port): np.frombuffer(base64.b64decode(text), np.float32) for port, text in channels.items()}
        return Recording(decoded, int(str(answer["xruns"])))

    def exchange(self, send: Mapping[str, Samples], record: Sequence[str], frames: int) -> Recording:
        """Send each block once, from the same frame on, and record the named inputs from that frame on."""
        self.begin(send, record, frames)
        return self.finish()

    def wait_until_heard(self, output: str, input_: str) -> None:
        """Wait until what one port sends comes to another: a server tells of a connection before the cycle that first has it."""
        block = noise(4_800)
        eventually(lambda: self.exchange({output: block}, [input_], block.size).channels[input_].any())

    def exchange_midi(
        self, send: Mapping[str, Sequence[MidiEvent]], record: Sequence[str], frames: int
    ) -> dict[str, list[MidiEvent]]:
        """Send events at their frames, and give what comes in on the named inputs from that time on, for so many frames."""
        self.begin_midi(send, record, frames)
        return self.finish_midi()

    def begin_midi(
        self, send: Mapping[str, Sequence[MidiEvent]], record: Sequence[str], frames: int, *, at: int | None = None
    ) -> None:
        """Begin what `exchange_midi` does, with the first period at or after a frame of the server."""
        played = {port: [(frame, event.hex()) for frame, event in events] for port, events in send.items()}
        self.ask("begin_midi", send=played, record=list(record), frames=frames, at=at)

    def finish_midi(self) -> dict[str, list[MidiEvent]]:
        """Wait for the end of what was begun."""
        return _events(self.ask("finish_midi"))

    def listen(self, *ports: str) -> None:
        """Record the MIDI that comes in on the named inputs from now on."""
        self.begin_midi({}, ports, sys.maxsize)

    def heard(self, port: str) -> list[bytes]:
        """Give the events that came in on one input since `listen`."""
        return [event for _, event in _events(self.ask("heard"))[port]]

    def play_forever(self, blocks: Mapping[str, Samples], *, at: int | None = None) -> None:
        """Repeat the blocks until something else is to be played; none: silence. `at`: from when on, as in `begin`."""
        self.ask("forever", send=_encoded(blocks), expect={}, at=at)

    def compare_forever(self, blocks: Mapping[str, Samples], *, at: int | None = None) -> None:
        """Compare what comes in, bit for bit, with blocks that repeat; `compared` tells what was found."""
        self.ask("forever", send={}, expect=_encoded(blocks), at=at)

    def compared(self) -> Comparison:
        """Tell what the comparison has found so far; it goes on."""
        answer = self.ask("compared")
        first = answer["first"]
        return Comparison(int(str(answer["frames"])), int(str(answer["differing"])), None if first is None else int(str(first)))

    def passed(self) -> int:
        """Give how many frames have passed of what was begun last."""
        return self.compared().frames

    def close(self) -> None:
        """Leave the server properly; a client that cannot (its server hangs) is killed."""
        self._ends = self.status is None
        if self._popen.stdin is not None and not self._popen.stdin.closed:
            with suppress(BrokenPipeError):
                self._popen.stdin.close()  # the end of its requests is the request to end
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def kill(self) -> None:
        """End the client as a crash would."""
        self._popen.kill()
        self._popen.wait(10)

    def _answer(self) -> Answer:
        assert self._popen.stdout is not None
        if not select.select([self._popen.stdout], [], [], _TIMEOUT_S)[0]:
            raise AssertionError(f"the JACK client did not answer within {_TIMEOUT_S} s")
        line = self._popen.stdout.readline()
        if not line:
            raise JackClientError(f"the JACK client ended with status {self._popen.wait(10)}")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise JackClientError(str(answer["error"]))
        return answer


def exchanged(
    sender: JackClient, send: Mapping[str, Samples], receiver: JackClient, record: Sequence[str], *, silence: int = 0
) -> Mapping[str, Samples]:
    """Send blocks, of one length, and give what comes to another client from the same frame on; `silence`: frames more."""
    frames = max(block.size for block in send.values())

    def begin(at: int) -> None:
        receiver.begin({}, record, frames + silence, at=at)
        sender.begin(send, [], frames, at=at)

    _together(sender, begin)
    return receiver.finish().channels


def play_and_compare(
    sender: JackClient, send: Mapping[str, Samples], receiver: JackClient, expect: Mapping[str, Samples]
) -> None:
    """Let one client repeat blocks, and another one compare what comes with blocks that it repeats, from the same frame on."""

    def begin(at: int) -> None:
        receiver.compare_forever(expect, at=at)
        sender.play_forever(send, at=at)

    _together(sender, begin)


def _together(client: JackClient, begin: Callable[[int], None]) -> None:
    """Begin at a frame that no client has reached when the last one hears of it: on a busy machine that takes long."""
    lead = 6_000
    while True:
        at = client.frame_time() + lead
        begin(at)
        if client.frame_time() < at:
            return
        lead *= 2


def _encoded(blocks: Mapping[str, Samples]) -> dict[str, str]:
    return {port: base64.b64encode(block.tobytes()).decode() for port, block in blocks.items()}


def _events(answer: Answer) -> dict[str, list[MidiEvent]]:
    found = answer["events"]
    assert isinstance(found, dict)
    return {str(port): [(int(frame), bytes.fromhex(event)) for frame, event in events] for port, events in found.items()}


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]
