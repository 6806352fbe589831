"""The servers that die: JACK2's, and PipeWire with what else runs beside it on a desktop. Each next run is another one."""

from __future__ import annotations

import os
import random
import subprocess
import wave
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from benchmarks.surroundings import Surroundings
from soak.studio import CONNECTIONS, PLAYBACKS, WITHOUT_METADATA
from tests.daemon.remote import Remote
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import server_env
from tests.support.process import Process

_RATES_HZ = (44_100, 48_000, 96_000)
_PERIODS_FRAMES = (128, 256, 512, 1024)
_PORT_LIMITS = (128, 512, 2048, 4096)
_PLAYER = "pw-cat"
_POSITIONS = ("FL", "FR", "FC", "LFE", "RL", "RR", "SL", "SR")


class Jack2:
    """A jackd."""

    name = "jackd"
    wanted = CONNECTIONS
    second_names: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(self, around: Surroundings) -> None:
        self.server: JackServer = around.server(playbacks=PLAYBACKS)

    def change(self, chance: random.Random) -> None:
        """Let the next run have other settings.

        Not --sync: on a busy machine such a jackd waits for a client until its engine "may now behave abnormally", as it says,
        and runs no cycles any more.
        """
        self.server.rate_hz = chance.choice(_RATES_HZ)
        self.server.period_frames = chance.choice(_PERIODS_FRAMES)
        self.server.port_max = chance.choice(_PORT_LIMITS)

    @contextmanager
    def company(self) -> Iterator[None]:
        """Let be there what else comes with the server, which runs: nothing."""
        yield

    @property
    def settings(self) -> tuple[object, ...]:
        """What the daemon should say of the server."""
        return "jack2", self.server.rate_hz, self.server.period_frames

    def told(self, remote: Remote) -> tuple[object, ...]:
        """Give what it says."""
        return tuple(remote.read(f"Server.{name}") for name in ("Implementation", "SampleRate", "BufferSize"))

    @property
    def answers(self) -> bool:
        """Whether it answers: of jackd nothing else is expected."""
        return True


class PipeWire:
    """A pipewire: every second run with WirePlumber, and all with a program that plays.

    Without WirePlumber there is no metadata, and nobody connects the player. It renames the ports of the device, sooner or later.
    """

    second_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {f"system:playback_{n}": f"system:playback_{position}" for n, position in enumerate(_POSITIONS, 1)}
    )

    def __init__(self, around: Surroundings, *, is_managed: bool = True) -> None:
        self.server: JackServer = around.pipewire(captures=0, playbacks=PLAYBACKS)
        self._around = around
        self._folder = around.fresh_folder("desktop")
        self._is_managed = is_managed

    @property
    def name(self) -> str:
        """What to call it in the report."""
        return "pipewire, wireplumber" if self._is_managed else "pipewire alone"

    @property
    def wanted(self) -> frozenset[tuple[str, str]]:
        """The connections that rules make."""
        return CONNECTIONS if self._is_managed else WITHOUT_METADATA

    def change(self, chance: random.Random) -> None:
        """Let the next run have other settings."""
        self.server.rate_hz = chance.choice(_RATES_HZ)
        self.server.period_frames = chance.choice(_PERIODS_FRAMES)
        self._is_managed = not self._is_managed

    @contextmanager
    def company(self) -> Iterator[None]:
        """Let be there what else comes with the server, which runs."""
        programs = [[_PLAYER, "--playback", str(self._silence())], *([["wireplumber"]] if self._is_managed else [])]
        with ExitStack() as ends:
            for program in programs:
                process = Process(program, self._folder / f"{program[0]}.log", self._environment())
                ends.callback(process.kill)  # most of them have left by then: their server has died
            yield

    def _environment(self) -> Mapping[str, str]:
        mine = {
            "HOME": str(self._folder),
            "XDG_STATE_HOME": str(self._folder),
            "DBUS_SESSION_BUS_ADDRESS": self._around.bus_address,
        }
        return os.environ | server_env(self.server.name) | mine

    def _silence(self) -> Path:
        file = self._folder / f"silence-{self.server.rate_hz}.wav"
        if not file.exists():
            with wave.open(str(file), "wb") as sound:
                sound.setparams((2, 2, self.server.rate_hz, 0, "NONE", ""))
                sound.writeframes(bytes(4 * 20 * self.server.rate_hz))
        return file

    @property
    def settings(self) -> tuple[object, ...]:
        """What the daemon should say of the server. The period is also the player's affair."""
        return "pipewire", self.server.rate_hz

    def told(self, remote: Remote) -> tuple[object, ...]:
        """Give what it says."""
        return remote.read("Server.Implementation"), remote.read("Server.SampleRate")

    @property
    def answers(self) -> bool:
        """Whether it answers a program of its own: 0.3.65 hangs now and then when WirePlumber makes its device anew."""
        try:
            asked = subprocess.run(["pw-cli", "info", "0"], env=self._environment(), capture_output=True, timeout=5, check=False)
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0


Kind = Jack2 | PipeWire


def of_rules(kind: Kind, connections: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Give the connections but those of the program that plays, by the first names of their ends."""
    first_names = {second: first for first, second in kind.second_names.items()}
    return {(source, first_names.get(end, end)) for source, end in connections if not source.startswith(f"{_PLAYER}:")}
