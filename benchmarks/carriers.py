"""Who is compared: clients that carry sound from their inputs to their outputs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from benchmarks.stopwatch import Stopwatch
from benchmarks.surroundings import Surroundings, hosts_settled
from tests.support.jack_server import JackServer
from tests.support.process import Process


class Carrier(Protocol):
    """A client with as many inputs as outputs: sound goes from each input to the output of its number."""

    @property
    def name(self) -> str:
        """What it is called in the table."""

    @property
    def ports(self) -> tuple[str, str]:
        """What the names of its inputs, and of its outputs, begin with; the number follows."""

    def running(
        self, around: Surroundings, server: JackServer, stopwatch: Stopwatch, channels: int
    ) -> AbstractContextManager[int]:
        """Run it on this server and give the process whose callback is timed."""


class Native:
    """A C program of ours that does nothing but a memcpy for each channel."""

    name = "C"
    ports = ("passthrough:in_", "passthrough:out_")

    @contextmanager
    def running(self, around: Surroundings, server: JackServer, stopwatch: Stopwatch, channels: int) -> Iterator[int]:
        """Run it."""
        environment = stopwatch.environment
        with around.native("passthrough", str(channels), server=server, environment=environment) as program:
            assert program.line() == "ready"
            yield program.pid


class Router:
    """A bus of the daemon at unity; its meters always run."""

    name = "router"
    ports = ("router:main_in_", "router:main_out_")

    @contextmanager
    def running(self, around: Surroundings, server: JackServer, stopwatch: Stopwatch, channels: int) -> Iterator[int]:
        """Run it, and give its JACK host."""
        with around.router(bus(channels), server, environment=stopwatch.environment) as router:
            yield hosts_settled(router)


class Thru:
    """jack_thru, JACK's own example, which has two channels."""

    name = "jack_thru"
    ports = ("thru:input_", "thru:output_")
    channels = 2

    @staticmethod
    def is_there() -> bool:
        """Tell whether it is installed."""
        return shutil.which("jack_thru") is not None

    @contextmanager
    def running(self, around: Surroundings, server: JackServer, stopwatch: Stopwatch, channels: int) -> Iterator[int]:
        """Run it."""
        assert channels == self.channels
        environment = os.environ | {"JACK_DEFAULT_SERVER": server.name, **stopwatch.environment}
        process = Process(["jack_thru", "thru"], around.folder / "jack_thru.log", environment)
        try:
            yield process.pid
        finally:
            process.terminate()


def bus(channels: int) -> str:
    """Give the configuration of one bus."""
    return f'[daemon]\nwatch = false\n\n[[bus]]\nname = "main"\nchannels = {channels}\n'
