"""The systemd user unit: installed, enabled, well, and there when nobody is logged in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from jackd_router.cli.doctor.findings import Finding, fail, ok, warn
from jackd_router.cli.doctor.session import user_name
from jackd_router.cli.remote import unwrapped
from jackd_router.dbus_api.errors import CallError
from jackd_router.dbus_api.message_bus import Value
from jackd_router.dbus_api.names import PROPERTIES
from jackd_router.dbus_api.session_bus import SessionBus

NAME = "jackd-router.service"
_SYSTEMD = "org.freedesktop.systemd1"
_PATIENCE_S = 5.0
_LINGERING = Path("/var/lib/systemd/linger")
_LOG = "journalctl --user -u jackd-router -n 20"
_ENABLE = "systemctl --user enable --now jackd-router"


async def findings(bus: SessionBus, *, daemon_runs: bool) -> list[Finding]:
    """Ask the user manager for the unit, which loads its file and changes nothing."""
    try:
        (path,) = await _call(bus, "/org/freedesktop/systemd1", f"{_SYSTEMD}.Manager", "LoadUnit", "s", NAME)
        (unit,) = await _call(bus, str(path), PROPERTIES, "GetAll", "s", f"{_SYSTEMD}.Unit")
        (service,) = await _call(bus, str(path), PROPERTIES, "GetAll", "s", f"{_SYSTEMD}.Service")
    except CallError:
        return [
            warn("unit", "there is no systemd for this user on the session bus", "start the daemon by hand: jackd-router run")
        ]
    told = {**cast("Mapping[str, Any]", unit), **cast("Mapping[str, Any]", service)}
    return [*_of_unit(told, daemon_runs=daemon_runs), *(_linger() if _is_enabled(told) else ())]


async def _call(bus: SessionBus, path: str, interface: str, member: str, signature: str, *body: Value) -> list[object]:
    answer = await bus.call(_SYSTEMD, path, interface, member, signature, body, autostart=False, deadline_s=_PATIENCE_S)
    return [unwrapped(value) for value in answer]


def _is_enabled(told: Mapping[str, Any]) -> bool:
    return str(told.get("UnitFileState", "")).startswith("enabled")


def _of_unit(told: Mapping[str, Any], *, daemon_runs: bool) -> Iterator[Finding]:
    if told["LoadState"] == "not-found":
        yield warn("unit", f"{NAME} is not installed: the daemon is not started at login", "make install, in the sources")
        return
    if told["LoadState"] != "loaded":
        yield fail("unit", f"{NAME} cannot be used: {told['LoadState']}", f"systemctl --user status {NAME}")
        return
    yield _activity(told, daemon_runs=daemon_runs)
    if not _is_enabled(told):
        yield warn("enabled", f"{NAME} is not enabled: the daemon is not started at login", _ENABLE)
    if told.get("NeedDaemonReload"):
        yield warn("unit-file", "the file of the unit has changed since systemd read it", "systemctl --user daemon-reload")


def _activity(told: Mapping[str, Any], *, daemon_runs: bool) -> Finding:
    active, sub, restarts = told["ActiveState"], told["SubState"], told.get("NRestarts", 0)
    if active == "failed":
        why = f"{told['Result']}, exit status {told['ExecMainStatus']}"
        return fail("unit", f"{NAME} has failed ({why})", f"see why: {_LOG}; then: systemctl --user restart jackd-router")
    if sub == "auto-restart":
        return fail("unit", f"{NAME} fails again and again ({told['Result']})", f"see why: {_LOG}")
    if active == "active" and restarts:
        return warn(
            "unit", f"{NAME} is active; systemd had to restart it, {restarts} times since it was started", f"see why: {_LOG}"
        )
    by_hand = ", the daemon was started by hand" if daemon_runs and active == "inactive" else ""
    return ok("unit", f"{NAME} is installed and {active}{by_hand}")


def _linger() -> Iterator[Finding]:
    """Tell whether the daemon runs while nobody is logged in, which somebody who comes by ssh will want."""
    user = user_name()
    do = f"loginctl enable-linger {user}"
    if (_LINGERING / user).exists():
        yield ok("linger", f"{user} lingers: the daemon runs from the start of the machine on")
    elif os.environ.get("SSH_CONNECTION"):
        yield warn("linger", "the daemon ends when you log out, and you came by ssh", do)
    else:
        yield ok("linger", f"the daemon runs while {user} is logged in (from the start of the machine on: {do})")
