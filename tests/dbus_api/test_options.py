"""Options of methods: what was misspelt is said."""

from __future__ import annotations

import pytest

from jackd_router.dbus_api.errors import INVALID_ARGS, CallError
from jackd_router.dbus_api.message_bus import Variant
from jackd_router.dbus_api.options import Options

KNOWN = {"dry-run": "b", "type": "s", "limit": "u"}


def test_what_was_given_is_taken() -> None:
    options = Options({"dry-run": Variant("b", True), "type": Variant("s", "midi"), "limit": Variant("u", 0)}, KNOWN)
    assert (options.flag("dry-run"), options.text("type"), options.count("limit")) == (True, "midi", 0)


def test_what_was_not_given_has_a_default() -> None:
    options = Options({}, KNOWN)
    assert (options.flag("dry-run"), options.text("type"), options.count("limit")) == (False, "", None)
    assert options.flag("persist", default=True)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"dry_run": Variant("b", True)},
            r"unknown option 'dry_run' \(did you mean 'dry-run'\?\): .* knows dry-run, type, limit",
        ),
        ({"x": Variant("b", True)}, "unknown option 'x': the method knows dry-run, type, limit"),
        ({"dry-run": Variant("s", "yes")}, r"option 'dry-run' is a boolean \('b'\), not of type 's'"),
        ({"limit": Variant("i", 1)}, r"option 'limit' is an unsigned number \('u'\), not of type 'i'"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Variant], text: str) -> None:
    with pytest.raises(CallError, match=text) as error:
        Options(given, KNOWN)
    assert error.value.name == INVALID_ARGS


def test_a_method_without_options_says_so() -> None:
    with pytest.raises(CallError, match="unknown option 'hold': the method knows none"):
        Options({"hold": Variant("b", True)})
