"""Where the session bus listens, also where nobody has set DBUS_SESSION_BUS_ADDRESS (ssh, cron, a plain terminal)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote


def session_addresses(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Give the addresses to try in turn: those of DBUS_SESSION_BUS_ADDRESS, else the socket of the user's run-time directory.

    dbus-next knows neither the fallback nor `unix:runtime=yes`, which systemd's tools understand.
    """
    listed = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    fallback = f"unix:path={quote(runtime, safe='/_-.')}/bus"
    addresses = tuple(address for address in listed.split(";") if address)
    return tuple(fallback if address == "unix:runtime=yes" else address for address in addresses) or (fallback,)
