"""FadeTo of the real daemon: what is heard, and what the call answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from jackd_router.core.mix import amplitude
from jackd_router.dbus_api.errors import CallError
from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartRouter
from tests.daemon.conftest import OpenRemote
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, Samples
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

pytestmark = pytest.mark.jack2("a period that comes too late is lost on PipeWire, where JACK2 with --sync waits")

MAIN = "/io/github/jackd_router/Router1/bus/main"
CONFIG = """\
[[bus]]
name = "main"
channels = 1
[[rule]]
name = "through"
from = "source:out"
to = { bus = "main" }
[[rule]]
name = "on"
from = { bus = "main" }
to = "ears:in"
"""
RATE = 48_000


@pytest.fixture
def ears(jack_server: JackServer) -> Iterator[JackClient]:
    """Give who records, on a server that waits for everybody; somebody else plays ones."""
    jack_server.synchronous = True
    jack_server.start()
    with (
        JackClient(jack_server.name, "source", outputs=["out"]) as source,
        JackClient(jack_server.name, "ears", inputs=["in"]) as ears,
    ):
        source.play_forever({"out": np.ones(256, np.float32)})
        yield ears


@pytest.fixture
def router(ears: JackClient, start_router: StartRouter) -> RouterProcess:
    """Give a daemon through which the ones pass."""
    router = start_router(CONFIG)
    eventually(lambda: len(ears.connections()) == 2)
    return router


def heard(ears: JackClient, frames: int) -> Samples:
    """Give what is heard from the next period on."""
    return ears.exchange({}, ["in"], frames).channels["in"]


def fade(remote: Remote, gain_db: float, duration_ms: int, path: str = MAIN) -> None:
    remote.call("Bus.FadeTo", "du", gain_db, duration_ms, path=path)


@pytest.mark.parametrize(("start_db", "end_db"), [(0.0, -40.0), (-40.0, 6.0), (0.0, -144.0), (-144.0, 0.0)])
def test_it_is_a_straight_line_of_db(
    start_db: float, end_db: float, ears: JackClient, router: RouterProcess, remote: Remote
) -> None:
    remote.write("Bus.Gain", "d", start_db, path=MAIN)
    eventually(lambda: heard(ears, 1)[0] == np.float32(amplitude(start_db)))
    begin = ears.frame_time() + 4 * 256
    ears.begin({}, ["in"], 3 * RATE, at=begin)
    eventually(lambda: ears.frame_time() > begin)
    fade(remote, end_db, 500)
    answered = ears.frame_time() - begin
    out = ears.finish().channels["in"].astype(np.float64)
    assert (out[answered:] == np.float32(amplitude(end_db))).all()
    (first, *_), (*_, last) = np.nonzero(np.diff(out))[0], np.nonzero(np.diff(out))[0]
    frames = RATE // 2
    assert last - first + 1 == pytest.approx(frames, abs=2)
    ideal = max(amplitude(start_db), 10**-7.2) * 10 ** ((end_db - start_db) / 20 * np.arange(frames + 1) / frames)
    np.testing.assert_allclose(out[first + 1 : first + frames], ideal[1:-1], rtol=1e-5)
    ulp = np.spacing(np.float32(np.abs(out).max()))
    assert np.abs(np.diff(out)).max() <= 1.01 * np.abs(np.diff(ideal)).max() + ulp
    assert (out[last + 1 :] == np.float32(amplitude(end_db))).all()


def test_another_change_cancels_it_and_goes_on_from_where_it_is(
    ears: JackClient, router: RouterProcess, remote: Remote, open_remote: OpenRemote
) -> None:
    answers: list[CallError] = []

    def wait_for_it() -> None:
        try:
            fade(open_remote(), -60.0, 15_000)
        except CallError as error:
            answers.append(error)

    caller = threading.Thread(target=wait_for_it)
    caller.start()
    eventually(lambda: -30.0 < remote.read("Bus.Gain", path=MAIN) < -1.0)
    ears.begin({}, ["in"], RATE)
    remote.write("Bus.ChannelGains", "ad", [-1.0], path=MAIN)
    caller.join(10)
    assert [error.name.rpartition(".")[2] for error in answers] == ["Cancelled"]
    stays = remote.read("Bus.Gain", path=MAIN)
    assert -40.0 < stays < -1.0
    out = ears.finish().channels["in"].astype(np.float64)
    assert out[-1] == np.float32(amplitude(stays - 1.0))
    assert np.abs(np.diff(out)).max() < out[0] * (1 - amplitude(-1.5)) / 900, "a step where the fade was cut off"


def test_the_change_is_told_at_the_end(router: RouterProcess, remote: Remote) -> None:
    fade(remote, -20.0, 200)
    told = [signal.body for signal in remote.signals("PropertiesChanged") if signal.path == MAIN]
    assert len(told) == 1
    assert remote.read("Bus.Gain", path=MAIN) == -20.0


def test_without_a_server_it_is_there_at_once(start_router: StartRouter, remote: Remote) -> None:
    start_router(CONFIG)
    fade(remote, -20.0, 3_600_000)
    assert remote.read("Bus.Gain", path=MAIN) == -20.0


def test_in_no_time_it_takes_what_any_change_takes(ears: JackClient, router: RouterProcess, remote: Remote) -> None:
    router.write_config(CONFIG.replace("channels = 1", "channels = 1\nfade_ms = 400"))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    begin = ears.frame_time() + 4 * 256
    ears.begin({}, ["in"], 2 * RATE, at=begin)
    eventually(lambda: ears.frame_time() > begin)
    fade(remote, -40.0, 0)
    answered = ears.frame_time() - begin
    out = ears.finish().channels["in"]
    assert (out[answered:] == np.float32(amplitude(-40.0))).all(), "it answers when the sound is there"
    assert np.count_nonzero(np.diff(out)) == pytest.approx(0.4 * RATE, abs=2)


def test_while_the_server_is_still_to_answer_it_is_there_at_once(
    ears: JackClient, start_router: StartRouter, remote: Remote, jack_server: JackServer
) -> None:
    jack_server.freeze()
    router = start_router(CONFIG)
    eventually(lambda: router.host_pid() is not None and remote.read("Server.State") == "unresponsive")
    remote.call("Buses.CreateBus", "sa{sv}", "aux", NO_OPTIONS)
    for path in (MAIN, bus_path("aux")):
        fade(remote, -20.0, 3_600_000, path)
        assert remote.read("Bus.Gain", path=path) == -20.0
    jack_server.kill()
    eventually(lambda: remote.read("Server.State") == "connecting")
    fade(remote, -40.0, 3_600_000)
    jack_server.start()
    eventually(remote.connected)
    assert remote.read("Bus.Gain", path=MAIN) == -40.0


def test_server_that_goes_ends_it(ears: JackClient, router: RouterProcess, remote: Remote, jack_server: JackServer) -> None:
    caught: list[CallError] = []

    def wait_for_it() -> None:
        try:
            fade(remote, -60.0, 15_000)
        except CallError as error:
            caught.append(error)

    caller = threading.Thread(target=wait_for_it)
    caller.start()
    eventually(lambda: heard(ears, 1)[0] < 1)
    jack_server.kill()
    caller.join(10)
    assert [error.name.rpartition(".")[2] for error in caught] == ["NotConnected"]
    assert remote.read("Bus.Gain", path=MAIN) == -60.0


def test_what_cannot_be_is_refused(router: RouterProcess, remote: Remote) -> None:
    for gain_db, duration_ms, said in ((float("nan"), 10, "nan dB"), (20.5, 10, "20.5 dB"), (0.0, 3_600_001, "3600001 ms")):
        with pytest.raises(CallError, match=said):
            fade(remote, gain_db, duration_ms)
    assert remote.read("Bus.Gain", path=MAIN) == 0.0
