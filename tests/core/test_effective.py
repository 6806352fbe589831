"""The configuration in force as text: it reads back as what it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given

from jackd_router.core.config import Config
from jackd_router.core.language.effective import effective_toml
from jackd_router.core.language.parse import parse
from jackd_router.core.language.vocabulary import KNOWN
from jackd_router.runtime.config_files import read_document
from tests.core.building import config, without_origins
from tests.core.random_configs import configs

EVERYTHING = Path(__file__).with_name("everything.toml").read_text()


def test_every_setting_survives() -> None:
    before = config(EVERYTHING)
    assert without_origins(config(effective_toml(before))) == without_origins(before)


def test_every_key_is_tried() -> None:
    """A key that is new in the language must be written out, too."""
    for kind, keys in KNOWN.items():
        missing = [key for key in keys if not re.search(rf"\b{key}\b", EVERYTHING)]
        assert not missing, kind


def test_defaults_are_written_out() -> None:
    text = effective_toml(Config())
    assert 'unmatched = "keep"' in text
    assert 'feedback = "refuse"' in text
    assert '[[profile]]\nname = "default"' in text
    assert config(text) == Config()


def test_a_rule_is_written_with_its_defaults() -> None:
    assert effective_toml(config('[[rule]]\nname = "r"\nfrom = "a"\nto = ["b", "c"]')).split("\n\n")[4] == (
        '[[rule]]  # test.toml:1\nname = "r"\naction = "connect"\nfrom = "a"\nto = ["b", "c"]\npriority = 0\nenabled = true\n'
        'pair = "auto"\ncomplete = false\nallow_feedback = false\nsame_client = false'
    )


@pytest.mark.parametrize(
    ("selector", "written"),
    [
        # A `:` or a slash that was written as a byte, or in a table, must not become special.
        (r"'a\x3ab:c'", r'"a\\x3ab:c"'),
        ("{ client = 'a:b', port = 'c' }", r'"a\\x3ab:c"'),
        (r"'\x2fa.c/'", r'"\\x2fa.c/"'),
        ("{ client = '/a', port = 'b/' }", r'"\\x2fa:b/"'),
        (r"{ client = '\x2fa/', physical = true }", r'{ client = "\\x2fa/", physical = true }'),
        ("{ exact = '/a:b/' }", '{ exact = "/a:b/" }'),
        # What cannot be printed is refused in a file.
        (r"'a\x07\xc2\x85\xe9é'", r'"a\\x07\\xc2\\x85\\xe9é"'),
        # `from` catches 1: the first of these is text, the second is what it caught, and 2 is nothing.
        (r"'b\x7b1}:{2}'", r'"b\\x7b1}:{2}"'),
        (r"'b\x7b1}:{1}'", r'"b\\x7b1}:{1}"'),
        ("['/b{1}/', '/b{2}/']", '["/b{1}/", "/b{2}/"]'),
    ],
)
def test_text_that_only_looks_special_stays_text(selector: str, written: str) -> None:
    before = config(f"[[rule]]\nname = 'r'\nfrom = '/(.*)/'\nto = {selector}\n")
    text = effective_toml(before)
    assert f"\nto = {written}\n" in text
    assert without_origins(config(text)) == without_origins(before)


def test_origins_are_comments() -> None:
    line = EVERYTHING.split("\n").index("[[bus]]") + 1
    assert f"[[bus]]  # test.toml:{line}\n" in effective_toml(config(EVERYTHING))


def test_a_line_break_in_the_name_of_a_file_ends_no_comment() -> None:
    text = b"[[rule]]\nname = 'r'\nfrom = 'a'\nto = 'b'\n[[bus]]\nname = 'b'\n[[profile]]\nname = 'p'\n"
    before = parse([read_document("a\nb\x85\udce9.toml", text)])
    assert r"[[rule]]  # a\x0ab\xc2\x85\xe9.toml:1" in effective_toml(before)
    assert without_origins(config(effective_toml(before))) == without_origins(before)


@given(configs())
def test_every_configuration_survives(before: Config) -> None:
    assert without_origins(config(effective_toml(before))) == without_origins(before)
