"""Which pairs wait for a device of PipeWire to be set up, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.runtime import new_devices
from jackd_router.runtime.mirror import PortChange
from jackd_router.runtime.new_devices import NewDevices
from tests.core.building import connection, destination, source

TO_CARD, FROM_MIC, ELSEWHERE = (
    connection(text) for text in ("bus:out -> Card:playback_FL", "Mic:capture_FL -> bus:in", "bus:out -> tape:in")
)
INPUT, OUTPUT = PortFlags.INPUT | PortFlags.PHYSICAL, PortFlags.OUTPUT | PortFlags.PHYSICAL

pytestmark = pytest.mark.asyncio


class World:
    """A sink and a source that pipewire.conf has made, a bus and a tape; a session manager of some age, or none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, manager_s: float | None, *, look_s: float = 0.02) -> None:
        monkeypatch.setattr(new_devices, "_ALONE_S", look_s)
        monkeypatch.setattr(new_devices, "youngest_s", lambda: manager_s)
        self.graph = Graph()
        for port in (source("bus:out"), destination("bus:in"), destination("tape:in")):
            self.add(port)
        self.add(_port("Card:playback_FL", INPUT))
        self.add(_port("Mic:capture_FL", OUTPUT))
        self._named: asyncio.Queue[set[Connection]] = asyncio.Queue()
        self.devices = NewDevices(self.graph, self._look_at)

    def _look_at(self, pairs: Iterable[Connection]) -> None:
        # Where devices come to rest all that waits is named, be it that it goes on to wait.
        if named := {pair for pair in pairs if not self.devices.awaits(pair)}:
            self._named.put_nowait(named)

    def add(self, port: Port) -> PortChange:
        """Let a port come."""
        port = replace(port, registration=self.graph.newest + 1)
        self.graph.add_port(port)
        return PortChange(port.name, None, port)

    async def named_again(self) -> set[Connection]:
        """Wait until pairs are named again."""
        async with asyncio.timeout(5):
            return await self._named.get()


def _port(name: str, flags: PortFlags, kind: PortType = PortType.AUDIO) -> Port:
    return Port(PortName(name), kind, flags)


MONITOR = source("Card:monitor_FL")


async def test_what_is_no_device_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.add(_port("Midi-Bridge:playback_1", INPUT, PortType.MIDI))
    world.devices.begin_generation(0.0)
    assert not world.devices.awaits(ELSEWHERE)
    assert not world.devices.awaits(connection("keys:out -> Midi-Bridge:playback_1"))
    assert world.devices.waiting == set()


async def test_a_sink_waits_for_its_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(TO_CARD)
    world.devices.ports_changed([world.add(_port("Card:playback_FL", INPUT)), world.add(MONITOR)])
    assert world.devices.awaits(TO_CARD), "it is just being set up"
    assert await world.named_again() == {TO_CARD}
    assert not world.devices.awaits(TO_CARD)
    assert world.devices.waiting == set()


async def test_a_monitor_may_be_of_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.add(source("Card Monitor:monitor_FL"))
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(TO_CARD), "others may just be set up"
    assert await world.named_again() == {TO_CARD}
    assert not world.devices.awaits(TO_CARD)


async def test_a_source_waits_until_others_are_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(FROM_MIC)
    world.devices.ports_changed([world.add(MONITOR)])
    assert world.devices.awaits(FROM_MIC), "it may be the next one"
    assert await world.named_again() == {FROM_MIC}
    assert not world.devices.awaits(FROM_MIC)


async def test_a_source_that_came_later_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.devices.begin_generation(0.0)
    world.devices.ports_changed([world.add(_port("Mic:capture_FL", OUTPUT))])
    assert world.devices.awaits(FROM_MIC)
    assert await world.named_again() == {FROM_MIC}
    assert not world.devices.awaits(FROM_MIC)


@pytest.mark.parametrize("manager_s", [None, 60.0], ids=["none", "that of another PipeWire"])
async def test_without_a_session_manager_nothing_waits_for_long(monkeypatch: pytest.MonkeyPatch, manager_s: float | None) -> None:
    world = World(monkeypatch, manager_s)
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(TO_CARD)
    assert world.devices.awaits(FROM_MIC)
    assert await world.named_again() == {TO_CARD, FROM_MIC}
    assert not world.devices.awaits(TO_CARD)


async def test_what_a_session_manager_never_sets_up_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_devices, "_MANAGED_S", 0.1)
    world = World(monkeypatch, 0.0)
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(TO_CARD)
    assert await world.named_again() == {TO_CARD}
    assert not world.devices.awaits(TO_CARD)


async def test_where_nobody_knows_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no descriptors left")

    world = World(monkeypatch, 0.0, look_s=0.0)
    monkeypatch.setattr(new_devices, "youngest_s", fail)
    world.devices.begin_generation(0.0)
    task = world.devices._looking
    assert task is not None
    await task
    assert world.devices.awaits(TO_CARD)


async def test_an_old_server_has_everything_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.devices.begin_generation(60.0)
    assert not world.devices.awaits(TO_CARD)


async def test_what_another_one_may_take_the_place_of_is_kept_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0.0)
    world.devices.begin_generation(0.0)
    assert not world.devices.keeps(ELSEWHERE)
    assert world.devices.awaits(TO_CARD)
    assert world.devices.keeps(ELSEWHERE)
    assert not world.devices.keeps(FROM_MIC)
    world.devices.ports_changed([world.add(MONITOR)])
    assert await world.named_again() == {TO_CARD, ELSEWHERE}
    assert not world.devices.keeps(ELSEWHERE)


async def test_the_next_server_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, None, look_s=0.05)
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(TO_CARD)
    world.devices.end_generation()
    assert not world.devices.waiting
    assert not world.devices.awaits(TO_CARD)
    world.devices.begin_generation(0.0)
    assert world.devices.awaits(TO_CARD)
    assert await world.named_again() == {TO_CARD}
