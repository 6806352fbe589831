"""Errors that cross the message bus: which error name each of ours bears, and what becomes of those that nobody expected."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jackd_router.core import errors
from jackd_router.core.names import one_line
from jackd_router.dbus_api.names import DBUS, ERROR_PREFIX

TEXT_LIMIT = 500
"""Characters of an error text: it may quote an argument, and an argument may be of any length."""

_log = logging.getLogger("jackd_router.dbus")

CANCELLED = f"{ERROR_PREFIX}.Cancelled"
FAILED = f"{DBUS}.Error.Failed"
FILE_NOT_FOUND = f"{DBUS}.Error.FileNotFound"
INVALID_ARGS = f"{DBUS}.Error.InvalidArgs"
LIMITS_EXCEEDED = f"{DBUS}.Error.LimitsExceeded"
NO_REPLY = f"{DBUS}.Error.NoReply"
NOT_SUPPORTED = f"{DBUS}.Error.NotSupported"
PROPERTY_READ_ONLY = f"{DBUS}.Error.PropertyReadOnly"
UNKNOWN_INTERFACE = f"{DBUS}.Error.UnknownInterface"
UNKNOWN_METHOD = f"{DBUS}.Error.UnknownMethod"
UNKNOWN_OBJECT = f"{DBUS}.Error.UnknownObject"
UNKNOWN_PROPERTY = f"{DBUS}.Error.UnknownProperty"

ERROR_NAMES: dict[type[errors.RouterError], str] = {
    errors.RouterError: FAILED,
    errors.UserError: INVALID_ARGS,
    errors.NoSuchPort: f"{ERROR_PREFIX}.NoSuchPort",
    errors.IncompatiblePorts: f"{ERROR_PREFIX}.IncompatiblePorts",
    errors.NoSuchRule: f"{ERROR_PREFIX}.NoSuchRule",
    errors.NoSuchProfile: f"{ERROR_PREFIX}.NoSuchProfile",
    errors.NoSuchSnapshot: f"{ERROR_PREFIX}.NoSuchSnapshot",
    errors.NoSuchBus: f"{ERROR_PREFIX}.NoSuchBus",
    errors.NoSuchInhibitor: f"{ERROR_PREFIX}.NoSuchInhibitor",
    errors.NothingToUndo: f"{ERROR_PREFIX}.NothingToUndo",
    errors.AlreadyExists: f"{ERROR_PREFIX}.AlreadyExists",
    errors.ReadOnlyConfig: f"{ERROR_PREFIX}.ReadOnlyConfig",
    errors.ConfigInvalid: f"{ERROR_PREFIX}.InvalidConfig",
    errors.ServerLost: f"{ERROR_PREFIX}.NotConnected",
    errors.Refused: f"{ERROR_PREFIX}.Refused",
    errors.RuledOut: f"{ERROR_PREFIX}.Refused",
    errors.Cancelled: CANCELLED,
    errors.LimitExceeded: LIMITS_EXCEEDED,
    errors.NotSupported: NOT_SUPPORTED,
}
"""The name under which each error of the program leaves it; a class that is not named here bears that of its parent."""


class BusLost(errors.RouterError):
    """There is no message bus, or it went away."""


class NameTaken(errors.RouterError):
    """Another daemon has our name on the message bus."""


class CallError(Exception):
    """An error as it crosses the message bus, in either direction: a name and a text for people."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


def short(error: CallError) -> CallError:
    """Give the error with a text of bearable length."""
    if len(error.text) <= TEXT_LIMIT:
        return error
    return CallError(error.name, f"{error.text[: TEXT_LIMIT - 1]}…")


def as_call_error(error: errors.RouterError) -> CallError:
    """Give the error as a caller gets it."""
    name = next(ERROR_NAMES[kind] for kind in type(error).__mro__ if kind in ERROR_NAMES)
    return CallError(name, _text_of(error))


@contextmanager
def contained(subject: str, tell: Callable[[CallError], None]) -> Iterator[None]:
    """Give every error to `tell`; one that is a fault of the program is logged with all that is known of it, and told without."""
    try:
        yield
    except CallError as error:
        _log.debug("%s answered %s: %s", subject, error.name, error.text)
        tell(error)
    except errors.RouterError as error:
        answer = as_call_error(error)
        _log.debug("%s answered %s: %s", subject, answer.name, answer.text)
        tell(answer)
    except Exception:  # noqa: BLE001  (a fault in one call must not end the daemon: sound goes on)
        _log.exception("%s failed: this is a fault of the program", subject)
        tell(CallError(FAILED, "internal error, see the log of the daemon"))


def _text_of(error: errors.RouterError) -> str:
    """Give one line for people."""
    match error:
        case errors.ConfigInvalid(first=first, problems=[_, _, *_] as problems):
            return f"{first} (and {len(problems) - 1} more, see Config.Problems)"
        case _:
            return one_line(str(error)) or type(error).__name__
