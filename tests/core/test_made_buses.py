"""Buses that are made at run time: checked as those of the files, beside which they stand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from jackd_router.core.config import BusConfig, Config, Rule
from jackd_router.core.errors import UserError
from jackd_router.core.language.effective import effective_toml
from jackd_router.core.language.made_buses import read_made_bus, with_made_buses
from jackd_router.core.language.parse_buses import bus_table
from jackd_router.core.selecting.selectors import BusSelector
from tests.core.building import config
from tests.core.parsing import BUS, RULE
from tests.core.random_configs import configs

FX = read_made_bus({"name": "fx", "channels": ["L", "R"]})
EVERY_KEY = """[[bus]]
name = "fx"
type = "audio"
channels = ["L", "R"]
outputs = ["sum"]
gain = -6.0
channel_gains = [1.0, -144.0]
mute = true
matrix = [[0.5, -0.5]]
fade_ms = 0.0
"""


def texts(found: Config) -> list[str]:
    return [str(warning) for warning in found.warnings]


@pytest.mark.parametrize("text", [EVERY_KEY, BUS, BUS + "channels = 3\noutputs = 1"])
def test_a_bus_is_made_of_what_it_is_written_as(text: str) -> None:
    (bus,) = config(text).buses
    made = read_made_bus(bus_table(bus))
    assert (made, made.origin) == (bus, None)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "a bus must have a name"),
        ({"name": "fx", "volume": 3, "gain": 21.0}, r"unknown key .*; gain: found 21\.0; allowed: a number up to 20 dB"),
        ({"name": "a_in_b", "channels": ["c"]}, r'both this bus and "a" \(test.toml:1\) would have the port "a_in_b_in_c"'),
        ({"name": "fx_in_b", "channels": ["c"]}, r'both this bus and "fx" \(made at run time\) would have the port'),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(values: dict[str, object], text: str) -> None:
    (other,) = config('[[bus]]\nname = "a"\nchannels = ["b_in_c"]').buses
    made = read_made_bus({"name": "fx", "channels": ["b_in_c"]})
    with pytest.raises(UserError, match=text):
        read_made_bus(values, (other, made))


def test_made_buses_come_after_those_of_the_files_and_rules_find_them() -> None:
    read = config(RULE.replace('"b"', '{ bus = "fx", channel = "L" }') + BUS)
    both = with_made_buses(read, [FX])
    assert [bus.name for bus in both.buses] == ["main", "fx"]
    assert len(read.warnings) == 1, "no file defines the bus"
    assert both.warnings == ()
    before, after = (each.rules[0].destinations[0] for each in (read, both))
    assert isinstance(before, BusSelector)
    assert isinstance(after, BusSelector)
    assert (sorted(before.names), sorted(after.names)) == ([], ["router:fx_in_L", "router:fx_out_L"])
    assert read.rules[0].says_the_same(both.rules[0])
    assert not read.rules[0].means_the_same(both.rules[0])
    assert '[[bus]]  # made at run time\nname = "fx"\n' in effective_toml(both)


def test_a_bus_that_no_rule_names_changes_no_rule() -> None:
    read = config(RULE.replace('"b"', '{ bus = "main" }') + BUS)
    assert read.rules[0].means_the_same(with_made_buses(read, [FX]).rules[0])
    by_group = config(RULE.replace('"a"', '"/a(.)/"').replace('"b"', '{ bus = "{1}" }') + BUS)
    assert not by_group.rules[0].means_the_same(with_made_buses(by_group, [FX]).rules[0])


def test_only_what_names_a_bus_that_is_not_there_is_warned_of() -> None:
    text = "".join(f'[[rule]]\nname = "{bus}"\nfrom = "a"\nto = {{ bus = "{bus}" }}\n' for bus in ("main", "mian", "fx", "fy"))
    read = config(text + "[[profile]]\nname = 'p'\nbus.fx.gain = 0\nbus.fy.gain = 0\n" + BUS)
    assert [warning.line for warning in read.warnings] == [8, 12, 16, 19, 20]
    assert [warning.line for warning in with_made_buses(read, [FX]).warnings] == [8, 16, 20]


def test_without_made_buses_nothing_is_another() -> None:
    read = config(RULE + BUS)
    assert with_made_buses(read, ()) is read


def test_a_bus_of_the_files_goes_first() -> None:
    read = config(BUS + '[[bus]]\nname = "fx"\ngain = -3\n')
    both = with_made_buses(read, [FX])
    assert both.buses == read.buses
    assert texts(both) == ['test.toml:3:1: this bus takes the place of the bus "fx" that was made at run time']


def many(count: int, channels: int) -> str:
    return "".join(f'[[bus]]\nname = "b{number}"\nchannels = {channels}\n' for number in range(count))


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        (many(63, 1), "", ""),
        (many(64, 1), "190:1", "found 65 buses; allowed: 64"),
        (many(15, 64) + many(1, 62).replace("b0", "last"), "", ""),
        (
            many(15, 64) + many(1, 63).replace("b0", "last"),
            "46:1",
            "with this bus all buses have 1025 inputs together; allowed: 1024; "
            "with this bus all buses have 1025 outputs together; allowed: 1024",
        ),
        (
            '[[bus]]\nname = "fx_in_x"\nchannels = ["L"]\n' + '[[bus]]\nname = "fx_in"\nchannels = ["a"]\noutputs = ["b"]\n',
            "",
            "",
        ),
    ],
)
def test_one_that_does_not_fit_is_left_out(text: str, place: str, why: str) -> None:
    read = config(text)
    both = with_made_buses(read, [FX])
    assert both.buses == ((*read.buses, FX) if not why else read.buses)
    assert texts(both) == ([f'test.toml:{place}: the bus "fx" that was made at run time is left out: {why}'] if why else [])


def test_the_next_one_may_fit() -> None:
    wide = read_made_bus({"name": "wide", "channels": 64})
    both = with_made_buses(config(many(15, 64)), [FX, wide, replace(FX, name="fx2")])
    assert [bus.name for bus in both.buses[15:]] == ["fx", "fx2"]
    alone = with_made_buses(Config(), [replace(wide, name=f"wide{number}") for number in range(17)])
    assert len(alone.buses) == 16
    assert texts(alone)[0].startswith('made at run time:0:0: the bus "wide16" that was made at run time is left out: ')


@given(configs())
def test_rules_mean_the_same_whether_a_bus_was_written_or_made(read: Config) -> None:
    rules = tuple(rule.among(()) for rule in read.rules)
    made = [replace(bus, origin=None) for bus in read.buses]
    both = with_made_buses(replace(read, buses=(), rules=rules), made)
    assert both == read
    assert all(map(Rule.means_the_same, both.rules, read.rules))
    bare: list[BusConfig] = [read_made_bus(bus_table(bus)) for bus in read.buses]
    assert bare == made
