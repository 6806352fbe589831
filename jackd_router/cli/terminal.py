"""Writing to the terminal: tables, JSON, notes on stderr; colour only for people, control characters never."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

PROGRAM = "jackd-router"

# Categories of characters that move the cursor, turn the writing direction or draw nothing at all.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_COLOURS = {
    "connected": "green",
    "enabled": "green",
    "ok": "green",
    "active": "green",
    "connect": "green",
    "+": "green",
    "pending": "yellow",
    "connecting": "yellow",
    "held": "yellow",
    "degraded": "yellow",
    "contested": "yellow",
    "muted": "yellow",
    "disabled": "yellow",
    "inactive": "yellow",
    "forbidden": "red",
    "forbid": "red",
    "refused": "red",
    "failed": "red",
    "error": "red",
    "unresponsive": "red",
    "disconnected": "red",
    "-": "red",
}


class Table(NamedTuple):
    """Rows under headings, all of them text."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def visible(text: str) -> str:
    r"""Give the text with everything that a terminal would obey or hide as `\xNN` (its bytes in UTF-8)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) if unicodedata.category(character) in _INVISIBLE else character for character in text)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def typed(text: str) -> str:
    r"""Give an argument of the command line as D-Bus can carry it: bytes that are not UTF-8 as `\xNN`."""
    return "".join(_escaped(character) if "\udc80" <= character <= "\udcff" else character for character in text)


def for_people(stream: TextIO) -> bool:
    """Whether somebody sits before the stream who can be shown colours."""
    return stream.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}


def show(line: str, *, flush: bool = False) -> None:
    """Write one line to stdout; `flush` where the next one may be long in coming."""
    print(visible(line), flush=flush)


def show_table(table: Table) -> None:
    """Write a table: coloured on a terminal, columns of plain text elsewhere."""
    if for_people(sys.stdout):
        _show_rich(table)
    else:
        for line in plain_lines(table):
            print(line)


def show_json(value: object, *, compact: bool = False) -> None:
    """Write the value as JSON: one line where `compact`, else indented."""
    import json

    print(json.dumps(value, ensure_ascii=False, indent=None if compact else 2), flush=compact)


def note(text: str) -> None:
    """Write one line of this program's own to stderr."""
    print(f"{PROGRAM}: {visible(text)}", file=sys.stderr)


def complain(line: str) -> None:
    """Write a line to stderr as it is: problems begin with `file:line:column`, so that editors can jump there."""
    print(visible(line), file=sys.stderr)


def plain_lines(table: Table) -> list[str]:
    """Give the table as lines of text in columns, without blanks at the end."""
    cells = [[visible(cell) for cell in row] for row in (table.headings, *table.rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(_padded, row, widths)).rstrip() for row in cells]


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    columns = {"W": 2, "F": 2}
    return sum(0 if unicodedata.combining(c) else columns.get(unicodedata.east_asian_width(c), 1) for c in text)


def _show_rich(table: Table) -> None:
    # Imported here: 0.1 s that a command like `connect` need not wait for.
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for heading in table.headings:
        drawn.add_column(Text(heading), overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(visible(cell), style=_COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False).print(drawn)


def show_fields(fields: Mapping[str, str]) -> None:
    """Write names and values below each other."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name:<{width}}  {visible(value)}".rstrip())
