"""The mirror: the graph as the server's notifications tell it, kept by ids here and by names for everybody else.

Invariant: callbacks set, activated, everything queued, snapshot read, then all of the queue replayed by id, each event
idempotently, and a port's end drops its connections. That recipe was never wrong in 80 rounds of heavy churn, where
each simpler one was (up to 39 of 40): a snapshot alone is torn, and an event may tell what the snapshot has already.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType, client_of
from jackd_router.core.system_names import SystemNames
from jackd_router.jack_host import memory, protocol
from jackd_router.jack_io.shared_memory import Event
from jackd_router.runtime.left_over import NOTHING, LeftOver

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
        # Grows over restarts of the daemon without being kept anywhere: nobody makes a million changes a second. Not the time
        # of day, which may be set back.
        self.version = time.monotonic_ns() // 1000
        self._registrations = itertools.count(1)
        self._names: dict[int, PortName] = {}
        self._ids: dict[PortName, int] = {}
        # JACK2 goes on listing the ports of a client that is not active any more, though it has told their end.
        self._told_off: dict[int, PortName] = {}
        self._queue: list[Event] | None = None
        self._parts = _no_parts()
        self._naming: Callable[[Iterable[Port]], SystemNames] | None = None
        self.undecided: Mapping[str, tuple[str, ...]] = {}
        """As in SystemNames: `system` may mean several clients."""
        self.metadata_wanted = False
        """Whether a rule asks for metadata."""
        self._unread: set[int] = set()
        self.metadata_outlives = False
        """Whether the server is one whose metadata outlives it when it is killed: JACK2's."""
        self.metadata_gets_lost = False
        """Whether our client may never be told what a port says of itself: PipeWire keeps what is said of a port that is quite
        new from those who have not taken note of the port yet. A client that has just come is told all."""
        self._left_over = LeftOver()
        self._after_loss = False

    # ---- a snapshot

    @property
    def loading(self) -> bool:
        """Whether a snapshot is being read, so that events are queued."""
        return self._queue is not None

    def begin_load(self, *, after_loss: bool = False) -> None:
        """Queue events from now on and collect the parts of a snapshot; `after_loss`: what was told before may be outdated."""
        self._queue, self._parts = [], _no_parts()
        self._after_loss = after_loss
        if after_loss:
            self._told_off.clear()

    def collect(self, kind: str, rows: Iterable[Any]) -> None:
        """Take one part of the snapshot, as the JACK host sends it."""
        self._parts[kind].extend(rows)

    def finish_load(self, *, by_another: bool = False) -> Changes:
        """Make the graph what the snapshot and the queued events say, and give what that changed.

        `by_another`: another client has read it. Each numbers the clients of one name for itself in PipeWire, and what we ask
        for is looked up by our own client: the names that it knows count.
        """
        changes = Changes()
        known = dict(self._names)
        told_off, self._told_off = self._told_off, {}
        ports = {number: _port(*described) for number, *described in self._parts[protocol.PORTS]}
        for number, port in (self._as_we_call_them(ports) if by_another else ports).items():
            if told_off.get(number) == port.name:
                self._told_off[number] = port.name
                continue
            known.pop(number, None)
            self._add_port(changes, number, port)
        for number in known:
            self._remove_port(changes, number)
        wanted = {self._connection(*ids) for ids in self._parts[protocol.CONNECTIONS]}
        for connection in self.graph.connections - wanted:
            self._disconnect(changes, connection)
        for connection in wanted:
            self._connect(changes, connection)
        self._take_metadata_of_snapshot(changes)
        if self._after_loss:
            self._note_property(None)
        return self._end_load(changes)

    def _as_we_call_them(self, ports: Mapping[int, Port]) -> dict[int, Port]:
        """Give the ports that another client has read under the names that ours has for them.

        What ours was not told of is called after its client, of which it may know other ports. Where it knows none, the name may
        be that of another one here: such a port is left out.
        """
        clients = {port.client: client_of(self._names[number]) for number, port in ports.items() if number in self._names}
        named = {}
        for number, port in ports.items():
            ours = PortName(f"{clients.get(port.client, port.client)}:{port.short_name}")
            if number in self._names or self._ids.get(ours) not in ports:
                named[number] = replace(port, name=self._names.get(number, ours))
        return named

    def give_up_load(self) -> Changes:
        """Forget the parts of a snapshot that never came to its end; the queued events count."""
        return self._end_load(Changes())

    def _end_load(self, changes: Changes) -> Changes:
        """Let go of the parts, and fold what has queued."""
        queue, self._queue, self._parts = self._queue or [], None, _no_parts()
        self._replay(changes, queue)
        self._name_devices(changes)
        return self._counted(changes)

    def clear(self) -> Changes:
        """Empty the graph: the generation is over, and its ids mean nothing any more."""
        changes = Changes()
        for number in list(self._names):
            self._remove_port(changes, number)
        self._queue = None
        self._told_off.clear()
        self._left_over.end_generation()
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
        self._name_devices(changes)
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
            if self.metadata_wanted:
                self._unread.add(number)
        self._names[number], self._ids[port.name] = port.name, number
        changes.ports.append(PortChange(port.name, self.graph.ports.get(port.name), port))
        self.graph.add_port(port)
        return True

    def _add_alias(self, changes: Changes, number: int, alias: str) -> None:
        port = self.graph.ports.get(self._names.get(number, PortName("")))
        if port is not None and _is_other_name(alias, port.name) and alias not in port.aliases:
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
        if self.metadata_outlives:
            self._left_over.rename(number, name)
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

    # ---- the names of JACK2

    def name_devices(self, naming: Callable[[Iterable[Port]], SystemNames] | None) -> Changes:
        """Let ports have the names that JACK2 would give them, from now on; None: the server is JACK2's. Give what changed."""
        self._naming = naming
        changes = Changes()
        self._name_devices(changes, anyway=True)
        return self._counted(changes)

    def _name_devices(self, changes: Changes, *, anyway: bool = False) -> None:
        """Give names anew where a device came or went."""
        if not anyway and (self._naming is None or not any(map(_is_of_a_device, changes.ports))):
            return
        # By their ids, which on PipeWire are never used again: the order in which the device made them.
        ports = [self.graph.ports[self._names[number]] for number in sorted(self._names)]
        found = self._naming(ports) if self._naming else SystemNames()
        self.undecided = found.undecided
        for port in ports:
            name = found.names.get(port.name)
            if name != port.system_name:
                now = replace(port, system_name=name)
                self.graph.add_port(now)
                changes.ports.append(PortChange(port.name, port, now))

    # ---- metadata

    def want_metadata(self, *, wanted: bool) -> Changes:
        """Let all metadata be read from now on, or be none; give what that changed."""
        self.metadata_wanted = wanted
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
                said = (pretty_name, signal_type)
                if self.metadata_outlives and self._left_over.is_of_another(number, port.name, said):
                    said = NOTHING
                # What it does not know may be there all the same.
                self._set_metadata(changes, port, *said, or_as_known=self.metadata_gets_lost)
        return self._counted(changes)

    def _take_metadata_of_snapshot(self, changes: Changes) -> None:
        """Take what another client was told of each port: all there is."""
        if not self.metadata_wanted:
            return
        for number, _, *said in self._parts[protocol.METADATA]:
            if number in self._names:
                self._set_metadata(changes, self.graph.ports[self._names[number]], *said)

    def _note_property(self, number: int | None) -> None:
        """Note that metadata of a port, or of all, is another one now."""
        if self.metadata_wanted:
            self._unread |= self._names.keys() if number is None else self._names.keys() & {number}
        if number is not None and self.metadata_outlives:
            self._left_over.set(number, self._names.get(number))

    def _set_metadata(
        self, changes: Changes, port: Port, pretty_name: bytes | None, signal_type: bytes | None, *, or_as_known: bool = False
    ) -> None:
        """Note what is said of a port; `or_as_known`: and what was said of it before, where nothing is said now."""
        name, kind = None if pretty_name is None else _text(pretty_name), port.type
        if kind in (PortType.AUDIO, PortType.CV):
            kind = PortType.CV if signal_type == b"CV" else PortType.AUDIO
        if or_as_known:
            name = port.pretty_name if pretty_name is None else name
            kind = port.type if signal_type is None else kind
        now = replace(port, type=kind, pretty_name=name)
        if now != port:
            self.graph.add_port(now)
            changes.ports.append(PortChange(port.name, port, now))

    def _counted(self, changes: Changes) -> Changes:
        if changes:
            self.version += 1
        return changes


def _no_parts() -> dict[str, list[Any]]:
    """Give a snapshot of which no part has come: rows by the kind of part, as the JACK host sends them."""
    return {protocol.PORTS: [], protocol.CONNECTIONS: [], protocol.METADATA: []}


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _with_metadata_of(known: Port, port: Port) -> Port:
    """Give the port as it is told again, with what was read apart from that."""
    if known.pretty_name is None and known.type is not PortType.CV and known.system_name is None:
        return port
    kind = PortType.CV if (known.type, port.type) == (PortType.CV, PortType.AUDIO) else port.type
    return replace(port, type=kind, pretty_name=known.pretty_name, system_name=known.system_name)


def _is_of_a_device(change: PortChange) -> bool:
    return any(port is not None and port.is_physical for port in change[1:])


# Few values, and each costs a microsecond to make.
_flags = functools.cache(PortFlags)


def _port(name: bytes, flags: int, kind: bytes, aliases: Iterable[bytes]) -> Port:
    port_name = PortName(_text(name))
    others = tuple(alias for alias in map(_text, aliases) if _is_other_name(alias, port_name))
    return Port(port_name, _TYPES.get(kind, PortType.OTHER), _flags(flags), others)


def _is_other_name(alias: str, name: PortName) -> bool:
    """Tell whether an alias says anything: PipeWire gives empty ones, and the name itself."""
    return alias not in ("", name)
