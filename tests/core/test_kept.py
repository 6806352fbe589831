"""The state file as text: it reads back as what it was, and whatever else it holds harms nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.bus_values import BusValues, KeptValues
from jackd_router.core.config import BusConfig
from jackd_router.core.graph import Connection, PortName
from jackd_router.core.kept import Contested, Kept, ServerRun, kept_as_json, newest, parse_kept
from tests.core.random_configs import configs

PAIR = ["synth:out", r"caf\xe9:in \\ 1"]
VALUES = {"gain": -6.0, "mute": False, "channel_gains": [0, 0.5], "matrix": [[1.0, 0]]}
FILE: dict[str, Any] = {
    "layout": 2,
    "profile": "live",
    "rules": {"to speakers": {"enabled": False, "configured": True}},
    "buses": {"main": {"set": VALUES | {"gain": -12.5}, "configured": VALUES}},
    "made": [{"name": "fx", "channels": ["L", "R"], "gain": -6}],
    "server_run": "boot 7 1234 5 6",
    "owned": [[*PAIR, "to speakers"]],
    "held": [PAIR],
    "kept": [["a:b", "c:d"]],
    "contested": [[*PAIR, 3, 1_800_000_000_000_000]],
}
CAFE = Connection(PortName("synth:out"), PortName("caf\udce9:in \\ 1"))
VALUE = BusValues(-6.0, False, (0.0, 0.5), ((1.0, 0.0),))


def parsed(**changed: Any) -> Kept:
    kept, remarks = parse_kept(json.dumps(FILE | changed))
    assert remarks == ()
    return kept


def test_everything() -> None:
    assert parsed() == Kept(
        profile="live",
        rules={"to speakers": {"enabled": False, "configured": True}},
        buses={"main": KeptValues(BusValues(-12.5, False, (0.0, 0.5), ((1.0, 0.0),)), VALUE)},
        made={"fx": BusConfig("fx", ("L", "R"), ("L", "R"), gain_db=-6.0, channel_gains_db=(0.0, 0.0))},
        run=ServerRun(
            "boot 7 1234 5 6",
            owned={CAFE: "to speakers"},
            held=(CAFE,),
            kept=(Connection(PortName("a:b"), PortName("c:d")),),
            contested={CAFE: Contested(3, 1_800_000_000_000_000)},
        ),
    )


def test_a_file_of_the_first_layout_is_taken_over() -> None:
    file = {"layout": 1, "rules": FILE["rules"], "buses": FILE["buses"]}
    kept, remarks = parse_kept(json.dumps(file))
    assert (kept.rules, kept.buses, remarks) == (parsed().rules, parsed().buses, ())
    assert (kept.profile, kept.made, kept.run) == ("default", {}, None)


def test_keys_that_nobody_knows_are_left_out() -> None:
    assert parsed(later={"x": [1e999]}) == parsed()
    assert parsed(rules={"r": {"enabled": True, "configured": False, "since": 7}}).rules == {
        "r": {"enabled": True, "configured": False}
    }


def test_without_a_server_run() -> None:
    kept, _ = parse_kept(json.dumps({key: FILE[key] for key in ("layout", "profile", "rules", "buses")}))
    assert kept.run is None


DAMAGES: dict[str, Any] = {
    "layout": [None, 0, 3, "2", True, -1, 2.0, 10**400],
    "profile": [None, 7, "\ud800"],
    "rules": [[], {"r": 7}, {"r": {"enabled": True}}, {"r": {"enabled": 1, "configured": True}}, {"\udfff": {}}],
    "buses": [[], 7, None],
    "made": [None, {}, [7], ["fx"]],
    "server_run": [7, None],
    "owned": [{}, [7], [PAIR], [[*PAIR, 7]], [["a", r"\x", "r"]], [["a", "\ud800", "r"]], [[*PAIR, "r", "r"]]],
    "held": [None, [[]], [["a"]], [["a", None]]],
    "kept": ["text", [["a", 1]]],
    "contested": [[[*PAIR, 1]], [[*PAIR, -1, 5]], [[*PAIR, True, 5]], [[*PAIR, 1, 1.5]], [[*PAIR, 1, 2**63]]],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in DAMAGES.items() for value in values])
def test_what_is_none_of_ours_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        parse_kept(json.dumps(FILE | {key: value}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "9" * 5000, "[" * 100_000, '{"layout": 2}'])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        parse_kept(text)


@pytest.mark.parametrize(
    "values",
    [
        VALUES | {"gain": 1e9},
        VALUES | {"gain": "loud"},
        VALUES | {"gain": 10**400},
        VALUES | {"gain": True},
        VALUES | {"mute": 1},
        VALUES | {"channel_gains": [0]},
        VALUES | {"matrix": "none"},
        VALUES | {"matrix": [[float("nan"), 1]]},
        VALUES | {"matrix": [[1, 0], [0, 1]]},
        {"gain": 1.0},
        [],
    ],
)
def test_of_one_bus_that_is_of_no_use_the_rest_knows_nothing(values: Any) -> None:
    good = FILE["buses"]["main"]
    kept, (remark,) = parse_kept(json.dumps(FILE | {"buses": {"odd": {"set": values, "configured": VALUES}, "main": good}}))
    assert "'odd'" in remark
    assert kept == parsed()


@pytest.mark.parametrize("bus", [{}, {"name": 7}, {"name": "\ud800"}, {"name": "b", "gain": 1e999}, {"name": "b", "later": 1}])
def test_of_one_made_bus_that_is_of_no_use_the_rest_knows_nothing(bus: Any) -> None:
    kept, (remark,) = parse_kept(json.dumps(FILE | {"made": [bus, *FILE["made"]]}))
    assert remark.startswith("a bus that was made at run time is of no use: ")
    remark.encode()
    assert kept == parsed()


_names = st.text(st.characters(codec="utf-8"), max_size=8)
_bytes = st.binary(max_size=8).map(lambda octets: PortName(octets.decode("utf-8", "surrogateescape")))
_pairs = st.builds(Connection, _bytes, _bytes)
_gains = st.floats(-144.0, 20.0)


@st.composite
def _kept_values(draw: st.DrawFn) -> KeptValues:
    outputs, inputs = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    rows = st.tuples(*[st.tuples(*[st.floats(-10.0, 10.0)] * inputs)] * outputs)
    values = st.builds(BusValues, _gains, st.booleans(), st.tuples(*[_gains] * inputs), rows)
    return KeptValues(draw(values), draw(values))


_switches = st.fixed_dictionaries({"enabled": st.booleans(), "configured": st.booleans()})
_runs = st.builds(
    ServerRun,
    _names,
    owned=st.dictionaries(_pairs, _names, max_size=4),
    held=st.lists(_pairs, max_size=3).map(tuple),
    kept=st.lists(_pairs, max_size=3).map(tuple),
    contested=st.dictionaries(_pairs, st.builds(Contested, st.integers(0, 99), st.integers(0, 2**63 - 1)), max_size=3),
)


@given(
    st.builds(
        Kept,
        _names,
        rules=st.dictionaries(_names, _switches, max_size=3),
        buses=st.dictionaries(_names, _kept_values(), max_size=3),
        made=configs().map(lambda config: {bus.name: bus for bus in config.buses}),
        run=st.none() | _runs,
    )
)
def test_what_is_written_reads_back(kept: Kept) -> None:
    assert parse_kept("".join(kept_as_json(kept))) == (kept, ())


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["synth:out", r"\x", r"\xe9"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["main", "set", *FILE, *VALUES]), inner, max_size=4)
    ),
    max_leaves=12,
)
_files = st.fixed_dictionaries(
    {}, optional={key: _json | st.just(FILE[key]) for key in FILE} | {"layout": st.sampled_from([1, 2])}
)


@given(_json | _files)
def test_whatever_json_the_file_holds_it_is_read_or_refused(value: Any) -> None:
    with suppress(ValueError):
        kept, _ = parse_kept(json.dumps(value))
        assert parse_kept("".join(kept_as_json(kept))) == (kept, ())


def test_a_copy_stays_when_what_it_was_made_of_changes() -> None:
    owned = {CAFE: "r"}
    held: dict[Connection, int] = {CAFE: 1}
    kept = Kept(rules={"r": {"enabled": True, "configured": True}}, run=ServerRun("run", owned=owned, held=held.keys()))
    copy = kept.copy()
    owned.clear()
    held.clear()
    kept.rules["r"]["enabled"] = False
    assert copy == Kept(rules={"r": {"enabled": True, "configured": True}}, run=ServerRun("run", {CAFE: "r"}, (CAFE,)))


OTHER = Connection(PortName("a:b"), PortName("c:d"))
THIRD = Connection(PortName("e:f"), PortName("g:h"))
PAIRS = st.dictionaries(st.sampled_from([CAFE, OTHER, THIRD]), st.sampled_from(["r", "s"]))
RUNS = st.none() | st.builds(ServerRun, st.sampled_from(["one", "two"]), owned=PAIRS)


@given(st.lists(RUNS, min_size=1, max_size=2), RUNS.filter(bool))
def test_what_came_since_makes_any_earlier_one_whole(earlier: list[ServerRun | None], now: ServerRun) -> None:
    told = now.since(earlier)
    (through_json, _) = parse_kept("".join(kept_as_json(Kept(run=told, serial=2))))
    for run in earlier:
        whole = newest(Kept(run=run, serial=1), through_json).run
        assert whole is not None
        assert (whole.server_run, dict(whole.owned), whole.disowned) == (now.server_run, dict(now.owned), ())
