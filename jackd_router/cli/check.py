"""The command `check`: everything that is wrong with a configuration file; needs no daemon."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.records import ProblemRecord, RefusedRecord, report
from jackd_router.cli.remote import Daemon, options
from jackd_router.cli.terminal import complain, show, show_json, typed
from jackd_router.core.errors import ConfigInvalid, Problem, Severity
from jackd_router.core.language.reading import counted
from jackd_router.dbus_api.errors import BusLost
from jackd_router.dbus_api.session_bus import connect_session

if TYPE_CHECKING:
    from jackd_router.core.config import Config


def check(*, file: Path | None, json: bool) -> Exit:
    """Read the file as the daemon would, and print every problem as `file:line:column: text`."""
    # Imported here: the parser of the positions is of use to this command only.
    from jackd_router.runtime.config_files import default_path, load_config

    path = file or default_path()
    if file and _is_missing(file):
        raise CommandFailed(f"{file}: no such file")
    try:
        config = load_config(path)
    except ConfigInvalid as invalid:
        _show(path, invalid.problems, None, json=json)
        return Exit.REFUSED
    problems = tuple(sorted((*config.warnings, *_stopped(config, _refused_now(path)))))
    _show(path, problems, config, json=json)
    return Exit.DONE


def _refused_now(path: Path) -> list[RefusedRecord]:
    """Ask a daemon, where one runs, what the feedback guard would stop on the present graph."""
    asked = typed(str(path.absolute()))

    async def ask() -> list[RefusedRecord]:
        async with await connect_session() as bus:
            _, _, reply = await Daemon(bus).call("Config.Plan", "sa{sv}", asked, options())
            return report(reply).refused

    try:
        return asyncio.run(ask())
    except (BusLost, CommandFailed):
        return []  # nobody there who knows a graph: the file is right all the same


def _stopped(config: Config, refused: list[RefusedRecord]) -> Iterator[Problem]:
    """Give a warning for each rule that the feedback guard stops, with the line to add."""
    origins = {rule.name: rule.origin for rule in config.rules}
    for name, stopped in itertools.groupby(sorted(refused), key=lambda record: record.rule):
        first, *others = stopped
        more = f" and {len(others)} more" if others else ""
        text = f'rule "{name}": {first.source} -> {first.destination}{more} is not made now: {first.reason}'
        origin = origins[name]
        yield Problem(origin.file, origin.line, origin.column, text, Severity.WARNING)


def _show(path: Path, problems: tuple[Problem, ...], config: Config | None, *, json: bool) -> None:
    found = [ProblemRecord.of_problem(problem) for problem in problems]
    if json:
        show_json({"file": str(path), "valid": config is not None, "problems": [problem._asdict() for problem in found]})
        return
    for problem in found:
        complain(str(problem))
    if config is not None:
        there = "no such file, which means " if _is_missing(path) else ""
        show(f"{path}: {there}{counted(len(config.rules), 'rule')}, {counted(len(config.buses), 'bus', 'buses')}")


def _is_missing(path: Path) -> bool:
    """Whether nothing has this name: what is there and cannot be read is told with the reason."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
