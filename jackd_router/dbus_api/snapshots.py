"""io.github.jackd_router.Router1.Snapshots: connections saved and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jackd_router.core.names import shown
from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.options import Options
from jackd_router.dbus_api.values import Pair, pairs_of, reasons_of
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import RestoreReport


class Snapshots:
    """Implements the interface."""

    def __init__(self, router: Router) -> None:
        self._snapshots = router.snapshots

    async def list(self, call: Call) -> Sequence[tuple[str, int, int]]:
        """Give name, time and number of connections of each."""
        return [(state.name, state.created_usec, state.connections) for state in await self._snapshots.listed()]

    async def get(self, call: Call, name: str) -> Sequence[Pair]:
        """Give the connections of one."""
        return pairs_of(await self._snapshots.connections(name))

    async def get_snapshot(self, call: Call, name: str) -> dict[str, Variant]:
        """Give what is told of one."""
        state = await self._snapshots.describe(name)
        return {
            "name": variant("s", state.name),
            "description": variant("s", state.description),
            "created-usec": variant("t", state.created_usec),
            "connections": variant("u", state.connections),
            "path": variant("s", shown(state.path)),
        }

    async def save(self, call: Call, name: str, options: Mapping[str, Variant]) -> None:
        """Save the connections of the graph."""
        given = Options(options, {"overwrite": "b", "description": "s"})
        description = given.text("description") if "description" in given.values else None
        await self._snapshots.save(name, overwrite=given.flag("overwrite"), description=description)

    async def restore(self, call: Call, name: str, options: Mapping[str, Variant]) -> dict[str, Variant]:
        """Put one back."""
        given = Options(options, {"exact": "b", "dry-run": "b"})
        return _report(await self._snapshots.restore(name, exact=given.flag("exact"), dry_run=given.flag("dry-run")))

    async def delete(self, call: Call, name: str) -> None:
        """Delete one."""
        await self._snapshots.delete(name)


def _report(report: RestoreReport) -> dict[str, Variant]:
    """Give what was done, or would be."""
    return {
        "connected": variant("a(ss)", pairs_of(report.connected)),
        "disconnected": variant("a(ss)", pairs_of(report.disconnected)),
        "missing": variant("a(ss)", pairs_of(report.missing)),
        "failed": variant("a(ss)", pairs_of(pair for pair, _ in report.failed)),
        **reasons_of(report.failed),
    }
