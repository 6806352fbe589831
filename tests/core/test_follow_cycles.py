"""Rules that follow each other in a circle: told where the text shows it, and only there."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.config import Config, Document
from jackd_router.core.errors import ConfigInvalid
from jackd_router.core.language.parse import parse
from jackd_router.core.names import compile_glob
from jackd_router.runtime.config_files import read_document
from tests.core.building import config

ALIVE = "a connection there would keep itself alive for ever"
BUSES = "[[bus]]\nname = 'main'\nchannels = ['L', 'R']\n[[bus]]\nname = 'sub'\n"
PROFILES = "[[profile]]\nname = 'live'\n[[profile]]\nname = 'studio'\n"

_RULE = re.compile(r"(?P<follow>.+?) => (?P<to>[^;]+)(?:; (?P<more>.*))?")


def rules(*written: str) -> str:
    """Give the text of rules that are written `follow => to`, or `follow => to; more keys`; they are called a, b and so on."""
    text = ""
    for name, line in zip("abcdef", written, strict=False):
        found = _RULE.fullmatch(line)
        assert found, line
        text += f"[[rule]]\nname = '{name}'\nfollow = {found['follow']}\nto = {found['to']}\n{found['more'] or ''}\n"
    return text + BUSES + PROFILES


def circles(*written: str) -> list[str]:
    """Give what is said of these rules."""
    try:
        parse([read_document("f", rules(*written).encode())])
    except ConfigInvalid as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_rule_must_not_follow_its_own_destinations() -> None:
    assert circles("'a:*' => 'a:in_1'") == [f"f:3:10: this rule follows its own 'to': {ALIVE}"]


def test_a_circle_of_two_names_the_other_rule_once() -> None:
    assert circles("'a' => 'b'", "'b' => 'a'") == [
        f"f:3:10: this rule follows its own 'to', by way of \"b\" (f:6): {ALIVE}",
    ]


def test_a_circle_of_three_names_the_way() -> None:
    assert circles("'a' => 'b'", "'c' => 'a'", "'b' => 'c'") == [
        f'f:3:10: this rule follows its own \'to\', by way of "c" (f:11), then "b" (f:6): {ALIVE}',
    ]


def test_each_circle_is_told() -> None:
    told = circles("'a' => 'b'", "'b' => 'a'", "'x' => 'y'", "'z' => 'z'", "'y' => ['q', 'x']", "'b' => 'elsewhere'")
    assert [line.split(":")[1] for line in told] == ["3", "13", "18"]


def test_a_chain_is_no_circle() -> None:
    assert circles("'a' => 'b'", "'b' => 'c'", "'c' => 'd'", "'a' => 'd'") == []


def test_a_rule_with_from_closes_no_circle() -> None:
    plain = "[[rule]]\nname = 'p'\nfrom = 'b'\nto = 'a'\n"
    assert config(plain + rules("'a' => 'b'")).rules


@pytest.mark.parametrize(
    "written",
    [
        "'a*' => '*b'",
        "'a:in_?' => 'a:*_1'",
        "['x', 'a'] => ['y', 'a:in']",
        "{ client = 'a' } => { port = 'in' }",
        "{ exact = 'a:*' } => 'a:?'",
        "{ exact = 'a:b:c' } => 'a:b:*'",
        "'/a:in_[12]/' => 'a:in_2'",
        "'/a:.*/' => '/a:.*/'",
        "{ client = '/a+/' } => { client = 'aa', port = 'in' }",
        "{ client = '/a+/', port = 'in' } => 'aaa:in'",
        "{ client = '/a+/' } => 'aaa:in_*'",
        "'aaa:in_*' => { client = '/a+/' }",
        "{ client = '/a+/', port = 'in_1' } => { client = 'aa', port = '/in_./' }",
        "{ physical = true } => 'a'",
        "{ client = 'aa' } => { client = '/a+/' }",
        "{ client = 'a', type = 'audio' } => { client = 'a', type = 'audio' }",
        "{ client = 'a', type = 'midi', port = 'x*' } => { client = 'a', type = 'midi' }",
        "{ client = '*b', port = '*_1' } => { client = 'a*', port = 'in_*' }",
        "{ type = 'cv' } => { client = 'a', type = 'cv' }",
        "{ client = 'a', nth = [1, 2] } => { client = 'a', nth = 2 }",
        "{ client = 'a', nth = 1 } => 'a'",
        "{ bus = 'main' } => { bus = 'main', channel = 'L' }",
        "{ bus = 'main' } => 'router:main_in_*'",
        "'router' => { bus = 'main' }",
        "{ client = 'r*', type = 'audio' } => { bus = 'main' }",
        "'a' => 'b'; fallback = ['c', ['d', 'a:in']]",
        "'a' => 'b'; via = ['c', ['d', 'a:in']]",
        "'a' => 'a'; pair = 'name'",
        "'a' => 'a'; pair = { FL = 'AUX0', aux0 = ['AUX1', 'fl'] }",
        "'a' => 'a'; enabled = false",
        "'a' => 'a'; profiles = ['live']",
        r"'a\\:*' => 'a\\:in'",
        r"'a\xe9:*' => 'a\xe9:in'",
    ],
)
def test_what_the_text_shows_is_told(written: str) -> None:
    (told,) = circles(written)
    assert told.startswith("f:3:10: this rule follows its own 'to': ")


@pytest.mark.parametrize(
    "written",
    [
        "'a' => 'b'",
        "'a:in_1' => 'a:in_2'",
        "'a*:x' => 'b*:x'",
        "{ exact = 'a:*' } => 'a:x'",
        # A client ends at the first colon.
        "{ exact = 'a:b:c' } => '*:c'",
        "'/abc/' => 'abc'",
        "'/a:.*/' => '/a:.+/'",
        "'/a:in_[12]/' => 'a:in_3'",
        "{ client = '/a+/', port = 'in' } => 'b:in'",
        "{ client = '/a+/' } => 'b:in_*'",
        "{ client = '/a.*/' } => { client = 'a*', port = 'in' }",
        "{ client = '/a.*/' } => { client = 'a?', port = 'in' }",
        "{ physical = true } => { physical = false }",
        "{ client = 'a', terminal = true } => { client = 'a', terminal = false }",
        "{ client = 'a', type = 'audio' } => { client = 'a', type = 'midi' }",
        # CV is meant only where it is written.
        "{ client = 'a', type = 'audio' } => { client = 'a', type = 'cv' }",
        "'a' => { client = 'a', type = 'cv' }",
        "{ client = 'a', nth = 1 } => { client = 'a', nth = 2 }",
        "['s:p_1', 's:p_2'] => { client = 's', nth = [3, 4] }",
        # An alias or a pretty name may be anybody's.
        "{ client = 'a', alias = 'x' } => { client = 'a', pretty_name = 'y' }",
        "{ client = 'a', alias = 'x' } => 'a:in'",
        "{ client = 'a', pretty_name = 'y' } => 'a:in'",
        "{ client = 'a', nth = 1 } => 'a:in'",
        "'a:in' => { client = 'a', nth = 1 }",
        "{ client = 'a', alias = 'x' } => 'a:in_*'",
        "'a:in_*' => { client = 'a', pretty_name = 'y' }",
        "{ client = '/a+/' } => { client = '/a*/' }",
        "{ client = 'router', terminal = true } => { bus = 'main' }",
        "{ client = 'router', type = 'cv' } => { bus = 'main' }",
        "{ client = 'router', alias = 'x' } => { bus = 'main' }",
        "'/(.*):.*/' => '{1}'",
        # Two pairs of loudspeakers of one card.
        "'a' => 'a'; pair = { FL = 'AUX0', FR = ['AUX1', 'AUX3'] }",
        "'system:playback_*' => 'system:playback_*'; pair = { 1 = '3', 2 = '4' }",
        "{ bus = 'main' } => { bus = 'sub' }",
        "{ bus = 'main', channel = 'L' } => { bus = 'main', channel = 'R' }",
        "{ bus = 'main' } => 'router:sub_in_*'",
        "{ client = 'router', type = 'midi' } => { bus = 'main' }",
        "{ client = 'router', physical = true } => { bus = 'main' }",
    ],
)
def test_what_is_not_certain_is_not_told(written: str) -> None:
    assert circles(written) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # What comes to `a` is sound, what is followed to it are notes.
        ("{ client = 'a', type = 'audio' } => 'b'", "{ client = 'b', type = 'midi' } => 'a'"),
        ("{ client = 'a', type = 'cv' } => { client = 'b', type = 'cv' }", "'b' => { client = 'a', type = 'cv' }"),
        ("'a' => 'b'; profiles = ['live']", "'b' => 'a'; profiles = ['studio', 'default']"),
        ("'a' => 'b'; when.present = ['phones', 'x']", "'b' => 'a'; when.absent = [['other', 'phones']]"),
        ("'a' => 'b'; when.absent = 'phones'", "'b' => 'a'; when.present = 'phones'"),
        ("'a' => 'b'; pair = { FL = 'AUX0' }", "'b' => 'a'; pair = { AUX1 = 'FL' }"),
    ],
)
def test_rules_that_never_feed_each_other_are_no_circle(one: str, other: str) -> None:
    assert circles(one, other) == []
    assert circles(other, one) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("'a' => 'b'; profiles = ['live', 'default']", "'b' => 'a'; profiles = ['studio', 'live']"),
        ("'a' => 'b'; profiles = ['live']", "'b' => 'a'"),
        ("'a' => 'b'; when.present = [['phones', 'x']]", "'b' => 'a'; when.absent = 'phones'"),
        ("'a' => 'b'; pair = { FL = 'AUX0' }", "'b' => 'a'; pair = { aux0 = 'FL' }"),
        ("'a' => 'b'; pair = { FL = 'AUX0' }", "'b' => 'a'"),
        ("['a', { client = 'c', type = 'audio' }] => 'b'", "{ client = 'b', type = 'midi' } => 'a'"),
    ],
)
def test_rules_that_can_feed_each_other_are_a_circle(one: str, other: str) -> None:
    assert len(circles(one, other)) == 1
    assert len(circles(other, one)) == 1


def test_three_rules_of_which_any_two_share_a_profile_but_not_all() -> None:
    one, two, three = "['live', 'studio']", "['studio', 'default']", "['default', 'live']"
    written = f"'a' => 'b'; profiles = {one}", f"'b' => 'c'; profiles = {two}", f"'c' => 'a'; profiles = {three}"
    assert circles(*written) == []


_globs = st.text("ab*?", max_size=4)
_TEXTS = ["".join(characters) for length in range(7) for characters in product("ab", repeat=length)]


@given(_globs, _globs)
def test_globs_meet_where_a_text_matches_both(one: str, other: str) -> None:
    """Two globs of at most four characters meet in a text of at most six, or nowhere."""
    both = any(compile_glob(one).fullmatch(text) and compile_glob(other).fullmatch(text) for text in _TEXTS)
    rule = {"name": "r", "follow": f"c:{one}", "to": f"c:{other}"}
    document = Document("f", {"rule": [rule]}, {}, {})
    if both:
        with pytest.raises(ConfigInvalid):
            parse([document])
    else:
        assert isinstance(parse([document]), Config)
