"""A real JACK client in a process of its own, as any other program on the machine would be."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
Answer: TypeAlias = dict[str, object]

_PROGRAM = Path(__file__).with_name("jack_client_program.py")
_TIMEOUT_S = 15


class JackClientError(Exception):
    """What libjack answered when it refused."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What came in while a block was sent. Position 0 of every channel is the first frame that was sent."""

    channels: Mapping[str, Samples]
    xruns: int


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
        env = os.environ | {"JACK_DEFAULT_SERVER": server_name}
        self._popen = subprocess.Popen(
            [sys.executable, str(_PROGRAM), name, *([] if active else ["--inactive"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            process_group=0,  # Ctrl-C is for whoever started it, and ends it in good order
        )
        hello = self._answer()
        self.name = str(hello["name"])
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

    def set_buffer_size(self, frames: int) -> None:
        """Change the buffer size of the server."""
        self.ask("set_buffer_size", frames=frames)

    def frame_time(self) -> int:
        """Give the frame at which the present period of the server began: a clock that all clients share."""
        return int(str(self.ask("frame_time")["frame"]))

    def begin(self, send: Mapping[str, Samples], record: Sequence[str], frames: int, *, at: int | None = None) -> None:
        """Begin what `exchange` does, with the first period at or after a frame of the server; `finish` gives the result."""
        self.ask("begin", send=_encoded(send), record=list(record), frames=frames, at=at)

    def finish(self) -> Recording:
        """Wait for the end of what was begun."""
        answer = self.ask("finish")
        channels = answer["channels"]
        assert isinstance(channels, dict)
        decoded = {str(port): np.frombuffer(base64.b64decode(text), np.float32) for port, text in channels.items()}
        return Recording(decoded, int(str(answer["xruns"])))

    def exchange(self, send: Mapping[str, Samples], record: Sequence[str], frames: int) -> Recording:
        """Send each block once, from the same frame on, and record the named inputs from that frame on."""
        self.begin(send, record, frames)
        return self.finish()

    def play_forever(self, blocks: Mapping[str, Samples]) -> None:
        """Repeat the blocks until the next `play_forever` or `exchange`; none: silence."""
        self.ask("play_forever", send=_encoded(blocks))

    def close(self) -> None:
        """Leave the server properly; a client that cannot (its server hangs) is killed."""
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


def _encoded(blocks: Mapping[str, Samples]) -> dict[str, str]:
    return {port: base64.b64encode(block.tobytes()).decode() for port, block in blocks.items()}


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]
