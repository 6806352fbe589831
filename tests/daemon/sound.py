"""A bus of the daemon on a real server between a client that sends and one that receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from jackd_router.dbus_api.names import bus_path
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, Samples, exchanged, play_and_compare
from tests.support.router_process import RouterProcess

MAIN = bus_path("main")


@dataclass(frozen=True, slots=True)
class Sound:
    """`mouth:out_N` leads to the inputs of the bus main, its outputs to `ears:in_N`; the server waits for all clients."""

    RULES: ClassVar[str] = """
[daemon]
watch = false

[[rule]]
name = "into main"
from = "mouth:*"
to = { bus = "main" }
pair = "order"

[[rule]]
name = "out of main"
from = { bus = "main" }
to = "ears:*"
pair = "order"
"""

    mouth: JackClient
    ears: JackClient
    router: RouterProcess
    remote: Remote

    def connections(self) -> set[tuple[str, str]]:
        """Give the connections of both clients, as the server has them."""
        return {pair for pair in self.ears.connections() if pair[0].startswith("mouth:") or pair[1].startswith("ears:")}

    def wait_for_connections(self) -> None:
        """Wait until every port of both clients is connected."""
        wanted = {port for port in self.ears.ports() if port.startswith(("mouth:", "ears:"))}
        eventually(lambda: wanted == {port for pair in self.connections() for port in pair if not port.startswith("router:")})

    def passed(self, send: Mapping[str, Samples], *, silence: int = 0) -> Mapping[str, Samples]:
        """Send blocks and give what comes back on each input from the same frame on, `silence` frames longer."""
        record = sorted(port.partition(":")[2] for port in self.ears.ports() if port.startswith("ears:"))
        return exchanged(self.mouth, send, self.ears, record, silence=silence)

    def reload(self, config: str) -> None:
        """Put the rules and other buses in force; the call answers when the sound goes the new way."""
        self.router.write_config(self.RULES + config)
        self.remote.call("Config.Reload", "a{sv}", NO_OPTIONS)

    def wait_for_plan(self) -> None:
        """Wait until what was set before this is done: the host answers in the order in which it is asked."""
        self.remote.read("Server.DspLoad")

    def wait_until_heard(self, values: Mapping[str, float]) -> None:
        """Wait until each input of the receiver hears the constant."""

        def heard() -> bool:
            channels = self.ears.exchange({}, list(values), 1_024).channels
            return all((channels[port] == np.float32(value)).all() for port, value in values.items())

        eventually(heard)

    def ports(self) -> set[str]:
        """Give the short names of the daemon's ports, as the server has them."""
        return {port.partition(":")[2] for port in self.ears.ports() if port.startswith("router:")}

    def pass_forever(self, blocks: Mapping[int, Samples]) -> None:
        """Repeat blocks on the outputs of the sender, from 1, and compare what comes to the same inputs of the receiver."""
        send, expect = ({f"{way}_{n}": block for n, block in blocks.items()} for way in ("out", "in"))
        play_and_compare(self.mouth, send, self.ears, expect)

    def wait_frames(self, frames: int) -> None:
        """Let so many frames more be compared."""
        end = self.ears.passed() + frames
        eventually(lambda: self.ears.passed() >= end, timeout=20)


def constant(value: float, frames: int = 480) -> Samples:
    """Give a block of one value."""
    return np.full(frames, value, np.float32)
