"""Names: natural order, globs, shown bytes, suggestions, channel endings."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.deciding.pairing import channel_of
from jackd_router.core.errors import UserError
from jackd_router.core.graph import PortName
from jackd_router.core.names import compile_glob, natural_key, nearest, parse_shown, shown

_names = st.text(st.sampled_from("ab_0129é"), max_size=8)
_bytes_as_jack_gives_them = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


def test_numbers_count_as_numbers() -> None:
    names = ["in_10", "in_2", "in", "in_1", "in_02", "in_a", "In_3"]
    assert sorted(names, key=natural_key) == ["In_3", "in", "in_1", "in_02", "in_2", "in_10", "in_a"]


@given(_names, _names, _names)
def test_natural_order_is_a_total_order(a: str, b: str, c: str) -> None:
    assert (natural_key(a) == natural_key(b)) == (a == b)
    assert (natural_key(a) < natural_key(b)) + (natural_key(b) < natural_key(a)) + (a == b) == 1
    if natural_key(a) < natural_key(b) < natural_key(c):
        assert natural_key(a) < natural_key(c)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_natural_order_is_that_of_the_numbers(a: int, b: int) -> None:
    assert (natural_key(f"in_{a}") < natural_key(f"in_{b}")) == (a < b)


@given(_names, _names)
def test_natural_order_is_that_of_texts_and_numbers_in_turn(a: str, b: str) -> None:
    def turns(name: str) -> list[str | int]:
        return [int(turn) if turn.isdigit() else turn for turn in re.split("([0-9]+)", name)]

    if turns(a) != turns(b):
        assert (natural_key(a) < natural_key(b)) == (turns(a) < turns(b))


def test_very_long_numbers_are_no_trouble() -> None:
    assert natural_key("in_" + "9" * 10_000) > natural_key("in_" + "1" * 10_000)


@given(st.text(st.sampled_from("ab*?"), max_size=8), st.text(st.sampled_from("ab\n"), max_size=8))
def test_a_glob_means_what_it_means_elsewhere(glob: str, name: str) -> None:
    assert bool(compile_glob(glob).fullmatch(name)) == fnmatch.fnmatchcase(name, glob)


def test_brackets_in_a_glob_are_literal() -> None:
    assert compile_glob("in [ab]*").fullmatch("in [ab]1")
    assert not compile_glob("in [ab]*").fullmatch("in a1")


def test_a_glob_of_many_stars_is_not_slow() -> None:
    # Without atomic groups this takes longer than the age of the universe.
    assert not compile_glob("*a" * 40 + "b").fullmatch("a" * 300)


@given(_bytes_as_jack_gives_them)
def test_every_name_can_be_shown_and_read_back(name: str) -> None:
    shown(name).encode("utf-8")
    assert parse_shown(shown(name)) == name


def test_bytes_are_shown_as_escapes() -> None:
    assert shown(b"Caf\xe9 \\ \xc3\xa9".decode("utf-8", "surrogateescape")) == r"Caf\xe9 \\ é"


def test_escapes_that_make_a_character_are_that_character() -> None:
    assert parse_shown(r"Caf\xc3\xa9") == "Café"


@pytest.mark.parametrize("text", [r"a\b", r"a\x4", "a\\", r"\xg0"])
def test_a_stray_backslash_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="backslash"):
        parse_shown(text)


def test_the_nearest_name_is_found_and_a_far_one_is_not() -> None:
    assert nearest("Frmo", ["to", "from"]) == "from"
    assert nearest("xyz", ["to", "from"]) is None


@pytest.mark.parametrize(
    ("short_name", "channel"),
    [
        ("FL", "FL"),
        ("output_FL", "FL"),
        ("out-left", "FL"),
        ("L", "FL"),
        ("out right", "FR"),
        ("C", "FC"),
        ("sub", "LFE"),
        ("x_BL", "RL"),
        ("RR", "RR"),
        ("monitor_SL", "SL"),
        ("in_m", "MONO"),
        ("capture_AUX07", "AUX7"),
        ("capture_AUX0", "AUX0"),
        ("out_1", "1"),
        ("foil", None),
        ("left_1", "1"),
        ("", None),
    ],
)
def test_channel_endings(short_name: str, channel: str | None) -> None:
    assert channel_of(PortName(f"client_R:{short_name}")) == channel
