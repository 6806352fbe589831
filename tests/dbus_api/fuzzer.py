"""Calls everything that a service offers, with right and wrong arguments, as its own introspection tells it, old or new.

The same seed gives the same calls while the service has the same objects; `FUZZ_CALLS` and `FUZZ_SEED` of the environment
make a longer run of a test, or another one (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from jackd_router.dbus_api import errors, names
from jackd_router.dbus_api.errors import CallError
from jackd_router.dbus_api.interface_xml import INTROSPECTABLE, OBJECT_MANAGER, PEER, PROPERTIES, Interface, parse_interfaces
from jackd_router.dbus_api.message_bus import Value, variant
from jackd_router.dbus_api.session_bus import SessionBus
from tests.dbus_api.flood import Flood
from tests.dbus_api.nasty_values import NastyValues

CALLS = int(os.environ.get("FUZZ_CALLS", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

ANSWERED_AT_ITS_END = "FadeTo"
"""The method whose answer comes when the time has passed that the caller gave."""

_DEADLINE_S = 10.0
"""For one answer. The machine may be slow; the service may not."""
_AT_ONCE = 8
_ALLOWED = re.compile(rf"({re.escape(names.DBUS)}\.Error|{re.escape(names.ERROR_PREFIX)})\.[A-Za-z]+")
_NEVER = (errors.NO_REPLY, errors.FAILED, f"{names.DBUS}.Error.ServiceUnknown", f"{names.DBUS}.Error.NameHasNoOwner")
_REFUSED = (errors.INVALID_ARGS, errors.PROPERTY_READ_ONLY, errors.LIMITS_EXCEEDED)  # the last: one may be too large
_STANDARD = (PEER, INTROSPECTABLE, PROPERTIES, OBJECT_MANAGER)


@dataclass(frozen=True, slots=True)
class NastyCall:
    """One call that may make little sense.

    `expected`: the errors of which one must answer it, none where any answer is good. `value_type`: of the property that is read.
    """

    path: str
    interface: str
    member: str
    signature: str = ""
    body: list[Value] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    wants_reply: bool = True
    value_type: str = ""

    def __str__(self) -> str:
        """Give it as one line, short enough to be read."""
        return f"{self.member}({self.signature}) of {self.interface} at {self.path[:80]} with {str(self.body)[:200]}"


@dataclass(slots=True)
class Report:
    """What came of it."""

    members: set[str] = field(default_factory=set)
    """`Interface.Member` of each method that was called and each property that was read or written."""
    calls: int = 0
    slowest_s: float = 0.0
    slowest: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Give it for people."""
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        slowest = f"slowest {1000 * self.slowest_s:.0f} ms ({self.slowest})"
        found = "\n".join([*self.findings[:20], f"{len(self.findings)} findings"])
        return f"{self.calls} calls of {len(self.members)} members, {slowest}\n{outcomes}\n{found}"


@dataclass(frozen=True, slots=True)
class Objects:
    """What a service offers now: each path with its interfaces."""

    interfaces: dict[str, tuple[Interface, ...]]

    @classmethod
    async def read(cls, bus: SessionBus) -> Objects:
        """Ask the service, from the root of all paths down."""
        return cls({path: interfaces async for path, interfaces in _walk(bus, "/")})

    def __iter__(self) -> Iterator[tuple[str, Interface]]:
        """Give each interface of each object, without those that every object has."""
        standard = {interface.name for interface in _STANDARD}
        for path, interfaces in self.interfaces.items():
            yield from ((path, interface) for interface in interfaces if interface.name not in standard)

    @property
    def members(self) -> set[str]:
        """Give each method and each property as `Interface.Member`."""
        return {f"{interface.name}.{name}" for _, interface in self for name in (*interface.methods, *interface.properties)}


async def _walk(bus: SessionBus, path: str) -> AsyncIterator[tuple[str, tuple[Interface, ...]]]:
    try:
        (text,) = await bus.call(names.BUS_NAME, path, INTROSPECTABLE.name, "Introspect")
    except CallError as error:
        if error.name in (errors.UNKNOWN_OBJECT, errors.UNKNOWN_INTERFACE):
            return  # it has gone since its parent told of it
        raise
    yield path, parse_interfaces(text)
    for child in ET.fromstring(text).iterfind("node"):
        async for found in _walk(bus, f"{path.rstrip('/')}/{child.attrib['name']}"):
            yield found


async def fuzz(bus: SessionBus, address: str, nasty: NastyValues, calls: int, each_round: Callable[[], object]) -> Report:
    """Make at least so many calls, in whole rounds over all that there is. `each_round` is called before each of them."""
    report = Report()
    async with asyncio.TaskGroup() as fades, await Flood.open(address) as silent:
        while report.calls < calls:
            each_round()
            objects = await Objects.read(bus)
            report.members |= objects.members
            todo = iter(_shuffled(nasty, [*_calls_of(objects, nasty), *_calls_of_nothing(nasty)]))
            async with asyncio.TaskGroup() as workers:
                for _ in range(_AT_ONCE):
                    workers.create_task(_work(bus, silent, todo, report, fades))
        for path, interface in await Objects.read(bus):
            if ANSWERED_AT_ITS_END in interface.methods:  # whatever is set on a bus ends the fades that wait
                await bus.call(names.BUS_NAME, path, PROPERTIES.name, "Set", "ssv", [interface.name, "Mute", variant("b", False)])
    return report


def _shuffled(nasty: NastyValues, calls: list[NastyCall]) -> list[NastyCall]:
    nasty.random.shuffle(calls)
    return calls


def _calls_of(objects: Objects, nasty: NastyValues) -> Iterator[NastyCall]:
    """Give calls of every method and of every property, with right and wrong types."""
    for path, interface in objects:
        for method in interface.methods.values():
            for _ in range(8 if method.inputs else 1):
                yield NastyCall(path, interface.name, method.name, method.inputs, nasty.body(method.inputs))
            yield NastyCall(path, interface.name, method.name, method.inputs, nasty.body(method.inputs), wants_reply=False)
            wrong = nasty.signature()
            if wrong != method.inputs:
                yield NastyCall(
                    path, interface.name, method.name, wrong, nasty.body(wrong), (errors.INVALID_ARGS, errors.LIMITS_EXCEEDED)
                )
        yield NastyCall(path, PROPERTIES.name, "GetAll", "s", [interface.name])
        for declared in interface.properties.values():
            yield NastyCall(path, PROPERTIES.name, "Get", "ss", [interface.name, declared.name], value_type=declared.type)
            for signature in (*[declared.type] * (4 if declared.writable else 1), nasty.type()):
                (value,) = nasty.body(signature)
                accepted = declared.writable and signature == declared.type
                body: list[Value] = [interface.name, declared.name, variant(signature, value)]
                yield NastyCall(path, PROPERTIES.name, "Set", "ssv", body, () if accepted else _REFUSED)
    for path, interfaces in objects.interfaces.items():
        for interface in interfaces:
            yield NastyCall(path, interface.name, "Nothing", "s", nasty.body("s"), (errors.UNKNOWN_METHOD,))
            if interface in _STANDARD:
                yield from (
                    NastyCall(path, interface.name, method.name, method.inputs, nasty.body(method.inputs))
                    for method in interface.methods.values()
                )


def _calls_of_nothing(nasty: NastyValues) -> Iterator[NastyCall]:
    """Give calls of what is not there."""
    for path in ("/", f"{names.ROOT_PATH}/nothing", f"{names.ROOT_PATH}x", "/" + "a/" * 3_000 + "b", f"{names.ROOT_PATH}/bus/_"):
        yield NastyCall(path, names.GRAPH, "GetGraph", "t", nasty.body("t"), (errors.UNKNOWN_OBJECT,))
    for interface in ("a.b", names.BUS_NAME, f"{names.GRAPH}.{'x' * 100}", names.DBUS):
        yield NastyCall(names.ROOT_PATH, interface, "GetGraph", "t", nasty.body("t"), (errors.UNKNOWN_INTERFACE,))
    for name in ("", "Nothing", "gain", "__class__"):
        body: list[Value] = [names.GRAPH, name]
        yield NastyCall(names.ROOT_PATH, PROPERTIES.name, "Get", "ss", body, (errors.UNKNOWN_PROPERTY,))


async def _work(bus: SessionBus, silent: Flood, todo: Iterator[NastyCall], report: Report, fades: asyncio.TaskGroup) -> None:
    """Make one call after the other."""
    for call in todo:
        report.calls += 1
        if not call.wants_reply:
            silent.send(names.BUS_NAME, call.path, call.interface, call.member, call.signature, call.body)
        elif call.member == ANSWERED_AT_ITS_END:
            fades.create_task(_answered(bus, call, report, deadline_s=3_600))
        else:
            began = time.monotonic()
            await _answered(bus, call, report, _DEADLINE_S)
            took_s = time.monotonic() - began
            if took_s > report.slowest_s:
                report.slowest_s, report.slowest = took_s, str(call)


async def _answered(bus: SessionBus, call: NastyCall, report: Report, deadline_s: float) -> None:
    """Make a call that is answered, and note what is not as it should be."""
    try:
        answer = await bus.call(
            names.BUS_NAME, call.path, call.interface, call.member, call.signature, call.body, deadline_s=deadline_s
        )
    except CallError as error:
        report.outcomes[error.name.rpartition(".")[2]] += 1
        report.findings += [f"{found}: {error.name}, {error.text[:200]!r} answers {call}" for found in _faults(call, error)]
        return
    report.outcomes["answered"] += 1
    if call.expected:
        report.findings.append(f"accepted: {call}")
    if call.value_type and answer[0].signature != call.value_type:
        report.findings.append(f"of type {answer[0].signature}: {call}")


def _faults(call: NastyCall, error: CallError) -> Iterator[str]:
    """Say what is wrong with an error."""
    if not _ALLOWED.fullmatch(error.name):
        yield "foreign error name"
    if error.name in _NEVER:
        yield "fault"
    has_gone = error.name == errors.UNKNOWN_OBJECT and call.path.startswith(f"{names.ROOT_PATH}/bus/")
    if call.expected and error.name not in call.expected and not has_gone:
        yield f"not {' or '.join(call.expected)}"
    if "Traceback" in error.text or ".py" in error.text:
        yield "traceback sent"
    if len(error.text) > errors.TEXT_LIMIT or "\n" in error.text:
        yield "long text"
