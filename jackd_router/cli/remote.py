"""The daemon as the commands see it: calls, properties and events over the session bus, and what their errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.dbus_api import names
from jackd_router.dbus_api.errors import NO_REPLY, UNKNOWN_INTERFACE, UNKNOWN_METHOD, BusLost, CallError
from jackd_router.dbus_api.message_bus import Value, Variant, variant
from jackd_router.dbus_api.messages import Signal, SignalMatch
from jackd_router.dbus_api.session_bus import CALL_DEADLINE_S, SessionBus, connect_session

Command = Callable[..., Awaitable[Exit]]

HOW_TO_START = "start it with `systemctl --user start jackd-router` or `jackd-router run`"
HOW_TO_FIND_THE_BUS = "run this where the DBUS_SESSION_BUS_ADDRESS of your session is set"

_NOBODY_THERE = {f"{names.DBUS}.Error.ServiceUnknown", f"{names.DBUS}.Error.NameHasNoOwner"}
_ANOTHER_VERSION = {UNKNOWN_METHOD, UNKNOWN_INTERFACE, f"{names.DBUS}.Error.UnknownProperty"}


class Refusal(CommandFailed):
    """What the daemon answered instead of doing it: the last word of the name of its error, and its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text, Exit.NO_SERVER if name == "NotConnected" else Exit.REFUSED)
        self.name = name


@dataclass(frozen=True, slots=True)
class OwnerChanged:
    """The daemon has come to the message bus, or has left it."""

    present: bool


Event = Signal | OwnerChanged


def with_daemon(command: Command, arguments: Mapping[str, object]) -> int:
    """Run one command that talks to the daemon, and give its exit code."""
    return asyncio.run(_with_daemon(command, arguments))


async def _with_daemon(command: Command, arguments: Mapping[str, object]) -> int:
    try:
        async with await connect_session() as bus:
            return await command(Daemon(bus), **arguments)
    except BusLost as error:
        raise CommandFailed(f"{error}; {HOW_TO_FIND_THE_BUS}", Exit.NO_DAEMON) from error


def options(**values: str | int | bool | None) -> dict[str, Variant]:
    """Give an `a{sv}` of what was asked for: None and False are the defaults of every option and stay away."""
    signatures = {bool: "b", int: "u", str: "s"}
    asked = {key.replace("_", "-"): value for key, value in values.items() if value is not None and value is not False}
    return {key: variant(signatures[type(value)], value) for key, value in asked.items()}


class Daemon:
    """The daemon at the other end of the session bus. Members are named `Graph.Connect`, or by a whole foreign name."""

    def __init__(self, bus: SessionBus) -> None:
        self._bus = bus

    async def call(
        self,
        member: str,
        signature: str = "",
        *arguments: Value,
        path: str = names.ROOT_PATH,
        takes_s: float = 0.0,
    ) -> list[object]:
        """Call a method and give what it answers, with the values of variants in their place.

        `takes_s`: how long it takes by itself.
        """
        interface, _, method = _full(member).rpartition(".")
        try:
            # Looking must not change anything, so it must not start the daemon either.
            body = await self._bus.call(
                names.BUS_NAME,
                path,
                interface,
                method,
                signature,
                arguments,
                autostart=False,
                deadline_s=CALL_DEADLINE_S + takes_s,
            )
        except CallError as error:
            raise _meaning(error) from error
        return [unwrapped(value) for value in body]

    async def get(self, name: str, *, path: str = names.ROOT_PATH) -> object:
        """Read a property."""
        interface, _, member = _full(name).rpartition(".")
        (value,) = await self.call(f"{names.PROPERTIES}.Get", "ss", interface, member, path=path)
        return value

    async def set(self, name: str, signature: str, value: Value, *, path: str = names.ROOT_PATH) -> None:
        """Set a property."""
        interface, _, member = _full(name).rpartition(".")
        await self.call(f"{names.PROPERTIES}.Set", "ssv", interface, member, variant(signature, value), path=path)

    async def follow(self, take: Callable[[Event], Awaitable[None]]) -> NoReturn:
        """Give each signal of the daemon to `take`, and its coming and going, until the bus goes away: BusLost."""
        arrived: asyncio.Queue[Event | None] = asyncio.Queue()
        await self._bus.watch_name(names.BUS_NAME, lambda owner: arrived.put_nowait(OwnerChanged(bool(owner))))
        await self._bus.subscribe(SignalMatch(sender=names.BUS_NAME), arrived.put_nowait)

        async def deliver() -> None:
            while (event := await arrived.get()) is not None:
                await take(event)

        async def end() -> None:
            await self._bus.lost()
            arrived.put_nowait(None)

        await asyncio.gather(deliver(), end())
        raise BusLost("the session bus went away")


def _full(member: str) -> str:
    return member if member.startswith("org.") else f"{names.BUS_NAME}.{member}"


def _meaning(error: CallError) -> CommandFailed:
    """Give what the error of a call means to somebody at a terminal."""
    if error.name in _NOBODY_THERE:
        return CommandFailed(f"the daemon is not running; {HOW_TO_START}", Exit.NO_DAEMON)
    if error.name == NO_REPLY:
        return CommandFailed(f"the daemon did not answer: {error.text}", Exit.NO_DAEMON)
    if error.name in _ANOTHER_VERSION:
        return CommandFailed(f"the running daemon cannot do that, it is of another version: {error.text}")
    return Refusal(error.name.rpartition(".")[2], error.text)


def unwrapped(value: Any) -> Any:
    """Give the value with what is in each variant in its place."""
    match value:
        case Variant():
            return unwrapped(value.value)
        case list():
            return [unwrapped(item) for item in value]
        case dict():
            return {key: unwrapped(item) for key, item in value.items()}
        case _:
            return value
