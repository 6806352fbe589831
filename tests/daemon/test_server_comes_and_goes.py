"""The JACK server dies, comes back as another one, freezes; and the host, which is our client there, dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, noise
from tests.support.jack_server import JackServer
from tests.support.process import children
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

CHANNELS = 20
KILLS = 6


def studio_config() -> str:
    """Give 21 rules that make 40 connections with two buses of 10 channels, all of them with ports of the server itself."""
    buses = "".join(f'[[bus]]\nname = "{name}"\nchannels = 10\n' for name in ("a", "b"))
    rules = "".join(
        f'[[rule]]\nname = "input {n}"\nfrom = "system:capture_{n}"\n'
        f'to = {{ bus = "{"ab"[n > 10]}", channel = "{(n - 1) % 10 + 1}" }}\n'
        for n in range(1, CHANNELS + 1)
    )
    speakers = '[[rule]]\nname = "speakers"\nfrom = ["router:a_out_*", "router:b_out_*"]\nto = "system:playback_*"\n'
    speakers += "allow_feedback = true\n"
    return buses + rules + speakers


def studio_connections() -> set[tuple[str, str]]:
    """Give the connections that these rules want."""
    made = set()
    for n in range(1, CHANNELS + 1):
        channel = f"{'ab'[n > 10]}_{{}}_{(n - 1) % 10 + 1}"
        made.add((f"system:capture_{n}", f"router:{channel.format('in')}"))
        made.add((f"router:{channel.format('out')}", f"system:playback_{n}"))
    return made


@pytest.mark.timeout(120)
def test_everything_is_back_after_each_of_many_kills(tmp_path: Path, session_bus: SessionBus, remote: Remote) -> None:
    with (
        JackServer(tmp_path / "jackd.log", captures=CHANNELS, playbacks=CHANNELS) as server,
        RouterProcess(tmp_path, studio_config(), bus_address=session_bus.address, server_name=server.name) as router,
    ):
        wanted = studio_connections()
        eventually(lambda: remote.connections() == wanted)
        remote.write("Bus.Gain", "d", -7.5, path=bus_path("a"))
        remote.write("Bus.Mute", "b", True, path=bus_path("b"))
        cut = ("router:a_out_1", "system:playback_1")
        held = 0
        steady = None
        for kill in range(KILLS):
            if kill % 2 == 0:
                remote.call("Graph.Disconnect", "ssa{sv}", *cut, NO_OPTIONS)
                assert remote.read("Rules.Held") == [[*cut]]
                held += 1
            server.kill()
            eventually(lambda: not remote.connected())
            assert remote.connections() == set()
            server.start()
            eventually(lambda: remote.connections() == wanted, what=f"all is back after kill {kill + 1}")
            assert remote.read("Rules.Held") == []
            assert (remote.read("Bus.Gain", path=bus_path("a")), remote.read("Bus.Mute", path=bus_path("b"))) == (-7.5, True)
            if kill == 1:
                eventually(lambda: len(children(router.pid)) == 1)
                steady = router.counters()
        # A hold ends with its server, and that is told each time.
        assert router.output().count("The hold on router:a_out_1 -> system:playback_1 was lost with the server") == held
        eventually(lambda: len(children(router.pid)) == 1)
        assert steady is not None
        eventually(lambda: (router.counters().descriptors, router.counters().threads) == (steady.descriptors, steady.threads))
        with JackClient(server.name, "witness") as witness:
            assert witness.connections() == wanted


BUS = """
[[rule]]
name = "ears to bus"
from = "ears:*"
to = { bus = "main" }

[[rule]]
name = "bus to ears"
from = { bus = "main" }
to = "ears:*"

[[bus]]
name = "main"
channels = 1
gain = -6.0
"""
TO_EARS = {("ears:out", "router:main_in_1"), ("router:main_out_1", "ears:in")}


def test_the_next_server_may_have_another_rate_and_period(
    jack_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    jack_server.synchronous = True
    jack_server.start()
    start_router(BUS)
    eventually(remote.connected)
    assert (remote.read("Server.SampleRate"), remote.read("Server.BufferSize")) == (48_000, 256)
    jack_server.kill()
    jack_server.rate_hz, jack_server.period_frames = 44_100, 1024
    jack_server.start()
    eventually(lambda: (remote.read("Server.SampleRate"), remote.read("Server.BufferSize")) == (44_100, 1024))
    ears = start_client("ears", outputs=["out"], inputs=["in"])
    eventually(lambda: ears.connections() == TO_EARS)
    sent = noise(8_192)
    ears.wait_until_heard("out", "in")
    # The client hears itself one period later.
    heard = ears.exchange({"out": sent}, ["in"], 16_384).channels["in"][1024 : 1024 + 8_192]
    assert np.max(np.abs(heard - sent * 10 ** (-6 / 20))) < 1e-6


def test_a_running_server_may_change_its_period(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_router(BUS)
    ears = start_client("ears", outputs=["out"], inputs=["in"])
    eventually(lambda: remote.connections() == TO_EARS)
    ears.set_buffer_size(512)
    eventually(lambda: remote.read("Server.BufferSize") == 512)
    assert remote.connected()
    eventually(lambda: ears.connections() == TO_EARS)


def test_a_frozen_server_is_waited_for(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(BUS)
    ears = start_client("ears", outputs=["out"], inputs=["in"])
    eventually(lambda: remote.connections() == TO_EARS)
    host = router.host_pid()
    running_server.freeze()
    eventually(lambda: remote.read("Server.State") == "unresponsive")
    assert remote.read("Manager.Status") == "degraded"
    assert "does not answer" in remote.read("Manager.StatusText")
    assert remote.error("Graph.Connect", "ssa{sv}", "ears:out", "system:playback_1", NO_OPTIONS).name.endswith(".NotConnected")
    running_server.resume()
    eventually(remote.connected)
    assert router.host_pid() == host
    assert remote.read("Manager.Status") == "ok"
    ears.unregister("out")
    ears.register("out")
    eventually(lambda: ears.connections() >= TO_EARS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_host_that_fails_is_replaced(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote, number: signal.Signals
) -> None:
    router = start_router(BUS)
    ears = start_client("ears", outputs=["out"], inputs=["in"])
    eventually(lambda: remote.connections() == TO_EARS)
    remote.write("Bus.Gain", "d", -3.0, path=bus_path("main"))
    host = router.host_pid()
    assert host is not None
    os.kill(host, number)
    eventually(lambda: not Path(f"/proc/{host}").exists(), what="the failed host is gone")
    eventually(lambda: remote.connections() == TO_EARS)
    assert router.host_pid() not in (host, None)
    assert remote.read("Bus.Gain", path=bus_path("main")) == -3.0
    eventually(lambda: ears.connections() == TO_EARS)
