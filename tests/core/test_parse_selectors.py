"""Reading selectors: every form, and every mistake at its place."""

from __future__ import annotations

import pytest

from jackd_router.core.graph import PortType
from jackd_router.core.language.vocabulary import KNOWN
from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.selecting.selectors import BusSelector, PortSelector, Selectors
from tests.core.building import config
from tests.core.parsing import BUS, FORMS, TEXT, problems

KEYS = ", ".join(KNOWN["selector"])
NTH = "a position from 1 to 65535, or a list of positions"


def glob(text: str, *references: str) -> Pattern:
    """Give a glob."""
    return Pattern(Form.GLOB, text, frozenset(references))


def regex(text: str) -> Pattern:
    """Give a regular expression."""
    return Pattern(Form.REGEX, text)


def read(selector: str) -> Selectors:
    """Give what `to` means; `from` catches 1, which is also x."""
    (rule,) = config(f"[[rule]]\nname = 'r'\nfrom = '/(?P<x>.*)/'\nto = {selector}\n" + BUS).rules
    return rule.destinations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a:b'", PortSelector(client=glob("a"), port=glob("b"))),
        ("'a'", PortSelector(client=glob("a"))),
        ("'a:'", PortSelector(client=glob("a"), port=glob(""))),
        ("'a*:b?:[c]'", PortSelector(client=glob("a*"), port=glob("b?:[c]"))),
        ("'/a:b.*/'", PortSelector(name=regex("a:b.*"))),
        ("'//'", PortSelector(name=regex(""))),
        ("'/'", PortSelector(client=glob("/"))),
        (r"'a\\b\xe9'", PortSelector(client=glob("a\\b\udce9"))),
        ("'a{1}:{x}{2}'", PortSelector(client=glob("a{1}", "1"), port=glob("{x}{2}", "x"))),
        ("{ client = 'a:b', port = '/c/' }", PortSelector(client=glob("a:b"), port=regex("c"))),
        ("{ alias = 'a*', pretty_name = '/b/' }", PortSelector(alias=glob("a*"), pretty_name=regex("b"))),
        ("{ exact = '/a:*/' }", PortSelector(name=Pattern(Form.LITERAL, "/a:*/"))),
        ("{ exact = '{x}' }", PortSelector(name=Pattern(Form.LITERAL, "{x}", frozenset("x")))),
        ("{ type = 'cv', physical = true, terminal = false }", PortSelector(type=PortType.CV, physical=True, terminal=False)),
        ("{ type = 'audio', nth = 2 }", PortSelector(type=PortType.AUDIO, nth=frozenset((2,)))),
        ("{ type = 'midi', nth = [3, 1, 3] }", PortSelector(type=PortType.MIDI, nth=frozenset((1, 3)))),
        ("{ bus = 'main' }", BusSelector("main", None, "router")),
        ("{ bus = 'main', channel = '2' }", BusSelector("main", "2", "router")),
        ("{ bus = '{x}', channel = '{1}' }", BusSelector("{x}", "{1}", "router", frozenset(("1", "x")))),
    ],
)
def test_every_form_is_read(text: str, expected: PortSelector | BusSelector) -> None:
    assert read(text) == (expected,)
    assert read(f"[{text}, {text}]") == (expected, expected)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("5", f"4:6: to: found 5; allowed: {FORMS}"),
        ("''", f'4:6: to: found ""; allowed: {FORMS}'),
        ("[]", f"4:6: to: found an empty list; allowed: {FORMS}, not empty"),
        ('"a\\tb"', '4:6: to: found "a\\u0009b"; allowed: a string, not empty, without control characters'),
        ('"a\\u0085b"', f'4:6: to: found "a\\u0085b"; allowed: {TEXT}'),
        ("['a', 5]", f"4:12: to: found 5; allowed: {FORMS}"),
        ("['a', ['b']]", f"4:12: to: found a list; allowed: {FORMS}"),
        ("'/(/'", '4:6: not a regular expression: "/(/": missing ), unterminated subpattern at position 0'),
        ("{ port = '/[/' }", '4:15: not a regular expression: "/[/": unterminated character set at position 0'),
        (r"'a\b'", r"4:6: a\b: write \\ for a backslash, \xNN for a byte that is not UTF-8"),
        ("{ prt = 'x' }", f"4:8: unknown key \"prt\"; did you mean 'port'? known here: {KEYS}"),
        ("{ }", f"4:6: an empty table means no port; allowed: {KEYS}"),
        ("{ type = 'adio' }", '4:15: type: found "adio"; allowed: "audio", "midi", "cv" (did you mean "audio"?)'),
        ("{ type = 'other' }", '4:15: type: found "other"; allowed: "audio", "midi", "cv"'),
        ("{ type = ['audio'] }", '4:15: type: found a list; allowed: "audio", "midi", "cv"'),
        ("{ pretty_name = '' }", f'4:22: pretty_name: found ""; allowed: {TEXT}'),
        ("{ pretty_name = '/(/' }", '4:22: not a regular expression: "/(/": missing ), unterminated subpattern at position 0'),
        ("{ nth = 0 }", f"4:14: nth: found 0; allowed: {NTH}"),
        ("{ nth = 'first' }", f'4:14: nth: found "first"; allowed: {NTH}'),
        ("{ nth = [] }", f"4:14: nth: found an empty list; allowed: {NTH}"),
        ("{ nth = [1, 2.0] }", f"4:18: nth: found 2.0; allowed: {NTH}"),
        ("{ nth = [1, true] }", f"4:18: nth: found true; allowed: {NTH}"),
        ("{ nth = 65536 }", f"4:14: nth: found 65536; allowed: {NTH}"),
        (f"{{ nth = 0x{'f' * 5000} }}", f"4:14: nth: found a huge number; allowed: {NTH}"),
        ("{ bus = 'main', nth = 1 }", "4:22: 'nth' cannot stand beside 'bus'; allowed: bus, channel"),
        ("{ physical = 1 }", "4:19: physical: found 1; allowed: true, false"),
        ("{ exact = 'a' }", '4:16: exact: found "a"; allowed: a full name, "client:port"'),
        ("{ client = 5 }", "4:17: client: found 5; allowed: a string, not empty, without control characters"),
        ("{ bus = 'main', channel = 'L' }", '4:32: channel: found "L"; allowed: "1", "2"'),
        ("{ bus = 'main', port = 'L' }", "4:22: 'port' cannot stand beside 'bus'; allowed: bus, channel"),
        ("{ channel = 'L' }", "4:8: 'channel' needs a 'bus'"),
    ],
)
def test_a_mistake_in_a_selector_is_named_with_its_place(selector: str, expected: str) -> None:
    assert problems(f"[[rule]]\nname = 'r'\nfrom = 'a'\nto = {selector}\n" + BUS) == [f"1.toml:{expected}"]


@pytest.mark.parametrize(("bus", "meant"), [("fx", ""), ("mian", ' (did you mean "main"?)')])
def test_a_bus_that_no_file_defines_may_come_at_run_time(bus: str, meant: str) -> None:
    read = config(f'[[rule]]\nname = "r"\nfrom = "a"\nto = {{ bus = "{bus}", channel = "L" }}\n' + BUS)
    assert [str(warning) for warning in read.warnings] == [
        f'test.toml:4:14: no [[bus]] is called "{bus}"{meant}: it means nothing until one is made at run time'
    ]
    (selector,) = read.rules[0].destinations
    assert isinstance(selector, BusSelector)
    assert (selector.bus, selector.names) == (bus, frozenset())


def test_all_mistakes_in_one_selector_are_told() -> None:
    text = """[[rule]]
name = 'r'
from = { client = '/(/', port = 3, type = ["audio"], physical = "no" }
to = { channel = 5 }
"""
    assert [problem.split(":")[2] for problem in problems(text)] == ["19", "33", "43", "65", "8", "18"]


def test_a_group_must_be_in_every_alternative() -> None:
    text = "[[rule]]\nname = 'r'\nfrom = ['/a(.)/', 'b']\nto = 'c{1}'\n"
    assert problems(text) == ["1.toml:4:6: {1} is used here, so every alternative of 'from' must have that group"]


def test_columns_count_characters() -> None:
    assert problems("[[rule]]\nname = 'r'\nfrom = 'a'\nto = { client = 'Ärger €', prt = 'x' }")[0].startswith("1.toml:4:28: ")


def test_a_slash_that_is_forgotten_is_warned_about() -> None:
    found = config("[[rule]]\nname = 'r'\nfrom = '/synth:.*'\nto = 'b'\n").warnings
    assert [str(problem) for problem in found] == [
        'test.toml:3:8: "/synth:.*" is taken as a plain name; a regular expression ends with a slash, too'
    ]
