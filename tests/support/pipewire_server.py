"""A real PipeWire daemon, with a folder of its own in which its clients find it, and devices that are not there."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

from jackd_router.jack_host.library import Implementation
from jackd_router.jack_io.presence import ServerSocket, lock_holder
from tests.support.jack_server import JackServer

_LIBJACK = "/usr/${LIB}/pipewire-0.3/jack"
"""As pw-jack has it: the loader replaces ${LIB}."""

_CHANNELS = ("FL", "FR", "FC", "LFE", "RL", "RR", "SL", "SR")

_CONFIGURATION = """
context.properties = {{
    core.daemon = true
    core.name = pipewire-0
    default.clock.rate = {rate_hz}
    default.clock.allowed-rates = [ 44100 48000 96000 ]
    default.clock.quantum = {period_frames}
    default.clock.min-quantum = 16
    default.clock.max-quantum = 8192
}}
context.spa-libs = {{
    audio.convert.* = audioconvert/libspa-audioconvert
    audiotestsrc = audiotestsrc/libspa-audiotestsrc
    support.* = support/libspa-support
}}
context.modules = [
    {{ name = libpipewire-module-protocol-native }}
    {{ name = libpipewire-module-metadata }}
    {{ name = libpipewire-module-spa-device-factory }}
    {{ name = libpipewire-module-spa-node-factory }}
    {{ name = libpipewire-module-client-node }}
    {{ name = libpipewire-module-client-device }}
    {{ name = libpipewire-module-access }}
    {{ name = libpipewire-module-adapter }}
    {{ name = libpipewire-module-link-factory }}
    {{ name = libpipewire-module-session-manager }}
]
context.objects = [
    {{ factory = spa-node-factory args = {{
        factory.name = support.node.driver node.name = Dummy-Driver node.group = pipewire.dummy priority.driver = 20000 }} }}
    {{ factory = spa-node-factory args = {{
        factory.name = support.node.driver node.name = Freewheel-Driver node.group = pipewire.freewheel
        priority.driver = 19000 node.freewheel = true }} }}
    {{ factory = metadata args = {{ metadata.name = default }} }}
    {devices}
]
"""

_DEVICE = """{{ factory = adapter args = {{
        factory.name = {factory} node.name = "{name}" node.description = "{name}" object.path = "test:{name}:{way}"
        media.class = "{media_class}" audio.position = [ {position} ]
        adapter.auto-port-config = {{ mode = dsp monitor = false position = {naming} }} }} }}"""


def device(name: str, channels: Sequence[str], *, is_source: bool, naming: str = "preserve") -> str:
    """Give a device for the configuration; `naming` of its ports: "preserve" (FL), "aux" (AUX0), "unknown" (1)."""
    media_class = "Audio/Source" if is_source else "Audio/Sink"
    factory = "audiotestsrc" if is_source else "support.null-audio-sink"
    way = "capture" if is_source else "playback"
    return _DEVICE.format(
        factory=factory, way=way, name=name, media_class=media_class, position=" ".join(channels), naming=naming
    )


def is_pipewire(name: str) -> bool:
    """Tell whether this names a PipeWire, by its folder, rather than a JACK2 server."""
    return name.startswith("/")


def server_env(name: str) -> dict[str, str]:
    """Give the environment in which programs meet a server: that of a JACK2 server's name, or PipeWire's of its folder."""
    if not is_pipewire(name):
        return {"JACK_DEFAULT_SERVER": name}
    return {"PIPEWIRE_RUNTIME_DIR": name, "JACK_DEFAULT_SERVER": "none"}


def client_env(name: str) -> dict[str, str]:
    """Give the environment in which a JACK client meets a server: its libjack is that of the server."""
    return server_env(name) | ({"LD_LIBRARY_PATH": _LIBJACK} if is_pipewire(name) else {})


class PipeWireServer(JackServer):
    """One `pipewire`, by default with a device whose ports are called as those of JACK2. It can be killed and started again."""

    def __init__(
        self,
        log: Path,
        *,
        rate_hz: int = 48_000,
        period_frames: int = 256,
        captures: int = 2,
        playbacks: int = 2,
        devices: Sequence[str] = (),
    ) -> None:
        # Short: the path of a socket has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="pw-", dir="/dev/shm"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        super().__init__(
            log,
            name=str(self.folder),
            rate_hz=rate_hz,
            period_frames=period_frames,
            captures=captures,
            playbacks=playbacks,
        )
        self.devices = devices

    @property
    def implementation(self) -> Implementation:
        """Whose server it is."""
        return Implementation.PIPEWIRE

    @property
    def socket(self) -> ServerSocket:
        """Where the daemon looks for it."""
        lock = self.socket_path.with_name("pipewire-0.lock")
        return ServerSocket(Implementation.PIPEWIRE, "pipewire-0", self.socket_path, lock)

    @property
    def says_realtime(self) -> bool:
        """Whether it says that it runs with realtime priority: always."""
        return True

    @property
    def awaited(self) -> str:
        """What the daemon says that it waits for, while there is no socket of PipeWire."""
        return "JACK server 'none'"

    @property
    def title(self) -> str:
        """What the daemon calls it."""
        return "PipeWire"

    @property
    def socket_path(self) -> Path:
        """Where clients ask for this server."""
        return self.folder / "pipewire-0"

    def _environment(self) -> dict[str, str]:
        return {"PIPEWIRE_RUNTIME_DIR": self.name}

    def command(self) -> list[str]:
        """Write the configuration, and give the command that starts the server."""
        devices = [
            device("system", _CHANNELS[:count], is_source=is_source, naming="unknown")
            for is_source, count in ((True, self.captures), (False, self.playbacks))
            if count
        ]
        configuration = self.folder / "pipewire.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                rate_hz=self.rate_hz, period_frames=self.period_frames, devices="\n    ".join([*devices, *self.devices])
            )
        )
        return ["pipewire", "-c", str(configuration)]

    def _command(self) -> list[str]:
        return self.command()

    def _accepts(self) -> bool:
        # PipeWire has its devices before it lets anybody in.
        assert self.socket.lock is not None
        return super()._accepts() and lock_holder(self.socket.lock) == self.pid
