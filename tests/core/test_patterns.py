"""Patterns: what matches, and what their groups catch."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.selecting.patterns import Form, Pattern

_ONE = frozenset({"1"})


@given(st.text(st.sampled_from("ab*?"), max_size=8), st.text(st.sampled_from("ab\n"), max_size=8))
def test_a_glob_means_what_it_means_elsewhere(glob: str, name: str) -> None:
    assert (Pattern(Form.GLOB, glob).catch(name) is not None) == fnmatch.fnmatchcase(name, glob)


@given(st.text(st.sampled_from("ab*?{1}"), max_size=6), st.text(st.sampled_from("ab*?"), max_size=3), st.text("ab*?", max_size=6))
def test_what_is_filled_in_is_literal(glob: str, value: str, name: str) -> None:
    escaped = glob.replace("{1}", "".join(f"[{letter}]" for letter in value))
    filled = Pattern(Form.GLOB, glob, _ONE).filled({"1": value})
    assert (filled.catch(name) is not None) == fnmatch.fnmatchcase(name, escaped)


def test_groups_are_caught_by_position_and_by_name() -> None:
    assert Pattern(Form.REGEX, "(a)?(?P<x>b+)").catch("bb") == (("", "bb"), {"x": "bb"})
    assert Pattern(Form.REGEX, "b+").catch("bb") == ((), {})
    assert Pattern(Form.REGEX, "(b)").catch("a") is None


def test_a_byte_that_is_not_utf8_is_caught_as_it_is() -> None:
    assert Pattern(Form.REGEX, r"a(\xe9)(?P<x>.)").catch("a\udce9\udcea") == (("\udce9", "\udcea"), {"x": "\udcea"})


@pytest.mark.parametrize("form", Form)
def test_a_byte_that_was_caught_can_be_filled_in(form: Form) -> None:
    filled = Pattern(form, "a{1}", _ONE).filled({"1": "\udce9"})
    assert filled.catch("a\udce9") is not None
    assert filled.catch("a\udcea") is None


@pytest.mark.parametrize(("expression", "value"), [("{1}*", ""), ("a{{1}}", "9" * 20)])
def test_what_becomes_no_expression_matches_nothing(expression: str, value: str) -> None:
    assert Pattern(Form.REGEX, expression, _ONE).filled({"1": value}).catch("a") is None
