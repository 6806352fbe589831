"""io.github.jackd_router.Router1.Config: the configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath

from jackd_router.core.errors import Problem, Severity
from jackd_router.core.names import parse_shown, shown
from jackd_router.dbus_api.errors import INVALID_ARGS, CallError
from jackd_router.dbus_api.message_bus import Variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.options import Options
from jackd_router.dbus_api.values import ProblemRecord, records_of_problems, report_of
from jackd_router.runtime.router import Router


class Config:
    """Implements the interface."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def path(self) -> str:
        """The main file."""
        return shown(str(self._router.configuration.path))

    @property
    def loaded_usec(self) -> int:
        """When the configuration in force was read."""
        return self._router.configuration.loaded_usec

    @property
    def valid(self) -> bool:
        """Whether the last (re)load succeeded."""
        return self._router.configuration.valid

    @property
    def problems(self) -> list[ProblemRecord]:
        """Of the last (re)load."""
        return records_of_problems(self._router.configuration.problems)

    async def reload(self, call: Call, options: Mapping[str, Variant]) -> dict[str, Variant]:
        """Read the files again."""
        dry_run = Options(options, {"dry-run": "b"}).flag("dry-run")
        return report_of(await self._router.reload(dry_run=dry_run))

    async def validate(self, call: Call, path: str, options: Mapping[str, Variant]) -> tuple[bool, list[ProblemRecord]]:
        """Check a file."""
        Options(options)
        problems = await self._router.validate(_absolute(path))
        return _is_valid(problems), records_of_problems(problems)

    async def plan(
        self, call: Call, path: str, options: Mapping[str, Variant]
    ) -> tuple[bool, list[ProblemRecord], dict[str, Variant]]:
        """Tell what a file would change."""
        Options(options)
        problems, report = await self._router.plan_file(_absolute(path))
        return _is_valid(problems), records_of_problems(problems), report_of(report)

    def get_effective(self, call: Call) -> str:
        """Give the configuration in force, as a file."""
        return self._router.effective_config()


def _absolute(path: str) -> str:
    """Give the path that was meant; the folder of the caller is not that of the daemon."""
    if path and not PurePath(path).is_absolute():
        raise CallError(INVALID_ARGS, f"path {path!r} is relative: write it from the root, or '' for the file in force")
    return parse_shown(path)


def _is_valid(problems: Iterable[Problem]) -> bool:
    """Tell whether a configuration with these problems can be used."""
    return all(problem.severity is not Severity.ERROR for problem in problems)
