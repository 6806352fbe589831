"""How the daemon is, in one word and one line for people: D-Bus, the service manager and the command line show the same."""

from __future__ import annotations

from collections.abc import Sequence

from jackd_router.core.config import DEFAULT_PROFILE
from jackd_router.core.errors import Problem, Severity
from jackd_router.runtime.configuration import Configuration
from jackd_router.runtime.state import Health, ServerPhase, ServerState, Status

_MOST_NAMES = 3


def describe(
    server: ServerState,
    configuration: Configuration,
    trouble: str,
    inhibitors: Sequence[tuple[int, str, str, str]],
    rules_enabled: bool,
    profile: str,
    contested: int,
) -> Status:
    """Give the status; what a person should act on comes first and makes it worse than "ok"."""
    parts = []
    health = Health.OK
    if trouble or contested or server.retry_count or server.phase is ServerPhase.UNRESPONSIVE:
        health = Health.DEGRADED
    if not configuration.valid:
        health = Health.DEGRADED if configuration.started_valid else Health.ERROR
        parts.append(f"configuration refused, {configuration.fallback}: {_first(configuration.problems)}")
    if trouble:
        parts.append(trouble)
    parts.append(_server(server))
    if profile != DEFAULT_PROFILE.name:
        parts.append(f"profile {profile!r}")
    if contested:
        what = "a connection" if contested == 1 else f"{contested} connections"
        parts.append(f"another program keeps undoing what rules do to {what}")
    if not rules_enabled:
        parts.append("rules are switched off")
    if inhibitors:
        parts.append(f"rules are stopped by {_some([who for _, _, who, _ in inhibitors])}")
    return Status(health, "; ".join(parts))


def _some(names: Sequence[str]) -> str:
    """Name the first of them, and how many more there are."""
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*names[:_MOST_NAMES], *more])


def _first(problems: Sequence[Problem]) -> str:
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    return f"{errors[0]}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")


def _server(server: ServerState) -> str:
    match server.phase:
        case ServerPhase.CONNECTED:
            return (
                f"connected to {server.title} as {server.client_name!r}: "
                f"{server.sample_rate_hz} Hz, {server.buffer_size_frames} frames"
            )
        case ServerPhase.UNRESPONSIVE:
            return f"{server.title} does not answer: {server.last_error}"
        case ServerPhase.DISCONNECTED:
            return "stopping"
        case ServerPhase.CONNECTING:
            reason = f" ({server.last_error})" if server.last_error else ""
            return f"waiting for {server.title}{reason}"
