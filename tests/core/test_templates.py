"""Templates: what a filled expression matches, told without compiling it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.selecting.required import AS_BYTES, regex_runs
from jackd_router.core.selecting.templates import template_of

_ONE, _TWO = frozenset({"1"}), frozenset({"1", "2"})


@pytest.mark.parametrize(
    "expression",
    [
        "in_{1}",
        "{1}",
        "({1})",
        "a|{1}",
        r".*Track:in_.*\b0*{1}",
        "(?P<client>.*):{1}$",
        "(?:x|{1})y",
        "a(?={1}b).*",
        r"\d{2}{1}",
        "(?>{1})b",
        r"{1}\Z",
    ],
)
def test_what_serves_as_a_template(expression: str) -> None:
    assert template_of(expression, _ONE)


@pytest.mark.parametrize("expression", ["{1}{2}", "{2}-{1}:{2}"])
def test_what_serves_as_one_for_two_values(expression: str) -> None:
    assert template_of(expression, _TWO)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("{1}*", "only the last letter is repeated"),
        ("{1}{{2}}", "so it is here"),
        ("{1}?", "or may be missing"),
        ("[{1}]", "one of the letters"),
        ("[{1}]{1}", "of which the template would know one"),
        ("^{1}", "the values stand before the name"),
        (r"\A{1}", "there, too"),
        ("(?<=a){1}", "and what looks back would see them"),
        ("(?<!a){1}", "or not"),
        ("(?i){1}", "letters are equal to other ones than in a literal text"),
        ("a(?i:{1})", "in a part of it, too"),
        (r"(a)\1{1}", "groups have other numbers"),
        ("(?P<x>a)(?P=x){1}", "and so may those that have a name"),
        ("(a)?(?(1)b|c){1}", "and those that are asked for"),
        (r"\{1}", "a backslash takes the first letter of the value"),
        (r"\x4{1}", "or a number goes on with it"),
        ("(?P<r_1>a){1}", "the name is taken"),
        ("a{1}(", "it is no expression"),
        ("(?:{1}x)*y", "a group in it may match in more ways than a letter"),
        (r"(?:\w|{1})+", "here, too"),
        ("a{{1}}", "it says how often"),
        ("a{2,{1}}", "so it does here"),
        ("{1}(?#any)*", "a comment is not seen"),
        (r"\0{1}", "the number may go on"),
        (r"{1}\B", "before an empty name there is an edge, before a value none"),
        ("\U000f0000{1}", "the letter stands for the value"),
        (r"\U000f0000{1}", "written so, too"),
    ],
)
def test_what_does_not(expression: str, why: str) -> None:
    assert template_of(expression, _ONE) is None, why


_PLAIN = (
    "a",
    "b",
    "1",
    "{{",
    "(?#x)",
    ".",
    ".*",
    "[ab]",
    r"\b",
    "(?=a)",
    "(?!b)",
    "(?<=a)",
    "^",
    "$",
    "é",
    "(?i:a)",
    "|",
    "(a)",
    r"\1",
    "x{2}",
)
_FILLED = ("{1}", "{2}", "{1}*", "[{1}]", "{1}{2}", r"\{1}", "({1})", "(?:{1}|b)", "(?:a{2})+")
_PIECES = st.sampled_from(_PLAIN + _FILLED)
_TEXTS = st.text(st.sampled_from("abAé.*1\udce9 "), max_size=4)


@given(st.lists(_PIECES, min_size=1, max_size=6).map("".join), st.sampled_from((_ONE, _TWO)), _TEXTS, _TEXTS, _TEXTS)
@example("a|({1})", _ONE, "b", "", "b")
@example("b:in_{1}|b:out_{1}", _ONE, "1", "", "b:out_1")
@example("b:{2}1{1}", _TWO, "a", "b", "b:b1a")
@example("b:({1}[abc][abc]|{2}[abc][abc])", _TWO, "a", "b", "b:aab")
def test_a_filled_pattern_matches_what_the_filled_expression_matches(
    text: str, references: frozenset[str], one: str, two: str, name: str
) -> None:
    try:
        pattern = Pattern(Form.REGEX, text, references)
    except (re.error, OverflowError):
        return
    values = {"1": one, "2": two}
    filled = pattern.filled({reference: values[reference] for reference in references})
    for asked in {name, f"b:{two}1{one}", one, two, one + two, f"a{one}b", name + one, f"{one}{name}", f"{two}{two}"}:
        # What Pattern does where there is no template.
        expression = re.sub(r"\{([12])\}", lambda found: _literal(values[found[1]]) if found[1] in references else found[0], text)
        try:
            wanted = re.fullmatch(expression, asked.translate(AS_BYTES)) is not None
        except (re.error, OverflowError):
            wanted = False
        if template_of(text, references) is not None:
            assert (filled.catch(asked) is not None) == wanted, (expression, asked)
        if wanted:
            assert _has(filled, asked.translate(AS_BYTES)), (filled.required(), regex_runs(expression), asked)


def _literal(value: str) -> str:
    return re.escape(value.translate(AS_BYTES))


def _has(pattern: Pattern, name: str) -> bool:
    """Whether one of the alternatives that every match has stands in the name, apart from case."""
    return any(
        re.search(".*".join(re.escape(run.casefold()) for run in runs), name.casefold(), re.DOTALL) for runs in pattern.required()
    )
