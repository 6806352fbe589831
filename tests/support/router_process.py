"""The real daemon in a process of its own, and its command line."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support.eventually import eventually
from tests.support.pipewire_server import server_env
from tests.support.process import Counters, Process, children, counters, interrupted_later
from tests.support.unix_socket import NotifySocket

TRACEBACK = "Traceback (most recent call last)"

_serial = itertools.count(1)


def cli(*arguments: str, env: Mapping[str, str], stdin: str = "", timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Run `jackd-router ARGUMENTS` to its end."""
    command = [sys.executable, "-m", "jackd_router", *arguments]
    return subprocess.run(command, env=dict(env), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)


class RouterProcess:
    """`jackd-router run --config FILE` with a configuration, a state folder and a notify socket of its own."""

    def __init__(self, folder: Path, config: str | bytes | None, *, bus_address: str | None, server_name: str) -> None:
        self.folder = folder
        self.log = folder / "router.log"
        self.config_path = folder / "router.toml"
        self.state_home = folder / "state"
        self.bus_address = bus_address
        self.server_name = server_name
        self.extra_env: dict[str, str] = {}
        self.wrapper: tuple[str, ...] = ()
        """A command that executes the daemon, as `nice` does."""
        self.program: Sequence[str] = ("jackd_router",)  # a module, and what it is told before the command
        self.notify = NotifySocket(folder / f"notify-{next(_serial)}")
        self._process: Process | None = None
        self.state_home.mkdir(exist_ok=True)
        if config is not None:
            self.write_config(config)

    def __enter__(self) -> RouterProcess:
        """Start the daemon and wait until it is ready."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the daemon; where the test went well so far, also check how it ended."""
        self.close(check=kind is None)

    def write_config(self, config: str | bytes) -> None:
        """Replace the configuration file as editors do: a new file takes the place of the old one."""
        fresh = self.config_path.with_suffix(".new")
        fresh.write_bytes(config.encode() if isinstance(config, str) else config)
        fresh.rename(self.config_path)

    def env(self) -> dict[str, str]:
        """Give the environment in which the daemon and its command line meet."""
        env = dict(os.environ)
        env |= {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.state_home),
            # Without a bus: an address where nobody listens, or the one in XDG_RUNTIME_DIR would be tried.
            "DBUS_SESSION_BUS_ADDRESS": self.bus_address or f"unix:path={self.folder}/no-bus",
        }
        return env | server_env(self.server_name) | self.extra_env

    def start(self, *, wait_until_ready: bool = True) -> None:
        """Start the daemon."""
        seen = self.notify.lines().count("READY=1")
        argv = [*self.wrapper, sys.executable, "-m", *self.program, "run", "--config", str(self.config_path)]
        with interrupted_later():
            self._process = Process(argv, self.log, self.env() | {"NOTIFY_SOCKET": str(self.notify.path)})
        if wait_until_ready:
            eventually(lambda: self._is_ready(seen), timeout=20, what="the daemon is ready")

    def stop(self) -> int:
        """End the daemon as systemd does and give its exit status."""
        status = self._started().terminate()
        self.assert_no_traceback()
        return status

    def kill(self) -> None:
        """End the daemon as a crash would."""
        self._started().kill()

    def close(self, *, check: bool) -> None:
        """End whatever still runs; `check`: it must end with status 0 and leave no traceback in its log."""
        try:
            if self._process is not None and self._process.status() is None:
                status = self._process.terminate()
                assert not check or status == 0, f"the daemon ended with status {status}\n{self.output()}"
            if check:
                self.assert_no_traceback()
        finally:
            self.notify.close()

    def reload_by_signal(self) -> None:
        """Send SIGHUP."""
        self._started().send(signal.SIGHUP)

    def cli(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run `jackd-router ARGUMENTS` against this daemon."""
        return cli(*arguments, env=self.env(), timeout=timeout)

    @property
    def pid(self) -> int:
        """The process id of the daemon."""
        return self._started().pid

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._started().status()

    def host_pid(self) -> int | None:
        """Give the process that holds libjack, None while there is none."""
        found = children(self.pid)
        return found[0] if found else None

    def counters(self) -> Counters:
        """Read the counters of the daemon itself."""
        return counters(self.pid)

    def output(self) -> str:
        """Give what the daemon has logged so far."""
        return self.log.read_text(errors="replace")

    def assert_no_traceback(self) -> None:
        """Fail where an error escaped inside the daemon."""
        assert TRACEBACK not in self.output(), f"a traceback in the log of the daemon\n{self.output()}"

    def _started(self) -> Process:
        assert self._process is not None, "the daemon was never started"
        return self._process

    def _is_ready(self, seen: int) -> bool:
        status = self._started().status()
        if status is not None:
            raise RuntimeError(f"the daemon ended with status {status} before it was ready\n{self.output()}")
        return self.notify.lines().count("READY=1") > seen
