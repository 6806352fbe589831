"""The command `check`: everything that is wrong with a configuration file, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.records import ProblemRecord
from jackd_router.cli.terminal import complain, show, show_json
from jackd_router.core.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from jackd_router.core.config import Config


def check(*, file: Path | None, json: bool) -> Exit:
    """Read the file as the daemon would, and print every problem as `file:line:column: text`."""
    # Imported here: the parser of the positions is of use to this command only.
    from jackd_router.runtime.config_files import default_path, load_config

    path = file or default_path()
    if file and not file.exists():
        raise CommandFailed(f"{file}: no such file")
    try:
        config = load_config(path)
    except ConfigInvalid as invalid:
        _show(path, invalid.problems, None, json=json)
        return Exit.REFUSED
    _show(path, config.warnings, config, json=json)
    return Exit.DONE


def _show(path: Path, problems: tuple[Problem, ...], config: Config | None, *, json: bool) -> None:
    found = [ProblemRecord(str(p.severity), p.file, p.line, p.column, p.text) for p in problems]
    if json:
        show_json({"file": str(path), "valid": config is not None, "problems": [problem._asdict() for problem in found]})
        return
    for problem in found:
        complain(str(problem))
    if config is not None:
        there = "" if path.exists() else "no such file, which means "
        show(f"{path}: {there}{_counted(len(config.rules), 'rule')}, {_counted(len(config.buses), 'bus', 'buses')}")


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
