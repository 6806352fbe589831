"""Which configuration is in force, what was wrong with the last one read, and the copy that a broken file cannot reach."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from jackd_router.core.config import BusConfig, Config
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.core.language.effective import effective_toml
from jackd_router.core.language.made_buses import with_made_buses
from jackd_router.core.language.reading import counted
from jackd_router.runtime.config_files import load_config
from jackd_router.runtime.whole_files import write_whole
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)


class Configuration:
    """Parse first, swap after: what is in force changes only to what was read without an error."""

    def __init__(self, path: Path, state: Path) -> None:
        """Take the main file and the folder for the copy."""
        self.path = path
        self._copy = state / "last-good" / _copy_name(path)
        self._copying = threading.Lock()
        self.from_files = self.in_force = Config()
        """What the files say; and with the buses that were made at run time."""
        self.made: tuple[BusConfig, ...] = ()
        self.loaded_usec = 0
        self.valid = self.started_valid = True
        self.fallback = "the older one stays in force"
        self.problems: tuple[Problem, ...] = ()

    def load_at_start(self) -> None:
        """Put the file in force; where it is invalid the last one that was; where there is none, no rules."""
        try:
            self.accept(load_config(self.path))
        except ConfigInvalid as error:
            self.refuse(error)
            self.started_valid = False
            has_copy = os.path.exists(self._copy)  # noqa: PTH110  (Path.exists raises where one may not look)
            self.fallback = "the last good one is in force" if has_copy else "there are no rules"
            self._put(Config())
            try:
                self._put(load_config(self._copy))
            except ConfigInvalid as second:
                self.fallback = "there are no rules"
                log.warning("The copy of the last configuration in force is of no use either: %s", second)
            self.loaded_usec = time.time_ns() // 1000

    def refuse(self, error: ConfigInvalid) -> None:
        """Note what is wrong; what is in force stays."""
        self.valid, self.problems = False, error.problems
        for problem in error.problems:
            log.error("%s", problem, extra={"MESSAGE_ID": Event.CONFIG_REFUSED, "REASON": problem.text})

    def with_made(self, config: Config) -> Config:
        """Give what files say with the buses that were made at run time."""
        return with_made_buses(config, self.made)

    def put_made(self, made: Sequence[BusConfig]) -> None:
        """Let other buses be those that were made at run time, beside what the files say."""
        self.made = tuple(made)
        self._put(self.from_files)
        if self.valid:
            self.problems = self.in_force.warnings

    def _put(self, config: Config) -> None:
        self.from_files, self.in_force = config, self.with_made(config)

    def accept(self, config: Config) -> None:
        """Put what files say in force."""
        self._put(config)
        self.loaded_usec = time.time_ns() // 1000
        self.valid, self.started_valid, self.problems = True, True, self.in_force.warnings
        self.fallback = "the older one stays in force"
        for problem in self.problems:
            log.warning("%s", problem)
        log.info(
            "Configuration loaded%s %s: %s, %s",
            " from" if self.path.exists() else "; there is no",
            self.path,
            counted(len(config.rules), "rule"),
            counted(len(config.buses), "bus", "buses"),
            extra={"MESSAGE_ID": Event.CONFIG_LOADED},
        )

    def keep_copy(self) -> None:
        """Keep what is in force for a start with broken files; what cannot be kept is a warning. It waits for the disk."""
        if not self.started_valid:
            return
        try:
            with self._copying:  # a writer whom a disk has kept for long does not write over what came since
                self._copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Not the files: since they were read somebody may have saved another one, with a mistake in it.
                write_whole(self._copy, [effective_toml(self.from_files).encode()])
        except OSError as error:
            log.warning("No copy of the configuration could be kept: %s", error, extra={"REASON": str(error)})


def _copy_name(path: Path) -> str:
    """Give each main file a copy of its own: `--config` may name another one now and then."""
    return f"{path.stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}.toml"
