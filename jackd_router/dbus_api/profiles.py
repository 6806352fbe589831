"""io.github.jackd_router.Router1.Profiles: named sets of rules and gains."""

from __future__ import annotations

from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.messages import Call
from jackd_router.runtime.router import Router


class Profiles:
    """Implements the interface."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def profiles(self) -> list[dict[str, Variant]]:
        """All of them, "default" first."""
        return [
            {"Name": variant("s", profile.name), "Description": variant("s", profile.description)}
            for profile in self._router.profiles.known
        ]

    @property
    def active_profile(self) -> str:
        """The name of the one in force."""
        return self._router.profiles.active

    async def set_active_profile(self, call: Call, name: str) -> None:
        """Switch, and answer when that is done."""
        await self._router.activate_profile(name)
