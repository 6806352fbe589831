"""What systemd is told: ready, what the daemon waits for, reloading, stopping, still alive.

Without systemd (no NOTIFY_SOCKET) every function here does nothing. A service manager that cannot be reached, or does not
read, never stops the sound either: what systemd is not told, it asks for with its own timeouts. That is why this is not
`systemd.daemon.notify`: it waits for a receiver that does not read, and the whole daemon with it.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from jackd_router.core.names import one_line

_PINGS_PER_TIMEOUT = 3  # one may be late and one may be lost
_PATIENCE_S = 0.5  # with the messages that no later one makes up for


def tell_ready(status: str) -> None:
    """Tell that the start, or a reload, is complete."""
    _send("READY=1", f"STATUS={_in_a_line(status)}", wait_s=_PATIENCE_S)


def tell_status(status: str) -> None:
    """Tell in a line for people how the daemon is; `systemctl status` shows it."""
    _send(f"STATUS={_in_a_line(status)}")


def tell_reloading() -> None:
    """Tell that a reload has begun; `tell_ready` ends it."""
    # systemd compares this time with that of its own request, on CLOCK_MONOTONIC.
    _send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", wait_s=_PATIENCE_S)


def tell_stopping() -> None:
    """Tell that the daemon is about to end."""
    _send("STOPPING=1", "STATUS=stopping", wait_s=_PATIENCE_S)


def tell_alive() -> None:
    """Tell the watchdog that the daemon makes progress."""
    _send("WATCHDOG=1")


def watchdog_interval_s() -> float | None:
    """Give the seconds between two `tell_alive` that keep the watchdog calm; None where there is no watchdog for us."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    # A parent's watchdog is inherited with its environment; it does not watch us.
    if not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
        return None
    return int(usec) / 1_000_000 / _PINGS_PER_TIMEOUT


def _send(*assignments: str, wait_s: float = 0.0) -> None:
    """Send one message; where it cannot be delivered within the time it is lost."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(wait_s)
        # Connected, so that waiting ends when there is room: without that, poll() says that there always is.
        manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        manager.send("\n".join(assignments).encode())


def _in_a_line(text: str) -> str:
    """Keep a status from being taken for further assignments."""
    return one_line(text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
