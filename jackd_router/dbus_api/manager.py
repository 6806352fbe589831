"""io.github.jackd_router.Router1.Manager: the daemon itself."""

from __future__ import annotations

from collections.abc import Mapping

from jackd_router.core.names import shown
from jackd_router.dbus_api.errors import INVALID_ARGS, CallError
from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.options import Options
from jackd_router.dbus_api.values import undone
from jackd_router.runtime.router import Router

_WORDS_LIMIT = 320
FEATURES = ("buses", "dynamic-buses", "fades", "meters", "midi", "profiles", "snapshots", "undo")
"""What this build can do, in words that clients test for. A word is added when the thing works, and never taken away."""


class Manager:
    """Implements the interface."""

    features = FEATURES

    def __init__(self, router: Router) -> None:
        self._router = router
        self.version = router.version
        self.started_usec = router.started_usec

    @property
    def status(self) -> str:
        """One word."""
        return self._router.status.health

    @property
    def status_text(self) -> str:
        """One line for people."""
        return self._router.status.text

    @property
    def inhibitors(self) -> tuple[tuple[int, str, str, str], ...]:
        """Cookie, bus name, who, why."""
        return self._router.inhibitors

    def get_status(self, call: Call) -> dict[str, Variant]:
        """Give everything that a status line needs."""
        router, server, cost = self._router, self._router.server, self._router.cycle_cost
        return {
            "status": variant("s", self.status),
            "status-text": variant("s", self.status_text),
            "version": variant("s", self.version),
            "server-state": variant("s", server.phase),
            "server-name": variant("s", server.server_name),
            "implementation": variant("s", server.implementation),
            "client-name": variant("s", shown(server.client_name)),
            "sample-rate": variant("u", server.sample_rate_hz),
            "buffer-size": variant("u", server.buffer_size_frames),
            "realtime": variant("b", server.realtime),
            "client-realtime": variant("b", server.client_realtime),
            "hints": variant("as", server.hints),
            "xruns": variant("t", server.xrun_count),
            "cycles": variant("t", cost.cycles),
            "cycle-median-usec": variant("d", cost.median_usec),
            "cycle-max-usec": variant("d", cost.max_usec),
            "profile": variant("s", router.profiles.active),
            "ports": variant("u", len(router.graph.ports)),
            "connections": variant("u", len(router.graph.connections)),
            "rules": variant("u", router.rules.count),
            "buses": variant("u", len(router.bus_names)),
            "held": variant("u", len(router.rules.held)),
            "kept": variant("u", len(router.rules.kept)),
            "contested": variant("u", len(router.rules.contested)),
            "refused": variant("u", len(router.rules.refused)),
            "config-path": variant("s", shown(str(router.configuration.path))),
            "config-valid": variant("b", router.configuration.valid),
        }

    def inhibit(self, call: Call, who: str, why: str, options: Mapping[str, Variant]) -> int:
        """Stop all automatic changes for this caller."""
        Options(options)
        return self._router.inhibit(call.sender, _words("who", who), _words("why", why))

    def uninhibit(self, call: Call, cookie: int) -> None:
        """Take back an inhibitor."""
        self._router.uninhibit(cookie)

    @property
    def undo_steps(self) -> list[tuple[int, str]]:
        """When, and what; the newest first."""
        return self._router.undo.steps

    async def undo(self, call: Call, options: Mapping[str, Variant]) -> tuple[str, dict[str, Variant]]:
        """Take back what was changed by hand last."""
        Options(options)
        return undone(await self._router.undo.take_back())


def _words(argument: str, text: str) -> str:
    """Give a text that can be shown in one line with others, or say why it cannot."""
    if not text or len(text) > _WORDS_LIMIT or not text.isprintable():
        raise CallError(INVALID_ARGS, f"{argument} must have 1 to {_WORDS_LIMIT} characters that can be printed: {text!r}")
    return text
