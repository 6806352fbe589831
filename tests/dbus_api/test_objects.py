"""The dispatch, on a real bus: every call is checked against the contract and answered once, with the right error."""

from __future__ import annotations

import asyncio
import logging
import xml.etree.ElementTree as ET

import pytest
from dbus_next import Message, MessageFlag

from jackd_router.dbus_api import errors, objects
from jackd_router.dbus_api.errors import BusLost, CallError
from jackd_router.dbus_api.interface_xml import OBJECT_MANAGER, PEER, PROPERTIES
from jackd_router.dbus_api.message_bus import Connection, variant
from jackd_router.dbus_api.messages import Call, Reply, Signal, SignalMatch
from jackd_router.dbus_api.names import ERROR_PREFIX
from jackd_router.dbus_api.objects import BACKLOG_LIMIT_BYTES, MOST_RUNNING_CALLS, Objects
from jackd_router.dbus_api.session_bus import SessionBus
from tests.dbus_api.probe import INTERFACE, NAME, ROOT, XML, KeepsNothing, Probe, Served, served
from tests.dbus_api.until import until
from tests.support.session_bus import SessionBus as BusDaemon

pytestmark = pytest.mark.asyncio

GET = "org.freedesktop.DBus.Properties.Get"
SET = "org.freedesktop.DBus.Properties.Set"
GET_ALL = "org.freedesktop.DBus.Properties.GetAll"
INTROSPECT = "org.freedesktop.DBus.Introspectable.Introspect"
MANAGED = "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
OTHER_PATH = f"{ROOT}/bus/other"


async def error_of(on: Served, member: str, signature: str = "", *body: object, path: str = ROOT) -> CallError:
    """Give the error that the call is answered with."""
    with pytest.raises(CallError) as caught:
        await on.call(member, signature, *body, path=path)
    return caught.value


async def collect(on: Served) -> list[Signal]:
    """Give a list that fills with the signals that the client gets from the probe."""
    seen: list[Signal] = []
    await on.client.subscribe(
        SignalMatch(sender=on.bus.unique_name), lambda got: seen.append(got) if got.sender == on.bus.unique_name else None
    )
    return seen


async def test_calls_are_answered(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        assert await on.call("Echo", "s", "snowman ☃") == ["snowman ☃"]
        assert await on.call("Add", "uu", 2, 3) == [5]
        assert await on.call("WhoAmI") == [on.client.unique_name]
        number, pairs, more = await on.call("Three")
        assert (number, pairs, more["key"].value) == (3, [["a", "b"]], ["c"])
        assert await on.call("Raw") == ["marshalled", 7]


async def test_text_that_cannot_be_sent_is_cleaned(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        assert await on.call("Nasty") == ["nul \ufffd surrogate ? snowman ☃"]
        assert on.bus.connected


@pytest.mark.parametrize("member", ["Fail", "FailLater"])
async def test_expected_errors_have_their_name_and_make_no_noise(
    session_bus: BusDaemon, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(session_bus.address) as on:
        with caplog.at_level(logging.INFO):
            error = await error_of(on, member, "s", "synth:out_1")
        assert (error.name, error.text) == (f"{ERROR_PREFIX}.NoSuchPort", "no port synth:out_1")
        assert not caplog.records


@pytest.mark.parametrize("member", ["Crash", "CrashLater", "WrongResult"])
async def test_a_fault_is_logged_once_and_told_without_a_traceback(
    session_bus: BusDaemon, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(session_bus.address) as on:
        error = await error_of(on, member)
        assert (error.name, error.text) == (errors.FAILED, "internal error, see the log of the daemon")
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("jackd_router.dbus", "ERROR")
        assert f"call of {NAME}.{member} failed" in caplog.text
        assert await on.call("Echo", "s", "still here") == ["still here"]


@pytest.mark.parametrize("member", ["Fail", "FailLater"])
async def test_long_arguments_come_back_short(session_bus: BusDaemon, member: str) -> None:
    async with served(session_bus.address) as on:
        error = await error_of(on, member, "s", "x" * 60_000)
        assert len(error.text) == errors.TEXT_LIMIT
        assert error.text.endswith("x…")


@pytest.mark.parametrize(
    ("path", "member", "signature", "body", "name"),
    [
        ("/nowhere", "Echo", "s", ["x"], errors.UNKNOWN_OBJECT),
        (f"{ROOT}/nowhere", MANAGED, "", [], errors.UNKNOWN_OBJECT),
        ("/nowhere", INTROSPECT, "", [], errors.UNKNOWN_OBJECT),
        ("/org", "Echo", "s", ["x"], errors.UNKNOWN_OBJECT),
        ("/org", GET_ALL, "s", [NAME], errors.UNKNOWN_OBJECT),
        (ROOT, "org.example.Other.Echo", "s", ["x"], errors.UNKNOWN_INTERFACE),
        (OTHER_PATH, MANAGED, "", [], errors.UNKNOWN_INTERFACE),
        (ROOT, "Nothing", "", [], errors.UNKNOWN_METHOD),
        (ROOT, "org.freedesktop.DBus.Peer.Pong", "", [], errors.UNKNOWN_METHOD),
        (ROOT, "Level", "", [], errors.UNKNOWN_METHOD),
        (ROOT, "set_level", "d", [1.0], errors.UNKNOWN_METHOD),
        (ROOT, "Echo", "u", [1], errors.INVALID_ARGS),
        (ROOT, "Echo", "", [], errors.INVALID_ARGS),
        (ROOT, "Echo", "ss", ["x", "y"], errors.INVALID_ARGS),
        (ROOT, GET, "s", [NAME], errors.INVALID_ARGS),
        (ROOT, GET, "ss", [NAME, "Nothing"], errors.UNKNOWN_PROPERTY),
        (ROOT, GET, "ss", [NAME, "Secret"], errors.UNKNOWN_PROPERTY),
        (ROOT, GET, "ss", ["org.example.Other", "Level"], errors.UNKNOWN_INTERFACE),
        (ROOT, GET, "ss", [PEER.name, "Level"], errors.UNKNOWN_PROPERTY),
        (ROOT, GET, "ss", [NAME, "Broken"], errors.FAILED),
        (ROOT, GET_ALL, "s", ["org.example.Other"], errors.UNKNOWN_INTERFACE),
        (ROOT, SET, "ssv", [NAME, "Version", variant("s", "2")], errors.PROPERTY_READ_ONLY),
        (ROOT, SET, "ssv", [NAME, "Nothing", variant("s", "2")], errors.UNKNOWN_PROPERTY),
        (ROOT, SET, "ssv", [NAME, "Level", variant("s", "2")], errors.INVALID_ARGS),
    ],
)
async def test_what_is_wrong_is_told_apart(
    session_bus: BusDaemon, path: str, member: str, signature: str, body: list[object], name: str
) -> None:
    async with served(session_bus.address) as on:
        on.objects.add(OTHER_PATH, {INTERFACE: Probe()})
        error = await error_of(on, member, signature, *body, path=path)
        assert error.name == name
        assert error.text


async def test_a_call_without_an_interface_finds_the_method(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        replies: list[Call | Reply | Signal] = []
        raw = Connection(session_bus.address, replies.append, lambda: None)
        await raw.open()
        for serial, member in enumerate(("Echo", "Nothing"), 100):
            call = Message(on.bus.unique_name, ROOT, None, member, signature="s", body=["x"], serial=serial)
            raw.outbox.put(call._marshall())
        await until(lambda: len([reply for reply in replies if isinstance(reply, Reply)]) == 2)
        echo, nothing = (reply for reply in replies if isinstance(reply, Reply))
        assert echo.body == ["x"]
        assert nothing.error_name == errors.UNKNOWN_METHOD
        raw.close()


async def test_nobody_is_answered_who_wants_no_answer(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        replies: list[Call | Reply | Signal] = []
        raw = Connection(session_bus.address, replies.append, lambda: None)
        await raw.open()
        silent = ("Echo", "Nothing", "FailLater", "Crash", "Echo")
        for serial, member in enumerate(silent, 100):
            flags = MessageFlag.NONE if serial == 104 else MessageFlag.NO_REPLY_EXPECTED
            call = Message(on.bus.unique_name, ROOT, NAME, member, flags=flags, signature="s", body=["x"], serial=serial)
            raw.outbox.put(call._marshall())
        await until(lambda: any(isinstance(reply, Reply) for reply in replies))
        assert await on.call("Echo", "s", "x") == ["x"]
        assert [reply.serial for reply in replies if isinstance(reply, Reply)] == [104]
        raw.close()


async def test_a_call_that_is_cancelled_is_answered(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        waiting = on.tasks.create_task(error_of(on, "Wait"))
        await on.probe.waiting.wait()
        await on.objects.end_calls()
        assert (await waiting).name == errors.CANCELLED
        assert await on.call("Echo", "s", "still here") == ["still here"]


async def test_a_call_that_waits_keeps_nobody_waiting(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        waiting = on.tasks.create_task(on.call("Wait"))
        await on.probe.waiting.wait()
        assert await on.call("Echo", "s", "meanwhile") == ["meanwhile"]
        assert not waiting.done()
        on.probe.go_on.set()
        assert await waiting == []


async def test_who_lets_too_much_run_is_refused(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on, asyncio.TaskGroup() as waiting:
        for _ in range(MOST_RUNNING_CALLS):
            waiting.create_task(on.call("Wait"))
        await on.probe.waiting.wait()
        error = await error_of(on, "Wait")
        assert (error.name, str(MOST_RUNNING_CALLS) in error.text) == (errors.LIMITS_EXCEEDED, True)
        assert await on.call("Echo", "s", "what is answered at once") == ["what is answered at once"]
        async with await SessionBus.open([session_bus.address]) as other:
            with pytest.raises(CallError, match="no port x"):
                await other.call(on.bus.unique_name, ROOT, NAME, "FailLater", "s", ["x"])
        on.probe.go_on.set()
    async with served(session_bus.address) as on:
        on.probe.go_on.set()
        for _ in range(2 * MOST_RUNNING_CALLS):
            assert await on.call("Wait") == []


async def test_calls_are_answered_while_the_program_ends(session_bus: BusDaemon) -> None:
    class Stop(Exception):
        pass

    answers: list[str] = []

    async def call_at_the_end(bus: SessionBus, client: SessionBus) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with pytest.raises(CallError) as caught:
                await client.call(bus.unique_name, ROOT, NAME, "Wait")
            answers.append(caught.value.text)

    async with await SessionBus.open([session_bus.address]) as bus, await SessionBus.open([session_bus.address]) as client:
        with pytest.raises(ExceptionGroup) as stopped:  # noqa: PT012
            async with asyncio.TaskGroup() as tasks:
                objects = Objects(ROOT, tasks, KeepsNothing())
                objects.add(ROOT, {INTERFACE: Probe()})
                objects.attach(bus)
                tasks.create_task(call_at_the_end(bus, client))
                await client.call(bus.unique_name, ROOT, NAME, "Echo", "s", ["a round trip"])
                raise Stop
    assert stopped.group_contains(Stop)
    assert answers == ["the daemon is ending"]


async def test_an_answer_goes_to_the_bus_that_the_call_came_by(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        waiting = on.tasks.create_task(error_or_body(on))
        await on.probe.waiting.wait()
        async with await SessionBus.open([session_bus.address]) as other:
            on.objects.attach(other)
            on.probe.go_on.set()
            assert await waiting == []


async def error_or_body(on: Served) -> object:
    try:
        return await on.call("Wait")
    except (BusLost, CallError) as error:
        return error


async def test_peer_answers_again_and_again_and_everywhere(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        first = await on.call("org.freedesktop.DBus.Peer.GetMachineId")
        assert await on.call("org.freedesktop.DBus.Peer.GetMachineId") == first
        assert len(first[0]) == 32
        assert await on.call("org.freedesktop.DBus.Peer.Ping", path="/nowhere") == []


def interfaces(xml: str) -> dict[str, str]:
    """Give the interfaces of a document by name, without comments and white space."""
    found = {}
    for element in ET.fromstring(xml).iter("interface"):
        ET.indent(element, "")
        found[element.attrib["name"]] = ET.tostring(element, encoding="unicode").strip()
    return found


def children(xml: str) -> list[str]:
    """Give the names of the children in a document."""
    return [element.attrib["name"] for element in ET.fromstring(xml).iterfind("node")]


async def test_introspection_is_the_contract(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        (xml,) = await on.call(INTROSPECT)
        assert interfaces(xml)[NAME] == interfaces(XML)[NAME]
        assert OBJECT_MANAGER.name in interfaces(xml)
        assert 'name="text"' in xml
        assert "EmitsChangedSignal" in xml
        on.objects.add(OTHER_PATH, {INTERFACE: Probe()})
        (xml,) = await on.call(INTROSPECT, path=OTHER_PATH)
        assert OBJECT_MANAGER.name not in interfaces(xml)


async def test_introspection_leads_down_to_every_object(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        for name in ("a", "ab"):
            on.objects.add(f"{ROOT}/bus/{name}", {INTERFACE: Probe()})
        found = {
            path: children((await on.call(INTROSPECT, path=path))[0])
            for path in ("/", "/org", ROOT, f"{ROOT}/bus", f"{ROOT}/bus/a")
        }
        assert found == {"/": ["org"], "/org": ["example"], ROOT: ["bus"], f"{ROOT}/bus": ["a", "ab"], f"{ROOT}/bus/a": []}


async def test_properties_are_read_and_written(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        (level,) = await on.call(GET, "ss", NAME, "Level")
        assert (level.signature, level.value) == ("d", 0.5)
        (load,) = await on.call(GET, "ss", NAME, "Load")
        assert load.value == 12.5
        await on.call(SET, "ssv", NAME, "Level", variant("d", -6.5))
        await on.call(SET, "ssv", NAME, "Secret", variant("s", "hush"))
        await on.call(SET, "ssv", NAME, "Later", variant("s", "done"))
        assert (on.probe.level, on.probe.secret, on.probe.later) == (-6.5, "hush", "done")


async def test_one_property_that_fails_hides_only_itself(session_bus: BusDaemon, caplog: pytest.LogCaptureFixture) -> None:
    async with served(session_bus.address) as on:
        (values,) = await on.call(GET_ALL, "s", NAME)
        assert {name: value.value for name, value in values.items()} == {
            "Level": 0.5,
            "Later": "now",
            "Pairs": [["a", "b"]],
            "Large": "much",
            "Load": 12.5,
            "Version": "1",
        }
        assert f"property {NAME}.Broken failed" in caplog.text
        assert await on.call(GET_ALL, "s", PEER.name) == [{}]


async def test_objects_come_and_go_at_the_root(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        seen = await collect(on)
        on.objects.add(OTHER_PATH, {INTERFACE: Probe()})
        (managed,) = await on.call(MANAGED)
        assert set(managed) == {OTHER_PATH}
        assert managed[OTHER_PATH][NAME]["Level"].value == 0.5
        on.objects.changed(OTHER_PATH, NAME, "Level")
        on.objects.remove(OTHER_PATH)
        await until(lambda: len(seen) == 2)
        assert await on.call(MANAGED) == [{}]
        added, removed = seen
        assert (added.path, added.interface, added.member) == (ROOT, OBJECT_MANAGER.name, "InterfacesAdded")
        assert added.body[0] == OTHER_PATH
        assert added.body[1][NAME]["Pairs"].value == [["a", "b"]]
        assert (removed.path, removed.member, removed.body) == (ROOT, "InterfacesRemoved", [OTHER_PATH, [NAME]])


async def test_changes_of_one_turn_are_one_signal_after_the_others(
    session_bus: BusDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(session_bus.address) as on:
        seen = await collect(on)
        on.objects.changed(ROOT, NAME, "Level", "Broken")
        on.probe.level = 1.5
        on.objects.changed(ROOT, NAME, "Large", "Load", "Version", "Level")
        on.objects.signal(ROOT, NAME, "Ticked", 7, "")
        await until(lambda: len(seen) == 2)
        ticked, changed = seen
        assert (ticked.member, ticked.body) == ("Ticked", [7, ""])
        assert (changed.path, changed.interface, changed.member) == (ROOT, PROPERTIES.name, "PropertiesChanged")
        interface, values, invalidated = changed.body
        assert interface == NAME
        assert {name: value.value for name, value in values.items()} == {"Level": 1.5}
        assert invalidated == ["Large"]
        assert f"property {NAME}.Broken failed" in caplog.text
        on.objects.changed(ROOT, NAME, "Load")  # nobody is told of that
        on.objects.changed(ROOT, NAME, "Later")
        await until(lambda: len(seen) == 3)
        assert set(seen[-1].body[1]) == {"Later"}


async def test_changes_while_the_bus_stands_still_are_told_when_it_goes_on(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        seen = await collect(on)
        with session_bus.standing_still():
            for number in range(4_000):
                on.objects.signal(ROOT, NAME, "Ticked", number, "x" * 1_000)
            backlog = on.bus.backlog_bytes
            assert 1_000_000 < backlog < 1_100_000  # what came after is dropped
            on.objects.changed(ROOT, NAME, "Level")
            await asyncio.sleep(0)
        await until(lambda: seen and seen[-1].member == "PropertiesChanged")
        ticks = [got.body[0] for got in seen[:-1]]
        assert ticks == list(range(len(ticks)))
        assert 0 < len(ticks) < 4_000


async def test_objects_that_come_and_go_while_the_bus_stands_still_are_told(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        seen = await collect(on)
        dropped: list[set[str]] = []
        on.objects.on_dropped = lambda members: dropped.append({*members})
        paths = [f"{ROOT}/{name}" for name in ("stays", "goes", "changes", "comes", "passes")]
        stays, goes, changes, comes, passes = paths
        for path in (stays, goes, changes):
            on.objects.add(path, {INTERFACE: on.probe})
        await until(lambda: len(seen) == 3)
        with session_bus.standing_still():
            for number in range(1_500):
                on.objects.signal(ROOT, NAME, "Ticked", number, "x" * 1_000)
            on.objects.remove(goes)
            on.objects.remove(changes)
            for path in (changes, comes, passes):
                on.objects.add(path, {INTERFACE: on.probe})
            on.objects.remove(passes)
            await asyncio.sleep(0)
        await until(lambda: seen[-1].member == "InterfacesRemoved" and seen[-1].body[0] == passes)
        told = [(got.member.removeprefix("Interfaces"), got.body[0]) for got in seen[3:] if got.member != "Ticked"]
        assert told == [("Removed", goes), ("Removed", changes), ("Added", changes), ("Added", comes), ("Removed", passes)]
        assert dropped == [{"Ticked"}]
        on.objects.remove(stays)
        await until(lambda: seen[-1].member == "InterfacesRemoved")


async def test_what_is_told_later_is_told_whole(session_bus: BusDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "BACKLOG_LIMIT_BYTES", 20_000)
    async with served(session_bus.address) as on:
        seen = await collect(on)
        paths = [f"{ROOT}/many{number}" for number in range(100)]  # 500 bytes each
        with session_bus.standing_still():
            for number in range(30):
                on.objects.signal(ROOT, NAME, "Ticked", number, "x" * 10_000)
            for path in paths:
                on.objects.add(path, {INTERFACE: on.probe})
            for path in (ROOT, *paths):
                on.objects.changed(path, NAME, "Level")
            await asyncio.sleep(0)
        await until(lambda: len([got for got in seen if got.member == "PropertiesChanged"]) == 101)
        assert [got.body[0] for got in seen if got.member == "InterfacesAdded"] == paths


async def test_answers_of_others_drop_no_signal(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        seen = await collect(on)
        with session_bus.standing_still():
            for number in range(20):
                answered = Call(f":1.{number}", ROOT, NAME, "Echo", "s", ["x"], 1, wants_reply=True)
                on.bus.answer(answered, "s", ["x" * 100_000])
            assert on.bus.backlog_bytes > BACKLOG_LIMIT_BYTES
            on.objects.signal(ROOT, NAME, "Ticked", 7, "")
        await until(lambda: seen)
        assert seen[0].body == [7, ""]


async def test_what_the_contract_does_not_have_is_logged_and_told_to_nobody(
    session_bus: BusDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(session_bus.address) as on:
        seen = await collect(on)
        on.objects.changed(ROOT, NAME, "Levle")
        on.objects.changed("/nowhere", NAME, "Level")
        on.objects.signal(ROOT, NAME, "Tocked", 7)
        on.objects.signal(ROOT, NAME, "Ticked", "not a number", "")
        assert caplog.text.count("this is a fault of the program") == 4
        on.objects.signal(ROOT, NAME, "Ticked", 7, "")
        await until(lambda: seen)
        assert [got.body for got in seen] == [[7, ""]]


async def test_two_objects_cannot_stand_at_one_path(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        with pytest.raises(ValueError, match="an object at"):
            on.objects.add(ROOT, {INTERFACE: Probe()})


async def test_a_member_that_is_missing_is_noticed_at_once(session_bus: BusDaemon) -> None:
    class Half:
        def echo(self, call: Call, text: str) -> str:
            return text

    async with served(session_bus.address) as on:
        with pytest.raises(TypeError, match=r"Half lacks add, repeat, who_am_i, .*level, set_level, .*of org\.example\.Probe1"):
            on.objects.add(OTHER_PATH, {INTERFACE: Half()})


async def test_objects_outlive_the_bus(session_bus: BusDaemon) -> None:
    async with served(session_bus.address) as on:
        session_bus.kill()
        await on.bus.lost()
        on.objects.detach()
        on.objects.signal(ROOT, NAME, "Ticked", 1, "")
        on.objects.changed(ROOT, NAME, "Level")
        on.objects.add(OTHER_PATH, {INTERFACE: Probe()})
        session_bus.start()
        async with await SessionBus.open([session_bus.address]) as bus, await SessionBus.open([session_bus.address]) as client:
            on.objects.attach(bus)
            assert await client.call(bus.unique_name, OTHER_PATH, NAME, "Echo", "s", ["back"]) == ["back"]
