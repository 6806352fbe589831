"""A real JACK server in the process of jackdbus, where one ends and another begins without a process doing so."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from jackd_router.dbus_api import names
from jackd_router.dbus_api.message_bus import Value, variant
from jackd_router.dbus_api.session_bus import SessionBus
from tests.support.eventually import eventually, eventually_async
from tests.support.jack_server import JackServer
from tests.support.process import Process

JACKDBUS, CONTROLLER = "org.jackaudio.service", "/org/jackaudio/Controller"
_CONTROL = "org.jackaudio.JackControl"


class JackDbus(JackServer):
    """A server that jackdbus runs in its own process."""

    def __init__(self, folder: Path, address: str, *, name: str | None = None) -> None:
        super().__init__(folder / "jackdbus.log", name=name, port_max=4096)
        self._home, self._address = folder, address

    def start(self) -> None:
        """Start jackdbus, and tell it to start the server."""
        environment = os.environ | {"HOME": str(self._home), "DBUS_SESSION_BUS_ADDRESS": self._address}
        self._process = Process(["jackdbus", "auto"], self.log, environment)
        asyncio.run(self._configure())
        self.start_server()

    def start_server(self) -> None:
        """Start the server, and wait until it accepts clients."""
        self.socket_path.unlink(missing_ok=True)
        asyncio.run(self._control("StartServer"))
        eventually(self._accepts, what="the server of jackdbus accepts clients")

    def stop_server(self) -> None:
        """End the server; jackdbus itself goes on."""
        asyncio.run(self._control("StopServer"))

    def terminate(self) -> None:
        """End it with its server, which it does not do when asked."""
        self.kill()

    async def _control(self, method: str) -> None:
        async with await SessionBus.open([self._address]) as bus:
            await bus.call(JACKDBUS, CONTROLLER, _CONTROL, method)

    async def _configure(self) -> None:
        async with await SessionBus.open([self._address]) as bus:
            await eventually_async(lambda: self._is_there(bus), what="jackdbus is there")
            await self._set(bus, ["engine", "driver"], "s", "dummy")
            await self._set(bus, ["engine", "name"], "s", self.name)
            await self._set(bus, ["engine", "port-max"], "u", self.port_max)
            await self._set(bus, ["engine", "realtime"], "b", False)

    async def _is_there(self, bus: SessionBus) -> bool:
        (found,) = await bus.call(names.DBUS, names.DBUS_PATH, names.DBUS, "NameHasOwner", "s", [JACKDBUS])
        return bool(found)

    async def _set(self, bus: SessionBus, place: list[str], signature: str, value: Value) -> None:
        body: list[Value] = [place, variant(signature, value)]
        await bus.call(JACKDBUS, CONTROLLER, "org.jackaudio.Configure", "SetParameterValue", "asv", body)
