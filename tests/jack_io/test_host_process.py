"""The JACK host on a healthy server: what it tells, what it does when asked, and in which order."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import numpy as np
import pytest

from jackd_router.core.errors import Refused, ServerLost
from jackd_router.jack_host import memory, protocol
from jackd_router.jack_io.shared_memory import bus_targets
from tests.conftest import StartClient
from tests.jack_io.conftest import StartHost
from tests.jack_io.conversation import NO_PLAN, Conversation, held, until
from tests.support.jack_client import JackClient, noise, offset_of
from tests.support.jack_server import JackServer

pytestmark = pytest.mark.asyncio

AUDIO = b"32 bit float mono audio"
INPUT, OUTPUT, PHYSICAL, TERMINAL = 1, 2, 4, 16
PLAN = (1, (b"main_in_1",), (b"main_out_1",), (), ())


async def test_host_tells_its_library_when_it_is_ready(start_host: StartHost) -> None:
    host = start_host()
    await until(lambda: host.loaded)
    assert host.loaded == [host.host.version]
    assert host.host.version.split(".")[0].isdigit()


async def test_open_tells_the_server_and_its_graph(running_server: JackServer, start_host: StartHost) -> None:
    host = start_host()
    assert await host.open(running_server.name, plan=PLAN) == ("router", 48_000, 256, running_server.says_realtime, "")
    rows = {name: (flags, kind) for _, name, flags, kind, _ in host.ports.values()}
    assert rows == {
        b"system:capture_1": (OUTPUT | PHYSICAL | TERMINAL, AUDIO),
        b"system:capture_2": (OUTPUT | PHYSICAL | TERMINAL, AUDIO),
        b"system:playback_1": (INPUT | PHYSICAL | TERMINAL, AUDIO),
        b"system:playback_2": (INPUT | PHYSICAL | TERMINAL, AUDIO),
        b"router:main_in_1": (INPUT, AUDIO),
        b"router:main_out_1": (OUTPUT, AUDIO),
    }
    assert host.connections == set()


async def test_connections_are_made_and_told(
    running_server: JackServer, start_host: StartHost, start_client: StartClient
) -> None:
    client = start_client("synth", outputs=["out"])
    host = start_host()
    await host.open(running_server.name)
    pair = (b"synth:out", b"system:playback_2")
    assert await host.ask(protocol.CONNECT, *pair) == (0,)
    assert await host.ask(protocol.CONNECT, *pair) == (errno.EEXIST,)
    client.assert_connections({("synth:out", "system:playback_2")})
    await until(lambda: host.told(memory.EVENT_CONNECTION, 1))
    (event,) = host.told(memory.EVENT_CONNECTION, 1)
    assert (event.a, event.b) == (host.number_of(pair[0]), host.number_of(pair[1]))
    await host.read_graph()
    assert host.connections == {(event.a, event.b)}

    assert await host.ask(protocol.DISCONNECT, *pair) == (0,)
    await until(lambda: host.told(memory.EVENT_CONNECTION, 0))
    await until(lambda: client.connections() == frozenset())
    for nothing in ((b"synth:none", b"system:playback_1"), (b"system:playback_1", b"system:playback_2"), (b"", b"")):
        (code,) = await host.ask(protocol.CONNECT, *nothing)
        assert code not in (0, errno.EEXIST)


async def test_ports_of_others_are_told_as_they_come_and_go(
    running_server: JackServer, start_host: StartHost, start_client: StartClient
) -> None:
    host = start_host()
    await host.open(running_server.name)
    client = start_client("player", midi_inputs=["notes"])
    await until(lambda: host.told(memory.EVENT_PORT, 1))
    (event,) = host.told(memory.EVENT_PORT, 1)
    assert (event.name, event.type, event.flags) == (b"player:notes", b"8 bit raw midi", INPUT)
    client.unregister("notes")
    await until(lambda: host.told(memory.EVENT_PORT, 0))
    assert host.told(memory.EVENT_PORT, 0)[0].a == event.a
    client.close()
    await until(lambda: host.told(memory.EVENT_CLIENT, 0))
    assert host.told(memory.EVENT_CLIENT, 0)[0].name == b"player"


def bindings_of_delete(folder: Path) -> list[str]:
    """Give what the loader wrote of C++'s operator delete in libjack."""
    lines = [line for file in folder.glob("loader.*") for line in file.read_text().splitlines()]
    return [line for line in lines if "binding file" in line and "/libjack" in line and "`_ZdlPv'" in line]


@pytest.mark.jack2("a defect of JACK2's libjack")
async def test_what_libjack_deletes_is_kept(
    tmp_path: Path, running_server: JackServer, start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_DEBUG", "bindings")
    monkeypatch.setenv("LD_DEBUG_OUTPUT", str(tmp_path / "loader"))
    host = start_host()
    await host.open(running_server.name, plan=PLAN)
    await host.ask(protocol.PLAN, NO_PLAN)
    deletes = bindings_of_delete(tmp_path)
    assert deletes, "libjack deletes nothing that way any more"
    assert all("_kernel.so" in line for line in deletes)


@pytest.mark.jack2("needs a server of another shape")
async def test_own_ports_come_pass_sound_and_go(tmp_path: Path, start_host: StartHost) -> None:
    host = start_host()
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "ears", outputs=["out"], inputs=["in"]) as client,
    ):
        await host.open(server.name)
        host.host.memory.publish_targets(np.ones(1, np.float32), bus_targets())
        cell = (0, 0, 0, 0, 1, memory.AT_TARGET, 1)
        await host.ask(protocol.PLAN, (5, (b"main_in_1",), (b"main_out_1",), (cell,), ()))
        assert {"router:main_in_1", "router:main_out_1"} <= client.ports()
        await host.ask(protocol.CONNECT, b"ears:out", b"router:main_in_1")
        await host.ask(protocol.CONNECT, b"router:main_out_1", b"ears:in")
        block = noise(4_800)
        client.wait_until_heard("out", "in")
        recorded = client.exchange({"out": block}, ["in"], 9_600).channels["in"]
        assert offset_of(block, recorded) is not None
        peaks, _ = host.host.memory.read_levels(0, host.host.memory.windows, 5, 2)
        assert peaks == pytest.approx([abs(block).max()] * 2)

        await host.ask(protocol.PLAN, (6, (), (), (), ()))
        assert not any(name.startswith("router:") for name in client.ports())


MANY_PORTS = (7, tuple(f"port_{n}".encode() for n in range(100)), (), (), ())


@pytest.mark.jack2("needs a server of another shape")
async def test_refusals_name_the_culprit(tmp_path: Path, start_host: StartHost) -> None:
    host = start_host()
    with JackServer(tmp_path / "jackd.log", port_max=64) as server:
        await host.open(server.name)
        with pytest.raises(Refused, match="port_"):
            await host.ask(protocol.PLAN, MANY_PORTS)
        await host.read_graph()
        assert await host.answers(), "a refusal must not end anything"


@pytest.mark.jack2("needs a server of another shape")
async def test_reason_of_a_refusal_is_no_older_message(tmp_path: Path, start_host: StartHost) -> None:
    host = start_host()
    with JackServer(tmp_path / "jackd.log", port_max=64) as server:
        await host.open(server.name)
        # libjack complains of this one on our side; of most others the server does, on its own stderr.
        assert await host.ask(protocol.CONNECT, b"synth:" + b"o" * 400, b"system:playback_1") != (0,)
        with pytest.raises(Refused) as refused:
            await host.ask(protocol.PLAN, MANY_PORTS)
        assert "ooo" not in str(refused.value)


@pytest.mark.jack2("needs a server of another shape")
async def test_ports_that_are_refused_do_not_keep_us_from_the_server(tmp_path: Path, start_host: StartHost) -> None:
    host = start_host()
    with JackServer(tmp_path / "jackd.log", port_max=64) as server:
        *_, problem = await host.open(server.name, plan=MANY_PORTS)
        assert "port_" in problem
        await host.read_graph()
        assert b"system:capture_1" in {row[1] for row in host.ports.values()}


@pytest.mark.jack2("needs a server of another shape")
async def test_the_biggest_mix_passes(tmp_path: Path, start_host: StartHost) -> None:
    host = start_host()
    inputs, outputs = (tuple(f"bus_{side}_{n}".encode() for n in range(memory.MAX_PORTS)) for side in ("in", "out"))
    cells = tuple((n % 1024, n // 64, n, 0, 1, memory.AT_TARGET, 1) for n in range(memory.MAX_CELLS))
    with JackServer(tmp_path / "jackd.log", port_max=4096) as server:
        await host.open(server.name)
        # Nearly two megabytes, where a packet takes 128 KiB.
        await host.ask(protocol.PLAN, (1, inputs, outputs, cells, ()), deadline_s=30)
        await host.read_graph()
        assert {b"router:" + name for name in (*inputs, *outputs)} <= {row[1] for row in host.ports.values()}


async def test_open_without_a_server_is_refused_in_silence(
    start_host: StartHost, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    host = start_host()
    with pytest.raises(Refused):
        await host.open("there-is-no-such-server")
    assert await host.end() == 0
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.jack2("PipeWire lets two clients have one name")
async def test_taken_name_becomes_another(running_server: JackServer, start_host: StartHost, start_client: StartClient) -> None:
    start_client("router")
    host = start_host()
    name, *_ = await host.open(running_server.name, plan=PLAN)
    assert name == "router-01"
    assert b"router-01:main_in_1" in await host.read_graph()


async def test_500_requests_at_once_are_done_in_order(
    running_server: JackServer, start_host: StartHost, start_client: StartClient
) -> None:
    client = start_client("synth", outputs=["out"])
    host = start_host()
    await host.open(running_server.name)
    done: list[tuple[int, object]] = []
    pair = (b"synth:out", b"system:playback_1")
    for number in range(500):
        operation = protocol.DISCONNECT if number % 2 else protocol.CONNECT
        host.host.submit(lambda answer, number=number: done.append((number, answer)), operation, *pair)  # type: ignore[misc]
    assert done == [], "an answer came before the caller was through"
    await until(lambda: len(done) == 500, 30)
    assert done == [(number, (protocol.DONE, 0)) for number in range(500)]
    await until(lambda: client.connections() == frozenset())
    assert host.host.overdue_s == 0.0


async def test_graph_of_many_ports_comes_in_parts(
    running_server: JackServer, start_host: StartHost, start_client: StartClient
) -> None:
    client = start_client("big")
    outputs, inputs = [f"out_{n}" for n in range(450)], [f"in_{n}" for n in range(300)]
    client.register(*outputs)
    client.register(*inputs, flow="input")
    host = start_host()
    await host.open(running_server.name)
    for number in range(300):
        host.host.submit(lambda _answer: None, protocol.CONNECT, b"big:out_%d" % number, b"big:in_%d" % number)
    names = await host.read_graph()
    assert {b"big:" + name.encode() for name in (*outputs, *inputs)} <= names.keys()
    found = {(host.ports[source][1], host.ports[destination][1]) for source, destination in host.connections}
    assert found == {(b"big:out_%d" % number, b"big:in_%d" % number) for number in range(300)}


async def test_load_is_a_percentage(running_server: JackServer, start_host: StartHost) -> None:
    host = start_host()
    await host.open(running_server.name)
    (load,) = await host.ask(protocol.LOAD)
    assert 0 <= load <= 100


@pytest.mark.parametrize("say_goodbye", [True, False])
async def test_close_leaves_the_server(
    say_goodbye: bool, running_server: JackServer, start_host: StartHost, start_client: StartClient
) -> None:
    client = start_client("witness")
    host = start_host()
    await host.open(running_server.name, plan=PLAN)
    assert await host.end(say_goodbye=say_goodbye) == 0
    await until(lambda: not any(name.startswith("router:") for name in client.ports()))
    with pytest.raises(ServerLost):
        await host.ask(protocol.LOAD)
    host.host.close(say_goodbye=True, deadline_s=1)
    host.host.ping()
    assert len(host.exits) == 1


async def test_new_client_takes_the_name_of_one_that_just_died(running_server: JackServer, start_host: StartHost) -> None:
    for _ in range(5):
        host = start_host()
        assert (await host.open(running_server.name, plan=PLAN))[0] == "router"
        host.host.kill()
        await host.ended()
    running_server.kill()


async def test_nothing_of_a_host_stays_open(running_server: JackServer) -> None:
    seen: set[tuple[int, int]] = set()
    for generation in range(4):
        host = Conversation(running_server.implementation)
        await host.open(running_server.name, plan=PLAN)
        await host.end()
        del host
        if generation > 0:
            seen.add(held())
    assert len(seen) == 1, f"descriptors and threads after each generation: {seen}"
