"""The support itself, on real processes: what all other tests stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import StartClient
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, JackClientError, exchanged, noise, offset_of, play_and_compare
from tests.support.jack_server import JackServer
from tests.support.process import Process, children, counters
from tests.support.samples import PATTERNS, bits, random_bits
from tests.support.session_bus import SessionBus
from tests.support.unix_socket import NotifySocket, accepts


def test_eventually_gives_the_first_true_value() -> None:
    values = iter([0, "", 3])
    assert eventually(lambda: next(values)) == 3


def test_eventually_tells_what_it_last_saw() -> None:
    with pytest.raises(AssertionError, match=r"the moon: not within 0\.05 s; last: .*half"):
        eventually(lambda: (_ for _ in ()).throw(AssertionError("half")), timeout=0.05, what="the moon")


def test_server_comes_dies_and_comes_back_under_its_name(running_server: JackServer) -> None:
    with JackClient(running_server.name, "first", outputs=["out"]) as client:
        assert "first:out" in client.ports()
        running_server.kill()
    running_server.start()
    with JackClient(running_server.name, "second", outputs=["out"]) as client:
        assert "second:out" in client.ports()
        assert "first:out" not in client.ports()


def test_killed_servers_leave_room_for_others(tmp_path: Path) -> None:
    for _ in range(10):
        server = JackServer(tmp_path / "jackd.log")
        server.start()
        server.kill()
        del server


def test_frozen_server_accepts_and_can_be_ended(running_server: JackServer) -> None:
    running_server.freeze()
    eventually(lambda: "T (stopped)" in Path(f"/proc/{running_server.pid}/status").read_text())
    assert accepts(running_server.socket_path)
    running_server.terminate()
    assert not running_server.is_running


@pytest.mark.jack2("another client of PipeWire sees a moment later what was connected")
def test_client_connects_and_sees_connections(running_server: JackServer, start_client: StartClient) -> None:
    source = start_client("source", outputs=["left"])
    sink = start_client("sink", inputs=["left"])
    source.connect("source:left", "sink:left")
    eventually(lambda: ("source:left", "sink:left") in sink.connections())
    with pytest.raises(JackClientError):
        source.connect("source:left", "sink:nothing")
    source.disconnect("source:left", "sink:left")
    eventually(lambda: not sink.connections())


@pytest.mark.jack2("of the client program, on JACK2")
def test_client_ends_quietly_at_half_a_request(running_server: JackServer) -> None:
    program = Path(__file__).with_name("jack_client_program.py")
    env = os.environ | {"JACK_DEFAULT_SERVER": running_server.name}
    done = subprocess.run(
        [sys.executable, program, "half"],
        env=env,
        input='{"request": "be',
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.jack2("the libjack of PipeWire 0.3.65 hangs now and then when so many ports go at once")
def test_client_ends_by_itself_in_the_middle_of_a_period(running_server: JackServer) -> None:
    ports = [f"out_{number}" for number in range(300)]
    for _ in range(3):
        with JackClient(running_server.name, "big", outputs=ports) as client:
            assert "big:out_299" in client.ports()
            client.set_buffer_size(16)
            client.play_forever({port: noise(64) for port in ports})  # takes longer than a period lasts
        assert client.status == 0


def test_client_records_what_it_sends_bit_for_bit(tmp_path: Path) -> None:
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "ears", outputs=["out"], inputs=["in"]) as client,
    ):
        client.connect("ears:out", "ears:in")
        block = noise(4_800)
        client.wait_until_heard("out", "in")
        recording = client.exchange({"out": block}, ["in"], frames=9_600)
        # A connection to oneself is one buffer, sent before it is recorded.
        assert offset_of(block, recording.channels["in"]) == 0
        assert offset_of(noise(4_800, seed=2), recording.channels["in"]) is None


def test_two_clients_begin_at_the_same_frame(tmp_path: Path) -> None:
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "mouth", outputs=["out"]) as mouth,
        JackClient(server.name, "ears", inputs=["in"]) as ears,
    ):
        mouth.connect("mouth:out", "ears:in")
        block = noise(4_800)
        at = ears.frame_time() + 9_600
        ears.begin({}, ["in"], frames=9_600, at=at)
        mouth.begin({"out": block}, [], frames=4_800, at=at)
        assert offset_of(block, ears.finish().channels["in"]) == 0


def test_client_changes_no_bits(tmp_path: Path) -> None:
    block = np.concatenate([PATTERNS.view(np.float32), random_bits(9_600, seed=3)])
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "mouth", outputs=["out"]) as mouth,
        JackClient(server.name, "ears", inputs=["in"]) as ears,
    ):
        mouth.connect("mouth:out", "ears:in")
        assert bits(exchanged(mouth, {"out": block}, ears, ["in"])["in"]) == bits(block)
        assert bits(exchanged(mouth, {"out": block}, ears, ["in"], silence=500)["in"]) == bits(block) + [0] * 500


def test_comparison_counts_what_differs(tmp_path: Path) -> None:
    block = np.concatenate([PATTERNS.view(np.float32), noise(1_000)])
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "mouth", outputs=["out"]) as mouth,
        JackClient(server.name, "ears", inputs=["in"]) as ears,
    ):
        mouth.connect("mouth:out", "ears:in")
        play_and_compare(mouth, {"out": block}, ears, {"in": block})
        eventually(lambda: ears.compared().frames > 10 * block.size)
        assert ears.compared().differing == 0
        other = block.copy()
        other.view(np.uint32)[7] ^= 1  # a denormal: arithmetic that flushes those would see no difference
        other[100] = 2
        play_and_compare(mouth, {"out": block}, ears, {"in": other})
        eventually(lambda: ears.compared().frames > block.size)
        found = ears.compared()
        assert found.first == 7
        assert found.differing >= 2
        ears.disconnect("mouth:out", "ears:in")
        eventually(lambda: ears.compared().differing > found.differing + block.size)


def test_recording_can_be_ended_early(tmp_path: Path) -> None:
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "ears", outputs=["out"], inputs=["in"]) as client,
    ):
        client.connect("ears:out", "ears:in")
        block = noise(48_000)
        client.begin({"out": block}, ["in"], 480_000)
        recorded = client.finish(more=2_000).channels["in"]
        assert 2_000 <= recorded.size < 480_000
        assert bits(recorded[:48_000]) == bits(block[: recorded.size])


def test_bus_comes_back_at_the_same_address(tmp_path: Path) -> None:
    def names() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["dbus-send", f"--bus={bus.address}", "--print-reply", "--dest=org.freedesktop.DBus", "/", *request],
            capture_output=True,
            text=True,
            check=False,
        )

    request = ["org.freedesktop.DBus.ListNames"]
    with SessionBus(tmp_path) as bus:
        assert "org.freedesktop.DBus" in names().stdout
        bus.kill()
        assert names().returncode != 0
        bus.start()
        assert "org.freedesktop.DBus" in names().stdout


def test_notify_socket_keeps_messages_in_order(tmp_path: Path) -> None:
    with NotifySocket(tmp_path / "notify") as listener:
        program = "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), sys.argv[1])"
        for message in ("STATUS=one\nREADY=1", "STATUS=two"):
            subprocess.run([sys.executable, "-c", program, listener.path, message], check=True)
        listener.wait_for("READY=1")
        assert listener.lines() == ("STATUS=one", "READY=1", "STATUS=two")
        assert listener.last("STATUS") == "two"


def test_process_that_ignores_sigterm_is_an_error(tmp_path: Path) -> None:
    deaf = Process(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], tmp_path / "log")
    eventually(lambda: "deaf" in deaf.output())
    with pytest.raises(AssertionError, match="ignored SIGTERM"):
        deaf.terminate(timeout=0.2)
    assert deaf.status() == -signal.SIGKILL


def test_counters_of_a_process(tmp_path: Path) -> None:
    parent = Process(["sh", "-c", "sleep 60 & wait"], tmp_path / "log")
    try:
        (child,) = eventually(lambda: children(parent.pid))
        eventually(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        eventually(lambda: counters(child).wakeups)
        held = counters(child)
        assert held.threads == 1
        assert held.descriptors == 3
        assert held.rss_kib > 0
        assert counters(child, without_threads=["sleep"]).wakeups == 0
        os.kill(child, signal.SIGTERM)
    finally:
        parent.kill()


def test_isolate_hides_and_ends_everything(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "isolate"
    env = {key: value for key, value in os.environ.items() if key != "JACKD_ROUTER_ISOLATED"}
    marker = tmp_path / "left-behind"
    command = f"ls /dev/shm; ps -e | wc -l; (trap '' TERM HUP; sleep 1; touch {marker}) & exit 7"
    done = subprocess.run([script, "sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout.split()[0] == "runtime"
    assert int(done.stdout.split()[1]) < 8
    assert not marker.exists()


def test_logs_of_a_failed_test_are_printed_and_a_skip_fails_the_run(tmp_path: Path) -> None:
    here = Path(__file__).parents[1]
    (tmp_path / "conftest.py").write_text(f"import sys; sys.path.insert(0, {str(here.parent)!r})\nfrom tests.conftest import *\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_fails(keep_log, tmp_path):\n"
        "    (tmp_path / 'daemon.log').write_text('the last words')\n"
        "    keep_log(tmp_path / 'daemon.log')\n"
        "    assert False\n"
        "def test_skips():\n"
        "    pytest.skip('not today')\n"
        "def test_is_excused():\n"
        "    pytest.skip('this machine cannot dance')\n"
    )

    def run(name: str, ci: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", f"test_it.py::{name}"]
        return subprocess.run(argv, cwd=tmp_path, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False)

    failed = run("test_fails")
    assert "the last words" in failed.stdout
    skipped = run("test_skips")
    assert skipped.returncode == 1
    assert "failed: there are skipped tests" in skipped.stdout
    assert (run("test_is_excused").returncode, run("test_is_excused", ci="true").returncode) == (0, 1)


def test_client_registers_renames_and_removes_ports(running_server: JackServer, start_client: StartClient) -> None:
    client = start_client("player", outputs=["left"])
    client.register("notes", type="midi", flow="input")
    client.rename("left", "right")
    eventually(lambda: {"player:right", "player:notes"} <= client.ports())
    client.unregister("right", "notes")
    eventually(lambda: not any(port.startswith("player:") for port in client.ports()))
    running_server.kill()
