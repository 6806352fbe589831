"""The indices of selectors and of ports: they never leave out what matches, whatever was added and removed before."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackd_router.core.graph import Port, PortFlags, PortName, PortType
from jackd_router.core.selecting import selector_index
from jackd_router.core.selecting.clues import parts_of, ways
from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.selecting.selector_index import PortIndex, SelectorIndex
from jackd_router.core.selecting.selectors import BusPorts, BusSelector, PortSelector, Selectors, match
from tests.core.building import config, source

_TEXTS = (
    "'ab'",
    "'ab*'",
    "'a*'",
    "'a?'",
    "'*b'",
    "'*a*b*'",
    "'*ab*:x'",
    "'*B*:*'",
    "'*:x'",
    "'*:*x*'",
    "'*:b:x'",
    "'*'",
    "'/ab:.*/'",
    "'/ab?:.*/'",
    "'/ab|b:x/'",
    "'/a.*/'",
    "'/(?i)AB:X/'",
    r"'/.*\\xe9:(.*)/'",
    r"'\xe9*'",
    "'ab:hw:0*'",
    "'/.*hw:0.*/'",
    "{ exact = 'ab:x' }",
    "{ exact = 'ab:hw:0' }",
    "{ port = 'x' }",
    "{ alias = 'ab' }",
    "{ alias = '*b*' }",
    "{ alias = 'z:*' }",
    "{ alias = 'ab:x', client = 'z' }",
    "{ type = 'midi' }",
    "{ physical = true }",
    "{ physical = false, terminal = true }",
    "{ port = 'x', type = 'audio' }",
    "['ab', { port = '*x' }, '/z.*/']",
)
SELECTORS: dict[str, Selectors] = {
    text: config(f"[[rule]]\nname = 'r'\nfrom = {text}\nto = 'z'\n").rules[0].sources for text in _TEXTS
}
for _channel in (None, "L"):
    SELECTORS[f"bus {_channel}"] = (BusSelector("main", _channel, "ab", buses=(BusPorts("main", ("L",), ("L", "R")),)),)
PORTS = [
    *(
        source(name)
        for name in (
            "ab:x",
            "AB:X",
            "a:x",
            "abc:x",
            "b:x",
            "ab:b:x",
            "ab:main_out_L",
            "ab",
            ":x",
            "z:z",
            "ab:hw:0",
            "é:x",
            "\udce9:x",
        )
    ),
    source("z:x", aliases=["ab:x", "ab"]),
    source("z:b", aliases=["alsa:hw:0:x"]),
    source("q:q", PortType.MIDI),
    source("q:cv", PortType.CV),
    Port(PortName("q:p"), PortType.AUDIO, PortFlags.OUTPUT | PortFlags.PHYSICAL),
    Port(PortName("q:t"), PortType.AUDIO, PortFlags.OUTPUT | PortFlags.TERMINAL),
]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(SELECTORS)))), st.sampled_from((0, 1, 50)))
def test_what_is_found_is_what_was_added_and_may_match(history: list[tuple[bool, str]], filed_at_once: int) -> None:
    index: SelectorIndex[str] = SelectorIndex()
    present: set[str] = set()
    with patch.object(selector_index, "_FILED_AT_ONCE", filed_at_once):  # 0: nothing is filed yet
        for add, text in history:
            if add:
                index.add(text, SELECTORS[text])
                present.add(text)
            elif text in present:
                index.remove(text, SELECTORS[text])
                present.discard(text)
            port = PORTS[len(present) % len(PORTS)]  # what was found before is not what is found after
            assert _matching(present, port) <= index.may_match(port) <= present
        for port in PORTS:
            assert _matching(present, port) <= index.may_match(port) <= present


def _matching(texts: set[str], port: Port) -> set[str]:
    return {text for text in texts if match(SELECTORS[text], port) is not None}


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(PORTS), st.sampled_from(sorted(SELECTORS)))),
    st.sampled_from((0, 8)),
    st.sampled_from((0, 2, 200)),
)
def test_ports_that_are_found_are_those_that_were_added_and_may_match(
    history: list[tuple[bool, Port, str]], many: int, sorted_in_at_once: int
) -> None:
    index = PortIndex()
    present: dict[PortName, Port] = {}
    with patch.multiple(selector_index, _MANY=many, _SORTED_IN_AT_ONCE=sorted_in_at_once):  # _MANY = 0: every clue is looked for
        for add, port, text in history:
            if add and port.name not in present:
                index.add(port.name, parts_of(port))
                present[port.name] = port
            elif not add and port.name in present:
                index.remove(port.name, parts_of(port))
                del present[port.name]
            matching = {name for name, port in present.items() if match(SELECTORS[text], port) is not None}
            assert matching <= index.may_match(SELECTORS[text]) <= present.keys()
        for port in list(present.values()):
            index.remove(port.name, parts_of(port))
        assert all(not index.may_match(selectors) for selectors in SELECTORS.values())


_LETTERS = "aAbıßé\udce9:"
_globs = st.text(st.sampled_from(_LETTERS + "*?"), min_size=1, max_size=5).map(lambda text: Pattern(Form.GLOB, text))
_regexes = st.lists(st.sampled_from(("a", "A", "b", "ı", "ß", "é", ":", ".*", "[ab]", "(a|b)", "a?", "(?i:b)")), max_size=5).map(
    lambda pieces: Pattern(Form.REGEX, "".join(pieces))
)
_references = frozenset({"1"})
_filled = st.builds(
    lambda form, text, value: Pattern(form, text, _references).filled({"1": value}),
    st.sampled_from(Form),
    st.sampled_from(("{1}", "a{1}", "{1}*", "{1}:b", ":{1}", "b?{1}")),
    st.text(st.sampled_from(_LETTERS), max_size=2),
)
_patterns = st.none() | _globs | _regexes | _filled
_selectors = st.builds(PortSelector, name=_patterns, client=_patterns, port=_patterns, alias=_patterns)
_names = st.text(st.sampled_from(_LETTERS), max_size=6)


@settings(max_examples=500)
@given(st.lists(_selectors, min_size=1, max_size=8), st.lists(_names, max_size=5, unique=True), st.lists(_names, max_size=2))
def test_nothing_that_matches_is_left_out(selectors: list[PortSelector], names: list[str], aliases: list[str]) -> None:
    index: SelectorIndex[int] = SelectorIndex()
    ports = PortIndex()
    for owner, selector in enumerate(selectors):
        index.add(owner, (selector,))
    known = [source(name, aliases=aliases) for name in names]
    for port in known:
        ports.add(port.name, parts_of(port))
    for owner, selector in enumerate(selectors):
        with patch.object(selector_index, "_MANY", 0):  # look for every clue, few ports as they are
            found = ports.may_match((selector,))
        for port in known:
            if match((selector,), port) is not None:
                assert owner in index.may_match(port)
                assert port.name in found


def test_what_has_other_names_is_not_compared() -> None:
    index: SelectorIndex[str] = SelectorIndex()
    for text in ("'ab'", "'a*'", "'*ab*:x'", "'/ab:.*/'", "'/(?i)AB:X/'", "{ physical = true }"):
        index.add(text, SELECTORS[text])
    assert index.may_match(source("ab:x")) == {"'ab'", "'a*'", "'*ab*:x'", "'/ab:.*/'", "'/(?i)AB:X/'"}
    assert index.may_match(source("ac:y")) == {"'a*'"}
    assert index.may_match(source("z:y")) == set()


def test_ports_with_other_names_are_not_compared() -> None:
    index = PortIndex()
    for number in range(1000):
        port = source(f"synth {number}:out")
        index.add(port.name, parts_of(port))
    for text in ("'*ynth 17'", "'/.*h 17:(.*)/'", "'synth 17:*'", "{ exact = 'synth 17:out' }"):
        selectors = config(f"[[rule]]\nname = 'r'\nfrom = {text}\nto = 'z'\n").rules[0].sources
        assert index.may_match(selectors) == {"synth 17:out"}


def test_of_many_alike_each_goes_by_what_the_others_have_not() -> None:
    index: SelectorIndex[int] = SelectorIndex()
    for number in range(100):
        index.add(number, (PortSelector(client=Pattern(Form.GLOB, "*synth*"), port=Pattern(Form.GLOB, f"out {number:02}*")),))
    assert 17 in index.may_match(source("a synth:out 17"))
    assert len(index.may_match(source("a synth:out 17"))) < 20


def test_an_owner_of_two_stays_while_one_is_left() -> None:
    index: SelectorIndex[str] = SelectorIndex()
    first, second = SELECTORS["'ab'"], SELECTORS["{ exact = 'ab:x' }"]
    index.add("owner", first)
    index.add("owner", second)
    index.remove("owner", first)
    assert index.may_match(source("ab:x")) == {"owner"}
    index.remove("owner", second)
    assert index.may_match(source("ab:x")) == set()


@pytest.mark.parametrize("text", ["'*'", "'/.*/'", "{ client = '*', port = '/.?/' }"])
def test_what_may_be_anything_cannot_be_looked_for(text: str) -> None:
    assert not list(ways(config(f"[[rule]]\nname = 'r'\nfrom = {text}\nto = 'z'\n").rules[0].sources[0]))
