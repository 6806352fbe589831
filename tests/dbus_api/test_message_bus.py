"""The wire to the message bus, on real ones: what made dbus-next lose the bus, hang or leak must not."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import inspect
import io
import logging
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import dbus_next
import pytest
from dbus_next import Message, MessageFlag
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.signature import SignatureTree

from jackd_router.dbus_api import inbox, message_bus, objects
from jackd_router.dbus_api.errors import LIMITS_EXCEEDED, NO_REPLY, UNKNOWN_OBJECT, BusLost, CallError
from jackd_router.dbus_api.message_bus import MOST_ANSWER_BYTES, MOST_CALL_BYTES, Connection, LibraryBus, variant
from jackd_router.dbus_api.messages import Call, Reply, Signal, SignalMatch
from jackd_router.dbus_api.names import DBUS, DBUS_PATH
from jackd_router.dbus_api.session_bus import SessionBus, connect_session
from tests.dbus_api.flood import Flood, with_header_field
from tests.dbus_api.message_broker import MessageBroker
from tests.dbus_api.probe import INTERFACE, NAME, ROOT, served
from tests.dbus_api.scripted_bus import accept_handshake, scripted_bus
from tests.dbus_api.until import until
from tests.support.session_bus import SessionBus as BusDaemon

pytestmark = pytest.mark.asyncio

INTROSPECT = "org.freedesktop.DBus.Introspectable.Introspect"


@pytest.fixture(params=[BusDaemon, MessageBroker])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a bus of each kind."""
    with request.param(tmp_path) as bus:
        yield bus.address


async def open_bus(daemon: BusDaemon) -> SessionBus:
    return await SessionBus.open([daemon.address])


def count_descriptors() -> int:
    return len(tuple(Path("/proc/self/fd").iterdir()))


async def test_library_has_the_private_names_that_are_relied_upon(session_bus: BusDaemon) -> None:
    assert importlib.metadata.version("dbus-next") == "0.2.3"
    for overridden in ("_auth_readline", "_finalize", "_message_reader"):
        assert overridden in vars(LibraryBus)
        assert (
            inspect.signature(getattr(Connection, overridden)).parameters.keys()
            == inspect.signature(getattr(LibraryBus, overridden)).parameters.keys()
        )
    assert inspect.iscoroutinefunction(LibraryBus._auth_readline)
    assert SignatureTree._get("a{sas}") is SignatureTree._cache["a{sas}"]
    bus = LibraryBus(bus_address=session_bus.address)
    try:
        assert bus._writer.__class__.__name__ == "_MessageWriter"
        assert {"schedule_write"} <= set(dir(bus._writer))
        assert bus._sock.fileno() == bus._fd
        assert bus._stream.closed is False
        assert bus._loop is asyncio.get_running_loop()
        assert bus._disconnected is False
        assert bus._disconnect_future.done() is False
        assert bus._method_return_handlers == {}
        assert callable(bus._on_message)
    finally:
        bus._stream.close()
        bus._sock.close()


async def test_5000_signals_in_one_turn_all_arrive(address: str) -> None:
    seen: list[int] = []
    async with served(address) as on:
        await on.client.subscribe(SignalMatch(path=ROOT, interface=NAME, member="Ticked"), lambda got: seen.append(got.body[0]))
        for number in range(5_000):
            on.bus.emit(ROOT, NAME, "Ticked", "us", [number, "x" * 50])
        assert on.bus.backlog_bytes > 500_000
        await on.bus.drained()
        await until(lambda: len(seen) == 5_000)
        assert seen == list(range(5_000))
        assert on.bus.connected


async def test_300_pipelined_introspects_are_all_answered(address: str) -> None:
    async with served(address) as on:
        replies = await asyncio.gather(*(on.call(INTROSPECT) for _ in range(300)))
        assert all(INTERFACE.xml in xml for (xml,) in replies)
        assert on.bus.connected


async def test_a_few_huge_replies_at_once_are_all_sent(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        replies = await asyncio.gather(*(on.call("Repeat", "u", 400_000) for _ in range(10)))
        assert replies == [["x" * 400_000]] * 10


async def test_a_bus_that_stands_still_loses_nothing(session_bus: BusDaemon) -> None:
    seen: list[int] = []
    async with served(session_bus.address) as on:
        await on.client.subscribe(SignalMatch(interface=NAME), lambda got: seen.append(got.body[0]))
        with session_bus.standing_still():
            for number in range(3_000):
                on.bus.emit(ROOT, NAME, "Ticked", "us", [number, "x" * 1_000])
            await asyncio.sleep(0)
            assert on.bus.backlog_bytes > 1_000_000
        await on.bus.drained()
        await until(lambda: len(seen) == 3_000)
        assert seen == list(range(3_000))


async def test_the_loop_turns_during_a_flood_of_calls(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        taken: list[int] = []
        turns: list[int] = []
        on.bus.on_call = lambda call: taken.append(call.body[0])

        def turn() -> None:
            turns.append(len(taken))
            if len(taken) < 4_000:
                loop.call_soon(turn)

        loop = asyncio.get_running_loop()
        flood = await Flood.open(session_bus.address)
        for number in range(4_000):
            flood.send(on.bus.unique_name, ROOT, NAME, "Flood", "u", [number])
        await flood.sent()
        loop.call_soon(turn)
        await until(lambda: len(taken) == 4_000)
        assert taken == list(range(4_000))
        assert len({count for count in turns if 0 < count < 4_000}) > 5  # the loop saw the flood in many states
        flood.close()


async def test_who_floods_keeps_nobody_waiting(address: str) -> None:
    async with served(address) as on, await Flood.open(address) as flood:
        echo = flood.call(on.bus.unique_name, ROOT, NAME, "WhoAmI")
        flood.send_bytes(echo * 5_000)
        await flood.sent()
        flood.send(on.bus.unique_name, ROOT, NAME, "Wait")
        assert await on.call("Echo", "s", "in between") == ["in between"]
        assert not on.probe.waiting.is_set(), "the flood was done before"
        await on.probe.waiting.wait()


async def test_who_floods_waits_for_rests_and_nobody_else_does(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_bus, "_REST_S", 3600.0)  # for ever
    async with served(address) as on, await Flood.open(address) as flood:
        flood.send_bytes(flood.call(on.bus.unique_name, ROOT, NAME, "WhoAmI") * 3_000)
        flood.send(on.bus.unique_name, ROOT, NAME, "Wait")
        await flood.sent()
        await until(lambda: on.bus._connection._rests)
        for number in range(3):
            assert await on.call("Echo", "s", f"{number} in between") == [f"{number} in between"]
        assert not on.probe.waiting.is_set(), "the flood was done all the same"
        monkeypatch.setattr(message_bus, "_REST_S", 0.0)
        assert await on.call("Echo", "s", "and now") == ["and now"]
        await on.probe.waiting.wait()


async def test_too_much_of_one_sender_is_refused(session_bus: BusDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MOST_WAITING_BYTES", 100_000)
    async with served(session_bus.address) as on:
        text = "x" * 1_000
        outcomes = await asyncio.gather(*(_error_of(on.call("Echo", "s", text)) for _ in range(600)))
        refused = [error.name for error in outcomes if isinstance(error, CallError)]
        assert 0 < len(refused) < 600
        assert set(refused) == {LIMITS_EXCEEDED}
        assert await on.call("Echo", "s", "later") == ["later"]


async def test_a_call_that_is_too_large_is_refused(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        error = await _error_of(on.call("Echo", "s", "x" * MOST_CALL_BYTES))
        assert isinstance(error, CallError)
        assert error.name == LIMITS_EXCEEDED
        assert str(MOST_CALL_BYTES) in error.text
        error = await _error_of(on.call("Echo", "s", "x" * objects.MOST_CALL_BYTES))
        assert isinstance(error, CallError)
        assert (error.name, str(objects.MOST_CALL_BYTES) in error.text) == (LIMITS_EXCEEDED, True)
        assert await on.call("Echo", "s", "x" * (objects.MOST_CALL_BYTES - 1_000))


async def test_what_is_no_call_of_ours_is_not_decoded(session_bus: BusDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(session_bus.address) as on:
        decoded: list[int] = []

        def counting(frame: io.BytesIO) -> Unmarshaller:
            decoded.append(len(frame.getbuffer()))
            return Unmarshaller(frame)

        monkeypatch.setattr(message_bus, "Unmarshaller", counting)
        texts = ["x"] * 10_000
        large = 10_000
        for member, signature, body in (("Echo", "as", [texts]), ("Ecko", "s", ["x" * large]), ("Echo", "sas", ["x", texts])):
            assert isinstance(await _error_of(on.call(member, signature, *body)), CallError)
        async with await Flood.open(session_bus.address) as stranger:
            signal = Message.new_signal(ROOT, NAME, "Ticked", "as", [texts])
            signal.destination, signal.serial = on.bus.unique_name, 1
            stranger.send_bytes(bytes(signal._marshall()))
            stranger.send(on.bus.unique_name, ROOT, NAME, "Wait")
            await on.probe.waiting.wait()
        assert max(decoded) < large


async def test_who_wants_many_answers_waits_until_they_are_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(address) as on, await Flood.open(address) as flood:
        outbox, write = on.bus._connection.outbox, on.bus._connection.outbox._write
        monkeypatch.setattr(outbox, "_write", lambda: None)  # the bus takes nothing
        for _ in range(1_000):
            flood.send_bytes(flood.call(on.bus.unique_name, ROOT, NAME, "Repeat", "u", [4_000], flags=MessageFlag.NONE))
        flood.send(on.bus.unique_name, ROOT, NAME, "Wait")
        await flood.sent()
        await until(lambda: on.bus.backlog_bytes >= MOST_ANSWER_BYTES)
        asked = on.tasks.create_task(on.call("Echo", "s", "in between"))
        await until(lambda: outbox.waits_for(on.client.unique_name))
        assert not on.probe.waiting.is_set(), "the flood was done before"
        assert outbox.waits_for(":nobody") == 0
        assert outbox.waits_for(flood.unique_name) < MOST_ANSWER_BYTES + 5_000
        monkeypatch.setattr(outbox, "_write", write)
        on.bus._connection._loop.add_writer(on.bus._connection._sock, write)
        assert await asked == ["in between"]
        await on.probe.waiting.wait()
        await until(lambda: not on.bus.backlog_bytes)
        assert outbox.waits_for(flood.unique_name) == 0


async def test_signatures_that_somebody_thinks_up_are_not_kept(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        for number in range(3_000):
            signature = "".join("su"[int(digit)] for digit in f"{number:012b}")
            call = on.call("Echo", "v", variant(f"({signature})", [_VALUES[one] for one in signature]))
            assert isinstance(await _error_of(call), CallError)
        assert 0 < len(SignatureTree._cache) <= 1_100


_VALUES: dict[str, str | int] = {"s": "x", "u": 1}


async def test_descriptors_are_not_taken(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        before = count_descriptors()
        await asyncio.to_thread(pass_descriptors, session_bus.address, on.bus.unique_name)
        assert await on.call("Echo", "s", "still here") == ["still here"]
        assert count_descriptors() == before


def pass_descriptors(address: str, destination: str) -> None:
    """Send 200 calls with a descriptor, each of which the message bus refuses: the receiver wants none."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(address.removeprefix("unix:path="))
        client.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        client.sendall(bytes(Message(DBUS, DBUS_PATH, DBUS, "Hello", serial=1)._marshall()))
        received = b""
        while b"NameAcquired" not in received:
            received += client.recv(65_536)
        for number in range(200):
            call = Message(destination, ROOT, NAME, "Echo", signature="h", body=[0], unix_fds=[1], serial=number + 2)
            socket.send_fds(client, [bytes(call._marshall(negotiate_unix_fd=True))], [1])
            received = b""
            while b"DBus.Error.NotSupported" not in received:
                received += client.recv(65_536)


async def test_a_message_that_cannot_be_read_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MessageBroker(tmp_path) as broker:
        async with served(broker.address) as on:
            hostile = await Flood.open(broker.address)
            for code in (10, 37, 255):
                hostile.send_bytes(with_header_field(hostile.call(on.bus.unique_name, ROOT, NAME, "Echo", "s", ["hello"]), code))
                assert await on.call("Echo", "s", "still here") == ["still here"]
            await until(lambda: on.bus._connection._unreadable == 2)
            monkeypatch.setattr(on.bus._connection, "_warning_due", 0.0)  # a minute later
            hostile.send_bytes(with_header_field(hostile.call(on.bus.unique_name, ROOT, NAME, "WhoAmI"), 11))
            await until(lambda: caplog.text.count("could not be read") == 2)
            assert "; 2 others before it" in caplog.text
            assert on.bus.connected
            hostile.close()


async def test_a_message_of_unknown_type_or_nonsense_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = bytes(Message(path="/", interface="a.b", member="C", message_type=dbus_next.MessageType.SIGNAL, serial=9)._marshall())
    unknown_type = good[:1] + b"\x77" + good[2:]
    truncated = good[:4] + struct.pack("<I", 8) + good[8:] + b"\xff" * 8
    hello = Message(message_type=dbus_next.MessageType.METHOD_RETURN, reply_serial=1, signature="s", body=[":1.7"], serial=1)
    seen: list[Call | Reply | Signal] = []
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept_handshake(reader, writer)
        writer.write(bytes(hello._marshall()) + unknown_type + truncated + good)
        await ended.wait()

    async with scripted_bus(tmp_path, script) as where:
        connection = Connection(where, seen.append, lambda: None)
        await connection.open()
        await until(lambda: seen)
        assert [type(message) for message in seen[-1:]] == [Signal]
        assert "could not be read" in caplog.text
        assert connection.connected
        connection.close()
        ended.set()


async def test_a_bus_that_hangs_up_in_the_handshake_is_no_bus(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")

    async with scripted_bus(tmp_path, hang_up) as where:
        before = count_descriptors()
        with pytest.raises(BusLost, match="hung up during the handshake"):
            await SessionBus.open([where])
        assert count_descriptors() <= before


async def test_a_bus_that_hangs_up_before_hello_is_no_bus(
    session_bus: BusDaemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hung_up(connection: Connection) -> None:
        connection._sock.shutdown(socket.SHUT_WR)

    monkeypatch.setattr(LibraryBus, "_authenticate", hung_up)
    with pytest.raises(BusLost, match="Broken pipe"):
        await open_bus(session_bus)
    gc.collect()  # a future that nobody has looked at would complain here
    assert caplog.text == ""


async def test_a_bus_that_rejects_us_is_no_bus(tmp_path: Path) -> None:
    async def reject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")
        writer.write(b"REJECTED EXTERNAL\r\n")

    async with scripted_bus(tmp_path, reject) as where:
        with pytest.raises(BusLost, match="authentication failed"):
            await SessionBus.open([where])


async def test_a_bus_that_refuses_hello_is_no_bus(tmp_path: Path) -> None:
    error = Message(
        message_type=dbus_next.MessageType.ERROR,
        error_name="org.freedesktop.DBus.Error.LimitsExceeded",
        reply_serial=1,
        signature="s",
        body=["too many connections"],
        serial=1,
    )

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept_handshake(reader, writer)
        writer.write(bytes(error._marshall()))

    async with scripted_bus(tmp_path, refuse) as where:
        with pytest.raises(BusLost, match="too many connections"):
            await SessionBus.open([where])


async def test_no_bus_at_any_address_tells_why(tmp_path: Path) -> None:
    with pytest.raises(BusLost, match=r"nowhere: .*No such file.*autolaunch:: .*transport.*rubbish: .*transport"):
        await SessionBus.open([f"unix:path={tmp_path}/nowhere", "autolaunch:", "rubbish"])
    gc.collect()  # a socket that was left open would complain here


async def test_a_frozen_bus_does_not_keep_us_waiting(session_bus: BusDaemon) -> None:
    async with await open_bus(session_bus) as bus:
        with session_bus.standing_still():
            with pytest.raises(BusLost, match=r"no answer within 0\.2 s"):
                await SessionBus.open([session_bus.address], deadline_s=0.2)
            with pytest.raises(CallError, match=r"did not answer GetId within 0\.2 s") as error:
                await bus.call(DBUS, DBUS_PATH, DBUS, "GetId", deadline_s=0.2)
            assert error.value.name == NO_REPLY
        assert await bus.call(DBUS, DBUS_PATH, DBUS, "GetId")


async def test_calls_fail_at_once_when_the_bus_dies(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        waiting = on.tasks.create_task(_error_of(on.call("Wait")))
        await on.probe.waiting.wait()
        session_bus.kill()
        assert isinstance(await waiting, BusLost)
        await on.client.lost()
        await on.bus.lost()
        assert isinstance(await _error_of(on.call("Echo", "s", "")), BusLost)
        on.bus.emit(ROOT, NAME, "Ticked", "us", [1, ""])  # nobody hears it, and nothing is kept for later
        assert on.bus.backlog_bytes == 0
        await on.bus.drained()


async def _error_of(call: object) -> BaseException | None:
    try:
        await call  # type: ignore[misc]
    except (BusLost, CallError) as error:
        return error
    return None


async def test_20_deaths_of_the_bus_leave_no_descriptor(session_bus: BusDaemon) -> None:
    counts: list[int] = []
    for _ in range(20):
        bus = await open_bus(session_bus)
        counts.append(count_descriptors())
        session_bus.kill()
        await bus.lost()
        session_bus.start()
    gc.collect()
    assert counts == counts[:1] * 20


async def test_close_sends_what_is_queued(session_bus: BusDaemon) -> None:
    seen: list[int] = []
    async with await open_bus(session_bus) as client:
        await client.subscribe(SignalMatch(interface=NAME), lambda got: seen.append(got.body[0]))
        async with await open_bus(session_bus) as bus:
            for number in range(2_000):
                bus.emit(ROOT, NAME, "Ticked", "us", [number, "x" * 500])
        assert not bus.connected
        await until(lambda: len(seen) == 2_000)


async def test_closing_on_a_frozen_bus_gives_up(session_bus: BusDaemon) -> None:
    bus = await open_bus(session_bus)
    os.kill(session_bus.pid, signal.SIGSTOP)
    try:
        for _ in range(5_000):
            bus.emit(ROOT, NAME, "Ticked", "us", [0, "x" * 500])
        await bus.close()
        assert not bus.connected
    finally:
        os.kill(session_bus.pid, signal.SIGCONT)


async def test_a_connection_without_objects_answers(session_bus: BusDaemon) -> None:
    async with await open_bus(session_bus) as bus, await open_bus(session_bus) as client:
        with pytest.raises(CallError) as error:
            await client.call(bus.unique_name, "/", NAME, "Echo", "s", ["x"])
        assert error.value.name == UNKNOWN_OBJECT


async def test_a_name_is_taken_once(session_bus: BusDaemon) -> None:
    async with await open_bus(session_bus) as first, await open_bus(session_bus) as second:
        assert await first.request_name(NAME)
        assert await first.request_name(NAME)
        assert not await second.request_name(NAME)


async def test_owners_of_a_name_are_watched(session_bus: BusDaemon) -> None:
    owners: list[str] = []
    async with await open_bus(session_bus) as client:
        await client.watch_name(NAME, owners.append)
        async with await open_bus(session_bus) as bus:
            await bus.request_name(NAME)
            unique_name = bus.unique_name
        await until(lambda: len(owners) == 2)
        assert owners == [unique_name, ""]


async def test_a_subscriber_gets_only_what_it_asked_for(session_bus: BusDaemon) -> None:
    seen: list[tuple[str, int]] = []
    async with await open_bus(session_bus) as bus, await open_bus(session_bus) as client:
        await client.subscribe(SignalMatch(path=ROOT, member="One"), lambda got: seen.append((got.member, got.body[0])))
        await client.subscribe(SignalMatch(interface=NAME), lambda got: seen.append((got.path, got.body[0])))
        bus.emit(ROOT, NAME, "One", "u", [1])
        bus.emit(f"{ROOT}/other", NAME, "One", "u", [2])
        bus.emit(ROOT, "org.example.Other", "Two", "u", [3])
        bus.emit(ROOT, NAME, "Last", "u", [4])
        await until(lambda: seen and seen[-1] == (ROOT, 4))
        assert seen == [("One", 1), (ROOT, 1), (f"{ROOT}/other", 2), (ROOT, 4)]


async def test_a_subscriber_that_fails_stops_nobody(session_bus: BusDaemon, caplog: pytest.LogCaptureFixture) -> None:
    async with await open_bus(session_bus) as bus, await open_bus(session_bus) as client:

        def fail(got: Signal) -> None:
            raise ZeroDivisionError("a fault")

        await client.subscribe(SignalMatch(interface=NAME), fail)
        with caplog.at_level(logging.ERROR, "asyncio"):
            bus.emit(ROOT, NAME, "One", "u", [1])
            bus.emit(ROOT, NAME, "One", "u", [1])
            await until(lambda: caplog.text.count("ZeroDivisionError: a fault") == 2)
        assert await client.call(DBUS, DBUS_PATH, DBUS, "GetId")


async def test_the_session_bus_of_the_environment(session_bus: BusDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session_bus.address)
    async with await connect_session() as bus:
        assert bus.unique_name.startswith(":")


async def test_the_session_bus_of_the_runtime_directory(
    session_bus: BusDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # the socket of the fixture is called "bus", as in real life
    async with await connect_session() as bus:
        assert bus.connected


async def test_a_call_may_not_start_a_service(session_bus: BusDaemon) -> None:
    async with await open_bus(session_bus) as bus:
        with pytest.raises(CallError) as error:
            await bus.call("org.example.Nobody", "/", NAME, "Echo", "s", ["x"], autostart=False)
        assert error.value.name in (f"{DBUS}.Error.NameHasNoOwner", f"{DBUS}.Error.ServiceUnknown")
