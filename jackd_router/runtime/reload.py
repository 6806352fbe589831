"""Reading the configuration anew: parse first, plan, and swap only what is right; what did not change notices nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jackd_router.core.config import Config
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.config_files import load_config
from jackd_router.runtime.configuration import Configuration
from jackd_router.runtime.profiles import Profiles
from jackd_router.runtime.rules import Prepared, Rules
from jackd_router.runtime.state import PlanReport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Affected:
    """What a reload asks the rest of the router for."""

    replace_keeper: Callable[[Config], Awaitable[None]]
    buses_planned: Callable[[], Awaitable[None]]
    applied: Callable[[], Awaitable[None]]
    """Waits until the reconciler has done what the new rules want."""
    buses_changed: Callable[[Sequence[str], Sequence[str]], None]
    config_changed: Callable[[], None]


class Reload:
    """One reload at a time."""

    def __init__(self, configuration: Configuration, rules: Rules, buses: Buses, profiles: Profiles, affected: Affected) -> None:
        """Take what is swapped, and who must follow."""
        self._configuration, self._rules, self._buses, self._profiles = configuration, rules, buses, profiles
        self._affected = affected
        self._turn = asyncio.Lock()

    async def validate(self, path: str) -> tuple[Problem, ...]:
        """Give everything that is wrong with a file ("" for the main file)."""
        try:
            return (await self._read(path)).warnings
        except ConfigInvalid as error:
            return error.problems

    async def plan(self, path: str) -> tuple[tuple[Problem, ...], PlanReport]:
        """Tell what would change if this file ("" for the main file) were in force."""
        try:
            config = await self._read(path)
        except ConfigInvalid as error:
            return error.problems, PlanReport()
        prepared = await self._rules.prepare(config)
        prepared.drop()
        return config.warnings, prepared.report

    async def run(self, *, dry_run: bool = False) -> PlanReport:
        """Put the files in force; with any error nothing changes. Raise ConfigInvalid with all of them.

        Who saves the file and then asks for a reload meets the one that the save began: it waits for its turn.
        """
        async with self._turn:
            return await self._run(dry_run)

    async def _run(self, dry_run: bool) -> PlanReport:
        try:
            config = await self._read("")
        except ConfigInvalid as error:
            if not dry_run:
                self._configuration.refuse(error)
                self._affected.config_changed()
            raise
        prepared = await self._rules.prepare(config)
        if not dry_run:
            before = self._configuration.in_force
            self._configuration.accept(config)
            await self._swap(before, prepared)
            self._affected.config_changed()
            await asyncio.to_thread(self._configuration.keep_copy)
        else:
            prepared.drop()
        return prepared.report

    async def _read(self, path: str) -> Config:
        """Read a file ("" for the main file, which need not be there: then there are no rules)."""
        return await asyncio.to_thread(load_config, Path(path) if path else self._configuration.path, must_exist=bool(path))

    async def _swap(self, before: Config, prepared: Prepared) -> None:
        config = prepared.config
        names = self._buses.names
        self._profiles.put_in_force(config)
        self._rules.put_prepared_in_force(prepared)
        self._rules.set_profile(self._profiles.active)
        if (before.server_name, before.client_name) != (config.server_name, config.client_name):
            await self._affected.replace_keeper(config)
        else:
            await self._affected.buses_planned()
        await self._affected.applied()
        added = [name for name in self._buses.names if name not in names]
        removed = [name for name in names if name not in self._buses.names]
        if added or removed:
            self._affected.buses_changed(added, removed)
