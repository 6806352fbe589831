"""The command itself: asks everybody, and shows what they found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from jackd_router.cli.doctor import daemon, files, limits, patchbays, server, session, unit
from jackd_router.cli.doctor.findings import Finding, Grade, fail, ok
from jackd_router.cli.exits import Exit
from jackd_router.cli.terminal import show, show_json
from jackd_router.dbus_api.errors import BusLost
from jackd_router.dbus_api.session_bus import connect_session
from jackd_router.jack_io.presence import server_sockets
from jackd_router.runtime.config_files import default_path


def examine(*, json: bool) -> Exit:
    """Look at everything, and say what to do; Exit.REFUSED where something keeps connections from being made."""
    found = asyncio.run(_examine())
    if json:
        show_json([finding._asdict() for finding in found])
    else:
        _show(found)
    return Exit.REFUSED if any(finding.grade is Grade.FAIL for finding in found) else Exit.DONE


async def _examine() -> list[Finding]:
    on_bus, seen = await _on_the_bus()
    configured = files.read(Path(seen.config_path) if seen and seen.config_path else default_path())
    name = configured.server_name or os.environ.get("JACK_DEFAULT_SERVER") or "default"
    sockets = server_sockets(configured.library, name)
    running = server.find(sockets)
    pid, has_realtime = (seen.pid, seen.has_realtime) if seen else (None, False)
    return [
        *session.runtime_folder(),
        *on_bus,
        *server.findings(sockets, running),
        *server.libraries(sockets, running),
        *limits.findings(pid, running.implementation if running else None, has_realtime=has_realtime),
        *configured.findings,
        *files.state(str(seen.status.get("status-text")) if seen else ""),
        *patchbays.findings(),
    ]


async def _on_the_bus() -> tuple[list[Finding], daemon.Seen | None]:
    """Give what those who are on the session bus say: systemd of the unit, the daemon of itself."""
    try:
        async with await connect_session() as bus:
            seen = await daemon.look(bus)
            found = [
                ok("session-bus", "the session bus answers"),
                *await unit.findings(bus, daemon_runs=seen is not None),
                *(daemon.findings(seen) if seen else daemon.absent()),
            ]
            return found, seen
    except BusLost as error:
        return [fail("session-bus", str(error), session.HOW_TO_GET_A_BUS), *daemon.absent()], None


def _show(found: Sequence[Finding]) -> None:
    width = max(len(finding.check) for finding in found)
    for grade, check, text, advice in found:
        word = grade.upper() if grade is Grade.FAIL else grade
        show(f"{word:<4}  {check:<{width}}  {text}" + (f"  -> {advice}" if advice else ""))
