"""A snapshot as a file: a configuration of exact rules, which can be read, checked, and copied from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from jackd_router.core.config import Document, Pairing, Rule
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.core.graph import Connection, PortName, client_of
from jackd_router.core.language.parse import parse, read_about
from jackd_router.core.language.reading import Table
from jackd_router.core.language.writing import printable, quoted
from jackd_router.core.names import shown
from jackd_router.core.selecting.patterns import Form
from jackd_router.core.selecting.selectors import PortSelector, Selectors
from jackd_router.core.snapshot import Snapshot, in_order

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = """\
# Connections that jackd-router has saved, to be put back by `jackd-router snapshot restore`.
# This is a configuration of exact names: any [[rule]] can be copied into router.toml.
"""
_KEYS = ("snapshot", "rule")
_PLAIN = "a snapshot has rules of exact names alone: name, from, to, and where they need it pair, same_client, allow_feedback"


def snapshot_toml(snapshot: Snapshot) -> str:
    """Give the text of the file: one rule for each source, in natural order."""
    rules = groupby(in_order(snapshot.connections), key=lambda connection: connection.source)
    sections = (_about(snapshot), *(_rule(source, [pair.destination for pair in pairs]) for source, pairs in rules))
    return _HEAD + "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def _about(snapshot: Snapshot) -> Iterator[str]:
    yield "[snapshot]"
    if snapshot.created_usec:
        created = _EPOCH + timedelta(microseconds=snapshot.created_usec)
        yield f"created = {created.isoformat().replace('+00:00', 'Z')}"
    if snapshot.description:
        yield f"description = {quoted(snapshot.description)}"


def _rule(source: PortName, destinations: Sequence[PortName]) -> Iterator[str]:
    yield "[[rule]]"
    yield f"name = {_name(source)}"
    yield f"from = {_exact(source)}"
    if len(destinations) == 1:
        yield f"to = {_exact(destinations[0])}"
    else:
        yield "to = ["
        yield from (f"  {_exact(destination)}," for destination in destinations)
        yield "]"
    if any(client_of(destination) == client_of(source) for destination in destinations):
        yield "same_client = true"


def _exact(port: PortName) -> str:
    return f"{{ exact = {_name(port)} }}"


def _name(port: PortName) -> str:
    return quoted(printable(shown(port)))


def read_snapshot(document: Document) -> Snapshot:
    """Give the snapshot that the file holds; raises ConfigInvalid with everything that makes it none."""
    config = parse([document])
    problems: list[Problem] = []
    table = Table(document, (), document.data, problems)
    created, description = read_about(table)
    for key in document.data:
        if key not in _KEYS:
            table.complain(f"[{key}] is not part of a snapshot, which has [snapshot] and [[rule]] alone", key, of_key=True)
    if not document.data:
        # A file that lost its content must not be taken for a graph without connections.
        table.complain("the file is empty: a snapshot has [snapshot] or a [[rule]]")
    connections = [pair for rule in config.rules for pair in _connections(rule, problems)]
    if problems:
        raise ConfigInvalid(tuple(problems))
    usec = 0 if created is None else max(0, (created - _EPOCH) // timedelta(microseconds=1))
    return Snapshot(in_order(set(connections)), description, usec)


def _connections(rule: Rule, problems: list[Problem]) -> Iterator[Connection]:
    """Give what a rule of exact names connects; one that says more is noted."""
    sources, destinations = _exact_names(rule.sources), _exact_names(rule.destinations)
    each_with_each = rule.pair is Pairing.ALL or (rule.pair is Pairing.AUTO and 1 in (len(sources), len(destinations)))
    plain = Rule(
        name=rule.name,
        sources=rule.sources,
        destinations=rule.destinations,
        origin=rule.origin,
        pair=rule.pair,
        same_client=rule.same_client,
        allow_feedback=rule.allow_feedback,
    )
    if rule == plain and sources and destinations and each_with_each:
        yield from (Connection(source, destination) for source in sources for destination in destinations)
    else:
        origin = rule.origin
        problems.append(Problem(origin.file, origin.line, origin.column, f'rule "{rule.name}": {_PLAIN}'))


def _exact_names(selectors: Selectors) -> list[PortName]:
    """Give the names; none where a selector means anything else."""
    names = []
    for selector in selectors:
        match selector:
            case PortSelector(name=pattern) if pattern is not None and selector == PortSelector(name=pattern):
                if pattern.form is not Form.LITERAL:
                    return []
                names.append(PortName(pattern.text))
            case _:
                return []
    return names
