"""PipeWire's JACK: what is otherwise there, each on a real server; and one server that takes the place of the other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jackd_router.jack_io.presence import lock_holder
from tests.daemon.conftest import StartBeside
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, exchanged
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import PipeWireServer, client_env, device, server_env
from tests.support.process import Process
from tests.support.samples import PATTERNS, bits
from tests.support.session_bus import SessionBus

SYNTH = """
[[rule]]
name = "synth"
from = "synth"
to = "system:playback_*"
"""
CARD = device("Card", ["FL", "FR", "FC", "LFE"], is_source=False)
HDMI = device("HDMI", ["FL", "FR"], is_source=False)

MIC = device("Mic", ["FL", "FR"], is_source=True)
TWO_BUSES = """
[[bus]]
name = "talk"
channels = ["FL", "FR"]

[[bus]]
name = "main"
channels = ["FL", "FR"]

[[rule]]
name = "in"
from = "Mic:capture_*"
to = { bus = "talk" }

[[rule]]
name = "out"
from = { bus = "main" }
to = "Card:playback_*"
"""
TO_CARD = {("router:main_out_FL", "Card:playback_FL"), ("router:main_out_FR", "Card:playback_FR")}
FROM_MIC = {("Mic:capture_FL", "router:talk_in_FL"), ("Mic:capture_FR", "router:talk_in_FR")}

THROUGH = """
[[bus]]
name = "main"
channels = ["1"]

[[rule]]
name = "in"
from = "mouth"
to = { bus = "main" }

[[rule]]
name = "out"
from = { bus = "main" }
to = "ears"
"""

# As systemd(1) passes a socket on: sd_listen_fds(3).
ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""


def connections(server: JackServer) -> set[tuple[str, str]]:
    """Give the connections as a client sees them that has just come."""
    with JackClient(server.name, "witness") as witness:
        return set(witness.connections())


def aliases_of(remote: Remote) -> dict[str, list[str]]:
    """Give the aliases of each port."""
    _, _, ports, _ = remote.call("Graph.GetGraph", "t", 0)
    return {port[0]: port[-1] for port in ports}


def test_whichever_server_runs_is_followed(
    tmp_path: Path, pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    def is_on(implementation: str) -> Callable[[], bool]:
        return lambda: remote.connected() and remote.read("Server.Implementation") == implementation

    with JackServer(tmp_path / "jackd.log") as jack2:
        jack2.kill()
        router = start_beside(SYNTH, jack2=jack2.name)
        assert "waiting for JACK server" in remote.read("Manager.StatusText")
        pipewire.devices = [CARD]
        pipewire.start()
        eventually(is_on("pipewire"))
        for _ in range(2):
            with JackClient(pipewire.name, "synth", outputs=["1", "2"]) as synth:
                eventually(lambda: ("synth:2", "Card:playback_FR") in synth.connections())
                jack2.start()
                eventually(is_on("jack2"))
                assert ("synth:2", "Card:playback_FR") in synth.connections(), "what we leave is left as it is"
            with JackClient(jack2.name, "synth", outputs=["1", "2"]) as synth:
                eventually(lambda: ("synth:2", "system:playback_2") in synth.connections())
            jack2.kill()
            eventually(is_on("pipewire"))
        pipewire.kill()
        eventually(lambda: not remote.connected())
        assert "JACK server" in remote.read("Manager.StatusText")
    assert "comes first" in router.output()


def test_only_the_one_that_is_asked_for(
    tmp_path: Path, pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    with JackServer(tmp_path / "jackd.log") as jack2:
        pipewire.start()
        router = start_beside("[server]\nlibrary = 'pipewire'\n", jack2=jack2.name)
        eventually(remote.connected)
        assert remote.read("Server.Implementation") == "pipewire"
        router.write_config("[server]\nlibrary = 'jack2'\n")
        eventually(lambda: remote.connected() and remote.read("Server.Implementation") == "jack2")


def test_jack2_is_found_where_the_libjack_of_pipewire_comes_first(
    tmp_path: Path, pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    with JackServer(tmp_path / "jackd.log") as jack2:
        router = start_beside("", jack2=jack2.name, environment=client_env(pipewire.name) | {"JACK_DEFAULT_SERVER": jack2.name})
        eventually(remote.connected)
        assert remote.read("Server.Implementation") == "jack2"
        jack2.kill()
        jack2.start()
        eventually(lambda: router.output().count("Connected to JACK server") == 2)
    assert router.output().count("Could not connect") == 1, "what was learned is forgotten"


def test_waiting_does_not_start_pipewire(
    tmp_path: Path, pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:  # as systemd listens for it
        listener.bind(str(pipewire.socket_path))
        listener.listen()
        listener.setblocking(False)
        start_beside(SYNTH)
        time.sleep(1.2)  # longer than it is between two looks
        with pytest.raises(BlockingIOError):
            listener.accept()
        env = os.environ | {"PIPEWIRE_RUNTIME_DIR": pipewire.name, "LISTEN_FDS": "1"}
        command = [sys.executable, "-c", ACTIVATED, str(listener.fileno()), *pipewire.command()]
        with (tmp_path / "activated.log").open("wb") as log:
            activated = subprocess.Popen(command, env=env, pass_fds=[listener.fileno()], stdout=log, stderr=log)
        try:
            eventually(remote.connected)
            assert lock_holder(pipewire.folder / "pipewire-0.lock") == activated.pid
        finally:
            activated.kill()
            activated.wait()
        eventually(lambda: not remote.connected())
        time.sleep(1.2)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_system_is_the_device_that_the_configuration_names(
    pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    pipewire.devices = [CARD, HDMI]
    pipewire.start()
    router = start_beside(SYNTH)
    eventually(remote.connected)
    with JackClient(pipewire.name, "synth", outputs=["1", "2", "3", "4"]) as synth:
        # Which one is not known: none, and it is said with what there is to choose from.
        eventually(lambda: "`system:playback_N` may mean Card or HDMI" in "".join(remote.read("Server.Hints")))
        assert "may mean Card or HDMI" in router.cli("status").stdout
        assert not synth.connections()
        for chosen, channels in (("Card", ("FL", "FR", "FC", "LFE")), ("HD*", ("FL", "FR"))):
            router.write_config(f"[server]\nsystem = '{chosen}'\n{SYNTH}")
            client = "HDMI" if chosen == "HD*" else chosen
            # In the order of the device, not in that of the names.
            wanted = frozenset((f"synth:{at}", f"{client}:playback_{channel}") for at, channel in enumerate(channels, 1))
            eventually(lambda wanted=wanted: synth.connections() == wanted)  # type: ignore[misc]
        eventually(lambda: "system" not in "".join(remote.read("Server.Hints")))
        assert "system:playback_2" in router.cli("ports", "HDMI:playback_FR").stdout
        assert 'rule "synth"' in router.cli("explain", "synth:1", "HDMI:playback_FL").stdout


def test_rate_may_change_while_it_runs(pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote) -> None:
    pipewire.start()
    start_beside("[[bus]]\nname = 'main'\n")
    eventually(remote.connected)
    assert remote.read("Server.SampleRate") == 48_000
    env = os.environ | {"PIPEWIRE_RUNTIME_DIR": pipewire.name}
    subprocess.run(["pw-metadata", "-n", "settings", "0", "clock.force-rate", "44100"], env=env, check=True, capture_output=True)
    eventually(lambda: remote.read("Server.SampleRate") == 44_100)
    assert remote.connected()


def test_ports_that_are_gone_at_once_are_no_shutdown(pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote) -> None:
    pipewire.start()
    router = start_beside("")
    eventually(remote.connected)
    for _ in range(3):
        with JackClient(pipewire.name, "flash", outputs=["a"]) as flash:
            flash.register(*(f"p{n}" for n in range(40)))
    eventually(lambda: remote.read("Graph.PortCount") == 0)
    assert router.output().count("Connected to PipeWire") == 1, "libjack's alarm was believed"


def test_every_bit_comes_through_a_bus(pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote) -> None:
    pipewire.start()
    start_beside(THROUGH)
    eventually(remote.connected)
    block = np.resize(PATTERNS, 4_096).astype(np.uint32).view(np.float32)
    with (
        JackClient(pipewire.name, "mouth", outputs=["out"]) as mouth,
        JackClient(pipewire.name, "ears", inputs=["in"]) as ears,
    ):
        eventually(lambda: len(ears.connections()) == 2)

        def is_heard() -> bool:
            # A client that is late loses its period, so it may take a few attempts; from the same frame on, then.
            heard = exchanged(mouth, {"out": block}, ears, ["in"])
            return bits(heard["in"]) == bits(block)

        eventually(is_heard, timeout=30)


def test_it_comes_back_after_each_death_beside_a_session_manager(
    tmp_path: Path, session_bus: SessionBus, pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    pipewire.devices = [CARD]
    router = start_beside(SYNTH)
    wanted = {("synth:1", "Card:playback_FL"), ("synth:2", "Card:playback_FR")}
    env = os.environ | {"PIPEWIRE_RUNTIME_DIR": pipewire.name, "DBUS_SESSION_BUS_ADDRESS": session_bus.address}
    for death in range(6):
        pipewire.start()
        manager = Process(["wireplumber"], tmp_path / "wireplumber.log", env | {"HOME": str(tmp_path)})
        try:
            eventually(remote.connected)
            with JackClient(pipewire.name, "synth", outputs=["1", "2"]) as synth:
                eventually(lambda synth=synth: synth.connections() >= wanted)  # type: ignore[misc]
                if death == 0:
                    time.sleep(1)
                    assert synth.connections() >= wanted, "the session manager has undone it"
                pipewire.kill() if death % 2 else pipewire.terminate()
            eventually(lambda: not remote.connected())
        finally:
            manager.send(signal.SIGTERM)
            manager.wait()
    assert "ended by itself" not in router.output(), "libjack crashed"


def test_devices_are_left_alone_until_the_session_manager_has_set_them_up(
    tmp_path: Path, session_bus: SessionBus, pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    """PipeWire 0.3.65 crashes where one is connected before, at most starts."""
    pipewire.devices = [CARD, MIC]
    router = start_beside(TWO_BUSES)
    env = os.environ | {"PIPEWIRE_RUNTIME_DIR": pipewire.name, "DBUS_SESSION_BUS_ADDRESS": session_bus.address}
    for _ in range(4):
        eventually(router.host_pid, what="the next server is waited for")
        pipewire.start()
        manager = Process(["wireplumber"], tmp_path / "wireplumber.log", env | {"HOME": str(tmp_path)})
        try:
            eventually(lambda: remote.connected() and remote.connections() >= TO_CARD | FROM_MIC)
            assert any(name.startswith("Card:monitor") for name in remote.ports()), "it was connected before"
            assert pipewire.is_running
            assert connections(pipewire) >= TO_CARD | FROM_MIC
        finally:
            pipewire.kill()
            manager.send(signal.SIGTERM)
            manager.wait()
            eventually(lambda: not remote.connected())


def test_where_there_is_no_session_manager_devices_are_not_left_alone_for_long(
    pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote
) -> None:
    pipewire.devices = [CARD]
    start_beside(TWO_BUSES)
    pipewire.start()
    eventually(lambda: remote.connected() and remote.connections() >= TO_CARD)
    assert not any(name.startswith("Card:monitor") for name in remote.ports())


def test_nobody_has_the_alias_of_another_port(pipewire: PipeWireServer, start_beside: StartBeside, remote: Remote) -> None:
    """Ports of devices have an alias; those of a JACK client that comes after one have none."""
    pipewire.start()
    start_beside("")
    eventually(remote.connected)
    card = "factory.name=support.null-audio-sink node.name=Late media.class=Audio/Sink audio.position=[ FL FR ]"
    card += " adapter.auto-port-config={ mode=dsp monitor=false position=preserve }"
    env = os.environ | server_env(pipewire.name)
    with subprocess.Popen(["pw-cli"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env, text=True) as maker:
        assert maker.stdin is not None
        maker.stdin.write(f"create-node adapter {{ {card} }}\n")  # which is there as long as this program
        maker.stdin.flush()
        try:
            eventually(lambda: any(aliases_of(remote).values()))
            with JackClient(pipewire.name, "recorder", inputs=["in_1", "in_2"]):
                eventually(lambda: {"recorder:in_1", "recorder:in_2"} <= aliases_of(remote).keys())
                assert [aliases for name, aliases in aliases_of(remote).items() if name.startswith("recorder:")] == [[], []]
        finally:
            maker.kill()
