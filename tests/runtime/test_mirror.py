"""The mirror against a model of a server: whatever happens, and however it is told, the graph is right."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jackd_router.core.graph import Connection, PortName
from jackd_router.jack_host import memory, protocol
from jackd_router.runtime.mirror import Changes, Mirror
from tests.runtime.model_server import AUDIO, OPERATIONS, ModelServer, Operation, TornReader, event, history, seen, whole

NUMBERS = st.integers(0, 30)
HISTORIES = st.lists(st.tuples(st.sampled_from(OPERATIONS), NUMBERS, NUMBERS), max_size=80)


@given(HISTORIES)
@settings(max_examples=200, deadline=None)
def test_events_one_by_one_give_the_graph(operations: list[Operation]) -> None:
    server, mirror = ModelServer(), Mirror()
    for operation in operations:
        for told in server.do(operation):
            mirror.fold([told])
        assert seen(mirror.graph) == server.seen()


@given(HISTORIES, st.lists(NUMBERS))
@settings(max_examples=200, deadline=None)
def test_batches_give_the_same_as_one_by_one(operations: list[Operation], cuts: list[int]) -> None:
    events = history(operations)
    singly, batched = Mirror(), Mirror()
    for told in events:
        singly.fold([told])
    bounds = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    for first, last in pairwise(bounds):
        batched.fold(events[first:last])
    assert whole(batched.graph) == whole(singly.graph)


@given(HISTORIES)
@settings(max_examples=200, deadline=None)
def test_events_that_come_twice_change_nothing_more(operations: list[Operation]) -> None:
    once, twice = Mirror(), Mirror()
    for told in history(operations):
        once.fold([told])
        twice.fold([told])
        before = twice.version
        assert not twice.fold([told])
        assert twice.version == before
    assert whole(twice.graph) == whole(once.graph)


@given(HISTORIES)
@settings(max_examples=200, deadline=None)
def test_changes_lead_from_one_graph_to_the_next(operations: list[Operation]) -> None:
    mirror = Mirror()
    ports, connections, version = dict(mirror.graph.ports), set(mirror.graph.connections), mirror.version
    for told in history(operations):
        changes = mirror.fold([told])
        for name, before, now in changes.ports:
            assert ports.pop(name, None) == before
            if now is not None:
                ports[name] = now
        for connection, now_connected in changes.connections:
            assert (connection in connections) != now_connected
            (connections.add if now_connected else connections.discard)(connection)
        assert (ports, connections) == whole(mirror.graph)
        version += bool(changes)
        assert mirror.version == version


def load(mirror: Mirror, server: ModelServer, operations: list[Operation], pace: int) -> Changes:
    """Read a snapshot in the middle of a history: so many operations happen between one row and the next."""
    mirror.begin_load(after_loss=True)
    reader, queue = TornReader(server), iter(operations)
    for _ in reader.read():
        mirror.fold(history((operation for _, operation in zip(range(pace), queue, strict=False)), server))
    mirror.collect(protocol.PORTS, reader.ports)
    mirror.collect(protocol.CONNECTIONS, reader.connections)
    mirror.fold(history(queue, server))
    return mirror.finish_load()


def load_until_whole(mirror: Mirror, server: ModelServer, operations: list[Operation], pace: int) -> None:
    """Read as often as the mirror asks for it; only renamed ports can make it ask."""
    if load(mirror, server, operations, pace).torn:
        assert any(what == "rename" for what, _, _ in operations)
        assert not load(mirror, server, [], pace).torn


@given(HISTORIES, HISTORIES, HISTORIES, st.integers(0, 5))
@settings(max_examples=400, deadline=None)
def test_torn_snapshot_and_queue_give_the_graph(
    before: list[Operation], during: list[Operation], after: list[Operation], pace: int
) -> None:
    mirror, server = Mirror(), ModelServer()
    history(before, server)
    load_until_whole(mirror, server, during, pace)
    assert seen(mirror.graph) == server.seen()
    mirror.fold(history(after, server))
    assert seen(mirror.graph) == server.seen()


@given(HISTORIES, HISTORIES, HISTORIES, st.integers(0, 5))
@settings(max_examples=400, deadline=None)
def test_reading_anew_mends_what_was_lost(
    before: list[Operation], lost: list[Operation], during: list[Operation], pace: int
) -> None:
    mirror, server = Mirror(), ModelServer()
    mirror.fold(history(before, server))
    history(lost, server)  # of this nothing is told
    load_until_whole(mirror, server, during, pace)
    assert seen(mirror.graph) == server.seen()


@given(HISTORIES)
@settings(max_examples=100, deadline=None)
def test_snapshot_of_what_is_known_changes_nothing(operations: list[Operation]) -> None:
    mirror, server = Mirror(), ModelServer()
    mirror.fold(history(operations, server))
    kept, version = whole(mirror.graph), mirror.version
    mirror.begin_load()
    aliases = {name: tuple(alias.encode() for alias in port.aliases) for name, port in kept[0].items()}
    rows = [(number, name, flags, AUDIO, aliases[PortName(name.decode())]) for number, (name, flags) in server.ports.items()]
    mirror.collect(protocol.PORTS, rows)
    mirror.collect(protocol.CONNECTIONS, server.connections)
    assert not mirror.finish_load()
    assert (whole(mirror.graph), mirror.version) == (kept, version)


@given(HISTORIES)
@example([("register", 0, 0)])
def test_end_of_a_generation_leaves_nothing(operations: list[Operation]) -> None:
    mirror = Mirror()
    mirror.fold(history(operations))
    ports, connections = whole(mirror.graph)
    changes = mirror.clear()
    assert whole(mirror.graph) == ({}, set())
    assert {change.name for change in changes.ports} == set(ports)
    assert {connection for connection, _ in changes.connections} == connections
    server = ModelServer()
    mirror.fold(history(operations, server))
    assert seen(mirror.graph) == server.seen()


# ---- by example


def test_id_that_is_used_again_is_another_port() -> None:
    mirror = Mirror()
    mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"a:out"), event(memory.EVENT_PORT, 2, flags=1, name=b"a:in")])
    mirror.fold([event(memory.EVENT_CONNECTION, 1, 2)])
    first = mirror.graph.ports[PortName("a:out")]
    mirror.fold([event(memory.EVENT_PORT, 1, on=0), event(memory.EVENT_PORT, 1, flags=2, name=b"a:out")])
    assert mirror.graph.ports[PortName("a:out")].registration > first.registration
    assert mirror.graph.connections == set(), "the end of a port ends its connections, told or not"
    mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"b:out")])
    assert set(mirror.graph.ports) == {"b:out", "a:in"}


def test_listed_port_of_a_client_that_is_not_active_any_more_stays_away() -> None:
    mirror = Mirror()
    row = (1, b"a:out", 2, AUDIO, ())
    mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"a:out"), event(memory.EVENT_PORT, 1, on=0)])
    for after_loss, listed in ((False, set()), (True, {"a:out"})):
        mirror.begin_load(after_loss=after_loss)
        mirror.collect(protocol.PORTS, (row,))
        mirror.finish_load()
        assert set(mirror.graph.ports) == listed


def test_port_that_is_told_again_is_named() -> None:
    mirror = Mirror()
    told = event(memory.EVENT_PORT, 1, flags=2, name=b"a:out")
    assert not mirror.fold([told]).told_again
    changes = mirror.fold([told])
    assert changes.told_again == ["a:out"]
    assert not changes


def test_port_renamed_while_it_is_listed_asks_for_another_reading() -> None:
    mirror = Mirror()
    mirror.begin_load()
    mirror.fold([event(memory.EVENT_RENAME, 7, name=b"a:new")])
    assert mirror.finish_load().torn
    assert not Mirror().fold([event(memory.EVENT_PORT, 7, name=b"a:b"), event(memory.EVENT_RENAME, 7, name=b"a:c")]).torn


def test_unknown_ids_change_nothing() -> None:
    mirror = Mirror()
    for told in (
        event(memory.EVENT_PORT, 7, on=0),
        event(memory.EVENT_CONNECTION, 7, 8),
        event(memory.EVENT_CONNECTION, 7, 8, on=0),
        event(memory.EVENT_RENAME, 7, name=b"a:b"),
        event(memory.EVENT_ALIAS, 7, name=b"a:b"),
        event(memory.EVENT_CLIENT, name=b"a"),
    ):
        assert not mirror.fold([told])
    assert whole(mirror.graph) == ({}, set())


def test_rename_keeps_connections_and_is_told() -> None:
    mirror = Mirror()
    mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"a:out"), event(memory.EVENT_PORT, 2, flags=1, name=b"a:in")])
    mirror.fold([event(memory.EVENT_CONNECTION, 1, 2)])
    changes = mirror.fold([event(memory.EVENT_RENAME, 1, name=b"a:left")])
    assert changes.renamed == [("a:out", "a:left")]
    assert mirror.graph.connections == {Connection(PortName("a:left"), PortName("a:in"))}


def test_name_that_is_not_utf8_stays_apart_from_others() -> None:
    mirror = Mirror()
    mirror.fold([event(memory.EVENT_PORT, 1, name=b"a:\xff"), event(memory.EVENT_PORT, 2, name=b"a:\xfe")])
    assert list(mirror.graph.ports) == ["a:\udcff", "a:\udcfe"]


def test_shutdown_is_told_also_while_a_snapshot_is_read() -> None:
    mirror = Mirror()
    told = event(memory.EVENT_SHUTDOWN, on=0, name=b"the end")
    assert mirror.fold([told]).shut_down == "the end"
    mirror.begin_load()
    assert mirror.fold([told]).shut_down == "the end"


# ---- metadata


def with_two_ports() -> Mirror:
    """Give a mirror with metadata wanted, an output port 1 and an input port 2."""
    mirror = Mirror()
    mirror.want_metadata(wanted=True)
    mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"a:out"), event(memory.EVENT_PORT, 2, flags=1, name=b"a:in")])
    return mirror


def said(mirror: Mirror) -> dict[str, tuple[str | None, str]]:
    """Give pretty name and type of each port."""
    return {name: (port.pretty_name, port.type) for name, port in mirror.graph.ports.items()}


def test_what_was_told_is_to_be_read_once() -> None:
    mirror = with_two_ports()
    assert mirror.take_unread().keys() == {1, 2}
    mirror.fold([event(memory.EVENT_PROPERTY, 1), event(memory.EVENT_PROPERTY, 9), event(memory.EVENT_PROPERTY, 1)])
    assert mirror.take_unread().keys() == {1}
    mirror.fold([event(memory.EVENT_PROPERTY, 0, on=0)])
    assert mirror.take_unread().keys() == {1, 2}
    mirror.fold([event(memory.EVENT_PROPERTY, 1), event(memory.EVENT_PORT, 1, on=0)])
    assert mirror.take_unread() == {}


def test_nothing_is_to_be_read_while_nobody_wants_it() -> None:
    mirror = with_two_ports()
    mirror.take_metadata(mirror.take_unread(), [(1, b"a:out", b"Left", b"CV")])
    changes = mirror.want_metadata(wanted=False)
    assert [change.name for change in changes.ports] == ["a:out"]
    assert said(mirror) == {"a:out": (None, "audio"), "a:in": (None, "audio")}
    mirror.fold([event(memory.EVENT_PROPERTY, 1), event(memory.EVENT_PORT, 3, name=b"b:in")])
    assert mirror.take_unread() == {}
    assert not mirror.want_metadata(wanted=True)
    assert mirror.take_unread().keys() == {1, 2, 3}


def test_only_audio_is_ever_cv() -> None:
    mirror = with_two_ports()
    mirror.fold([event(memory.EVENT_PORT, 3, name=b"a:midi")._replace(type=b"8 bit raw midi")])
    rows = [(1, b"a:out", None, b"CV"), (2, b"a:in", None, b"AUDIO"), (3, b"a:midi", b"Keys", b"CV")]
    mirror.take_metadata(mirror.take_unread(), rows)
    assert said(mirror) == {"a:out": (None, "cv"), "a:in": (None, "audio"), "a:midi": ("Keys", "midi")}


def test_late_answer_is_not_taken_for_the_port_that_came_meanwhile() -> None:
    mirror = with_two_ports()
    asked = mirror.take_unread()
    again = event(memory.EVENT_PORT, 1, flags=2, name=b"a:out")
    mirror.fold([event(memory.EVENT_PORT, 1, on=0), again, event(memory.EVENT_RENAME, 2, name=b"a:other")])
    rows = [(1, b"a:out", b"Old", None), (2, b"a:in", b"Old", None), (7, b"a:none", b"Old", None)]
    assert not mirror.take_metadata(asked, rows)
    asked = mirror.take_unread()
    assert asked.keys() == {1, 2}
    assert not mirror.take_metadata(asked, [(1, b"b:out", b"Early", None)]), "the host read it of another port already"
    assert mirror.take_metadata(asked, [(1, b"a:out", b"New", None)])
    assert said(mirror)["a:out"] == ("New", "audio")


def test_port_that_is_told_or_listed_again_or_renamed_keeps_its_metadata() -> None:
    mirror = with_two_ports()
    mirror.take_metadata(mirror.take_unread(), [(1, b"a:out", b"Left", b"CV")])
    assert not mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"a:out")])
    mirror.begin_load()
    mirror.collect(protocol.PORTS, [(1, b"a:out", 2, AUDIO, ()), (2, b"a:in", 1, AUDIO, ())])
    assert not mirror.finish_load()
    assert mirror.take_unread() == {}
    mirror.fold([event(memory.EVENT_RENAME, 1, name=b"a:new")])
    assert said(mirror)["a:new"] == ("Left", "cv")


def test_after_a_loss_all_metadata_is_read() -> None:
    mirror = with_two_ports()
    mirror.take_unread()
    mirror.begin_load(after_loss=True)
    mirror.collect(protocol.PORTS, [(1, b"a:out", 2, AUDIO, ()), (2, b"a:in", 1, AUDIO, ())])
    assert not mirror.finish_load()
    assert mirror.take_unread().keys() == {1, 2}


def look(mirror: Mirror, *rows: tuple[int, bytes, bytes | None, bytes | None]) -> Changes:
    """Let another client read the graph, and this of its metadata."""
    mirror.begin_load()
    mirror.collect(protocol.PORTS, [(1, b"a-7:out", 2, AUDIO, ()), (2, b"a:in", 1, AUDIO, ())])
    mirror.collect(protocol.METADATA, rows)
    return mirror.finish_load(by_another=True)


def test_what_ours_was_not_told_of_is_called_as_it_calls_the_client() -> None:
    mirror = with_two_ports()
    mirror.begin_load()
    rows = [(1, b"a-7:out"), (2, b"a-7:in"), (3, b"a-7:new"), (4, b"b-9:unknown"), (5, b"a:in")]
    mirror.collect(protocol.PORTS, [(number, name, 2, AUDIO, ()) for number, name in rows])
    mirror.finish_load(by_another=True)
    assert set(mirror.graph.ports) == {"a:out", "a:in", "a:new", "b-9:unknown"}
    assert mirror._ids[PortName("a:in")] == 2, "who has that name here is there"


def test_what_another_client_was_told_is_all_there_is() -> None:
    mirror = with_two_ports()
    mirror.metadata_gets_lost = True
    mirror.take_unread()
    assert look(mirror, (1, b"a-7:out", b"Left", b"CV"), (2, b"a:in", b"In", None), (3, b"b:gone", b"Late", None))
    assert said(mirror) == {"a:out": ("Left", "cv"), "a:in": ("In", "audio")}
    assert look(mirror, (1, b"a-7:out", None, None))
    assert said(mirror) == {"a:out": (None, "audio"), "a:in": ("In", "audio")}
    mirror.want_metadata(wanted=False)
    assert not look(mirror, (1, b"a-7:out", b"Left", b"CV"))


def test_where_metadata_gets_lost_what_our_client_does_not_know_is_kept() -> None:
    mirror = with_two_ports()
    mirror.metadata_gets_lost = True
    look(mirror, (1, b"a-7:out", b"L\xe9ft", b"CV"))
    assert read(mirror, (1, b"a:out", None, None), (2, b"a:in", None, None)) == {
        "a:out": ("L\udce9ft", "cv"),
        "a:in": (None, "audio"),
    }
    mirror.fold([event(memory.EVENT_PROPERTY, 1)])
    assert read(mirror, (1, b"a:out", b"Right", None))["a:out"] == ("Right", "cv")
    mirror.fold([event(memory.EVENT_PROPERTY, 1)])
    assert read(mirror, (1, b"a:out", b"", b"AUDIO"))["a:out"] == ("", "audio")


def of_jack2() -> Mirror:
    """Give a mirror with metadata wanted, of a server that keeps it when it is killed."""
    mirror = Mirror()
    mirror.metadata_outlives = True
    mirror.want_metadata(wanted=True)
    return mirror


def next_generation(mirror: Mirror, *ports: tuple[int, bytes]) -> None:
    """Let a generation end, and another one begin with these ports."""
    mirror.clear()
    mirror.begin_load()
    mirror.collect(protocol.PORTS, [(number, name, 2, AUDIO, ()) for number, name in ports])
    mirror.finish_load()


def read(mirror: Mirror, *rows: tuple[int, bytes, bytes | None, bytes | None]) -> dict[str, tuple[str | None, str]]:
    """Let rows be read, and give what is known then."""
    mirror.take_metadata(mirror.take_unread(), rows)
    return said(mirror)


def test_what_a_killed_server_left_of_another_port_is_nobodys() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"))
    assert read(mirror, (1, b"a:out", b"Left", b"CV")) == {"a:out": ("Left", "cv")}
    for _ in range(2):
        next_generation(mirror, (1, b"b:out"), (2, b"a:out"))
        told = read(mirror, (1, b"b:out", b"Left", b"CV"), (2, b"a:out", b"Left", b"CV"))
        assert told == {"b:out": (None, "audio"), "a:out": ("Left", "cv")}
    next_generation(mirror, (1, b"a:out"))
    assert read(mirror, (1, b"a:out", b"Left", b"CV")) == {"a:out": ("Left", "cv")}, "its own, from before"


def test_what_somebody_sets_counts_whatever_was_left() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"))
    read(mirror, (1, b"a:out", b"Left", None))
    next_generation(mirror, (1, b"b:out"))
    mirror.fold([event(memory.EVENT_PROPERTY, 1)])
    assert read(mirror, (1, b"b:out", b"Left", None)) == {"b:out": ("Left", "audio")}
    next_generation(mirror, (1, b"c:out"))
    assert read(mirror, (1, b"c:out", b"Right", None)) == {"c:out": ("Right", "audio")}, "it was said after the last look"
    next_generation(mirror, (1, b"d:out"))
    read(mirror, (1, b"d:out", None, None))
    next_generation(mirror, (1, b"e:out"))
    assert read(mirror, (1, b"e:out", b"Right", None)) == {"e:out": ("Right", "audio")}, "it was gone meanwhile"


def test_what_was_set_and_not_read_is_left_over_too() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"))
    mirror.fold([event(memory.EVENT_PROPERTY, 1)])
    next_generation(mirror, (1, b"b:out"))
    assert read(mirror, (1, b"b:out", b"Left", None)) == {"b:out": (None, "audio")}


def test_what_a_port_says_again_is_heard_whichever_id_it_has() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"), (2, b"b:out"))
    for number in (1, 2):
        mirror.fold([event(memory.EVENT_PROPERTY, number)])
    read(mirror, (1, b"a:out", b"Left", None), (2, b"b:out", b"Right", None))
    next_generation(mirror, (1, b"b:out"), (2, b"a:out"), (3, b"c:out"))
    told = read(mirror, (1, b"b:out", b"Right", None), (2, b"a:out", b"Right", None), (3, b"c:out", None, None))
    assert told == {"b:out": ("Right", "audio"), "a:out": (None, "audio"), "c:out": (None, "audio")}, "only b:out has said that"
    next_generation(mirror, (1, b"a:out"), (3, b"b:out"))
    told = read(mirror, (1, b"a:out", b"Right", None), (3, b"b:out", b"Right", None))
    assert told == {"a:out": (None, "audio"), "b:out": ("Right", "audio")}


def test_what_a_port_has_taken_back_it_does_not_say_again() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"), (2, b"b:out"))
    for said in (b"Left", None):
        mirror.fold([event(memory.EVENT_PROPERTY, 2)])
        read(mirror, (1, b"a:out", b"Left", None), (2, b"b:out", said, None))
    next_generation(mirror, (1, b"b:out"))
    assert read(mirror, (1, b"b:out", b"Left", None)) == {"b:out": (None, "audio")}


@pytest.mark.parametrize(("name", "again"), [("a:out", "Left"), ("c:out", None)])
def test_what_is_found_changed_is_heard_but_certain_only_at_an_id_that_was_its_own(name: str, again: str | None) -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"), (2, b"b:out"))
    read(mirror, (1, b"a:out", None, None), (2, b"b:out", b"Left", None))
    next_generation(mirror, (1, name.encode()))
    assert read(mirror, (1, name.encode(), b"Left", None)) == {name: ("Left", "audio")}
    next_generation(mirror, (2, name.encode()))
    assert read(mirror, (2, name.encode(), b"Left", None)) == {name: (again, "audio")}


def test_what_is_set_before_the_port_is_told_is_its_own() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"))
    read(mirror, (1, b"a:out", b"Left", None))
    next_generation(mirror)
    mirror.fold([event(memory.EVENT_PROPERTY, 1), event(memory.EVENT_PORT, 1, name=b"b:out", flags=2)])
    assert read(mirror, (1, b"b:out", b"Left", None)) == {"b:out": ("Left", "audio")}
    next_generation(mirror, (1, b"a:out"), (2, b"b:out"))
    told = read(mirror, (1, b"a:out", b"Left", None), (2, b"b:out", b"Left", None))
    assert told == {"a:out": (None, "audio"), "b:out": ("Left", "audio")}


def test_what_was_set_of_a_port_that_never_came_is_nobodys() -> None:
    mirror = of_jack2()
    next_generation(mirror)
    mirror.fold([event(memory.EVENT_PROPERTY, 1)])
    next_generation(mirror, (1, b"b:out"))
    assert read(mirror, (1, b"b:out", b"Left", None)) == {"b:out": (None, "audio")}


def test_what_ports_said_is_forgotten_of_those_heard_of_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jackd_router.runtime.left_over._REMEMBERED", 2)
    mirror = of_jack2()
    names = (b"a:out", b"b:out", b"a:out", b"c:out")
    for name in names:
        next_generation(mirror, (1, name))
        mirror.fold([event(memory.EVENT_PROPERTY, 1)])
        read(mirror, (1, name, b"Left", None))
    heard: dict[str, tuple[str | None, str]] = {}
    for name in (b"a:out", b"b:out"):
        next_generation(mirror, (1, name))
        heard |= read(mirror, (1, name, b"Left", None))
    assert heard == {"a:out": ("Left", "audio"), "b:out": (None, "audio")}


def test_a_renamed_port_keeps_what_it_has() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"))
    read(mirror, (1, b"a:out", b"Left", None))
    mirror.fold([event(memory.EVENT_RENAME, 1, name=b"a:new")])
    next_generation(mirror, (1, b"a:new"))
    assert read(mirror, (1, b"a:new", b"Left", None)) == {"a:new": ("Left", "audio")}


def test_what_was_left_is_known_after_a_loss_and_after_another_kind_of_server() -> None:
    mirror = of_jack2()
    next_generation(mirror, (1, b"a:out"))
    read(mirror, (1, b"a:out", b"Left", None))
    mirror.begin_load(after_loss=True)
    mirror.collect(protocol.PORTS, [(1, b"a:out", 2, AUDIO, ())])
    mirror.finish_load()
    assert mirror.take_unread().keys() == {1}
    mirror.metadata_outlives = False
    next_generation(mirror, (1, b"b:out"))
    mirror.fold([event(memory.EVENT_PROPERTY, 1)])
    assert read(mirror, (1, b"b:out", b"Left", None)) == {"b:out": ("Left", "audio")}
    mirror.metadata_outlives = True
    next_generation(mirror, (1, b"c:out"))
    assert read(mirror, (1, b"c:out", b"Left", None)) == {"c:out": (None, "audio")}
