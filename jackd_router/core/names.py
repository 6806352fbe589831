"""Names: natural order, globs, how bytes that are not UTF-8 are shown, the nearest known name, the ports of a bus."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache

from jackd_router.core.errors import UserError
from jackd_router.core.graph import PortName

NaturalKey = tuple[str, ...]
"""What names are sorted by."""

_DIGITS = re.compile("[0-9]+")
_WILDCARDS = re.compile("([*?])")
_NOT_SHOWN_AS_IS = re.compile(r"[\\\udc80-\udcff]")
_NOT_IN_A_LINE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")
"""Ends of lines, what a terminal obeys, and what turns the direction of the rest of the line."""
_ESCAPE = re.compile(rb"\\(\\|x([0-9A-Fa-f]{2}))?")


@lru_cache(maxsize=8192)
def natural_key(name: str) -> NaturalKey:
    """Give the key that sorts `in_2` before `in_10`, and client `keys` before `keys-01`; no two names have the same."""
    return _DIGITS.sub(_number, name.replace(":", "\0\0", 1)), name


def _number(digits: re.Match[str]) -> str:
    # Compared by length, then as text: int() of a very long run of digits is slow, and refused by Python. A name has no
    # NUL: what ends at a number comes before what has any letter there, and the name of a client ends before either.
    number = digits[0].lstrip("0")
    return f"\0{chr(min(len(number) + 1, sys.maxunicode))}{number}"


def glob_segments(pieces: Iterable[tuple[str, bool]]) -> list[list[str]]:
    """Give the texts of a glob: what stands between its `*`, each time split at its `?`.

    The pieces are (text, whether it is literal): `*` and `?` in a literal piece are themselves.
    """
    segments = [[""]]
    for text, literal in pieces:
        for part in (text,) if literal else _WILDCARDS.split(text):
            if literal or part not in ("*", "?"):
                segments[-1][-1] += part
            elif part == "*":
                segments.append([""])
            else:
                segments[-1].append("")
    return segments


def glob_source(segments: Sequence[Sequence[str]]) -> str:
    """Give the regular expression for a glob in segments: only `*` and `?` are special."""
    first, *rest = (".".join(map(re.escape, texts)) for texts in segments)
    if not rest:
        return f"(?s:{first})"
    # The earliest place of each middle segment is as good as any: atomic groups keep many stars from costing n ** stars.
    middle = "".join(f"(?>.*?{segment})" for segment in rest[:-1] if segment)
    return f"(?s:{first}{middle}.*{rest[-1]})"


def compile_glob(glob: str) -> re.Pattern[str]:
    """Give the pattern whose `fullmatch` compares a whole name with the glob."""
    return re.compile(glob_source(glob_segments([(glob, False)])))


def shown(name: str) -> str:
    r"""Give the name as valid text: a byte that is not UTF-8 becomes `\xNN`, a backslash `\\`."""
    return _NOT_SHOWN_AS_IS.sub(lambda found: _show(found[0]), name)


def _show(character: str) -> str:
    return r"\\" if character == "\\" else f"\\x{ord(character) - 0xDC00:02x}"


def one_line(text: str) -> str:
    r"""Give the text as one line: what would end it, turn it round or move a terminal is written `\n`, `\xNN` or `\uNNNN`."""
    return _NOT_IN_A_LINE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def parse_shown(text: str) -> PortName:
    """Give the name that `shown` shows as this text."""
    if "\\" not in text:
        return PortName(text)

    def byte(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise UserError(rf"{text}: write \\ for a backslash, \xNN for a byte that is not UTF-8")
        return bytes([int(found[2], 16)]) if found[2] else b"\\"

    return PortName(_ESCAPE.sub(byte, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape"))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that was most likely meant, if one is near."""
    folded = {candidate.casefold(): candidate for candidate in known}
    for match in difflib.get_close_matches(name[:200].casefold(), folded, n=1):
        return folded[match]
    return None


def bus_port(bus: str, channel: str, *, is_source: bool) -> str:
    """Give the short name of a port of a bus: `main_in_L` takes sound, `main_out_L` gives it."""
    return f"{bus}_{'out' if is_source else 'in'}_{channel}"
