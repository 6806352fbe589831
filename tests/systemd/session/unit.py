"""The installed unit, as somebody at a terminal of the session sees it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jackd_router.dbus_api.names import BUS_NAME, ROOT_PATH
from tests.support.eventually import eventually
from tests.support.process import children

NAME = "jackd-router.service"
CHECKOUT = Path(__file__).parents[3]
DROP_INS = CHECKOUT / "systemd/jackd-router.service.d"

CONFIG = Path.home() / ".config/jackd-router/router.toml"
STATE = Path.home() / ".local/state/jackd-router"
UNITS = Path.home() / ".config/systemd/user"
VENV = Path.home() / ".local/share/jackd-router/venv"
PROGRAM = Path.home() / ".local/bin/jackd-router"

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end."""
    return subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)


def systemctl(*arguments: str) -> Done:
    """Run `systemctl --user ARGUMENTS`."""
    return run("systemctl", "--user", "--no-pager", *arguments)


def journal(*matches: str) -> list[dict[str, Any]]:
    """Give what `journalctl --user MATCHES` finds, the oldest entry first; without a match nothing."""
    done = run("journalctl", "--user", "--quiet", "--no-pager", "--output=json", *matches)
    return [json.loads(line) for line in done.stdout.splitlines()]


def property_by_busctl(interface: str, name: str) -> Any:
    """Read a property of the daemon as people do; where the daemon does not run, that starts it."""
    done = run("busctl", "--user", "--json=short", "get-property", BUS_NAME, ROOT_PATH, f"{BUS_NAME}.{interface}", name)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def doctor(env: Mapping[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """Give the grade and the advice of each check of `jackd-router doctor`."""
    found = json.loads(run(sys.executable, "-m", "jackd_router", "doctor", "--json", env=env).stdout)
    return {one["check"]: (one["grade"], one["advice"]) for one in found}


SYSTEMD = int(run("systemctl", "--version").stdout.split()[1])
"""The version of systemd."""


class Unit:
    """jackd-router.service in this session."""

    def start(self) -> None:
        """Start it, and return when it is ready."""
        done = systemctl("start", NAME)
        assert done.returncode == 0, done.stderr

    def show(self, name: str) -> str:
        """Give a property, as `systemctl show` has it."""
        return systemctl("show", "--value", f"--property={name}", NAME).stdout.strip()

    @property
    def pid(self) -> int:
        """The process id of the daemon, 0 while there is none."""
        return int(self.show("MainPID"))

    @property
    def is_active(self) -> bool:
        """Whether it runs and is ready."""
        return self.show("ActiveState") == "active"

    def host_pids(self) -> tuple[int, ...]:
        """Give the processes that hold libjack."""
        return children(self.pid)

    def status(self) -> str:
        """Give what `systemctl status` shows."""
        return systemctl("status", "--full", NAME).stdout

    def status_line(self) -> str:
        """Give the one line of it in which the daemon says how it is."""
        (line,) = [line.strip() for line in self.status().splitlines() if line.strip().startswith("Status: ")]
        return line

    def wait_for_restart(self, times: int = 1) -> None:
        """Wait until it was restarted so often, and is ready again."""
        eventually(lambda: int(self.show("NRestarts")) >= times and self.is_active, timeout=20, what="systemd restarts it")

    def write_config(self, text: str) -> None:
        """Replace the configuration file as editors do."""
        fresh = CONFIG.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(CONFIG)

    def add_drop_in(self, text: str, name: str = "90-test.conf") -> None:
        """Change the unit until the end of the test."""
        folder = UNITS / f"{NAME}.d"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        systemctl("daemon-reload")

    def forget(self) -> None:
        """Make it as it is after an installation: stopped, not enabled, without drop-ins, configuration and state."""
        systemctl("disable", "--now", NAME)  # and systemd reads its units anew
        if (drop_ins := UNITS / f"{NAME}.d").exists():
            shutil.rmtree(drop_ins)
            systemctl("daemon-reload")
        systemctl("reset-failed", NAME)
        self.write_config("")
        for path in STATE.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
