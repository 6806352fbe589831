"""Reading a configuration: every mistake is found, at its place, with what is allowed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.config import Action, Config, Document, Manual, Pairing, Unmatched
from jackd_router.core.errors import ConfigInvalid, Problem
from jackd_router.core.parse import parse
from jackd_router.core.vocabulary import KNOWN, NOT_YET
from jackd_router.runtime.config_files import read_document
from tests.core.building import config

RULE = '[[rule]]\nname = "r"\nfrom = "a"\nto = "b"\n'
FORMS = 'a string "client:port", a "/regular expression/", a table, or a list of these'
BUS = '[[bus]]\nname = "main"\n'


def problems(*texts: str) -> list[str]:
    """Give what is wrong with these files, called 1.toml and so on."""
    documents = [read_document(f"{number}.toml", text.encode()) for number, text in enumerate(texts, 1)]
    with pytest.raises(ConfigInvalid) as caught:
        parse(documents)
    return [str(problem) for problem in caught.value.problems]


def test_nothing_written_means_the_defaults() -> None:
    assert parse([]) == Config()
    assert config("") == Config()


def test_everything_written_is_read() -> None:
    read = config(
        '[server]\nname = "studio"\nlibrary = "jack2"\n[client]\nname = "me"\n[daemon]\nwatch = false\n'
        '[policy]\nunmatched = "remove"\nmanual = "enforce"\n'
        '[[rule]]\nname = "r"\naction = "connect"\nfrom = "a"\nto = "b"\npair = "order"\npriority = -3\nenabled = false\n'
        'manual = "respect"\nsame_client = true\n'
        '[[bus]]\nname = "main"\ntype = "audio"\nchannels = ["L", "R"]\noutputs = 1\ngain = -6\nchannel_gains = [0, -1.5]\n'
        "mute = true\nmatrix = [[1, 0.5]]\nfade_ms = 5\n"
    )
    assert (read.server_name, read.library, read.client_name, read.watch) == ("studio", "jack2", "me", False)
    assert (read.unmatched, read.manual) == (Unmatched.REMOVE, Manual.ENFORCE)
    (rule,) = read.rules
    assert (rule.name, rule.action, rule.pair, rule.priority, rule.enabled) == ("r", Action.CONNECT, Pairing.ORDER, -3, False)
    assert (rule.manual, rule.same_client, str(rule.origin)) == (Manual.RESPECT, True, "test.toml:11")
    (bus,) = read.buses
    assert (bus.name, bus.inputs, bus.outputs, bus.gain_db, bus.mute) == ("main", ("L", "R"), ("1",), -6.0, True)
    assert (bus.channel_gains_db, bus.matrix, bus.fade_ms) == ((0.0, -1.5), ((1.0, 0.5),), 5.0)


def test_a_bus_is_stereo_and_at_unity_by_default() -> None:
    (bus,) = config(BUS).buses
    assert (bus.inputs, bus.outputs, bus.gain_db, bus.channel_gains_db) == (("1", "2"), ("1", "2"), 0.0, (0.0, 0.0))
    assert (bus.mute, bus.matrix, bus.fade_ms) == (False, None, 20.0)


def test_gain_below_silence_is_silence() -> None:
    assert [bus.gain_db for bus in config(BUS + "gain = -1e9\n[[bus]]\nname = 'b'\ngain = -inf").buses] == [-144.0, -144.0]


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
        "1.toml:1:1: unknown key \"serve\"; did you mean 'server'? known here: server, client, daemon, policy, rule, bus",
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
            '2:11: library: found "jack1"; allowed: "auto", "jack2" (did you mean "jack2"?)',
        ),
        ("[server]\nname = 'a/b'", '2:8: name: found "a/b"; allowed: at most 63 bytes, without /'),
        ("[client]\nname = ''", '2:8: name: found ""; allowed: a string, not empty, without control characters'),
        ("[client]\nname = 'a:b'", '2:8: name: found "a:b"; allowed: at most 63 bytes, without : * ? \\'),
        ("client.name = 5", "1:15: name: found 5; allowed: a string, not empty, without control characters"),
        ('[client]\nname = "a\\nb"', '2:8: name: found "a\\u000ab"; allowed: a string, not empty, without control characters'),
        (RULE + "priority = true", "5:12: priority: found true; allowed: an integer from -2147483647 to 2147483647"),
        (RULE + "priority = 1.5", "5:12: priority: found 1.5; allowed: an integer from -2147483647 to 2147483647"),
        (RULE + "enabled = 'no'", '5:11: enabled: found "no"; allowed: true, false'),
        (RULE + "pair = 'atuo'", '5:8: pair: found "atuo"; allowed: "auto", "order", "all" (did you mean "auto"?)'),
        (
            RULE + "action = 'leave'\npair = 'all'",
            "6:1: 'pair' means nothing in a rule with action = \"leave\"; leave it out",
        ),
        (BUS + "gain = nan", "3:8: gain: found nan; allowed: a number up to 20 dB"),
        (BUS + "gain = inf", "3:8: gain: found inf; allowed: a number up to 20 dB"),
        (BUS + "gain = true", "3:8: gain: found true; allowed: a number up to 20 dB"),
        (BUS + f"gain = 0x{'f' * 5000}", "3:8: gain: found a huge number; allowed: a number up to 20 dB"),
        (BUS + "gain = 2024-01-01", "3:8: gain: found a date or a time; allowed: a number up to 20 dB"),
        (BUS + "channels = 0", "3:12: channels: found 0; allowed: a number from 1 to 64, or a list of as many names"),
        (BUS + "channels = 65", "3:12: channels: found 65; allowed: a number from 1 to 64, or a list of as many names"),
        (
            BUS + "channels = []",
            "3:12: channels: found an empty list; allowed: a number from 1 to 64, or a list of as many names",
        ),
        (BUS + "outputs = true", "3:11: outputs: found true; allowed: a number from 1 to 64, or a list of as many names"),
        (BUS + "channels = ['L', 'L']", '3:18: channels: the name "L" stands there twice'),
        (BUS + "channels = ['L', 2]", "3:18: channels: found 2; allowed: names of letters (A-Z, a-z), digits, '-' and '_'"),
        (BUS + "channel_gains = [0]", "3:17: channel_gains: found 1 number; allowed: a list of 2, one for each input"),
        (BUS + "channel_gains = [0, 21]", "3:21: channel_gains: found 21; allowed: a number up to 20 dB"),
        (
            BUS + "matrix = [[1, 0]]",
            "3:10: matrix: found 1 row; allowed: 2 rows (one for each output) of 2 numbers (one for each input)",
        ),
        (
            BUS + "matrix = [[1, 0],\n  [1]]",
            "4:3: matrix: found a row of 1 number; allowed: 2 rows (one for each output) of 2 numbers (one for each input)",
        ),
        (
            BUS + "channels = 1\nmatrix = []",
            "4:10: matrix: found an empty list; allowed: 1 row (one for each output) of 1 number (one for each input)",
        ),
        (BUS + "gain = 20.0000001", "3:8: gain: found 20.0000001; allowed: a number up to 20 dB"),
        (BUS + "matrix = [[1, 0], [0, 11]]", "3:23: matrix: found 11; allowed: a number from -10 to 10"),
        (BUS + "fade_ms = -1", "3:11: fade_ms: found -1; allowed: a number from 0 to 10000 ms"),
        (BUS + "type = 'mid'", '3:8: type: found "mid"; allowed: "audio"'),
        (
            RULE + "exclusiv = true",
            '5:1: unknown key "exclusiv"; known here: name, action, from, to, pair, priority, enabled, manual, same_client',
        ),
        (BUS + "type = 'midi'", '3:8: type = "midi" is not supported by this version yet'),
        (BUS + "mute = 0", "3:8: mute: found 0; allowed: true, false"),
        ("[[bus]]\nchannels = 1", "1:1: a bus must have a name"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert problems(text) == [f"1.toml:{expected}"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("5", f"4:6: to: found 5; allowed: {FORMS}"),
        ("''", f'4:6: to: found ""; allowed: {FORMS}'),
        ("[]", f"4:6: to: found an empty list; allowed: {FORMS}, not empty"),
        ('"a\\tb"', '4:6: to: found "a\\u0009b"; allowed: a string, not empty, without control characters'),
        ("['a', 5]", f"4:12: to: found 5; allowed: {FORMS}"),
        ("['a', ['b']]", f"4:12: to: found a list; allowed: {FORMS}"),
        ("'/(/'", '4:6: not a regular expression: "/(/": missing ), unterminated subpattern at position 0'),
        ("{ port = '/[/' }", '4:15: not a regular expression: "/[/": unterminated character set at position 0'),
        (r"'a\b'", r"4:6: a\b: write \\ for a backslash, \xNN for a byte that is not UTF-8"),
        (
            "{ prt = 'x' }",
            "4:8: unknown key \"prt\"; did you mean 'port'? "
            "known here: client, port, alias, exact, type, physical, terminal, bus, channel",
        ),
        ("{ }", "4:6: an empty table means no port; allowed: client, port, alias, exact, type, physical, terminal, bus"),
        ("{ type = 'adio' }", '4:15: type: found "adio"; allowed: "audio", "midi"'),
        ("{ physical = 1 }", "4:19: physical: found 1; allowed: true, false"),
        ("{ exact = 'a' }", '4:16: exact: found "a"; allowed: a full name, "client:port"'),
        ("{ client = 5 }", "4:17: client: found 5; allowed: a string, not empty, without control characters"),
        ("{ bus = 'mian' }", '4:14: bus: found "mian"; allowed: "main" (did you mean "main"?)'),
        ("{ bus = 'main', channel = 'L' }", '4:32: channel: found "L"; allowed: "1", "2"'),
        ("{ bus = 'main', port = 'L' }", "4:22: 'port' cannot stand beside 'bus'; allowed: bus, channel"),
        ("{ channel = 'L' }", "4:8: 'channel' needs a 'bus'"),
        ("{ type = 'cv' }", '4:15: type = "cv" is not supported by this version yet'),
    ],
)
def test_a_mistake_in_a_selector_is_named_with_its_place(selector: str, expected: str) -> None:
    assert problems(f"[[rule]]\nname = 'r'\nfrom = 'a'\nto = {selector}\n" + BUS) == [f"1.toml:{expected}"]


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


_LATER = [(kind, key) for kind in ("server", "policy", "rule", "bus") for key in NOT_YET.get(kind, ())]


@pytest.mark.parametrize(("kind", "key"), _LATER)
def test_what_comes_later_is_refused_by_name(kind: str, key: str) -> None:
    before = {"rule": RULE, "bus": BUS}.get(kind, f"[{kind}]\n")
    line = before.count("\n") + 1
    assert problems(f"{before}{key} = 1") == [f"1.toml:{line}:1: '{key}' is not supported by this version yet"]


@pytest.mark.parametrize("text", ["pair = 'name'", "pair = { FL = 'AUX0' }"])
def test_pairing_that_comes_later_is_refused(text: str) -> None:
    (problem,) = problems(RULE + text)
    assert problem.startswith("1.toml:5:8: pair = ")
    assert problem.endswith("is not supported by this version yet")


def test_profiles_come_later() -> None:
    assert problems("[server]\nlibrary = 'pipewire'") == [
        '1.toml:2:11: library = "pipewire" is not supported by this version yet'
    ]
    assert problems("[[profile]]\nname = 'live'") == ["1.toml:1:1: 'profile' is not supported by this version yet"]


def test_no_key_is_both_known_and_refused() -> None:
    for kind, keys in NOT_YET.items():
        assert not set(keys) & set(KNOWN.get(kind, ())), kind


def test_buses_are_limited_together() -> None:
    many = "".join(f"[[bus]]\nname = 'b{number}'\nchannels = 1\n" for number in range(65))
    assert problems(many) == ["1.toml:193:1: found 65 buses; allowed: 64"]
    wide = "".join(f"[[bus]]\nname = 'b{number}'\nchannels = 64\noutputs = 1\n" for number in range(18))
    assert problems(wide) == ["1.toml:65:1: with this bus all buses have 1088 inputs together; allowed: 1024"]


def test_two_buses_must_not_share_a_port() -> None:
    text = "[[bus]]\nname = 'a'\nchannels = ['in_b']\n[[bus]]\nname = 'a_in'\nchannels = ['b']\n"
    (problem,) = problems(text)
    assert problem == '1.toml:5:8: both this bus and "a" (1.toml:1) would have the port "a_in_in_b"'


def test_names_of_ports_must_not_be_too_long() -> None:
    assert config(f"[[bus]]\nname = '{'a' * 248}'\nchannels = 1\n").buses
    (problem,) = problems(f"[[bus]]\nname = '{'a' * 249}'\nchannels = 1\n")
    assert problem.endswith("would have a name of 255 bytes; allowed: 254")


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


_keys = st.sampled_from([*{key for keys in (*KNOWN.values(), *NOT_YET.values()) for key in keys}, "x", "1", ""])
_scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.integers(4500, 4600).map(lambda digits: 16**digits),
    st.floats(),
    st.dates(),
    st.text(st.sampled_from("ab:*?/(){1}\\\n[é"), max_size=8),
    st.sampled_from(["connect", "forbid", "auto", "midi", "cv", "/(a)(?P<b>c)/", "{1}{b}", "main"]),
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


@given(st.lists(_documents, max_size=3))
def test_whatever_the_documents_hold_only_config_invalid_is_raised(values: list[dict[str, Any]]) -> None:
    documents = [Document(f"{number}.toml", table, {}, {}) for number, table in enumerate(values)]
    with suppress(ConfigInvalid):
        parse(documents)
