"""Reading a configuration: every mistake is found, at its place, with what is allowed."""

from __future__ import annotations

import re
import string
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.config import Action, Config, Document, Feedback, Manual, Pairing, Unmatched
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.core.language.parse import parse
from jackd_router.core.language.vocabulary import KNOWN
from jackd_router.runtime.config_files import read_document
from tests.core.building import config, without_origins
from tests.core.parsing import BUS, RULE, problems
from tests.core.random_configs import documents


def test_nothing_written_means_the_defaults() -> None:
    assert parse([]) == Config()
    assert config("") == Config()


def test_everything_written_is_read() -> None:
    read = config(
        '[server]\nname = "studio"\nlibrary = "jack2"\n[client]\nname = "me"\n[daemon]\nwatch = false\n'
        '[policy]\nunmatched = "remove"\nmanual = "enforce"\nfeedback = "allow"\n'
        '[[rule]]\nname = "r"\naction = "connect"\nfrom = "a"\nto = "b"\npair = "order"\npriority = -3\nenabled = false\n'
        'manual = "respect"\nsame_client = true\n'
        '[[bus]]\nname = "main"\ntype = "audio"\nchannels = ["L", "R"]\noutputs = 1\ngain = -6\nchannel_gains = [0, -1.5]\n'
        "mute = true\nmatrix = [[1, 0.5]]\nfade_ms = 5\n"
    )
    assert (read.server_name, read.library, read.client_name, read.watch) == ("studio", "jack2", "me", False)
    assert (read.unmatched, read.manual, read.feedback) == (Unmatched.REMOVE, Manual.ENFORCE, Feedback.ALLOW)
    (rule,) = read.rules
    assert (rule.name, rule.action, rule.pair, rule.priority, rule.enabled) == ("r", Action.CONNECT, Pairing.ORDER, -3, False)
    assert (rule.manual, rule.same_client, str(rule.origin)) == (Manual.RESPECT, True, "test.toml:12")
    (bus,) = read.buses
    assert (bus.name, bus.inputs, bus.outputs, bus.gain_db, bus.mute) == ("main", ("L", "R"), ("1",), -6.0, True)
    assert (bus.channel_gains_db, bus.matrix, bus.fade_ms) == ((0.0, -1.5), ((1.0, 0.5),), 5.0)


def test_a_later_file_replaces_values_and_adds_rules() -> None:
    documents = [
        read_document("1.toml", b'[client]\nname = "a"\n[policy]\nunmatched = "remove"\n' + RULE.encode()),
        read_document("2.toml", b'[client]\nname = "b"\n[[rule]]\nname = "s"\nfrom = "a"\nto = "b"\n'),
    ]
    read = parse(documents)
    assert (read.client_name, read.unmatched) == ("b", Unmatched.REMOVE)
    assert [(rule.name, str(rule.origin)) for rule in read.rules] == [("r", "1.toml:5"), ("s", "2.toml:3")]


def test_a_bus_of_a_later_file_is_known_to_an_earlier_rule() -> None:
    rule = b'[[rule]]\nname = "r"\nfrom = "a"\nto = { bus = "main" }\n'
    assert parse([read_document("1.toml", rule), read_document("2.toml", BUS.encode())]).rules


def test_a_name_twice_names_both_places() -> None:
    assert problems(RULE, "\n" + RULE) == [
        '2.toml:2:1: a rule named "r" already stands at 1.toml:1; give one of them another name',
    ]
    assert problems(BUS + BUS)[0] == '1.toml:3:1: a bus named "main" already stands at 1.toml:1; give one of them another name'


def test_all_problems_come_at_once_in_the_order_of_the_files() -> None:
    found = problems(
        '[serve]\n[policy]\nmanual = "obey"\n[[rule]]\nfrom = "a"\n[[bus]]\nname = "a b"\ngain = 1e9\n', "[daemon]\nwatch = 1"
    )
    assert found == [
        "1.toml:1:1: unknown key \"serve\"; did you mean 'server'? known here: "
        "server, client, daemon, policy, rule, bus, profile, snapshot",
        '1.toml:3:10: manual: found "obey"; allowed: "respect", "enforce"',
        "1.toml:4:1: a rule must have a name",
        "1.toml:4:1: a rule must say 'to'",
        "1.toml:7:8: name: found \"a b\"; allowed: letters (A-Z, a-z), digits, '-' and '_'",
        "1.toml:8:8: gain: found 1e+09; allowed: a number up to 20 dB",
        "2.toml:2:9: watch: found 1; allowed: true, false",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server = 1", "1:10: server: found 1; allowed: a table, [server]"),
        ("[rule]\nname = 'x'", "1:1: rule: found a table; allowed: an array of tables; write [[rule]]"),
        ("rule = [1]", "1:9: rule: found 1; allowed: tables; write [[rule]]"),
        (
            "[server]\nlibrary = 'jack1'",
            '2:11: library: found "jack1"; allowed: "auto", "jack2", "pipewire" (did you mean "jack2"?)',
        ),
        ("[server]\nname = 'a/b'", '2:8: name: found "a/b"; allowed: at most 63 bytes, without /'),
        ("[client]\nname = ''", '2:8: name: found ""; allowed: a string, not empty, without control characters'),
        ("[client]\nname = 'a:b'", '2:8: name: found "a:b"; allowed: at most 63 bytes, without : * ? \\'),
        ("client.name = 5", "1:15: name: found 5; allowed: a string, not empty, without control characters"),
        ('[client]\nname = "a\\nb"', '2:8: name: found "a\\u000ab"; allowed: a string, not empty, without control characters'),
        (
            "[policy]\nfeedback = 'refus'",
            '2:12: feedback: found "refus"; allowed: "refuse", "allow" (did you mean "refuse"?)',
        ),
        ("[policy]\nunmatched = true", '2:13: unmatched: found true; allowed: "keep", "remove"'),
        ("[daemon]\nwatc = true", "2:1: unknown key \"watc\"; did you mean 'watch'? known here: watch"),
        ("[server]\nsystem = 1", "2:10: system: found 1; allowed: a string, not empty, without control characters"),
        ("[server]\nsystem = '/(/'", '2:10: not a regular expression: "/(/": missing ), unterminated subpattern at position 0'),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert problems(text) == [f"1.toml:{expected}"]


def test_columns_count_characters() -> None:
    assert problems("[[rule]]\nname = 'r'\nfrom = 'a'\nto = { client = 'Ärger €', prt = 'x' }")[0].startswith("1.toml:4:28: ")


def test_warnings_do_not_keep_a_configuration_from_being_used() -> None:
    read = config(
        BUS + "[[rule]]\nname = 'r'\nfrom = { bus = 'main' }\nto = { bus = 'main' }\n"
        "[[rule]]\nname = 's'\nfrom = { type = 'audio' }\nto = { type = 'midi' }\n"
    )
    assert [(warning.line, warning.severity) for warning in read.warnings] == [(6, "warning"), (10, "warning")]
    assert len(read.rules) == 2


def test_problems_of_unread_files_come_along_and_their_buses_are_not_missed() -> None:
    rule = b"[[rule]]\nname = 'r'\nfrom = 'a'\nto = { bus = 'main' }\npriority = 'x'\n"
    unread = Problem("0.toml", 1, 1, "broken")
    with pytest.raises(ConfigInvalid) as caught:
        parse([Document("0.toml", {}, {}, {}), read_document("1.toml", rule)], [unread])
    assert [problem.line for problem in caught.value.problems] == [1, 5]
    assert caught.value.problems[0] is unread


_WORDS = "|".join(sorted({key for keys in KNOWN.values() for key in keys}, key=len, reverse=True))
# A key before its `=`, or one in a header.
_KEY = re.compile(rf"\b(?:{_WORDS})\b(?=\s*=)|(?<=[\[.])(?:{_WORDS})\b")
VALID = Path(__file__).with_name("everything.toml").read_text()
_PLACES = [found.span() for found in _KEY.finditer(VALID)]


def test_typos_are_made_in_every_key() -> None:
    assert {VALID[begin:end] for begin, end in _PLACES} >= {key for keys in KNOWN.values() for key in keys} - {"file"}


@st.composite
def _typos(draw: st.DrawFn) -> str:
    """Give the valid file with one key that somebody mistyped; `#` makes a comment of it, which is no typo."""
    begin, end = draw(st.sampled_from(_PLACES))
    key = VALID[begin:end]
    at = draw(st.integers(0, len(key) - 1))
    character = draw(st.one_of(st.sampled_from(string.ascii_lowercase + "_-. ='\"[]\n"), st.characters(exclude_characters="#")))
    kind = draw(st.sampled_from(("replaced", "inserted", "left out", "swapped")))
    rest = {"replaced": character + key[at + 1 :], "inserted": character + key[at:], "left out": key[at + 1 :]}
    swapped = key[at + 1 : at + 2] + key[at] + key[at + 2 :]
    return VALID[:begin] + key[:at] + rest.get(kind, swapped) + VALID[end:]


@given(_typos())
def test_a_typo_in_a_key_is_an_error_or_changes_nothing(text: str) -> None:
    try:
        read = config(text)
    except ConfigInvalid:
        return
    assert without_origins(read) == without_origins(config(VALID))


_keys = st.sampled_from([*{key for keys in KNOWN.values() for key in keys}, "x", "1", ""])
_scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(4500, 4600).map(lambda digits: 16**digits),
    st.floats(),
    st.dates(),
    st.text(st.sampled_from("ab:*?/(){1}\\\n[é"), max_size=8),
    st.sampled_from(["connect", "forbid", "auto", "name", "from", "midi", "cv", "default", "/(a)(?P<b>c)/", "{1}{b}", "main"]),
)
_values: st.SearchStrategy[Any] = st.recursive(
    _scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_keys, inner, max_size=5)), max_leaves=30
)
_tables = st.dictionaries(_keys, _values, max_size=8)
_documents = st.fixed_dictionaries(
    {},
    optional={
        **{section: st.one_of(_tables, _values) for section in ("server", "client", "daemon", "policy", "odd")},
        **{section: st.one_of(st.lists(_tables, max_size=4), _values) for section in ("rule", "bus", "profile")},
    },
)


# An example of much data is as good as any; that it would be long to print is no failure.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(st.lists(_documents, max_size=3))
def test_whatever_the_documents_hold_only_config_invalid_is_raised(values: list[dict[str, Any]]) -> None:
    documents = [Document(f"{number}.toml", table, {}, {}) for number, table in enumerate(values)]
    with suppress(ConfigInvalid):
        parse(documents)


@given(st.data(), documents())
def test_whatever_stands_in_the_place_of_a_right_value_only_config_invalid_is_raised(
    data: st.DataObject, values: dict[str, Any]
) -> None:
    section = data.draw(st.sampled_from([name for name in ("rule", "bus", "profile") if values[name]]))
    table = data.draw(st.sampled_from(values[section]))
    table[data.draw(st.sampled_from(KNOWN[section]))] = data.draw(_values)
    with suppress(ConfigInvalid):
        parse([Document("test.toml", values, {}, {})])
