"""The index of selectors: it never leaves out one that matches, whatever was added and removed before."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.patterns import Form, Pattern
from jackd_router.core.selector_index import SelectorIndex
from jackd_router.core.selectors import BusPorts, BusSelector, Selectors
from tests.core.building import config, source

_TEXTS = (
    "'ab'",
    "'ab*'",
    "'a*'",
    "'a?'",
    "'ab*:x'",
    "'/ab:.*/'",
    "'/ab?:.*/'",
    "'/ab|b:x/'",
    "'/a.*/'",
    "{ port = 'x' }",
    "{ alias = 'ab' }",
)
SELECTORS: dict[str, Selectors] = {
    text: config(f"[[rule]]\nname = 'r'\nfrom = {text}\nto = 'z'\n").rules[0].sources for text in _TEXTS
}
SELECTORS["bus"] = (BusSelector("main", None, "ab", buses=(BusPorts("main", ("L",), ("L",)),)),)
PORTS = [
    *(source(name) for name in ("ab:x", "a:x", "abc:x", "b:x", "ab:main_out_L", "ab", ":x", "z:z")),
    source("z:x", aliases=["ab:x", "ab"]),
]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(SELECTORS)))))
def test_what_is_found_is_what_was_added_and_may_match(history: list[tuple[bool, str]]) -> None:
    index: SelectorIndex[str] = SelectorIndex()
    present: set[str] = set()
    for add, text in history:
        if add:
            index.add(text, SELECTORS[text])
            present.add(text)
        elif text in present:
            index.remove(text, SELECTORS[text])
            present.discard(text)
    for port in PORTS:
        matching = {text for text in present if any(selector.matches(port) is not None for selector in SELECTORS[text])}
        assert matching <= index.may_match(port) <= present


def test_what_begins_otherwise_is_not_compared() -> None:
    index: SelectorIndex[str] = SelectorIndex()
    for text in ("'ab'", "'a*'", "'/ab:.*/'"):
        index.add(text, SELECTORS[text])
    assert index.may_match(source("ab:x")) == {"'ab'", "'a*'", "'/ab:.*/'"}
    assert index.may_match(source("ac:x")) == {"'a*'"}
    assert index.may_match(source("b:ab")) == set()


def test_removing_a_whole_name_does_not_hide_a_prefix_of_its_length() -> None:
    index: SelectorIndex[str] = SelectorIndex()
    for text in ("'ab'", "'ab*'"):
        index.add(text, SELECTORS[text])
    index.remove("'ab'", SELECTORS["'ab'"])
    assert index.may_match(source("abc:x")) == {"'ab*'"}


@pytest.mark.parametrize(
    ("expression", "beginning"),
    [
        ("ab", "ab"),
        ("ab.*", "ab"),
        ("ab+", "ab"),
        ("ab*", "a"),
        ("ab?c", "a"),
        ("ab{2}", "a"),
        ("ab|cd", ""),
        ("(ab)", ""),
        ("(?i)ab", ""),
        (r"a\.b", "a"),
        ("", ""),
    ],
)
def test_how_every_match_of_a_regular_expression_begins(expression: str, beginning: str) -> None:
    assert Pattern(Form.REGEX, expression).beginning() == beginning


@given(st.text(st.sampled_from("ab|*?+.(){}12"), max_size=7), st.text(st.sampled_from("ab12"), max_size=5))
def test_no_match_begins_otherwise(expression: str, name: str) -> None:
    for form in Form:
        try:
            pattern = Pattern(form, expression)
        except re.error:
            continue  # a bad expression matches nothing
        if pattern.catch(name) is not None:
            assert name.startswith(pattern.beginning())
            assert not pattern.is_fixed or name == pattern.beginning()
