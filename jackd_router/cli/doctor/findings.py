"""What the doctor finds: one line each, and what to do where something is wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Grade(StrEnum):
    """How bad it is: nothing is connected after a failure, and something may go wrong after a warning."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One thing that was looked at."""

    grade: Grade
    check: str
    """What was looked at, in a word that stays."""
    text: str
    advice: str = ""
    """What to do; "" where nothing is to be done."""


def ok(check: str, text: str) -> Finding:
    """Give what is well."""
    return Finding(Grade.OK, check, text)


def warn(check: str, text: str, advice: str) -> Finding:
    """Give what may be a mistake, or go wrong later."""
    return Finding(Grade.WARN, check, text, advice)


def fail(check: str, text: str, advice: str) -> Finding:
    """Give what keeps connections from being made."""
    return Finding(Grade.FAIL, check, text, advice)
