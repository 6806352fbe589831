"""org.freedesktop.LogControl1: how much is logged, for `systemctl --user service-log-level jackd-router`."""

from __future__ import annotations

from jackd_router.dbus_api.messages import Call
from jackd_router.service import journal


class LogControl:
    """Implements the interface."""

    syslog_identifier = journal.IDENTIFIER

    @property
    def log_level(self) -> str:
        """The least that is logged, in a word of syslog."""
        return journal.log_level()

    def set_log_level(self, call: Call, level: str) -> None:
        """Log this and what is worse, from now on."""
        journal.set_log_level(level)

    @property
    def log_target(self) -> str:
        """Where the log goes."""
        return journal.log_target()

    def set_log_target(self, call: Call, target: str) -> None:
        """Take what it is already."""
        journal.set_log_target(target)
