"""GraphChanged: whoever applies every signal to a copy has the graph, whatever happened and however fast."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from tests.conftest import StartClient, StartRouter
from tests.daemon.conftest import OpenRemote
from tests.daemon.remote import Remote
from tests.runtime.churn import churning
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

CHANGES = 400
RULE = """
[[rule]]
name = "a to b"
from = "a:*"
to = "b:*"
pair = "all"

[[rule]]
name = "never this one"
action = "forbid"
priority = 1
from = "a:out_3"
to = "b:in_3"
"""


@dataclass(slots=True)
class Copy:
    """A graph as a client of the bus keeps it."""

    version: int = 0
    ports: dict[str, tuple[object, ...]] = field(default_factory=dict)
    connections: set[tuple[str, str]] = field(default_factory=set)
    applied: int = 0
    changes: int = 0
    was_read: bool = False
    """No signal was applied since it was read."""

    def read(self, remote: Remote) -> None:
        """Read the whole graph."""
        self.version, _, ports, connections = remote.call("Graph.GetGraph", "t", 0)
        self.was_read = True
        self.ports = {port[0]: tuple(map(str, port[1:])) for port in ports}
        self.connections = {(source, destination) for source, destination in connections}

    def follow(self, remote: Remote) -> None:
        """Apply the signals that came since, in the order and under the conditions that the contract names."""
        signals = remote.signals("GraphChanged")
        for signal in signals[self.applied :]:
            previous, version, added, removed, connected, disconnected, more = signal.body
            if version <= self.version:
                continue
            if self.was_read and previous < self.version:
                self.read(remote)  # as the contract says: it was read in the middle of this burst
                continue
            self.was_read = False
            assert previous == self.version, "a gap in the versions"
            assert not {key for key in more if key == "resync"}, "so few changes need no resync"
            self.changes += len(added) + len(removed) + len(connected) + len(disconnected)
            for pair in disconnected:
                self.connections.remove(tuple(pair))
            for name in removed:
                del self.ports[name]
            for name, *rest in added:
                assert name not in self.ports
                self.ports[name] = tuple(map(str, rest))
            for pair in connected:
                assert tuple(pair) not in self.connections
                self.connections.add(tuple(pair))
            self.version = version
        self.applied = len(signals)


def change_at_random(chance: random.Random, source: JackClient, destination: JackClient) -> None:
    """Add or remove a port of either client."""
    client, flow, stem = chance.choice([(source, "output", "out"), (destination, "input", "in")])
    port = f"{stem}_{chance.randrange(8)}"
    if f"{client.name}:{port}" in client.ports():
        client.unregister(port)
    else:
        client.register(port, flow=flow)


@pytest.mark.jack2("PipeWire's libjack crashes in clients that change the graph so fast")
def test_a_copy_stays_equal_over_random_changes(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote, open_remote: OpenRemote
) -> None:
    start_router(RULE)
    eventually(remote.connected)
    a, b = start_client("a"), start_client("b")
    copy = Copy()
    copy.read(remote)
    chance = random.Random(20)
    for number in range(CHANGES):
        change_at_random(chance, a, b)
        if number % 100 == 50:
            copy.follow(remote)
    wanted = frozenset(
        (source, end)
        for source in a.ports()
        if source.startswith("a:")
        for end in b.ports()
        if end.startswith("b:") and (source, end) != ("a:out_3", "b:in_3")
    )
    eventually(lambda: a.connections() == wanted)

    def settled() -> bool:
        copy.follow(remote)
        return copy.connections == wanted and copy.ports.keys() == a.ports()

    eventually(settled)
    fresh = Copy()
    fresh.read(open_remote())
    assert (fresh.version, fresh.ports, fresh.connections) == (copy.version, copy.ports, copy.connections)
    assert wanted, "the test ends with connections"


@pytest.mark.jack2("PipeWire's libjack crashes in clients that change the graph so fast")
@pytest.mark.timeout(120)
def test_a_copy_stays_equal_over_10000_changes_of_other_programs(
    running_server: JackServer, start_router: StartRouter, remote: Remote, open_remote: OpenRemote
) -> None:
    start_router("")
    eventually(remote.connected)
    copy = Copy()
    copy.read(remote)
    with churning(running_server.name) as churn:
        while copy.changes < 10_000:
            churn.begin(1_000)
            churn.wait()
            copy.follow(remote)
        fresh = Copy()
        other = open_remote()

        def is_the_graph() -> bool:
            copy.follow(remote)
            fresh.read(other)
            return (fresh.version, fresh.ports, fresh.connections) == (copy.version, copy.ports, copy.connections)

        eventually(is_the_graph)
        assert fresh.connections, "the test ends with connections"


def test_a_dead_server_leaves_an_empty_graph(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_router(RULE)
    eventually(remote.connected)
    a = start_client("a", outputs=["out_1"])
    b = start_client("b", inputs=["in_1"])
    eventually(lambda: remote.connections() == {("a:out_1", "b:in_1")})
    copy = Copy()
    copy.read(remote)
    running_server.kill()
    a.kill()
    b.kill()

    def emptied() -> bool:
        copy.follow(remote)
        return not copy.ports and not copy.connections

    eventually(emptied)
    running_server.start()
    eventually(remote.connected)

    def as_it_is() -> bool:
        copy.follow(remote)
        fresh = Copy()
        fresh.read(remote)
        return (fresh.version, fresh.ports, fresh.connections) == (copy.version, copy.ports, copy.connections)

    eventually(as_it_is)
    assert "system:playback_1" in copy.ports
