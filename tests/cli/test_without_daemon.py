"""Commands that find no daemon: one line that says what to do, code 3, and the daemon is not started by asking for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.session_bus import SessionBus

REMOTE = [
    ["status"],
    ["status", "--json"],
    ["ports"],
    ["connections", "system:*"],
    ["graph", "--json"],
    ["rules"],
    ["rules", "enable", "one"],
    ["rules", "disable", "one", "two"],
    ["explain", "a:b"],
    ["explain", "a:b", "c:d"],
    ["connect", "a:b", "c:d"],
    ["disconnect", "a:b", "c:d", "--hold"],
    ["release", "a:b", "c:d"],
    ["reload"],
    ["reload", "--dry-run"],
    ["reapply"],
    ["plan"],
    ["plan", "/dev/null"],
    ["watch"],
    ["bus"],
    ["bus", "--meters"],
    ["bus", "create", "fx", "--channels", "L,R"],
    ["bus", "remove", "fx"],
    ["bus", "main", "--gain", "-6.5"],
    ["bus", "main", "--gain=-6.5", "--unmute"],
]


@pytest.mark.parametrize("arguments", [["status"], ["connect", "a:b", "c:d"], ["watch"]], ids=" ".join)
def test_without_a_session_bus(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("jackd-router: there is no message bus")
    assert "DBUS_SESSION_BUS_ADDRESS" in line


@pytest.mark.parametrize("arguments", REMOTE, ids=" ".join)
def test_without_a_daemon(run: Run, environment: dict[str, str], session_bus: SessionBus, arguments: list[str]) -> None:
    environment["DBUS_SESSION_BUS_ADDRESS"] = session_bus.address
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("jackd-router: the daemon is not running")
    assert "systemctl --user start jackd-router" in line


def test_asking_does_not_start_the_daemon(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.mkdir()
    started = tmp_path / "started"
    name = "io.github.jackd_router.Router1"
    (services / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec=/usr/bin/touch {started}\n")
    with SessionBus(tmp_path, services=services) as bus:
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus.address
        assert run("status").returncode == 3
        assert run("connect", "a:b", "c:d").returncode == 3
    assert not started.exists()


def test_a_bus_that_does_not_speak(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plain-file").touch()
    environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={tmp_path}/plain-file"
    done = run("status")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    environment["DBUS_SESSION_BUS_ADDRESS"] = "nonsense"
    done = run("status")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
