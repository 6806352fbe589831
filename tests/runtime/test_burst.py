"""What is announced: net differences that, applied to a copy, give exactly the graph."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from jackd_router.core.graph import Connection, Port, PortName
from jackd_router.jack_host import memory
from jackd_router.runtime.burst import Burst
from jackd_router.runtime.mirror import Mirror
from jackd_router.runtime.state import GraphDiff
from tests.runtime.model_server import ModelServer, event, random_operations, whole


@dataclass
class Copy:
    """A graph as somebody keeps it who only reads announcements, and takes none that does not fit."""

    version: int
    ports: dict[PortName, Port] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)

    def apply(self, diff: GraphDiff) -> None:
        """Take one announcement, in the order that GraphDiff prescribes."""
        assert diff.previous == self.version
        assert not diff.resync
        for connection in diff.disconnected:
            self.connections.remove(connection)
        for name in diff.ports_removed:
            assert not any(name in connection for connection in self.connections)
            del self.ports[name]
        for port in diff.ports_added:
            assert port.name not in self.ports
            self.ports[port.name] = port
        for connection in diff.connected:
            assert connection not in self.connections
            assert self.ports.keys() >= set(connection)
            self.connections.add(connection)
        for port in diff.aliases:
            assert port.name in self.ports
            self.ports[port.name] = port
        self.version = diff.version


def test_10000_random_changes_told_in_bursts_give_the_graph() -> None:
    rng = random.Random(5)
    mirror, server = Mirror(), ModelServer(names=60)
    burst, copy = Burst(mirror.version), Copy(mirror.version)
    told = 0
    for operation in random_operations(6, 10_000):
        burst.add(mirror.fold(server.do(operation)))
        if rng.random() < 0.1:
            diff = burst.take(mirror.graph, mirror.version)
            copy.apply(diff)
            told += len(diff.ports_added) + len(diff.ports_removed) + len(diff.connected) + len(diff.disconnected)
            assert (copy.ports, copy.connections) == whole(mirror.graph)
    assert told > 3_000, "the histories have become too dull"


def test_generations_are_told_as_differences_too() -> None:
    mirror = Mirror()
    burst, copy = Burst(mirror.version), Copy(mirror.version)
    for generation in range(30):
        server = ModelServer()
        for operation in random_operations(generation, 60):
            burst.add(mirror.fold(server.do(operation)))
        if generation % 3:
            copy.apply(burst.take(mirror.graph, mirror.version))
            assert (copy.ports, copy.connections) == whole(mirror.graph)
        burst.add(mirror.clear())
    copy.apply(burst.take(mirror.graph, mirror.version))
    assert (copy.ports, copy.connections) == ({}, set())


def test_what_came_and_went_is_not_told() -> None:
    mirror = Mirror()
    burst = Burst(mirror.version)
    on = [event(memory.EVENT_PORT, 1, flags=2, name=b"a:o"), event(memory.EVENT_PORT, 2, flags=1, name=b"a:i")]
    burst.add(mirror.fold([*on, event(memory.EVENT_CONNECTION, 1, 2)]))
    burst.add(mirror.fold([event(memory.EVENT_PORT, 1, on=0), event(memory.EVENT_PORT, 2, on=0)]))
    diff = burst.take(mirror.graph, mirror.version)
    assert diff == GraphDiff(diff.previous, mirror.version)


def test_port_that_came_back_is_told_as_gone_and_new_with_its_connections() -> None:
    mirror = Mirror()
    on = [event(memory.EVENT_PORT, 1, flags=2, name=b"a:o"), event(memory.EVENT_PORT, 2, flags=1, name=b"a:i")]
    mirror.fold([*on, event(memory.EVENT_CONNECTION, 1, 2)])
    burst = Burst(mirror.version)
    burst.add(mirror.fold([event(memory.EVENT_PORT, 1, on=0), on[0], event(memory.EVENT_CONNECTION, 1, 2)]))
    diff = burst.take(mirror.graph, mirror.version)
    pair = Connection(PortName("a:o"), PortName("a:i"))
    assert diff.ports_removed == ("a:o",)
    assert diff.ports_added == (mirror.graph.ports[PortName("a:o")],)
    assert (diff.disconnected, diff.connected) == ((pair,), (pair,))


def test_rename_and_alias_are_told() -> None:
    mirror = Mirror()
    mirror.fold([event(memory.EVENT_PORT, 1, name=b"a:o")])
    burst = Burst(mirror.version)
    burst.add(mirror.fold([event(memory.EVENT_ALIAS, 1, name=b"left")]))
    diff = burst.take(mirror.graph, mirror.version)
    assert [(port.name, port.aliases) for port in diff.aliases] == [("a:o", ("left",))]
    assert (diff.ports_added, diff.ports_removed) == ((), ())
    burst.add(mirror.fold([event(memory.EVENT_RENAME, 1, name=b"a:p")]))
    diff = burst.take(mirror.graph, mirror.version)
    assert diff.renamed == (("a:o", "a:p"),)
    assert (diff.ports_removed, [port.name for port in diff.ports_added]) == (("a:o",), ["a:p"])


def test_metadata_is_told_and_the_port_stays() -> None:
    mirror = Mirror()
    mirror.want_metadata(wanted=True)
    pair = [event(memory.EVENT_PORT, 1, flags=2, name=b"a:o"), event(memory.EVENT_PORT, 2, flags=1, name=b"a:i")]
    mirror.fold([*pair, event(memory.EVENT_CONNECTION, 1, 2)])
    asked = mirror.take_unread()
    burst = Burst(mirror.version)
    for row in ((1, b"a:o", b"Left", b"CV"), (1, b"a:o", b"Left", None), (1, b"a:o", None, None)):
        burst.add(mirror.take_metadata(asked, [row]))
        diff = burst.take(mirror.graph, mirror.version)
        assert diff == GraphDiff(diff.previous, mirror.version, metadata=(mirror.graph.ports[PortName("a:o")],))
        assert diff.version > diff.previous
    burst.add(mirror.take_metadata(asked, [(1, b"a:o", b"once", None)]))
    burst.add(mirror.take_metadata(asked, [(1, b"a:o", None, None)]))
    diff = burst.take(mirror.graph, mirror.version)
    assert diff == GraphDiff(diff.previous, mirror.version), "what came and went is not told"


def test_metadata_of_a_new_port_is_told_with_it() -> None:
    mirror = Mirror()
    mirror.want_metadata(wanted=True)
    burst = Burst(mirror.version)
    burst.add(mirror.fold([event(memory.EVENT_PORT, 1, flags=2, name=b"a:o"), event(memory.EVENT_PORT, 2, name=b"a:i")]))
    burst.add(mirror.take_metadata(mirror.take_unread(), [(1, b"a:o", b"Left", b"CV"), (2, b"a:i", None, None)]))
    diff = burst.take(mirror.graph, mirror.version)
    assert [(port.name, port.type) for port in diff.ports_added] == [("a:o", "cv"), ("a:i", "audio")]
    assert [port.pretty_name for port in diff.metadata] == ["Left"]
    burst.add(mirror.fold([event(memory.EVENT_PORT, 1, on=0), event(memory.EVENT_PORT, 1, flags=2, name=b"a:o")]))
    diff = burst.take(mirror.graph, mirror.version)
    assert ([port.name for port in diff.ports_added], diff.metadata) == (["a:o"], ()), "a new port has none until it is told"


def test_too_much_to_tell_is_a_resync_and_the_next_goes_on_from_there() -> None:
    mirror = Mirror()
    burst, copy = Burst(mirror.version), Copy(mirror.version)
    burst.add(mirror.fold([event(memory.EVENT_PORT, number, name=b"a:%d" % number) for number in range(1, 1002)]))
    diff = burst.take(mirror.graph, mirror.version)
    assert diff == GraphDiff(copy.version, mirror.version, resync=True)
    copy = Copy(mirror.version, dict(mirror.graph.ports), set(mirror.graph.connections))
    burst.add(mirror.fold([event(memory.EVENT_PORT, 5, on=0)]))
    copy.apply(burst.take(mirror.graph, mirror.version))
    assert copy.ports == mirror.graph.ports
