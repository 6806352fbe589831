"""Snapshots as files: they read back as what they were, as configurations they mean the same, and nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jackd_router.core.deciding.matcher import Verdict
from jackd_router.core.errors import ConfigInvalid, UserError
from jackd_router.core.graph import Connection, PortName
from jackd_router.core.language.snapshots import read_snapshot, snapshot_toml
from jackd_router.core.snapshot import (
    Snapshot,
    check_description,
    check_name,
    in_order,
    of_absent_clients,
    with_clients_swapped,
)
from jackd_router.runtime.config_files import read_document
from tests.core.building import config, connection, destination, matcher, source

CREATED_USEC = 1_777_665_600_000_000
ONE = """\
[[rule]]
name = "a"
from = { exact = "a:out" }
to = { exact = "b:in" }
"""


def read(text: str) -> Snapshot:
    """Give the snapshot in a file called evening.toml."""
    return read_snapshot(read_document("evening.toml", text.encode()))


def problems(text: str) -> list[str]:
    """Give what is wrong with it."""
    with pytest.raises(ConfigInvalid) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


# ---- the file


def test_what_people_read() -> None:
    pairs = ["synth:out_10 -> b:in", "synth:out_2 -> system:playback_1", "synth:out_2 -> synth:in", "a:out -> b:in"]
    text = snapshot_toml(Snapshot(tuple(map(connection, pairs)), "on the stage", CREATED_USEC))
    assert text.split("\n", 2)[2] == (
        '[snapshot]\ncreated = 2026-05-01T20:00:00Z\ndescription = "on the stage"\n'
        '\n[[rule]]\nname = "a:out"\nfrom = { exact = "a:out" }\nto = { exact = "b:in" }\n'
        '\n[[rule]]\nname = "synth:out_2"\nfrom = { exact = "synth:out_2" }\n'
        'to = [\n  { exact = "synth:in" },\n  { exact = "system:playback_1" },\n]\nsame_client = true\n'
        '\n[[rule]]\nname = "synth:out_10"\nfrom = { exact = "synth:out_10" }\nto = { exact = "b:in" }\n'
    )


_BYTES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@st.composite
def port_names(draw: st.DrawFn) -> PortName:
    """Give a name as JACK has them: any bytes, a colon between client and port."""
    client, port = (draw(_BYTES) for _ in range(2))
    return PortName((client.replace(b":", b".") + b":" + port).decode("utf-8", "surrogateescape"))


def odd(source: str, end: str) -> list[Connection]:
    """Give one connection of ports whose names need care."""
    return [Connection(PortName(source), PortName(end))]


@given(st.lists(st.builds(Connection, port_names(), port_names()), max_size=6, unique=True))
@example(odd('a "quoted" client:out\\1', "it's:'''"))
@example(odd("Gerät:größe \U0001f3b9", "\udcff\udcfe:\udc80"))
@example(odd("{1}:*?[x]", "/regex/:\x7f\x1f\x85"))
@example(odd("n" * 63 + ":" + "x" * 190, "\udcff" * 63 + ":" + "\udcfe" * 190))
@example(odd(" :  ", "a::b:c"))
@example(odd(r"a\x41:\\", "\u202e:\ufeff"))
def test_every_name_survives(pairs: list[Connection]) -> None:
    before = Snapshot(in_order(pairs), "", CREATED_USEC)
    text = snapshot_toml(before)
    assert read(text) == before


@given(st.lists(st.builds(Connection, port_names(), port_names()), max_size=5, unique=True))
def test_as_a_configuration_it_wants_the_same(pairs: list[Connection]) -> None:
    ends = {pair.source for pair in pairs}, {pair.destination for pair in pairs}
    if ends[0] & ends[1]:
        return  # no port is both
    rules = config(snapshot_toml(Snapshot(tuple(pairs))))
    assert rules.warnings == ()
    there = matcher(rules, [*map(source, ends[0]), *map(destination, ends[1])], client_name=rules.client_name)
    wanted = {Connection(a, b) for a in ends[0] for b in ends[1] if there.decide(Connection(a, b)).verdict is Verdict.WANTED}
    assert wanted == set(pairs)


@given(st.text().filter(str.isprintable), st.integers(1, 4_000_000_000_000_000))
def test_what_is_told_of_it_survives(description: str, created_usec: int) -> None:
    before = Snapshot((), description, created_usec)
    assert read(snapshot_toml(before)) == before


def test_one_that_a_person_wrote() -> None:
    text = '[[rule]]\nname = "r"\nfrom = [{ exact = "a:1" }, { exact = "a:2" }]\nto = [{ exact = "b:1" }, { exact = "b:2" }]\n'
    (problem,) = problems(text)
    assert problem.startswith('evening.toml:1:1: rule "r": a snapshot has rules of exact names alone')
    four = read(text + 'pair = "all"\nallow_feedback = true\n')
    assert four == Snapshot(tuple(connection(f"a:{a} -> b:{b}") for a in (1, 2) for b in (1, 2)))
    assert read(ONE + ONE.replace('"a"', '"again"')).connections == (connection("a:out -> b:in"),)


@pytest.mark.parametrize(
    "more",
    [
        'action = "forbid"',
        "enabled = false",
        'via = "c"',
        'when.present = "c"',
        'pair = "order"',
        "priority = 1",
        "complete = true",
    ],
)
def test_a_rule_that_says_more_is_none_of_a_snapshot(more: str) -> None:
    (problem,) = problems(ONE + more)
    assert problem.startswith('evening.toml:1:1: rule "a": a snapshot has rules of exact names alone')


@pytest.mark.parametrize("selector", ['"a:*"', '{ exact = "a:out", physical = true }', "'/a:out/'", '{ bus = "main" }'])
def test_a_selector_that_is_no_name_is_none_of_a_snapshot(selector: str) -> None:
    assert len(problems(ONE.replace('{ exact = "a:out" }', selector))) == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing\n", "1:1: the file is empty"),
        ("[[rule]\n", "1:7: Expected"),
        ('[snapshot]\ncreated = "today"\n', '2:11: created: found "today"; allowed: a date and a time with its offset'),
        ("[snapshot]\ncreated = 2026-05-01T20:00:00\n", "2:11: created: found a date or a time; allowed"),
        ("[snapshot]\ndescription = 1\n", "2:15: description: found 1"),
        ("[snapshot]\nsize = 1\n", "2:1: unknown key"),
        (ONE + '[[bus]]\nname = "main"\n', "5:1: [bus] is not part of a snapshot"),
        (ONE + '[policy]\nunmatched = "remove"\n', "5:1: [policy] is not part of a snapshot"),
    ],
)
def test_another_file_is_told_as_such(text: str, where: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"evening.toml:{where}"), problem


def test_a_moment_before_the_epoch() -> None:
    assert read("[snapshot]\ncreated = 0001-01-01T00:00:00+14:00\n").created_usec == 0


# ---- what a name may be


@pytest.mark.parametrize("name", ["evening", "FX return (2)", "Gerät '1'", "-x", "a..b", "*", "ü" * 100, "a:b", "~"])
def test_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "../up", "a/b", "/a", "a\\b", "a\0b", "a\nb", " a", "a ", "\udcff", "\u202e", "ü" * 101]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of a snapshot"):
        check_name(name)


def test_a_description() -> None:
    check_description("ü" * 320)
    for text in ("ü" * 321, "two\nlines"):
        with pytest.raises(UserError, match="at most 320 characters"):
            check_description(text)


# ---- who is not there


def test_only_what_belongs_to_an_absent_client_is_kept() -> None:
    pairs = list(map(connection, ["a:1 -> b:1", "a:gone -> b:1", "c:1 -> b:1", "a:1 -> d:1"]))
    assert list(of_absent_clients(pairs, {"a", "b"})) == pairs[2:]
    assert list(of_absent_clients(pairs, set())) == pairs


def test_our_own_client_by_its_two_names() -> None:
    before = connection("router-01:main_out_L -> router:in")
    swapped = with_clients_swapped(before, "router", "router-01")
    assert swapped == connection("router:main_out_L -> router-01:in")
    assert with_clients_swapped(swapped, "router", "router-01") == before
    assert with_clients_swapped(before, "router", "router") == before
