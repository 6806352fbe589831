"""The running daemon: what it says of itself, and what it knows of others who undo its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jackd_router import __version__
from jackd_router.cli.doctor.findings import Finding, fail, ok, warn
from jackd_router.cli.records import Pair, pairs
from jackd_router.cli.remote import unwrapped
from jackd_router.dbus_api import names
from jackd_router.dbus_api.errors import NO_REPLY, CallError
from jackd_router.dbus_api.message_bus import Value
from jackd_router.dbus_api.session_bus import SessionBus

_PATIENCE_S = 3.0
START = "systemctl --user start jackd-router, or: jackd-router run"
_RESTART = "systemctl --user restart jackd-router"
_MANY = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A daemon that has our name on the bus."""

    pid: int
    status: Mapping[str, Any]
    """What GetStatus says; empty where it did not answer."""
    contested: Sequence[Pair]
    trouble: str
    """Why it did not answer; "" where it did."""

    @property
    def has_realtime(self) -> bool:
        """Whether its process thread has realtime priority now."""
        return bool(self.status.get("client-realtime"))

    @property
    def config_path(self) -> str:
        """The main file of its configuration."""
        return str(self.status.get("config-path", ""))


async def look(bus: SessionBus) -> Seen | None:
    """Ask the daemon; None where there is none."""
    try:
        (pid,) = await _call(bus, names.DBUS, names.DBUS_PATH, f"{names.DBUS}.GetConnectionUnixProcessID", "s", names.BUS_NAME)
    except CallError:
        return None
    try:
        (status,) = await _call(bus, names.BUS_NAME, names.ROOT_PATH, f"{names.BUS_NAME}.Manager.GetStatus")
        rules = f"{names.BUS_NAME}.Rules"
        (contested,) = await _call(bus, names.BUS_NAME, names.ROOT_PATH, f"{names.PROPERTIES}.Get", "ss", rules, "Contested")
    except CallError as error:
        trouble = f"does not answer within {_PATIENCE_S:g} s" if error.name == NO_REPLY else f"answers: {error.text}"
        return Seen(cast("int", pid), {}, (), trouble)
    return Seen(cast("int", pid), cast("Mapping[str, Any]", status), pairs(contested), "")


async def _call(bus: SessionBus, name: str, path: str, member: str, signature: str = "", *body: Value) -> list[object]:
    interface, _, method = member.rpartition(".")
    # Looking must not start the daemon.
    answer = await bus.call(name, path, interface, method, signature, body, autostart=False, deadline_s=_PATIENCE_S)
    return [unwrapped(value) for value in answer]


def absent() -> Iterator[Finding]:
    """Tell that there is none."""
    yield fail("daemon", "the daemon does not run, or not on this session bus", START)


def findings(seen: Seen) -> Iterator[Finding]:
    """Tell what it said."""
    if seen.trouble:
        yield fail("daemon", f"the daemon (process {seen.pid}) {seen.trouble}", _RESTART)
        return
    yield from _health(seen)
    if (version := seen.status.get("version")) != __version__:
        yield warn("version", f"the running daemon is {version}, this command {__version__}", _RESTART)
    else:
        yield ok("version", f"daemon and command are {version}")
    if seen.contested:
        shown = ", ".join(map(str, seen.contested[:_MANY])) + (" ..." if len(seen.contested) > _MANY else "")
        yield warn(
            "contested",
            f"another program undoes what the rules do: {shown}",
            'end it, or let a rule leave these ports alone: action = "leave"',
        )
    for hint in seen.status.get("hints", ()):
        what, _, advice = str(hint).partition(": ")
        yield warn("sound", what, advice)


def _health(seen: Seen) -> Iterator[Finding]:
    text = f"the daemon runs (process {seen.pid}): {seen.status.get('status-text')}"
    match seen.status.get("status"):
        case "ok":
            yield ok("daemon", text)
        case "error":
            yield fail("daemon", text, "jackd-router check; journalctl --user -u jackd-router -n 20")
        case _:
            yield warn("daemon", text, "journalctl --user -u jackd-router -n 20")
