"""io.github.jackd_router.Router1.Graph: clients, ports and connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from jackd_router.core.graph import Port, PortType
from jackd_router.core.names import compile_glob, natural_key, parse_shown, shown
from jackd_router.dbus_api.errors import INVALID_ARGS, CallError
from jackd_router.dbus_api.graph_body import GraphBody
from jackd_router.dbus_api.message_bus import RawBody, Value, Variant, variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.options import Options
from jackd_router.dbus_api.values import MetadataRecord, Pair, changes_of, metadata_of_port, pairs_of, parse_pairs, record_of_port
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import GraphDiff

_LONGEST_PATTERN = 1_000
"""Thousands of wildcards take half a second to compile; no name is so long."""
_DIRECTIONS = ("input", "output")


class Graph:
    """Implements the interface."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._body = GraphBody()

    @property
    def graph_version(self) -> int:
        """Grows with every change."""
        return self._router.graph_version

    @property
    def port_count(self) -> int:
        """How many ports there are."""
        return len(self._router.graph.ports)

    @property
    def connection_count(self) -> int:
        """How many connections there are."""
        return len(self._router.graph.connections)

    def get_graph(self, call: Call, known_version: int) -> RawBody | tuple[int, list[Value], list[Value], list[Value]]:
        """Give everything, or nothing where the caller has it."""
        version = self._router.graph_version
        return (version, [], [], []) if known_version == version else self._body.of(self._router.graph, version)

    def get_metadata(self, call: Call) -> list[MetadataRecord]:
        """Give the ports that have a pretty name or are CV."""
        records = map(metadata_of_port, self._router.graph.ports.values())
        return [record for record in records if any(record[1:])]

    def list_ports(self, call: Call, pattern: str, options: Mapping[str, Variant]) -> list[str]:
        """Give names, in natural order."""
        wanted = Options(options, {"direction": "s", "type": "s", "limit": "u", "offset": "u"})
        direction = _one_of("direction", wanted.text("direction"), _DIRECTIONS)
        kind = _one_of("type", wanted.text("type"), tuple(PortType))
        ports = (port for port in self._router.graph.ports.values() if _is_wanted(port, direction, kind))
        names = sorted(_matching((shown(port.name) for port in ports), pattern), key=natural_key)
        offset, limit = wanted.count("offset") or 0, wanted.count("limit")
        return list(islice(names, offset, None if limit is None else offset + limit))

    def list_connections(self, call: Call, pattern: str, options: Mapping[str, Variant]) -> list[Pair]:
        """Give the connections with a matching end, in natural order."""
        Options(options)
        pairs = pairs_of(self._router.graph.connections)
        matching = set(_matching({end for pair in pairs for end in pair}, pattern))
        found = (pair for pair in pairs if not matching.isdisjoint(pair))
        return sorted(found, key=lambda pair: tuple(map(natural_key, pair)))

    async def connect(self, call: Call, source: str, destination: str, options: Mapping[str, Variant]) -> str:
        """Connect two ports."""
        hold = Options(options, {"hold": "b"}).flag("hold")
        return await self._router.connect(parse_shown(source), parse_shown(destination), hold=hold)

    async def disconnect(self, call: Call, source: str, destination: str, options: Mapping[str, Variant]) -> str:
        """Disconnect two ports."""
        hold = Options(options, {"hold": "b"}).flag("hold")
        return await self._router.disconnect(parse_shown(source), parse_shown(destination), hold=hold)

    async def apply(
        self, call: Call, connect: Sequence[Sequence[str]], disconnect: Sequence[Sequence[str]], options: Mapping[str, Variant]
    ) -> dict[str, Variant]:
        """Make many changes."""
        dry_run = Options(options, {"dry-run": "b"}).flag("dry-run")
        report = await self._router.apply(parse_pairs(connect), parse_pairs(disconnect), dry_run=dry_run)
        return changes_of(report)


def graph_changed_body(diff: GraphDiff) -> tuple[Value, ...]:
    """Give the arguments of the signal GraphChanged."""
    more: dict[str, Value] = {}
    if diff.renamed:
        more["renamed"] = variant("a(ss)", [(shown(old), shown(new)) for old, new in diff.renamed])
    if diff.aliases:
        more["aliases"] = variant("a(sas)", [(shown(port.name), tuple(map(shown, port.other_names))) for port in diff.aliases])
    if diff.metadata:
        more["metadata"] = variant("a(sss)", list(map(metadata_of_port, diff.metadata)))
    if diff.resync:
        more["resync"] = variant("b", True)
    return (
        diff.previous,
        diff.version,
        [record_of_port(port) for port in diff.ports_added],
        [shown(name) for name in diff.ports_removed],
        pairs_of(diff.connected),
        pairs_of(diff.disconnected),
        more,
    )


def _matching(names: Iterable[str], pattern: str) -> Iterable[str]:
    """Give the names that match a glob, all of them where it is empty. Without a colon it means the ports of that client."""
    if not pattern:
        return names
    if len(pattern) > _LONGEST_PATTERN:
        raise CallError(INVALID_ARGS, f"a pattern of {len(pattern)} characters: at most {_LONGEST_PATTERN}")
    glob = compile_glob(pattern if ":" in pattern else f"{pattern}:*")
    return (name for name in names if glob.fullmatch(name))


def _is_wanted(port: Port, direction: str, kind: str) -> bool:
    """Tell whether the port has this direction and type; "" is any."""
    return (not direction or port.is_source == (direction == "output")) and kind in ("", port.type)


def _one_of(option: str, word: str, words: Sequence[str]) -> str:
    """Give the word, or say which ones there are."""
    if word and word not in words:
        raise CallError(INVALID_ARGS, f"option {option!r} is {word!r}: write one of {', '.join(words)}")
    return word
