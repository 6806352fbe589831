"""What is wrong with a text that is no TOML: in words for who wrote it, where those of tomllib are for who reads it."""

from __future__ import annotations

import ast
import bisect
import re
import tomllib

from jackd_router.core.language.reading import in_short

_VALUES = "a string in quotes, true or false in small letters, a number, a list, a table"
_NO_END = "the string does not end on its line; write at its end the quote with which it begins"

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TWICE = re.compile(r"Cannot declare (\(.+\)) twice|Duplicate inline table key (.+)")
_WHOLE = re.compile(r"Cannot mutate immutable namespace (\(.+\))")
_KEY = re.compile(r"\s*([^\s=#\[][^=#]*?)\s*=")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_END_OF_VALUE = re.compile(r"[,\]}#\r]")
_LINES_OF_A_VALUE = 100
"""How far above the end of a value its key is looked for."""


def syntax_error(message: str, text: str) -> tuple[int, int, str]:
    """Give line, column and what is wrong, from what tomllib says of the text."""
    if text.startswith("\ufeff"):
        return 1, 1, "the file begins with a byte order mark; save it as UTF-8 without one"
    line, column, what = _place(message, text)
    if what.startswith("Invalid value"):
        return line, column, _no_value(text.split("\n")[line - 1][column - 1 :])
    if what in (r"Illegal character '\n'", r"Found invalid character '\n'"):
        return line, column, _NO_END
    if what.startswith('Expected "\'" '):
        # tomllib has looked for the end through the whole text: the last quote is the one that begins the string.
        return *_end_of_line(text, text.rindex("'")), _NO_END
    twice, whole = _TWICE.match(what), _WHOLE.match(what)
    if twice and twice[1]:
        return line, column, f"the table [{_dotted(twice[1])}] is there twice"
    if twice:
        return line, column, f"the key {twice[2]} is there twice"
    if whole:
        key = _key_of_value(text, line, column)
        what = f"'{_dotted(whole[1])}' has its whole value already, between brackets; write there what belongs to it"
        return *(key[:2] if key else (line, column)), what
    if what.startswith("Cannot overwrite a value"):
        return _value_twice(text, line, column)
    return line, column, what


def line_of_long_number(text: str) -> int:
    """Give the line up to which the text makes tomllib fail with an error that is not its own."""
    lines = text.split("\n")

    def fails(count: int) -> bool:
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            return False
        except ValueError:
            return True
        return False

    return bisect.bisect_left(range(len(lines)), True, lo=1, key=fails)


def _place(message: str, text: str) -> tuple[int, int, str]:
    """Give line, column and the rest of what tomllib says."""
    found = _PLACE.search(message)
    if found is None:
        return 1, 1, message
    what = message[: found.start()]
    if found[1]:
        return int(found[1]), int(found[2]), what
    return text.count("\n") + 1, len(text) - text.rfind("\n"), f"{what} at the end of the file"


def _no_value(rest: str) -> str:
    """Give what is wrong with a value of which this is the rest of the line."""
    word = _END_OF_VALUE.split(rest, maxsplit=1)[0].rstrip()
    what = f"found {in_short(word)}, which is no value" if word else "a value is missing"
    return f"{what}; allowed: {_VALUES}"


def _end_of_line(text: str, at: int) -> tuple[int, int]:
    """Give line and column of the end of the line in which a character stands."""
    line = text.count("\n", 0, at) + 1
    return line, len(text.split("\n")[line - 1].rstrip("\r")) + 1


def _value_twice(text: str, line: int, column: int) -> tuple[int, int, str]:
    """Give the place of the key, or of the header, that ends here and has a value already, and what to write instead."""
    header = _HEADER.match(text.split("\n")[line - 1])
    if header and header.end() == column:
        is_array, name = header[1] == "[[", header[2]
        written = f"[[{name}]]" if is_array else f"[{name}]"
        allowed = f"[{name}] once, or {written} each time" if is_array else "the value or the table"
        return line, column, f"{written} cannot begin here: what it names has a value already; allowed: {allowed}"
    key = _key_of_value(text, line, column)
    if key:
        return *key[:2], f"the key '{key[2]}' is there twice"
    return line, column, "what is written here has a value already"


def _key_of_value(text: str, line: int, column: int) -> tuple[int, int, str] | None:
    """Give the place and name of the key whose value ends here: tomllib notices after the value, which may be long."""
    lines = text.split("\n")[:line]
    lines[-1] = lines[-1][: column - 1]
    for first in range(line - 1, max(-1, line - 1 - _LINES_OF_A_VALUE), -1):
        key = _KEY.match(lines[first])
        if key and _is_toml("\n".join(lines[first:])):
            return first + 1, key.start(1) + 1, key[1]
    return None


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _dotted(names: str) -> str:
    """Give a key as it is written, from the tuple of its names that tomllib shows."""
    return ".".join(ast.literal_eval(names))
