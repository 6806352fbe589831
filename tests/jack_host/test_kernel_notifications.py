"""The notifications of the kernel, from libjack's callback to the daemon's event."""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import Iterator

import pytest

from jackd_router.jack_host import memory
from jackd_router.jack_host.memory import RING_RECORDS
from tests.jack_host.rig import Rig

ON_PORT, ON_CONNECT = "kernel_on_port_registration", "kernel_on_port_connect"


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a kernel."""
    with Rig() as rig:
        yield rig


def test_port_is_told_with_all_that_it_is(rig: Rig) -> None:
    rig.ports.add(0, b"system:capture_1", flags=22, kind=b"32 bit float mono audio")
    rig.notify(ON_PORT, 0, 1)
    assert rig.wakes() == 1
    (event,) = rig.memory.take_events()
    assert (event.event, event.a, event.on, event.flags) == (memory.EVENT_PORT, 0, 1, 22)
    assert (event.type, event.name) == (b"32 bit float mono audio", b"system:capture_1")
    assert event.usec > 0
    assert rig.memory.take_events() == []


def test_aliases_follow_their_port(rig: Rig) -> None:
    rig.ports.add(3, b"a:b", aliases=(b"first", b"second"))
    rig.notify(ON_PORT, 3, 1)
    port, *aliases = rig.memory.take_events()
    assert port.event == memory.EVENT_PORT
    assert [(event.event, event.a, event.name) for event in aliases] == [
        (memory.EVENT_ALIAS, 3, b"first"),
        (memory.EVENT_ALIAS, 3, b"second"),
    ]


def test_end_of_a_port_needs_no_port(rig: Rig) -> None:
    rig.notify(ON_PORT, 7, 0)
    (event,) = rig.memory.take_events()
    assert (event.event, event.a, event.on, event.name) == (memory.EVENT_PORT, 7, 0, b"")


def test_port_that_is_gone_already_is_not_told(rig: Rig) -> None:
    rig.notify(ON_PORT, 7, 1)
    assert rig.memory.take_events() == []


def test_other_notifications(rig: Rig) -> None:
    rig.notify(ON_CONNECT, 4, 5, 1)
    rig.notify(ON_CONNECT, 4, 5, 0)
    rig.notify("kernel_on_client_registration", b"ardour", 1)
    rig.notify("kernel_on_port_rename", 9, b"a:old", b"a:new")
    rig.notify("kernel_on_info_shutdown", 8, b"killed")
    rig.notify("kernel_on_shutdown")
    assert rig.wakes() == 6
    assert [(event.event, event.a, event.b, event.on, event.name) for event in rig.memory.take_events()] == [
        (memory.EVENT_CONNECTION, 4, 5, 1, b""),
        (memory.EVENT_CONNECTION, 4, 5, 0, b""),
        (memory.EVENT_CLIENT, 0, 0, 1, b"ardour"),
        (memory.EVENT_RENAME, 9, 0, 1, b"a:new"),
        (memory.EVENT_SHUTDOWN, 8, 0, 0, b"killed"),
        (memory.EVENT_SHUTDOWN, 0, 0, 0, b"the server shut down"),
    ]


def test_property_of_a_port_is_told_where_it_is_one_that_is_read(rig: Rig) -> None:
    port, client, everybody = (ct.c_uint64(subject) for subject in ((1 << 32) + 8, (2 << 32) + 8, 0))
    pretty_name, signal_type = (b"http://jackaudio.org/metadata/" + word for word in (b"pretty-name", b"signal-type"))
    for subject in (port, client, everybody):
        for key in (pretty_name, signal_type, b"", pretty_name + b"s", b"urn:other"):
            rig.notify("kernel_on_property_change", subject, key, 1)
    assert rig.wakes() == 6
    told = [(event.event, event.a, event.on, event.name) for event in rig.memory.take_events()]
    assert told == [(memory.EVENT_PROPERTY, 7, 1, b"")] * 3 + [(memory.EVENT_PROPERTY, 0, 0, b"")] * 3


def test_names_that_are_long_or_not_utf8_come_whole(rig: Rig) -> None:
    name = b"client\xff:" + b"\xe9" * 310
    rig.ports.add(1, name)
    rig.notify(ON_PORT, 1, 1)
    assert rig.memory.take_events()[0].name == name


def test_name_beyond_the_field_is_cut_and_stays_in_its_record(rig: Rig) -> None:
    rig.ports.add(1, b"x" * 1000, kind=b"y" * 100)
    rig.notify(ON_PORT, 1, 1)
    rig.notify(ON_CONNECT, 4, 5, 1)
    port, connection = rig.memory.take_events()
    assert (port.type, port.name) == (b"y" * 31, b"x" * 639)
    assert (connection.a, connection.b) == (4, 5)


def test_used_slot_keeps_nothing_of_the_name_before(rig: Rig) -> None:
    rig.ports.add(1, b"a" * 300)
    rig.ports.add(2, b"short")
    rig.notify(ON_PORT, 1, 1)
    for _ in range(RING_RECORDS - 1):
        rig.notify(ON_CONNECT, 1, 2, 1)
    assert len(rig.memory.take_events()) == RING_RECORDS
    rig.notify(ON_PORT, 2, 1)
    assert rig.memory.take_events()[0].name == b"short"
    slot = ct.string_at(ct.addressof(rig.shared.ring[0]) + memory.Record.name.offset, memory.Record.name.size)
    assert slot == b"short".ljust(memory.Record.name.size, b"\0")


def test_full_ring_marks_the_loss_and_goes_on_when_it_is_read(rig: Rig) -> None:
    for number in range(RING_RECORDS):
        rig.notify(ON_CONNECT, number, 0, 1)
    assert not rig.memory.take_overflow()
    rig.notify(ON_CONNECT, 99_999, 0, 1)
    rig.notify(ON_CONNECT, 99_998, 0, 1)
    assert [event.a for event in rig.memory.take_events()] == list(range(RING_RECORDS))
    assert rig.memory.take_overflow()
    assert not rig.memory.take_overflow(), "told once"
    rig.notify(ON_CONNECT, 5, 0, 1)
    assert [event.a for event in rig.memory.take_events()] == [5]
    assert not rig.memory.take_overflow()


def test_order_holds_around_the_end_of_the_ring(rig: Rig) -> None:
    sent: list[int] = []
    read: list[int] = []
    while len(sent) < 2 * RING_RECORDS + 100:
        for number in range(len(sent), len(sent) + 777):
            rig.notify(ON_CONNECT, number, number + 1, number % 2)
            sent.append(number)
        events = rig.memory.take_events()
        assert all((event.b, event.on) == (event.a + 1, event.a % 2) for event in events)
        read += [event.a for event in events]
    assert read == sent
    assert not rig.memory.take_overflow()


def test_settings_wake_where_they_change(rig: Rig) -> None:
    rig.notify("kernel_on_buffer_size", 256)
    rig.notify("kernel_on_buffer_size", 256)
    rig.notify("kernel_on_sample_rate", 44_100)
    rig.notify("kernel_on_sample_rate", 44_100)
    assert rig.wakes() == 2
    assert (rig.memory.buffer_size_frames, rig.memory.sample_rate_hz) == (256, 44_100)
    rig.notify("kernel_on_freewheel", 1)
    assert (rig.wakes(), rig.memory.freewheeling) == (1, True)
    rig.notify("kernel_on_freewheel", 0)
    assert (rig.wakes(), rig.memory.freewheeling) == (1, False)
    assert rig.memory.take_events() == []


def test_xruns_are_counted_and_wake_nobody(rig: Rig) -> None:
    assert rig.memory.xruns == (0, 0)
    rig.notify("kernel_on_xrun")
    _, first = rig.memory.xruns
    rig.notify("kernel_on_xrun")
    count, last = rig.memory.xruns
    assert count == 2
    assert last >= first > 1_500_000_000_000_000
    assert rig.wakes() == 0


def test_full_eventfd_blocks_nobody(rig: Rig) -> None:
    os.eventfd_write(rig.eventfd, 2**64 - 2)
    rig.notify(ON_CONNECT, 1, 2, 1)
    assert len(rig.memory.take_events()) == 1
