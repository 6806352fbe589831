"""The login session: where its run-time directory and its message bus are."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

from jackd_router.cli.doctor.findings import Finding, ok, warn

HOW_TO_GET_A_BUS = (
    "log in, rather than su or sudo; where there is no bus for anybody install dbus-user-session; "
    "from cron or a script set DBUS_SESSION_BUS_ADDRESS"
)
_CHECK = "runtime-dir"


def user_name() -> str:
    """Give the name of this account, whatever the environment says: after su that is often another one's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def runtime_folder(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at XDG_RUNTIME_DIR, in which the session bus and PipeWire listen."""
    usual = Path(f"/run/user/{os.getuid()}")
    named = environment.get("XDG_RUNTIME_DIR", "")
    if not named:
        do = f"export XDG_RUNTIME_DIR={usual}" if usual.is_dir() else "log in, rather than su or sudo"
        yield warn(_CHECK, "XDG_RUNTIME_DIR is not set", do)
        return
    try:
        owner = Path(named).stat().st_uid
    except OSError as error:
        yield warn(_CHECK, f"XDG_RUNTIME_DIR is {named}: {error.strerror}", "log in anew, rather than su or sudo")
        return
    if owner != os.getuid():
        yield warn(
            _CHECK, f"XDG_RUNTIME_DIR is {named}, which is that of uid {owner}", "log in as this user, rather than su or sudo"
        )
        return
    if not os.access(named, os.X_OK):
        text = f"XDG_RUNTIME_DIR is {named}, which may not be entered: neither the session bus nor PipeWire is found there"
        yield warn(_CHECK, text, f"chmod 700 {named}")
        return
    yield ok(_CHECK, f"XDG_RUNTIME_DIR is {named}")
