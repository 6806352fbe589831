"""The state file: what was set at run time and survives a restart of the daemon. Written whole, or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

_LAYOUT = 1
_SOON_S = 0.5


def state_folder() -> Path:
    """Give the folder for what the daemon keeps: $XDG_STATE_HOME/jackd-router."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # A relative path there is to be ignored, says the XDG specification.
    return (Path(home) if home.startswith("/") else Path.home() / ".local" / "state") / "jackd-router"


@dataclass(slots=True)
class Kept:
    """What is kept. Of a bus: the values that were set, and those that the configuration had then, which win when they change."""

    layout: int = _LAYOUT
    rules: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Rule -> {"enabled": as set, "configured": as the file had it}."""
    buses: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Bus -> {"set": {key: value}, "configured": {key: value}}, keys as in the configuration."""


class StateFile:
    """Reads once, writes whenever something that is kept changes."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when something is written."""
        self.path = folder / "state.json"
        self.kept = Kept()
        self._timer: asyncio.TimerHandle | None = None

    def read(self) -> None:
        """Take over what is there; a damaged file is set aside with a warning and never keeps the daemon from starting."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            self._set_aside(str(error))
            return
        try:
            self.kept = _kept(json.loads(text))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            self._set_aside(str(error))

    def _set_aside(self, reason: str) -> None:
        aside = self.path.with_suffix(".damaged.json")
        try:
            self.path.replace(aside)
        except OSError as error:
            reason = f"{reason}; it could not be set aside either: {error}"
        log.warning(
            "The state file %s cannot be read (%s): set aside as %s, starting with the configuration alone",
            self.path,
            reason,
            aside.name,
            extra={"MESSAGE_ID": Event.STATE_SET_ASIDE, "REASON": reason},
        )

    def changed(self) -> None:
        """Write soon: a fader that is dragged changes what is kept fifty times a second."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON_S, self.flush)

    def flush(self) -> None:
        """Write what has changed now; what cannot be written is a warning, the daemon goes on."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(asdict(self.kept), indent=1, allow_nan=False).encode())
        except OSError as error:
            log.warning("The state file %s cannot be written: %s", self.path, error, extra={"REASON": str(error)})


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by a complete one, on the disk before its name is: after a power cut it is the old or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _kept(value: Any) -> Kept:
    """Check what was read; raise ValueError or TypeError where it is not what we write."""
    if value.get("layout") != _LAYOUT:
        raise ValueError(f"its layout is {value.get('layout')!r}, not {_LAYOUT}")
    for table in (value["rules"], value["buses"]):
        if not all(isinstance(entry, dict) for entry in table.values()):
            raise TypeError("an entry is not a table")
    return Kept(rules=value["rules"], buses=value["buses"])
