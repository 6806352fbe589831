"""Reading the configuration anew: parse first, plan, and swap only what is right; what did not change notices nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jackd_router.core.config import BusConfig, Config
from jackd_router.core.errors import ConfigInvalid, Problem, Refused, RouterError
from jackd_router.core.language.made_buses import with_made_buses
from jackd_router.jack_io.threads import in_thread
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.config_files import load_config
from jackd_router.runtime.configuration import Configuration
from jackd_router.runtime.profiles import Profiles
from jackd_router.runtime.rules import Prepared, Rules
from jackd_router.runtime.state import PlanReport

log = logging.getLogger(__name__)

_COPY_S = 1.0
"""How long a reload, and those after it, wait for the copy."""
_MOST_LOOKS = 4
"""How many files are looked into at once for callers: each has a thread, and they take turns with the event loop."""


@dataclass(frozen=True, slots=True)
class Affected:
    """What a reload asks the rest of the router for."""

    replace_keeper: Callable[[Config], Awaitable[None]]
    buses_planned: Callable[[], Awaitable[str]]
    """Waits until our ports are those of the buses; gives why they are not, "" where they are or there is no server."""
    applied: Callable[[], Awaitable[None]]
    """Waits until the reconciler has done what the new rules want."""
    buses_changed: Callable[[Sequence[str], Sequence[str]], None]
    config_changed: Callable[[], None]
    name_devices: Callable[[Config], None]


class Reload:
    """One reload at a time."""

    def __init__(self, configuration: Configuration, rules: Rules, buses: Buses, profiles: Profiles, affected: Affected) -> None:
        """Take what is swapped, and who must follow."""
        self._configuration, self._rules, self._buses, self._profiles = configuration, rules, buses, profiles
        self._affected = affected
        self.turn = asyncio.Lock()
        """Whoever swaps has it, from the look at what is in force on."""
        self._looks = asyncio.Semaphore(_MOST_LOOKS)
        self._coming: asyncio.Future[PlanReport] | None = None
        """What becomes of the reload that waits for its turn: it has read nothing yet, so it is that of all who ask now."""

    async def validate(self, path: str) -> tuple[Problem, ...]:
        """Give everything that is wrong with a file ("" for the main file)."""
        try:
            async with self._looks:
                return self._configuration.with_made(await self._read(path)).warnings
        except ConfigInvalid as error:
            return error.problems

    async def plan(self, path: str) -> tuple[tuple[Problem, ...], PlanReport]:
        """Tell what would change if this file ("" for the main file) were in force."""
        async with self._looks:
            try:
                config = self._configuration.with_made(await self._read(path))
            except ConfigInvalid as error:
                return error.problems, PlanReport()
            prepared = await self._rules.prepare(config)
            prepared.drop()
            return (*config.warnings, *self._rules.blind_spots(config)), prepared.report

    async def run(self, *, dry_run: bool = False) -> PlanReport:
        """Put the files in force; with any error nothing changes. Raise ConfigInvalid with all of them.

        Who saves the file and then asks for a reload meets the one that the save began: it waits for its turn.
        """
        if dry_run:
            async with self.turn:
                return await self._run(dry_run)
        if self._coming is not None:
            return await asyncio.shield(self._coming)
        coming = self._coming = asyncio.get_running_loop().create_future()
        try:
            async with self.turn:
                self._coming = None  # who asks from here on may have saved what is not read any more
                report = await self._run(dry_run)
            coming.set_result(report)
            return report
        except RouterError as error:
            coming.set_exception(error)
            coming.exception()  # looked at, so that asyncio does not complain where nobody else waits
            raise
        finally:
            if self._coming is coming:
                self._coming = None  # it did not come to its turn
            coming.cancel()  # nothing, where it is done

    async def _run(self, dry_run: bool) -> PlanReport:
        try:
            files = await self._read("")
        except ConfigInvalid as error:
            if not dry_run:
                self._configuration.refuse(error)
                self._affected.config_changed()
            raise
        prepared = await self._rules.prepare(self._configuration.with_made(files))
        if dry_run:
            prepared.drop()
            return prepared.report
        before, told = self._configuration.in_force, self._buses.names
        self._configuration.accept(files)
        await self._swap(before, prepared, told)
        report = self._rules.as_done(prepared.report)
        self._tell_added(told)
        self._affected.config_changed()
        await self._keep_copy()
        return report

    async def _keep_copy(self) -> None:
        """Keep a copy of what is in force now; on a disk that does not answer it is kept later."""
        try:
            async with asyncio.timeout(_COPY_S):
                await in_thread(self._configuration.keep_copy)
        except TimeoutError:
            log.warning("No copy of the configuration is kept yet: the disk does not answer")
        except Refused as error:
            log.warning("No copy of the configuration could be kept: %s", error, extra={"REASON": str(error)})

    async def put_made(self, made: Sequence[BusConfig]) -> None:
        """Put other buses beside what the files say, for somebody who has the turn."""
        told = self._buses.names
        await self._put_made(made, told)
        self._tell_added(told)

    async def try_made(self, made: Sequence[BusConfig]) -> str:
        """Do so, but all or nothing: where the server gives no ports, go back, and give its reason."""
        told, before = self._buses.names, self._configuration.made
        trouble = await self._put_made(made, told)
        if trouble:
            await self._put_made(before, told)
        self._tell_added(told)
        return trouble

    async def _put_made(self, made: Sequence[BusConfig], told: Sequence[str]) -> str:
        before, problems = self._configuration.in_force, self._configuration.problems
        prepared = await self._rules.prepare(with_made_buses(self._configuration.from_files, made), reported=False)
        self._configuration.put_made(made)
        trouble = await self._swap(before, prepared, told)
        if problems != self._configuration.problems:
            self._affected.config_changed()
        return trouble

    async def _read(self, path: str) -> Config:
        """Read a file ("" for the main file, which need not be there: then there are no rules)."""
        return await in_thread(load_config, Path(path) if path else self._configuration.path, must_exist=bool(path))

    async def _swap(self, before: Config, prepared: Prepared, told: Sequence[str]) -> str:
        """Put what is prepared in force, and give why buses have no ports, or "". `told`: the buses that listeners know."""
        config, trouble = prepared.config, ""
        self._profiles.put_in_force(config)
        self._affected.name_devices(config)
        # At once: from here on there is nothing to tell of them.
        removed = [name for name in told if name not in self._buses.names]
        if removed:
            self._affected.buses_changed((), removed)
        self._rules.put_prepared_in_force(prepared)
        self._rules.set_profile(self._profiles.active)
        if before.server != config.server:
            await self._affected.replace_keeper(config)
        else:
            trouble = await self._affected.buses_planned()
        await self._affected.applied()
        return trouble

    def _tell_added(self, told: Sequence[str]) -> None:
        """Tell of new buses, now that they are complete."""
        added = [name for name in self._buses.names if name not in told]
        if added:
            self._affected.buses_changed(added, ())
