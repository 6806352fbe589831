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
    if file and _is_missing(file):
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
        there = "no such file, which means " if _is_missing(path) else ""
        show(f"{path}: {there}{_counted(len(config.rules), 'rule')}, {_counted(len(config.buses), 'bus', 'buses')}")


def _is_missing(path: Path) -> bool:
    """Whether nothing has this name: what is there and cannot be read is told with the reason."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
