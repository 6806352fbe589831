"""The reply of GetGraph, byte for byte what the codec makes of the same values."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.names import natural_key, shown
from jackd_router.dbus_api.graph_body import GraphBody
from jackd_router.dbus_api.message_bus import marshal, variant
from jackd_router.dbus_api.values import pairs_of, record_of_port

names = st.builds(
    lambda client, port: PortName(f"{client}:{port}"),
    st.sampled_from(["a", "b", "long client", "☃"]),
    st.text(
        st.characters(exclude_characters="\0", exclude_categories=()).filter(lambda c: not "\ud800" <= c < "\udc80"), max_size=12
    ),
)
ports = st.builds(
    Port,
    names,
    st.sampled_from(PortType),
    st.sampled_from([PortFlags.INPUT, PortFlags.OUTPUT | PortFlags.PHYSICAL]),
    st.lists(st.text("ab ☃", max_size=5), max_size=2).map(tuple),
)


def as_the_codec_makes_it(graph: Graph, version: int) -> bytes:
    """Give the body the slow way."""
    counts = Counter(port.client for port in graph.ports.values())
    clients = [(shown(client), {"ports": variant("u", counts[client])}) for client in sorted(counts, key=natural_key)]
    records = [record_of_port(port) for port in graph.ports.values()]
    return marshal("ta(sa{sv})a(susas)a(ss)", [version, clients, records, pairs_of(graph.connections)])


def filled(some_ports: list[Port], pairs: list[tuple[int, int]]) -> Graph:
    """Give a graph with these ports, and connections between those at these positions."""
    graph = Graph()
    for port in some_ports:
        graph.add_port(port)
    known = list(graph.ports)
    for one, other in pairs:
        if known:
            graph.connect(Connection(known[one % len(known)], known[other % len(known)]))
    return graph


@given(st.lists(ports, max_size=8), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=8))
def test_the_joined_bytes_are_those_of_the_codec(some_ports: list[Port], pairs: list[tuple[int, int]]) -> None:
    graph = filled(some_ports, pairs)
    assert GraphBody().of(graph, 2**50) == as_the_codec_makes_it(graph, 2**50)


@given(st.lists(st.tuples(st.lists(ports, max_size=6), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)))), max_size=4))
def test_what_is_kept_from_one_version_to_the_next_is_right(history: list[tuple[list[Port], list[tuple[int, int]]]]) -> None:
    body = GraphBody()
    for version, (some_ports, pairs) in enumerate(history):
        graph = filled(some_ports, pairs)
        assert body.of(graph, version) == as_the_codec_makes_it(graph, version)


def test_the_same_version_is_the_same_bytes() -> None:
    graph = filled([Port(PortName("a:1"), PortType.AUDIO, PortFlags.OUTPUT)], [])
    body = GraphBody()
    assert body.of(graph, 1) is body.of(graph, 1)


def test_a_port_whose_aliases_changed_is_told_anew() -> None:
    graph = filled([Port(PortName("a:1"), PortType.AUDIO, PortFlags.OUTPUT)], [])
    body = GraphBody()
    body.of(graph, 1)
    graph.add_port(Port(PortName("a:1"), PortType.AUDIO, PortFlags.OUTPUT, aliases=("other",)))
    assert body.of(graph, 2) == as_the_codec_makes_it(graph, 2)


def test_names_that_are_not_utf8_are_shown() -> None:
    graph = filled([Port(PortName("a:\udcff\\"), PortType.MIDI, PortFlags.INPUT)], [])
    assert GraphBody().of(graph, 1).count(rb"a:\xff\\") == 1
