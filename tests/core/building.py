"""Ports, configurations and graphs for tests, from short texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from jackd_router.core.config import Config, Origin
from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.sound_paths import Passages
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.language.parse import parse
from jackd_router.core.mix import bus_passages, strip_of
from jackd_router.runtime.config_files import read_document


def config(text: str) -> Config:
    """Give what the text of one file, called test.toml, means."""
    return parse([read_document("test.toml", text.encode())])


def source(name: str, kind: PortType = PortType.AUDIO, *, aliases: Iterable[str] = ()) -> Port:
    """Give an output port."""
    return Port(PortName(name), kind, PortFlags.OUTPUT, tuple(aliases))


def destination(name: str, kind: PortType = PortType.AUDIO, *, aliases: Iterable[str] = ()) -> Port:
    """Give an input port."""
    return Port(PortName(name), kind, PortFlags.INPUT, tuple(aliases))


def connection(text: str) -> Connection:
    """Give the pair that is written `source -> destination`."""
    left, arrow, right = text.partition(" -> ")
    assert arrow, text
    return Connection(PortName(left), PortName(right))


def graph(ports: Iterable[Port], connections: Iterable[Connection] = ()) -> Graph:
    """Give a graph; every connection must be one of its ports."""
    result = Graph()
    for port in ports:
        result.add_port(port)
    for pair in connections:
        assert result.connect(pair), pair
    return result


def matcher(configuration: Config, ports: Iterable[Port], *, client_name: str = "router", graph: Graph | None = None) -> Matcher:
    """Give a matcher that was told of these ports; rules that follow look at the connections of the graph."""
    result = Matcher(configuration, client_name=client_name, graph=graph)
    for port in ports:
        result.add_port(port)
    return result


def passages(configuration: Config, asked: Matcher, client_name: str) -> Passages:
    """Give where sound passes: through the buses of the configuration as it has them, and through clients of `via`."""
    return Passages.of(bus_passages(map(strip_of, configuration.buses), client_name), asked.via_passages())


def without_origins(configuration: Config) -> Config:
    """Give the configuration as if it stood nowhere: what it means."""
    nowhere = Origin("", 0, 0)
    return replace(
        configuration,
        rules=tuple(replace(rule, origin=nowhere) for rule in configuration.rules),
        buses=tuple(replace(bus, origin=nowhere) for bus in configuration.buses),
    )
