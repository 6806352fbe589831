"""The mirror: the graph as the server's notifications tell it, kept by ids here and by names for everybody else.

Invariant: callbacks set, activated, everything queued, snapshot read, then all of the queue replayed by id, each event
idempotently, and a port's end drops its connections. That recipe was never wrong in 80 rounds of heavy churn, where
each simpler one was (up to 39 of 40): a snapshot alone is torn, and an event may tell what the snapshot has already.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.jack_host import memory, protocol
from jackd_router.jack_io.shared_memory import Event

_TYPES = {b"32 bit float mono audio": PortType.AUDIO, b"8 bit raw midi": PortType.MIDI}


class PortChange(NamedTuple):
    """What was known under a name and what is now; None where there was or is no port."""

    name: PortName
    before: Port | None
    now: Port | None


@dataclass(slots=True)
class Changes:
    """What one fold changed, in the order in which it happened; a rename is in `renamed` and as remove and add."""

    ports: list[PortChange] = field(default_factory=list)
    connections: list[tuple[Connection, bool]] = field(default_factory=list)
    renamed: list[tuple[PortName, PortName]] = field(default_factory=list)
    told_again: list[PortName] = field(default_factory=list)
    """Ports that were known: JACK2 tells the ports of a client when it becomes active, and only then can they be connected."""
    shut_down: str | None = None
    torn: bool = False
    """A port that is not known was renamed, perhaps in the middle of a listing, which then has it by neither name."""

    def __bool__(self) -> bool:
        """Whether anything changed at all."""
        return bool(self.ports or self.connections)


class Mirror:
    """Folds events of one generation after the other into one graph; the only writer of that graph."""

    def __init__(self) -> None:
        self.graph = Graph()
        # Grows over restarts of the daemon without being kept anywhere: nobody makes a million changes a second.
        self.version = int(time.time()) << 20
        self._registrations = itertools.count(1)
        self._names: dict[int, PortName] = {}
        self._ids: dict[PortName, int] = {}
        # JACK2 goes on listing the ports of a client that is not active any more, though it has told their end.
        self._told_off: dict[int, PortName] = {}
        self._queue: list[Event] | None = None
        self._ports: list[Any] = []
        self._connections: list[Any] = []
        self._metadata_wanted = False
        self._unread: set[int] = set()
        self._after_loss = False

    # ---- a snapshot

    @property
    def loading(self) -> bool:
        """Whether a snapshot is being read, so that events are queued."""
        return self._queue is not None

    def begin_load(self, *, after_loss: bool = False) -> None:
        """Queue events from now on and collect the parts of a snapshot; `after_loss`: what was told before may be outdated."""
        self._queue, self._ports, self._connections = [], [], []
        self._after_loss = after_loss
        if after_loss:
            self._told_off.clear()

    def collect(self, kind: str, rows: Iterable[Any]) -> None:
        """Take one part of the snapshot, as the JACK host sends it."""
        (self._ports if kind == protocol.PORTS else self._connections).extend(rows)

    def finish_load(self) -> Changes:
        """Make the graph what the snapshot and the queued events say, and give what that changed."""
        changes = Changes()
        known = dict(self._names)
        told_off, self._told_off = self._told_off, {}
        for number, name, flags, kind, aliases in self._ports:
            port = _port(name, flags, kind, aliases)
            if told_off.get(number) == port.name:
                self._told_off[number] = port.name
                continue
            known.pop(number, None)
            self._add_port(changes, number, port)
        for number in known:
            self._remove_port(changes, number)
        wanted = {self._connection(*ids) for ids in self._connections}
        for connection in self.graph.connections - wanted:
            self._disconnect(changes, connection)
        for connection in wanted:
            self._connect(changes, connection)
        queue, self._queue = self._queue or [], None
        self._ports, self._connections = [], []
        self._replay(changes, queue)
        if self._after_loss:
            self._note_property(None)
        return self._counted(changes)

    def clear(self) -> Changes:
        """Empty the graph: the generation is over, and its ids mean nothing any more."""
        changes = Changes()
        for number in list(self._names):
            self._remove_port(changes, number)
        self._queue = None
        self._told_off.clear()
        return self._counted(changes)

    # ---- events

    def fold(self, events: Sequence[Event]) -> Changes:
        """Take events in their order and give what they changed; while a snapshot is read they only queue."""
        changes = Changes()
        if self._queue is not None:
            self._queue.extend(events)
            changes.shut_down = next((_text(event.name) for event in events if event.event == memory.EVENT_SHUTDOWN), None)
            return changes
        self._replay(changes, events)
        return self._counted(changes)

    def _replay(self, changes: Changes, events: Sequence[Event]) -> None:
        for event in events:
            self._replay_one(changes, event)

    def _replay_one(self, changes: Changes, event: Event) -> None:
        match event.event, event.on:
            case memory.EVENT_PORT, 0:
                if event.a in self._names:
                    self._told_off[event.a] = self._names[event.a]
                self._remove_port(changes, event.a)
            case memory.EVENT_PORT, _:
                self._told_off.pop(event.a, None)
                if not self._add_port(changes, event.a, _port(event.name, event.flags, event.type, ())):
                    changes.told_again.append(self._names[event.a])
            case memory.EVENT_ALIAS, _:
                self._add_alias(changes, event.a, _text(event.name))
            case memory.EVENT_CONNECTION, on:
                connection = self._connection(event.a, event.b)
                (self._connect if on else self._disconnect)(changes, connection)
            case memory.EVENT_RENAME, _:
                self._rename_port(changes, event.a, PortName(_text(event.name)))
            case memory.EVENT_PROPERTY, on:
                self._note_property(event.a if on else None)
            case memory.EVENT_SHUTDOWN, _:
                changes.shut_down = _text(event.name)
            case _:
                pass  # clients: what counts is their ports

    def _connection(self, source: int, destination: int) -> Connection:
        """Give the pair; an unknown id becomes a name that no port has, so that nothing comes of it."""
        nobody = PortName("")
        return Connection(self._names.get(source, nobody), self._names.get(destination, nobody))

    def _add_port(self, changes: Changes, number: int, port: Port) -> bool:
        """Add a port, or what is new of a known one; False where there is nothing new."""
        known = self.graph.ports.get(port.name)
        if known is not None and self._ids.get(port.name) == number:
            port = _with_metadata_of(known, port)
            if replace(known, registration=0, aliases=()) == replace(port, aliases=()) and port.aliases in ((), known.aliases):
                return False
            port = replace(port, registration=known.registration)
        else:
            self._remove_port(changes, number)  # the server uses ids again
            if known is not None:
                self._remove_port(changes, self._ids[port.name])
            port = replace(port, registration=next(self._registrations))
            if self._metadata_wanted:
                self._unread.add(number)
        self._names[number], self._ids[port.name] = port.name, number
        changes.ports.append(PortChange(port.name, self.graph.ports.get(port.name), port))
        self.graph.add_port(port)
        return True

    def _add_alias(self, changes: Changes, number: int, alias: str) -> None:
        port = self.graph.ports.get(self._names.get(number, PortName("")))
        if port is not None and alias not in port.aliases:
            now = replace(port, aliases=(*port.aliases, alias))
            self.graph.add_port(now)
            changes.ports.append(PortChange(port.name, port, now))

    def _remove_port(self, changes: Changes, number: int) -> None:
        name = self._names.pop(number, None)
        if name is None:
            return
        del self._ids[name]
        self._unread.discard(number)
        before = self.graph.ports[name]
        for connection in self.graph.remove_port(name):
            changes.connections.append((connection, False))
        changes.ports.append(PortChange(name, before, None))

    def _rename_port(self, changes: Changes, number: int, name: PortName) -> None:
        before = self._names.get(number)
        if before is None or before == name:
            changes.torn |= before is None
            return
        port = self.graph.ports[before]
        connections = self.graph.connections_of(before)
        self._remove_port(changes, number)
        self._add_port(changes, number, replace(port, name=name))
        for pair in connections:
            source, destination = (name if end == before else end for end in pair)
            self._connect(changes, Connection(source, destination))
        changes.renamed.append((before, name))

    def _connect(self, changes: Changes, connection: Connection) -> None:
        if self.graph.connect(connection):
            changes.connections.append((connection, True))

    def _disconnect(self, changes: Changes, connection: Connection) -> None:
        if self.graph.disconnect(connection):
            changes.connections.append((connection, False))

    # ---- metadata

    def want_metadata(self, *, wanted: bool) -> Changes:
        """Let all metadata be read from now on, or be none; give what that changed."""
        self._metadata_wanted = wanted
        changes = Changes()
        self._unread.clear()
        if wanted:
            self._note_property(None)
        else:
            for port in tuple(self.graph.ports.values()):
                self._set_metadata(changes, port, None, None)
        return self._counted(changes)

    def take_unread(self) -> dict[int, int]:
        """Give the ids of the ports whose metadata is to be read, each with its registration; they count as read."""
        unread, self._unread = self._unread, set()
        return {number: self.graph.ports[self._names[number]].registration for number in unread}

    def take_metadata(self, asked: Mapping[int, int], rows: Iterable[Any]) -> Changes:
        """Take rows for what `take_unread` gave; what is of another port meanwhile is left, and read when that one is told."""
        changes = Changes()
        for number, name, pretty_name, signal_type in rows:
            port = self.graph.ports.get(self._names.get(number, PortName("")))
            if port is not None and port.registration == asked.get(number) and port.name == _text(name):
                self._set_metadata(changes, port, pretty_name, signal_type)
        return self._counted(changes)

    def _note_property(self, number: int | None) -> None:
        """Note that metadata of a port, or of all, is another one now."""
        if self._metadata_wanted:
            self._unread |= self._names.keys() if number is None else self._names.keys() & {number}

    def _set_metadata(self, changes: Changes, port: Port, pretty_name: bytes | None, signal_type: bytes | None) -> None:
        kind = port.type
        if kind in (PortType.AUDIO, PortType.CV):
            kind = PortType.CV if signal_type == b"CV" else PortType.AUDIO
        now = replace(port, type=kind, pretty_name=None if pretty_name is None else _text(pretty_name))
        if now != port:
            self.graph.add_port(now)
            changes.ports.append(PortChange(port.name, port, now))

    def _counted(self, changes: Changes) -> Changes:
        if changes:
            self.version += 1
        return changes


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _with_metadata_of(known: Port, port: Port) -> Port:
    """Give the port as it is told again, with what was read apart from that."""
    if known.pretty_name is None and known.type is not PortType.CV:
        return port
    kind = PortType.CV if (known.type, port.type) == (PortType.CV, PortType.AUDIO) else port.type
    return replace(port, type=kind, pretty_name=known.pretty_name)


# Few values, and each costs a microsecond to make.
_flags = functools.cache(PortFlags)


def _port(name: bytes, flags: int, kind: bytes, aliases: Iterable[bytes]) -> Port:
    return Port(PortName(_text(name)), _TYPES.get(kind, PortType.OTHER), _flags(flags), tuple(map(_text, aliases)))
