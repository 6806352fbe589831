"""What is written to a terminal or a pipe: columns, and nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from jackd_router.cli.terminal import Table, plain_lines, typed, visible
from jackd_router.core.names import parse_shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("system:playback_1", "system:playback_1"),
        ("Gerät: Küche 音", "Gerät: Küche 音"),
        ("red\x1b[31m", "red\\x1b[31m"),
        ("two\nlines\ttab", "two\\x0alines\\x09tab"),
        ("\x7f", "\\x7f"),
        ("\x85", "\\xc2\\x85"),
        ("abc\u202edef", "abc\\xe2\\x80\\xaedef"),
        ("bell\udcff", "bell\\xff"),
    ],
)
def test_nothing_invisible_is_shown(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize("name", ["a\x1b[2J:b", "tab\there", "\x85\u202e", "not utf-8 \udce9"])
def test_what_is_shown_can_be_typed(name: str) -> None:
    assert parse_shown(typed(visible(name))) == name


def test_bytes_of_an_argument_that_are_not_utf_8_can_cross_the_bus() -> None:
    assert typed("ger\udce4t:out") == "ger\\xe4t:out"
    assert typed("gerät:out\\") == "gerät:out\\"


def test_columns_of_plain_text() -> None:
    table = Table(("PORT", "TYPE", "ALIASES"), [("a:long_name", "audio", ""), ("b:\x1b", "midi", "x, y")])
    assert plain_lines(table) == [
        "PORT         TYPE   ALIASES",
        "a:long_name  audio",
        "b:\\x1b       midi   x, y",
    ]


def test_columns_count_what_a_terminal_draws() -> None:
    # Two columns for each ideograph, none for the combining diaeresis.
    table = Table(("NAME", "X"), [("音音", "1"), ("u\u0308ber", "2"), ("abcde", "3")])
    assert plain_lines(table) == ["NAME   X", "音音   1", "u\u0308ber   2", "abcde  3"]


def test_an_empty_table_has_its_headings() -> None:
    assert plain_lines(Table(("A", "B"), [])) == ["A  B"]
