"""Exports objects on the message bus, driven by the XML files: every call is checked against the contract and answered once.

Objects live as long as the program; the bus may come and go below them (`attach`, `detach`).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from functools import partial
from typing import Protocol

from jackd_router.dbus_api.errors import (
    CANCELLED,
    INVALID_ARGS,
    LIMITS_EXCEEDED,
    UNKNOWN_INTERFACE,
    UNKNOWN_METHOD,
    UNKNOWN_OBJECT,
    CallError,
    contained,
    short,
)
from jackd_router.dbus_api.interface_xml import OBJECT_MANAGER, PROPERTIES, EmitsChange, Interface, Method, python_name
from jackd_router.dbus_api.message_bus import RawBody, Value
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.session_bus import SessionBus
from jackd_router.dbus_api.standard import StandardInterfaces
from jackd_router.dbus_api.tree import Exported, ObjectTree

_log = logging.getLogger("jackd_router.dbus")

BACKLOG_LIMIT_BYTES = 1_000_000
"""Of signals that may wait for a bus that takes nothing. Above it some are dropped, and what they told is told later."""

MOST_CALL_BYTES = 128 * 1024
"""Of one call, but for what takes many pairs of ports: 128 KiB of signatures take 80 ms to decode."""

MOST_RUNNING_CALLS = 100
"""Of one caller: calls that are not answered at once, as FadeTo of 64 buses. A reload waits for those of others before it."""

_END_DEADLINE_S = 1.0


class Keeper(Protocol):
    """Keeps what callers change, over restarts of the program."""

    @property
    def kept_serial(self) -> int:
        """A number that grows with every change of what is kept."""

    async def secure_kept(self) -> None:
        """Wait until what is kept now is so even if the program is killed; not for long."""


class Objects:
    """The exported objects. Handlers that wait run as tasks of the group that is given.

    Who is told that a change is done can rely on it: the answer waits until the change is kept.
    """

    def __init__(self, root: str, tasks: asyncio.TaskGroup, keeper: Keeper) -> None:
        self._keeper = keeper
        self._tree = ObjectTree(root)
        self._standard = StandardInterfaces(self._tree)
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._running_of: Counter[str] = Counter()
        self._bus: SessionBus | None = None
        self.callers: set[str] = set()
        """Who has called over this bus; whoever listens for names that are lost takes them out."""
        self._changed: dict[tuple[str, str], dict[str, None]] = {}
        self._is_flush_due = self._is_flushing = False
        self._dropped: set[str] = set()
        self._untold: dict[str, tuple[str, ...]] = {}
        """The objects that came or went while the bus took nothing, and what interfaces of theirs it was told of."""
        self.on_dropped: Callable[[Set[str]], None] = lambda members: None
        """Called with the names of signals that were dropped, when the bus takes some again."""

    def attach(self, bus: SessionBus) -> None:
        """Answer what comes over this bus, and tell it of changes."""
        self._bus = bus
        self._changed.clear()
        self._dropped.clear()
        self._untold.clear()
        bus.check_calls(self._check)
        bus.on_call = partial(self._take, bus)

    def detach(self) -> None:
        """Forget the bus: it is gone."""
        self._bus = None
        self.callers.clear()

    async def end_calls(self) -> None:
        """Cancel the calls that run, and wait until each has answered so."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_END_DEADLINE_S)

    def add(self, path: str, interfaces: Mapping[Interface, object]) -> None:
        """Export an object: what implements each of its interfaces. Raises TypeError where a member is missing."""
        self._tree.add(path, {interface.name: Exported(interface, own) for interface, own in interfaces.items()})
        if self._tree.is_below_root(path):
            if self._is_behind:
                self._untold.setdefault(path, ())
                self._flush_later()
            else:
                self._tell_added(path)

    def remove(self, path: str) -> None:
        """Take an object away."""
        names = self._tree.remove(path)
        for name in names:
            self._changed.pop((path, name), None)
        if self._tree.is_below_root(path):
            if self._is_behind:
                self._untold[path] = self._untold.get(path) or names  # who asked meanwhile may know it
                self._flush_later()
            else:
                self._emit(self._tree.root, OBJECT_MANAGER, "InterfacesRemoved", [path, names])

    def _tell_added(self, path: str) -> None:
        self._emit(self._tree.root, OBJECT_MANAGER, "InterfacesAdded", [path, self._standard.properties_at(path)])

    def signal(self, path: str, interface: str, member: str, *body: Value) -> None:
        """Send a signal of an object. Never raises: who tells of a change is not to stumble over us."""
        with contained(f"signal {interface}.{member}", lambda error: None):
            self._emit(path, self._exported(path, interface).interface, member, body)

    def changed(self, path: str, interface: str, *names: str) -> None:
        """Note that properties have changed. Never raises.

        One PropertiesChanged for each interface tells it when the loop turns, and so after what is signalled now.
        """
        with contained(f"change of {', '.join(names)} of {interface}", lambda error: None):
            declared = self._exported(path, interface).interface.properties
            self._changed.setdefault((path, interface), {}).update({declared[name].name: None for name in names})
        self._flush_later()

    def _flush_later(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    @property
    def _is_behind(self) -> bool:
        """Whether the bus takes nothing now, or what it did not take is still to be told."""
        return bool(self._untold) or (self._bus is not None and _is_full(self._bus))

    def _exported(self, path: str, interface: str) -> Exported:
        exported = self._tree.at(path)
        if exported is None:
            raise LookupError(f"nothing is exported at {path}")
        return exported[interface]

    def _flush(self) -> None:
        """Announce the properties that have changed, unless the bus takes nothing now: then when it does again."""
        if self._bus is not None and _is_full(self._bus):
            self._start(self._flush_when_drained(self._bus), "D-Bus properties that wait for the bus")
            return
        self._is_flush_due, self._is_flushing = False, True  # all of this, however much it is: it would be told by nobody later
        try:
            self._tell_dropped()
            changed, self._changed = self._changed, {}
            for (path, name), properties in changed.items():
                self._announce(path, self._exported(path, name), properties)
        finally:
            self._is_flushing = False

    async def _flush_when_drained(self, bus: SessionBus) -> None:
        await bus.signals_taken(BACKLOG_LIMIT_BYTES // 2)
        self._flush()

    def _tell_dropped(self) -> None:
        """Tell what would have been told while the bus took nothing, as far as it still counts."""
        untold, self._untold = self._untold, {}
        for path, names in untold.items():
            if names:
                self._emit(self._tree.root, OBJECT_MANAGER, "InterfacesRemoved", [path, names])
            if self._tree.at(path) is not None:
                self._tell_added(path)
        dropped, self._dropped = self._dropped, set()
        if dropped:
            self.on_dropped(dropped)

    def _announce(self, path: str, exported: Exported, names: Mapping[str, None]) -> None:
        """Send one PropertiesChanged."""
        declared = [exported.interface.properties[name] for name in names]
        values = {}
        for one in declared:
            if one.emits is EmitsChange.VALUE:
                with contained(f"property {exported.interface.name}.{one.name}", lambda error: None):
                    values[one.name] = exported.read(one)
        invalidated = [one.name for one in declared if one.emits is EmitsChange.NAME]
        if values or invalidated:
            self._emit(path, PROPERTIES, "PropertiesChanged", [exported.interface.name, values, invalidated])

    def _emit(self, path: str, interface: Interface, member: str, body: Sequence[Value]) -> None:
        """Send a signal where there is a bus that takes it."""
        if self._bus is None:
            return
        if _is_full(self._bus) and not self._is_flushing:
            _log.debug("Dropped the signal %s.%s: the bus takes nothing", interface.name, member)
            self._dropped.add(member)
            self._flush_later()
            return
        with contained(f"signal {interface.name}.{member}", lambda error: None):
            self._bus.emit(path, interface.name, member, interface.signals[member], body)

    def _take(self, bus: SessionBus, call: Call) -> None:
        """Answer a call, at once or when its handler is done; over the bus that it came by, whatever bus there is then."""
        with contained(f"call of {call.interface}.{call.member}", partial(_refuse, bus, call)):
            self.callers.add(call.sender)
            method, exported = self._find(call)
            before = self._keeper.kept_serial
            result: object = getattr(exported.implementation, python_name(method.name))(call, *call.body)
            if not inspect.iscoroutine(result):
                self._answer(bus, call, method, result, changed=self._keeper.kept_serial != before)
            elif self._running_of[call.sender] >= MOST_RUNNING_CALLS:
                result.close()
                _refuse(bus, call, CallError(LIMITS_EXCEEDED, f"{MOST_RUNNING_CALLS} calls of yours are running"))
            elif task := self._start(self._finish(bus, call, method, result), f"D-Bus call {call.member} of {call.sender}"):
                self._running_of[call.sender] += 1
                task.add_done_callback(lambda ended: self._has_ended(call.sender))
            else:
                result.close()
                _refuse(bus, call, CallError(CANCELLED, "the daemon is ending"))

    def _answer(self, bus: SessionBus, call: Call, method: Method, result: object, *, changed: bool) -> None:
        """Answer a call that is done: at once, unless it has `changed` what is kept."""
        body = _body(method, result)
        if not changed or not self._start(self._answer_when_kept(bus, call, method, body), f"D-Bus answer to {call.member}"):
            bus.answer(call, method.outputs, body)

    async def _answer_when_kept(self, bus: SessionBus, call: Call, method: Method, body: Sequence[Value] | RawBody) -> None:
        with contained(f"call of {call.interface}.{call.member}", partial(_refuse, bus, call)):
            try:
                await self._keeper.secure_kept()
            finally:  # also where the program ends: it keeps everything by then
                bus.answer(call, method.outputs, body)

    async def _finish(self, bus: SessionBus, call: Call, method: Method, waiting: Coroutine[None, None, object]) -> None:
        """Answer a call when its handler is done."""
        with contained(f"call of {call.interface}.{call.member}", partial(_refuse, bus, call)):
            before = self._keeper.kept_serial
            try:
                result = await waiting
            except asyncio.CancelledError:
                _refuse(bus, call, CallError(CANCELLED, f"{method.name} was cancelled"))
                raise
            self._answer(bus, call, method, result, changed=self._keeper.kept_serial != before)

    def _has_ended(self, caller: str) -> None:
        """Count one running call less; who has none is forgotten."""
        self._running_of[caller] -= 1
        if not self._running_of[caller]:
            del self._running_of[caller]

    def _start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None] | None:
        """Let this run as a task that is ours; None where the group takes no more, because the program ends."""
        try:
            task = self._tasks.create_task(work, name=name)
        except RuntimeError:
            work.close()
            return None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _check(self, call: Call, length: int) -> None:
        """Raise CallError where a large call cannot be meant."""
        method, _ = self._find(call)
        if length > MOST_CALL_BYTES and "a(ss)" not in method.inputs:
            raise CallError(LIMITS_EXCEEDED, f"a call of {method.name} of {length} bytes: at most {MOST_CALL_BYTES}")

    def _find(self, call: Call) -> tuple[Method, Exported]:
        """Give the method that is called and what implements it, or say what exactly is not there."""
        own = self._tree.at(call.path)
        offered = {**self._standard.at(call.path), **(own or {})}
        exported = _by_member(offered, call.member) if call.interface is None else offered.get(call.interface)
        if exported is None and own is None:
            raise CallError(UNKNOWN_OBJECT, f"there is no object at {call.path}")
        if exported is None and call.interface is not None:
            raise CallError(UNKNOWN_INTERFACE, f"there is no interface {call.interface} at {call.path}")
        method = exported.interface.methods.get(call.member) if exported else None
        if exported is None or method is None:
            raise CallError(
                UNKNOWN_METHOD, f"there is no method {call.member} on {call.interface or 'any interface'} at {call.path}"
            )
        if call.signature != method.inputs:
            raise CallError(INVALID_ARGS, f"{call.member} takes ({method.inputs}), not ({call.signature})")
        return method, exported


def _is_full(bus: SessionBus) -> bool:
    """Tell whether so much waits for the bus that it is to get no more signals now."""
    return bus.signal_backlog_bytes > BACKLOG_LIMIT_BYTES


def _refuse(bus: SessionBus, call: Call, error: CallError) -> None:
    """Answer a call with an error, in a text of bearable length."""
    bus.answer_error(call, short(error))


def _by_member(offered: Mapping[str, Exported], member: str) -> Exported | None:
    """Give the interface that has the method, for a call that names none."""
    return next((exported for exported in offered.values() if member in exported.interface.methods), None)


def _body(method: Method, result: object) -> Sequence[Value] | RawBody:
    """Give the body of the reply that stands for the result of a handler."""
    if isinstance(result, RawBody):
        return result
    if method.output_count == 0:
        return ()
    return result if method.output_count > 1 else (result,)  # type: ignore[return-value]  # the codec checks it against the contract
