"""The files: is the configuration valid, and can what is to outlive the daemon be kept."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jackd_router.cli.doctor.findings import Finding, fail, ok, warn
from jackd_router.core.errors import ConfigInvalid
from jackd_router.core.language.reading import counted
from jackd_router.runtime.config_files import load_config
from jackd_router.runtime.state_file import UNWRITTEN, may_be_good, read_kept, state_folder


@dataclass(frozen=True, slots=True)
class Configured:
    """What the configuration says here, and what is wrong with it."""

    server_name: str | None
    library: str
    findings: tuple[Finding, ...]


def read(path: Path) -> Configured:
    """Read the configuration as the daemon would."""
    check = "configuration"
    try:
        config = load_config(path)
    except ConfigInvalid as invalid:
        return Configured(None, "auto", tuple(fail(check, str(problem), "mend it there") for problem in invalid.problems))
    found = [warn(check, str(problem), "look there") for problem in config.warnings]
    if not path.exists():
        found.append(warn(check, f"there is no {path}, so there are no rules", "write one: man jackd-router.toml"))
    elif not config.rules:
        found.append(warn(check, f"{path} has no rules, so nothing is connected", "write one: man jackd-router.toml"))
    else:
        what = f"{counted(len(config.rules), 'rule')}, {counted(len(config.buses), 'bus', 'buses')}"
        found.append(ok(check, f"{path} is valid: {what}"))
    return Configured(config.server_name, config.library, tuple(found))


def state(daemon_status: str) -> Iterator[Finding]:
    """Look whether the state can be read and written. The daemon knows better, if it runs: its unit may forbid it what we may."""
    folder = state_folder()
    path = folder / "state.json"
    try:
        read_kept(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        if may_be_good(error):
            do = "mend that, and start the daemon again: until then it saves nothing"
        else:
            do = "nothing, if it may be lost: the daemon sets it aside when it starts"
        yield warn("state", f"{path} cannot be read: {error}", do)
    told = re.search(f"{UNWRITTEN}: ([^;]*)", daemon_status)
    if trouble := f"the daemon says: {told[1]}" if told else _why_not_writable(folder):
        do = "mend the rights of the folder, or make room on the disk; if it was removed, start the daemon again"
        yield fail("state", f"nothing can be kept over restarts: {trouble}", do)
    else:
        yield ok("state", f"{folder} can be written")


def _why_not_writable(folder: Path) -> str:
    """Give why the state cannot be written; "" where it can. A folder that is missing is made by the daemon."""
    there = folder
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        return f"{there}: {error.strerror}"
    return ""
