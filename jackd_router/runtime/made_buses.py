"""Buses that are made and removed at run time: kept over restarts, beside those of the configuration, which go first."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from jackd_router.core.config import BusConfig
from jackd_router.core.errors import AlreadyExists, NoSuchBus, ReadOnlyConfig, Refused, UserError
from jackd_router.core.language.made_buses import read_made_bus
from jackd_router.core.names import nearest
from jackd_router.runtime.configuration import Configuration
from jackd_router.runtime.reload import Reload
from jackd_router.runtime.state_file import StateFile
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)


class MadeBuses:
    """Makes and removes them as a reload does that finds one bus more or less: everything else stays as it is."""

    def __init__(self, configuration: Configuration, reload: Reload, state_file: StateFile) -> None:
        """Take what they stand beside, who puts them in force, and where they are kept."""
        self._configuration, self._reload, self._state_file = configuration, reload, state_file

    def start(self) -> None:
        """Put those that were kept beside the configuration that is about to be loaded."""
        self._configuration.made = tuple(self._state_file.kept.made.values())

    def give_way(self) -> None:
        """Forget those whose place a bus of the configuration has taken: who takes it out there again wants no bus."""
        kept = self._state_file.kept
        names = {bus.name for bus in self._configuration.from_files.buses}
        if taken := kept.made.keys() & names:
            kept.made = {name: bus for name, bus in kept.made.items() if name not in taken}
            self._configuration.made = tuple(kept.made.values())
            self._state_file.changed()

    async def create(self, name: str, values: Mapping[str, object]) -> None:
        """Make a bus of the keys and values that a [[bus]] has, and wait until its ports are there, if there is a server.

        Raise AlreadyExists, UserError with everything that is wrong, and Refused with the server's or the system's reason.
        """
        async with self._reload.turn:
            kept = self._state_file.kept
            bus = self._checked(name, values)
            # What waits for a bus of this name that the configuration had is not meant for this one.
            waiting = kept.buses.pop(name, None)
            try:
                trouble = await self._reload.try_made((*self._configuration.made, bus))
            except Refused as error:  # by the operating system
                trouble = str(error)
            if trouble:
                if waiting is not None:
                    kept.buses[name] = waiting
                raise Refused(f"the bus {name!r} was not made: {trouble}")
            kept.made[name] = bus
            self._state_file.changed()
        log.info("Made the bus %r", name, extra={"MESSAGE_ID": Event.BUS_MADE, "BUS": name})

    def _checked(self, name: str, values: Mapping[str, object]) -> BusConfig:
        for bus in (*self._configuration.in_force.buses, *self._configuration.made):
            if bus.name == name:
                where = f"stands at {bus.origin}" if bus.origin else "was made at run time"
                raise AlreadyExists(f"there is a bus {name!r} already, it {where}; give one of them another name")
        try:
            return read_made_bus({"name": name, **values}, self._configuration.in_force.buses)
        except UserError as error:
            raise UserError(f"the bus cannot be made: {error}") from None

    async def remove(self, name: str) -> None:
        """Remove a bus that was made at run time, and forget what was set on it; raise ReadOnlyConfig or NoSuchBus."""
        async with self._reload.turn:
            kept = self._state_file.kept
            if name not in kept.made:
                raise self._not_made(name)
            await self._reload.put_made(tuple(bus for bus in kept.made.values() if bus.name != name))
            del kept.made[name]
            kept.buses.pop(name, None)
            self._state_file.changed()
        log.info("Removed the bus %r", name, extra={"MESSAGE_ID": Event.BUS_REMOVED, "BUS": name})

    def _not_made(self, name: str) -> UserError:
        for bus in self._configuration.from_files.buses:
            if bus.name == name:
                return ReadOnlyConfig(f"the bus {name!r} stands in the configuration, at {bus.origin}: take it out there")
        made = self._state_file.kept.made
        near = nearest(name, made)
        told = f"did you mean {near!r}?" if near else f"made were: {', '.join(map(repr, made)) or 'none'}"
        return NoSuchBus(f"there is no bus {name!r} that was made at run time; {told}")
