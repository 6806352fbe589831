"""Where the log goes: into the journal with its fields, or as readable lines on standard error.

Fields are what `extra` holds under names in capitals: `log.info("...", extra={"RULE": name, "MESSAGE_ID": Event.CONNECTED})`.

Nobody waits for a reader who does not read, such as a terminal that was stopped with Ctrl-S or a journald that hangs: what
finds no room is counted, and told when there is some again.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TextIO

from systemd.journal import JournalHandler, send

from jackd_router.core.errors import NotSupported, UserError
from jackd_router.core.names import one_line

IDENTIFIER = "jackd-router"


class Event(StrEnum):
    """The MESSAGE_ID of each main event: `journalctl --user MESSAGE_ID=...` finds all of one kind, whatever its text."""

    STARTED = "b3e49c64081e4958889878c5aa3facf4"
    STOPPED = "9a9b742be51d4ea98129fbccdc15a0c4"
    SERVER_CAME = "c54002c5509e43fab374c7de5a58f7ca"
    SERVER_WENT = "c7d285874a8549bc9fafcc68c8e80023"
    CONNECTED = "89686c4f8f604b84a13328e3d855eb9d"
    DISCONNECTED = "2aef00bb7dd5429e9b79c0eb28230809"
    CONNECT_FAILED = "351695ac8419448bb3bf32d48c1bd0d4"
    HELD = "9189d1d2ca784c78aecdf197d26c7d46"
    CONTESTED = "40369f5b001b46549cd6a0f1a2be9e0c"
    REFUSED = "0d9c7f1b6e5a4c0f8a7b2a4e7f3d9c61"
    FEEDBACK = "5b7a3c9e2f1d4e6a9c8b7d6e5f4a3b21"
    CONFIG_LOADED = "77a1f0abef5842288d6daab71d5f3537"
    CONFIG_REFUSED = "d417455df3424274a3d059ed7c027e40"
    PROFILE_SWITCHED = "1d41ce9c24c34839a6b2154c30070755"
    SOUND_AT_RISK = "c8b90992ec344793bacb18a7a0edd91d"
    STATE_SET_ASIDE = "ef0c5bc74b0c4d0fbd0ba14baac6aada"
    BUS_MADE = "31e4b59bf65349d18bc972db8dfd4bab"
    BUS_REMOVED = "0d174955dd484018b7b8b0f0d1d4d572"
    UNDONE = "9dc2474864ae4040ac59bef4f99b8e8d"
    SNAPSHOT_SAVED = "867c515348cb4cddab248f253d865b29"
    SNAPSHOT_RESTORED = "5b2a7d4bcd8340889d36c365db42ba88"
    SNAPSHOT_DELETED = "cb400358ae3b4fa3a1abd0229fd5aed7"
    SNAPSHOT_UNREADABLE = "96a4a8b38cdd41aaa95ba1553f62c5dd"


def start_logging(level: int, stream: TextIO = sys.stderr) -> None:
    """Send everything that is logged to the journal where `stream` ends there, else to `stream` as text."""
    handler = JournalFields() if is_journal(stream) else PlainLines(stream)
    logging.basicConfig(level=level, handlers=[handler], force=True)


LEVELS = {
    "emerg": logging.CRITICAL + 20,
    "alert": logging.CRITICAL + 10,
    "crit": logging.CRITICAL,
    "err": logging.ERROR,
    "warning": logging.WARNING,
    "notice": logging.INFO + 5,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
"""The words of syslog, and from which level of Python on they let something pass."""


def log_level() -> str:
    """Give the least that is logged, in a word of syslog."""
    now = logging.getLogger().level
    return next((word for word, level in LEVELS.items() if level <= now), "debug")


def set_log_level(word: str) -> None:
    """Log this and what is worse, from now on; raise UserError where syslog has no such word."""
    if word not in LEVELS:
        raise UserError(f"{word!r} is no level of the log: write one of {', '.join(LEVELS)}")
    logging.getLogger().setLevel(LEVELS[word])


def log_target() -> str:
    """Give where the log goes, in the words of systemd: "journal" or "console"."""
    return "journal" if any(isinstance(handler, JournalFields) for handler in logging.getLogger().handlers) else "console"


def set_log_target(word: str) -> None:
    """Take the target that it is, or "auto"; raise NotSupported for any other."""
    if word not in ("auto", log_target()):
        raise NotSupported(f"the log goes to the {log_target()} until the daemon ends, not to {word!r}")


def is_journal(stream: TextIO) -> bool:
    """Tell whether what is written to the stream ends in the journal, as systemd says in JOURNAL_STREAM."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    # Compared, not only looked at: a terminal opened from a service inherits the variable, but not the stream.
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


class _WithoutWaiting(logging.Handler):
    """Hands a record on where it finds room; counts it where it finds none, and tells of these when there is room again."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on, unless its reader does not read."""
        if not self.has_room():
            self._lost += 1
            return
        if self._lost:
            text = f"{self._lost} lines of the log are lost: nobody read it"
            self._lost = 0
            super().emit(
                logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text})
            )
        super().emit(record)

    def has_room(self) -> bool:
        """Tell whether nobody would wait for the reader."""
        raise NotImplementedError


class JournalFields(_WithoutWaiting, JournalHandler):
    """Sends each record to the journal, with its fields."""

    def __init__(self, sender: Callable[..., object] = send) -> None:
        super().__init__(sender_function=sender, SYSLOG_IDENTIFIER=IDENTIFIER)
        # Else logging.basicConfig gives one of its own, which repeats the level and the logger before every text.
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        super().emit(_in_plain_text(record))

    def has_room(self) -> bool:
        """Tell whether the journal takes another entry at once."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
            try:
                asking.connect(_JOURNAL)
            except OSError:
                return True  # nobody is there, and nobody is waited for
            return _has_room(asking)


class PlainLines(_WithoutWaiting, logging.StreamHandler[TextIO]):
    """Writes each record as one line: time, level unless it is INFO, text, fields."""

    def has_room(self) -> bool:
        """Tell whether a line of up to 4 kB is taken at once."""
        return _has_room(self.stream)

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        clean = _in_plain_text(record)
        level = "" if clean.levelno == logging.INFO else f"{clean.levelname.lower()}: "
        text = clean.getMessage()
        # What the text says already need not be read twice; the journal has all of them.
        fields = {name: str(value) for name, value in _fields(clean).items() if name != "MESSAGE_ID"}
        untold = " ".join(f"{name}={one_line(_quoted(value))}" for name, value in fields.items() if one_line(value) not in text)
        line = f"{_TIME.formatTime(clean)} {level}{text}" + (f"  [{untold}]" if untold else "")
        return line + (f"\n{_TIME.formatException(clean.exc_info)}" if clean.exc_info else "")


_JOURNAL = "/run/systemd/journal/socket"


def _has_room(file: TextIO | socket.socket) -> bool:
    """Tell whether a line can be written at once: of a pipe, one of up to 4 kB."""
    asking = select.poll()
    try:
        asking.register(file.fileno(), select.POLLOUT)
        return bool(asking.poll(0))
    except (OSError, ValueError):
        return True  # no file, or one that is closed: it does not wait


_TIME = logging.Formatter()
_TIME.default_time_format = "%H:%M:%S"
_TIME.default_msec_format = "%s.%03d"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name.isupper()}


def _in_plain_text(record: logging.LogRecord) -> logging.LogRecord:
    """Give a copy in which every text can be written anywhere, and is one line: names of JACK may hold anything."""
    copy = logging.makeLogRecord(vars(record) | {name: _shown(str(value)) for name, value in _fields(record).items()})
    copy.msg, copy.args = one_line(_shown(record.getMessage())), ()
    return copy


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _quoted(text: str) -> str:
    return text if text.isprintable() and text and " " not in text and '"' not in text else json.dumps(text, ensure_ascii=False)
