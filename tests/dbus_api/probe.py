"""A small real object for the tests of the dispatch: one member for everything that an object can do well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from jackd_router.core.errors import NoSuchPort
from jackd_router.dbus_api.interface_xml import Interface, parse_interfaces
from jackd_router.dbus_api.message_bus import RawBody, Variant, marshal, variant
from jackd_router.dbus_api.messages import Body, Call
from jackd_router.dbus_api.objects import Objects
from jackd_router.dbus_api.session_bus import SessionBus

NAME = "org.example.Probe1"
ROOT = "/org/example/Probe1"

XML = f"""<node><interface name="{NAME}">
  <!-- Comments are for people who read the file. -->
  <method name="Echo"><arg name="text" type="s" direction="in"/><arg name="same" type="s" direction="out"/></method>
  <method name="Add">
    <arg name="one" type="u" direction="in"/>
    <arg name="other" type="u" direction="in"/>
    <arg name="sum" type="u" direction="out"/>
  </method>
  <method name="Repeat"><arg name="times" type="u" direction="in"/><arg name="text" type="s" direction="out"/></method>
  <method name="WhoAmI"><arg name="sender" type="s" direction="out"/></method>
  <method name="Three">
    <arg name="number" type="u" direction="out"/>
    <arg name="pairs" type="a(ss)" direction="out"/>
    <arg name="more" type="a{{sv}}" direction="out"/>
  </method>
  <method name="Nasty"><arg name="text" type="s" direction="out"/></method>
  <method name="Raw"><arg name="text" type="s" direction="out"/><arg name="number" type="t" direction="out"/></method>
  <method name="Fail"><arg name="port" type="s" direction="in"/></method>
  <method name="FailLater"><arg name="port" type="s" direction="in"/></method>
  <method name="Crash"/>
  <method name="CrashLater"/>
  <method name="WrongResult"><arg name="number" type="u" direction="out"/></method>
  <method name="Wait"/>
  <property name="Level" type="d" access="readwrite"/>
  <property name="Later" type="s" access="readwrite"/>
  <property name="Pairs" type="a(ss)" access="read"/>
  <property name="Broken" type="s" access="read"/>
  <property name="Secret" type="s" access="write"/>
  <property name="Large" type="s" access="read">
    <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="invalidates"/>
  </property>
  <property name="Load" type="d" access="read">
    <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>
  </property>
  <property name="Version" type="s" access="read">
    <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
  </property>
  <signal name="Ticked"><arg name="number" type="u"/><arg name="padding" type="s"/></signal>
</interface></node>"""

INTERFACE: Interface
(INTERFACE,) = parse_interfaces(XML)


class Probe:
    """Implements the interface."""

    version = "1"
    large = "much"
    pairs = (("a", "b"),)

    def __init__(self) -> None:
        self.level = 0.5
        self.later = "now"
        self.secret = ""
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    @property
    def broken(self) -> str:
        """Fails."""
        raise ZeroDivisionError("a fault")

    async def read_load(self) -> float:
        """Give a value that has to be asked for."""
        await asyncio.sleep(0)
        return 12.5

    def set_level(self, call: Call, level: float) -> None:
        """Set it."""
        self.level = level

    async def set_later(self, call: Call, text: str) -> None:
        """Set it, when the loop has turned."""
        await asyncio.sleep(0)
        self.later = text

    def set_secret(self, call: Call, text: str) -> None:
        """Set it."""
        self.secret = text

    def echo(self, call: Call, text: str) -> str:
        """Give it back."""
        return text

    def add(self, call: Call, one: int, other: int) -> int:
        """Add."""
        return one + other

    def repeat(self, call: Call, times: int) -> str:
        """Give a long text."""
        return "x" * times

    def who_am_i(self, call: Call) -> str:
        """Give the caller."""
        return call.sender

    def three(self, call: Call) -> tuple[int, tuple[tuple[str, str], ...], dict[str, Variant]]:
        """Give three values, with tuples in them."""
        return 3, (("a", "b"),), {"key": variant("as", ("c",))}

    def nasty(self, call: Call) -> str:
        """Give what cannot be sent."""
        return "nul \0 surrogate \udcff snowman ☃"

    def raw(self, call: Call) -> RawBody:
        """Give bytes."""
        return RawBody(marshal("st", ["marshalled", 7]))

    def fail(self, call: Call, port: str) -> None:
        """Fail as expected."""
        raise NoSuchPort(f"no port {port}")

    async def fail_later(self, call: Call, port: str) -> None:
        """Fail as expected, when the loop has turned."""
        await asyncio.sleep(0)
        raise NoSuchPort(f"no port {port}")

    def crash(self, call: Call) -> None:
        """Fail as nobody expects."""
        raise ZeroDivisionError("a fault")

    async def crash_later(self, call: Call) -> None:
        """Fail as nobody expects, when the loop has turned."""
        await asyncio.sleep(0)
        raise ZeroDivisionError("a fault")

    def wrong_result(self, call: Call) -> str:
        """Give what the contract does not say."""
        return "not a number"

    async def wait(self, call: Call) -> None:
        """Wait until told to go on."""
        self.waiting.set()
        await self.go_on.wait()


@dataclass(frozen=True, slots=True)
class Served:
    """A probe on a bus, and a client of it. `tasks` is the group that its handlers run in."""

    probe: Probe
    objects: Objects
    bus: SessionBus
    client: SessionBus
    tasks: asyncio.TaskGroup

    async def call(self, member: str, signature: str = "", *body: object, path: str = ROOT) -> Body:
        """Call a method; without a dot in its name it is one of the probe."""
        interface, _, name = member.rpartition(".")
        arguments: list[object] = list(body)
        return await self.client.call(self.bus.unique_name, path, interface or NAME, name, signature, arguments)  # type: ignore[arg-type]


class KeepsNothing:
    """What is kept where nothing is."""

    kept_serial = 0

    async def secure_kept(self) -> None:
        """Wait for nothing."""


@asynccontextmanager
async def served(address: str) -> AsyncIterator[Served]:
    """Export a probe on the bus at this address."""
    async with asyncio.TaskGroup() as tasks, await SessionBus.open([address]) as bus, await SessionBus.open([address]) as client:
        objects = Objects(ROOT, tasks, KeepsNothing())
        probe = Probe()
        objects.add(ROOT, {INTERFACE: probe})
        objects.attach(bus)
        yield Served(probe, objects, bus, client, tasks)
        await objects.end_calls()
