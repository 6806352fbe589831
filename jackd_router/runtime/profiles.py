"""Profiles: which one is active, and that rules and buses follow it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from jackd_router.core.config import DEFAULT_PROFILE, Config, Profile
from jackd_router.core.errors import NoSuchProfile
from jackd_router.core.graph import Connection
from jackd_router.core.names import nearest
from jackd_router.runtime.buses import Buses
from jackd_router.runtime.rules import Rules
from jackd_router.runtime.state_file import StateFile
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)


class Profiles:
    """Exactly one profile is active, over restarts of the daemon."""

    def __init__(self, rules: Rules, buses: Buses, state_file: StateFile) -> None:
        """Take who follows a switch, and where the active profile is kept; there is `default` alone before `start`."""
        self._rules, self._buses, self._state_file = rules, buses, state_file
        self._config = Config()
        self._wanted = DEFAULT_PROFILE.name
        """The active one, or the kept one while the file that may have it cannot be read."""

    @property
    def known(self) -> tuple[Profile, ...]:
        """Every profile of the configuration, `default` first."""
        return self._config.profiles

    @property
    def active(self) -> str:
        """The name of the profile in force."""
        return self._config.profile(self._wanted).name

    # ---- what is in force

    def start(self, config: Config, *, is_read: bool) -> None:
        """Take the first configuration, with the profile that was active when the daemon ended.

        Where the user's files could not be read (`is_read`), a reload may bring a kept profile that is not there now.
        """
        self._wanted = self._state_file.kept.profile
        self._take(config, is_read=is_read)
        self._rules.set_profile(self.active)

    def put_in_force(self, config: Config) -> None:
        """Let buses follow another configuration; an active profile that it lacks gives way to `default`."""
        self._take(config, is_read=True)

    def _take(self, config: Config, *, is_read: bool) -> None:
        self._config = config
        if self.active != self._wanted:
            log.warning(
                "There is no profile %r in the configuration: %r is active",
                self._wanted,
                self.active,
                extra={"MESSAGE_ID": Event.PROFILE_SWITCHED, "PROFILE": self.active, "REASON": f"no profile {self._wanted!r}"},
            )
            if is_read:
                self._wanted = self.active
        self._buses.load(config.buses, config.profile(self._wanted), self._state_file.kept.buses)
        self._keep()

    # ---- a switch

    def activate(self, name: str, held: Iterable[Connection] = ()) -> bool:
        """Switch to a profile, in which these pairs are held as cut; False where it is active already. Raise NoSuchProfile."""
        self._check(name)
        before, self._wanted = self.active, name
        if name != before:
            log.info(
                "Profile %r is active, after %r", name, before, extra={"MESSAGE_ID": Event.PROFILE_SWITCHED, "PROFILE": name}
            )
            # Buses first: what the rules connect now sounds with the gains that are meant for it.
            self._buses.switch(self._config.profile(name))
            self._rules.set_profile(name, held)
        self._keep()
        return name != before

    def _check(self, name: str) -> None:
        known = [profile.name for profile in self.known]
        if name not in known:
            near = nearest(name, known)
            told = f"did you mean {near!r}?" if near else f"there are: {', '.join(map(repr, known))}"
            raise NoSuchProfile(f"there is no profile {name!r}; {told}")

    # ---- what is kept

    def keep_bus(self, name: str) -> None:
        """Keep what is set on a bus by hand."""
        self._buses.keep(self._state_file.kept.buses, name)
        self._state_file.changed()

    def _keep(self) -> None:
        """Keep which profile is active, and what is set by hand now."""
        kept = self._state_file.kept
        before = kept.profile, dict(kept.buses)
        kept.profile = self._wanted
        for name in self._buses.names:
            self._buses.keep(kept.buses, name)
        if before != (kept.profile, kept.buses):
            self._state_file.changed()
