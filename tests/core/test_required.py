"""What every match contains: never a text that some match does not have."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.selecting.required import expression_of, fold, regex_runs


@pytest.mark.parametrize(
    ("expression", "required"),
    [
        ("ab", ("ab",)),
        ("ab.*", ("ab",)),
        ("ab+", ("ab",)),
        ("ab*", ("a",)),
        ("ab?c", ("a", "c")),
        ("ab{2}c", ("ab", "c")),
        ("(ab)", ("ab",)),
        ("(?P<x>ab)(cd)", ("abcd",)),
        ("(ab)+cd", ("ab", "cd")),
        ("(ab)?cd", ("cd",)),
        ("(?i)Ab", ("Ab",)),
        ("a(?i:b)c", ("abc",)),
        (r"a\.b", ("a.b",)),
        (r"a\x62", ("ab",)),
        (r"synth_(\d+):out_(.*)", ("synth_", ":out_")),
        ("a[b-d]e", ("a", "e")),
        ("a[^b]c", ("a", "c")),
        ("^ab$", ("ab",)),
        ("a(?=xy)b", ("ab",)),
        ("a(?!xy)b", ("ab",)),
        ("(?<=xy)ab", ("ab",)),
        (r"(a)\1b", ("a", "b")),
        ("(a)?(?(1)b|c)d", ("d",)),
        ("(?>ab)c", ("abc",)),
        ("(?x)a b # c", ("ab",)),
    ],
)
def test_what_every_match_of_a_regular_expression_contains(expression: str, required: tuple[str, ...]) -> None:
    assert Pattern(Form.REGEX, expression).required() == (required,)


@pytest.mark.parametrize(
    ("pattern", "required"),
    [
        (Pattern(Form.GLOB, "ab"), ("^ab$",)),
        (Pattern(Form.GLOB, "*ab?c*"), ("^", "ab", "c", "$")),
        (Pattern(Form.GLOB, "ab*"), ("^ab", "$")),
        (Pattern(Form.GLOB, "*"), ("^", "$")),
        (Pattern(Form.GLOB, ""), ("^$",)),
        (Pattern(Form.GLOB, "a{2}b"), ("^a{2}b$",)),
        (Pattern(Form.LITERAL, "a*b"), ("^a*b$",)),
        (Pattern(Form.REGEX, "ab"), ("^ab$",)),
        (Pattern(Form.REGEX, "a.b"), ("^a", "b$")),
    ],
)
def test_how_a_match_begins_and_ends(pattern: Pattern, required: tuple[str, ...]) -> None:
    assert pattern.required("^", "$") == (required,)


@pytest.mark.parametrize(
    ("expression", "required"),
    [
        ("ab|cd", (("^ab$",), ("^cd$",))),
        ("(ab|cd)+x", (("^ab", "x$"), ("^cd", "x$"))),
        ("(ab|ac)(d|e)", (("^abd$",), ("^abe$",), ("^acd$",), ("^ace$",))),
        ("a(b|)", (("^ab$",), ("^a$",))),
        ("a[bc]", (("^ab$",), ("^ac$",))),
        ("(?:ab|cd)?", (("^", "$"),)),
        (
            "(?:a|b)(?:c|d)(?:e|f)(?:g|h)(?:i|j)x",
            tuple((f"^{a}{c}{e}{g}", "x$") for a in "ab" for c in "cd" for e in "ef" for g in "gh"),
        ),
    ],
)
def test_each_alternative_requires_something_else(expression: str, required: tuple[tuple[str, ...], ...]) -> None:
    assert sorted(Pattern(Form.REGEX, expression).required("^", "$")) == sorted(required)


@pytest.mark.parametrize("expression", ["(", "a{1000000000000}"])
def test_of_what_cannot_be_parsed_nothing_is_known(expression: str) -> None:
    assert regex_runs(expression) == (("", ""),)


@pytest.mark.parametrize("form", Form)
def test_what_is_not_filled_in_may_be_anything(form: Form) -> None:
    unfilled = Pattern(form, "a{1}", frozenset({"1"}))
    assert unfilled.required("^", "$") == (("^", "$"),)
    assert unfilled.filled({"1": "b*"}).required("^", "$") == (("^ab*$",),)


def test_what_is_filled_in_may_be_optional() -> None:
    assert Pattern(Form.REGEX, "ab{1}*", frozenset({"1"})).filled({"1": ""}).required() == (("a",),)


_EXPRESSIONS = st.recursive(
    st.sampled_from(
        ("a", "B", "é", "ß", "ı", "İ", "ſ", "K", ".", "[ab]", "[^a]", r"\d", r"\b", "(?=a)", "(?!b)", ":", "12", r"\xe9")
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(
            inner, st.sampled_from(("({})?", "({})*", "({})+", "(?:{}){{2}}", "(?i:{})", "({})", "(?:{}){{1,2}}", "(?>{})"))
        ).map(lambda pair: pair[1].format(pair[0])),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("source", ["a(?P<b>c)(d)?", "(?i)é", "(?s)a.|(?P<x>b)(?P=x)", "(?x) a b # c", r"(?a)\w", ""])
def test_what_is_parsed_once_is_compiled_as_ever(source: str) -> None:
    compiled, ever = expression_of(source).compiled, re.compile(source)
    assert (compiled.flags, compiled.groups, dict(compiled.groupindex)) == (ever.flags, ever.groups, dict(ever.groupindex))
    for name in ("acd", "ac", "É", "a\n", "bb", "ab", "é", "w", ""):
        found, wanted = compiled.fullmatch(name), ever.fullmatch(name)
        assert (found and (found.groups(), found.groupdict())) == (wanted and (wanted.groups(), wanted.groupdict())), name


@pytest.mark.parametrize("source", ["(", "a{1000000000000}", "(?P<a>)(?P<a>)", "*"])
def test_what_cannot_be_compiled_is_refused_as_ever(source: str) -> None:
    with pytest.raises((re.error, OverflowError)) as ever:
        re.compile(source)
    with pytest.raises(ever.type, match=re.escape(str(ever.value))):
        expression_of(source)


@pytest.mark.parametrize("part", ["_parser", "_compiler"])
def test_a_python_without_that_parser_knows_less(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.delattr(re, part)
        expression_of.cache_clear()
        assert expression_of("a(b)").compiled.fullmatch("ab")
    expression_of.cache_clear()


@given(st.sampled_from(("", "(?i)")), _EXPRESSIONS, st.data())
def test_no_match_lacks_it(flags: str, expression: str, data: st.DataObject) -> None:
    compiled = re.compile(flags + expression)
    name = data.draw(st.from_regex(compiled, fullmatch=True))
    assert _stands_in(name, Pattern(Form.REGEX, flags + expression)), name


def _stands_in(name: str, pattern: Pattern) -> bool:
    """Whether one of the alternatives stands in the name, run after run, from its beginning to its end."""
    return any(_stand_in(fold(f"\0{name}\0"), tuple(map(fold, runs))) for runs in pattern.required("\0", "\0"))


def _stand_in(text: str, runs: tuple[str, ...]) -> bool:
    if not runs:
        return True
    _, found, rest = text.partition(runs[0])
    return bool(found) and _stand_in(rest, runs[1:])


@given(
    st.sampled_from(Form),
    st.text(st.sampled_from("ab|*?+.(){}12é\udce9"), max_size=7),
    st.text(st.sampled_from("ab12é\udce9"), max_size=5),
)
def test_no_name_that_matches_lacks_it(form: Form, text: str, name: str) -> None:
    try:
        pattern = Pattern(form, text)
    except re.error:
        return  # a bad expression matches nothing
    if pattern.catch(name) is not None:
        assert _stands_in(name, pattern)


def test_what_is_equal_without_case_is_equal_when_folded() -> None:
    letters = "".join(filter(lambda letter: letter.lower() != letter or letter.upper() != letter, map(chr, range(0x110000))))
    for letter in letters:
        equal = set(re.findall(f"(?i){letter}", letters))
        assert {fold(other) for other in equal} == {fold(letter)}, equal


def test_a_byte_is_the_character_of_its_number() -> None:
    assert fold("\udce9\udcc9") == fold("éÉ")
