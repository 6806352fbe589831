"""Callers who want too much of the daemon: the others are answered, and the sound through a bus does not notice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jackd_router.dbus_api import names
from jackd_router.dbus_api.errors import LIMITS_EXCEEDED, BusLost, CallError
from jackd_router.dbus_api.message_bus import Value, variant
from jackd_router.dbus_api.session_bus import SessionBus
from tests.conftest import StartRouter
from tests.daemon.conftest import OpenRemote, StartSound
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.daemon.sound import Sound
from tests.dbus_api.flood import Flood, with_header_field
from tests.dbus_api.message_broker import MessageBroker
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.process import Process
from tests.support.router_process import RouterProcess
from tests.support.samples import random_bits
from tests.support.session_bus import SessionBus as BusDaemon

pytestmark = pytest.mark.jack2("nothing of it depends on the server")

STEREO = """
[[bus]]
name = "main"
channels = ["L", "R"]
"""
FLOOD_S = 10
INTROSPECT = "org.freedesktop.DBus.Introspectable.Introspect"
PROGRAM = Path(__file__).parents[1] / "dbus_api" / "flood_program.py"


@pytest.fixture
def sound(start_sound: StartSound) -> Iterator[Sound]:
    """Give a bus through which bits pass that are compared, and check at the end that none differed."""
    sound = start_sound(STEREO, inputs=2, outputs=2)
    sound.pass_forever({1: random_bits(20_011, seed=1), 2: random_bits(20_011, seed=2)})
    yield sound
    sound.wait_frames(20_011)
    assert sound.ears.compared().differing == 0


@contextmanager
def flood(sound: Sound, member: str) -> Iterator[Process]:
    """Let another program send calls as fast as the message bus takes them."""
    assert sound.router.bus_address is not None
    command = [sys.executable, str(PROGRAM), sound.router.bus_address, member, str(FLOOD_S)]
    flooding = Process(command, sound.router.folder / "flood.log")
    try:
        eventually(lambda: "began" in flooding.output())
        yield flooding
    finally:
        flooding.kill()


@pytest.mark.parametrize("member", ["Manager.GetStatus", "Config.Reload", "Manager.GetStatus?"])
def test_who_floods_keeps_nobody_waiting(sound: Sound, member: str) -> None:
    with flood(sound, member) as flooding:
        answered = 0
        while flooding.status() is None:
            sound.remote.call("Manager.GetStatus")
            answered += 1
            sound.reload(f"{STEREO}[[profile]]\nname = 'p{answered}'\n")
            assert [profile["Name"] for profile in sound.remote.read("Profiles.Profiles")] == ["default", f"p{answered}"]
        assert flooding.status() == 0, flooding.output()
    assert answered >= FLOOD_S, "a second for two calls is an age"
    assert int(flooding.output().split()[-1]) > 1_000


def test_300_pipelined_introspects(sound: Sound) -> None:
    async def introspect(bus: SessionBus) -> int:
        interface, _, member = INTROSPECT.rpartition(".")
        calls = [bus.call(names.BUS_NAME, names.ROOT_PATH, interface, member) for _ in range(300)]
        return len({xml for (xml,) in await asyncio.gather(*calls)})

    assert on_the_bus(sound.router, introspect) == 1


def test_a_million_strings_are_refused(sound: Sound) -> None:
    async def send(bus: SessionBus) -> list[str]:
        texts: list[Value] = ["x"] * 1_000_000
        arguments: list[tuple[str, str, list[Value]]] = [
            ("ListPorts", "as", [texts]),
            ("ListPorts", "sa{sv}", ["", {"type": variant("as", texts)}]),
        ]
        return [await error_of(bus, *one) for one in arguments]

    assert on_the_bus(sound.router, send) == [LIMITS_EXCEEDED] * 2
    assert sound.remote.call("Graph.ListPorts", "sa{sv}", "mouth", NO_OPTIONS)


async def error_of(bus: SessionBus, member: str, signature: str, body: list[Value]) -> str:
    """Give the name of the error that a call of Graph is answered with."""
    with pytest.raises(CallError) as caught:
        await bus.call(names.BUS_NAME, names.ROOT_PATH, names.GRAPH, member, signature, body)
    return caught.value.name


def on_the_bus(router: RouterProcess, work: Callable[[SessionBus], Awaitable[object]]) -> object:
    """Give what this gives on a connection of its own."""

    async def run() -> object:
        assert router.bus_address is not None
        async with await SessionBus.open([router.bus_address]) as bus:
            return await work(bus)

    return asyncio.run(run())


def test_a_subscriber_that_stands_still_stops_nobody(sound: Sound) -> None:
    assert sound.router.bus_address is not None
    busctl = ["busctl", f"--address={sound.router.bus_address}", "monitor", names.BUS_NAME]
    with subprocess.Popen(busctl, stdout=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stdout is not None
        try:
            subscriber.stdout.readline()  # it listens
            os.kill(subscriber.pid, signal.SIGSTOP)
            before = len(sound.remote.signals("PropertiesChanged"))
            for number in range(2_000):
                sound.remote.write("Bus.ChannelGains", "ad", [0.0, -0.0], path=names.bus_path("main"))
                sound.remote.write("Rules.Enabled", "b", bool(number % 2))
            eventually(lambda: len(sound.remote.signals("PropertiesChanged")) >= before + 2_000)
            os.kill(subscriber.pid, signal.SIGCONT)
            assert "Enabled" in "".join(subscriber.stdout.readline() for _ in range(200)), "it gets what it missed"
        finally:
            subscriber.kill()


def test_a_bus_that_passes_on_what_nobody_knows(tmp_path: Path, jack_server: JackServer) -> None:
    jack_server.start()
    with (
        MessageBroker(tmp_path) as broker,
        RouterProcess(tmp_path, STEREO, bus_address=broker.address, server_name=jack_server.name) as router,
    ):
        remote = Remote(broker.address)
        eventually(remote.connected)

        async def send() -> None:
            async with await Flood.open(broker.address) as hostile:
                call = hostile.call(names.BUS_NAME, names.ROOT_PATH, names.MANAGER, "GetStatus")
                for code in (10, 37, 255):
                    hostile.send_bytes(with_header_field(call, code))
                await hostile.sent()

        asyncio.run(send())
        eventually(lambda: router.output().count("could not be read") == 1, what="all three are told once")
        assert remote.call(INTROSPECT)
        remote.close()


@pytest.mark.timeout(120)  # the daemon waits for a second before it looks for a new bus
def test_20_deaths_of_the_bus_leave_no_descriptor(
    session_bus: BusDaemon, start_router: StartRouter, open_remote: OpenRemote, running_server: JackServer
) -> None:
    router = start_router(STEREO)
    remote = open_remote()
    eventually(remote.connected)
    remote.close()
    counts: list[int] = []
    for _ in range(20):
        session_bus.kill()
        session_bus.start()
        remote = open_remote()
        eventually(lambda remote=remote: answers(remote), timeout=20)  # type: ignore[misc]
        remote.close()
        time.sleep(0)
        counts.append(router.counters().descriptors)
    assert counts == counts[:1] * 20


def answers(remote: Remote) -> bool:
    """Tell whether the daemon is there."""
    try:
        return bool(remote.read("Manager.Version"))
    except (CallError, BusLost):
        return False
