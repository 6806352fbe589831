"""How buses become cells and gains."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.config import BusConfig, BusType
from jackd_router.core.mix import Cell, CellKey, CellSlot, Start, Strip, amplitude, bus_passages, cells, identity, strip_of

STEREO = Strip("main", ("L", "R"), ("L", "R"), 0.0, (0.0, 0.0), False, identity(2, 2), 20.0)
BUSES = {"main": 1, "sum": 0}
MONO_SUM = Strip("sum", ("1", "2", "3"), ("out",), -6.0, (0.0, 6.0, -200.0), False, ((1.0, -0.5, 1.0),), 0.0)


@pytest.mark.parametrize(("gain_db", "trim_db"), [(-144.0, 6.0), (6.0, -144.0), (-200.0, 20.0)])
def test_silence_stays_silence_whatever_is_added(gain_db: float, trim_db: float) -> None:
    strip = replace(MONO_SUM, gain_db=gain_db, channel_gains_db=(trim_db,) * len(MONO_SUM.inputs))
    assert set(dict(strip.gains()).values()) == {0.0}


@given(st.floats(-143.9, 20.0))
def test_amplitude_is_the_inverse_of_decibels(gain_db: float) -> None:
    assert 20 * math.log10(amplitude(gain_db)) == pytest.approx(gain_db, abs=1e-9)


def test_amplitude_is_exact_where_it_matters() -> None:
    assert amplitude(0.0) == 1.0
    assert [amplitude(gain_db) for gain_db in (-144.0, -144.1, -1e9, -math.inf)] == [0.0] * 4
    assert amplitude(-143.9) > 0


@given(st.floats(-200, 20), st.floats(-200, 20))
def test_amplitude_grows_with_the_gain(one: float, other: float) -> None:
    assert (amplitude(one) <= amplitude(other)) or one > other


def test_identity_leads_each_input_to_its_output() -> None:
    assert identity(2, 2) == ((1.0, 0.0), (0.0, 1.0))
    assert identity(2, 3) == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    assert identity(3, 1) == ((1.0,), (0.0,), (0.0,))


def test_ports_are_named_after_bus_and_channel() -> None:
    assert MONO_SUM.input_ports() == ["sum_in_1", "sum_in_2", "sum_in_3"]
    assert MONO_SUM.output_ports() == ["sum_out_out"]


def test_gains_fold_everything_that_is_set() -> None:
    gains = dict(MONO_SUM.gains())
    assert gains == {
        CellKey("sum_out_out", "sum_in_1"): pytest.approx(0.501187),
        CellKey("sum_out_out", "sum_in_2"): pytest.approx(-0.5),
        CellKey("sum_out_out", "sum_in_3"): 0.0,
    }
    assert dict(STEREO.gains()) == {
        CellKey("main_out_L", "main_in_L"): 1.0,
        CellKey("main_out_L", "main_in_R"): 0.0,
        CellKey("main_out_R", "main_in_L"): 0.0,
        CellKey("main_out_R", "main_in_R"): 1.0,
    }


def test_mute_is_zero_everywhere() -> None:
    assert set(dict(replace(MONO_SUM, mute=True).gains()).values()) == {0.0}


def test_bus_of_midi_has_channels_and_no_cells() -> None:
    midi = strip_of(BusConfig("keys", ("1",), ("1",), type=BusType.MIDI, gain_db=6.0, midi_channels=(1, 10, 16)))
    assert midi.open_channels == 0b1000_0010_0000_0001
    assert replace(midi, mute=True).open_channels == 0
    assert STEREO.open_channels == 0
    assert list(midi.gains()) == []
    assert list(bus_passages([midi, STEREO], "router")) == list(bus_passages([STEREO], "router"))


def test_gain_of_trims_and_bus_together_is_silence_only_below_minus_144() -> None:
    quiet = replace(STEREO, gain_db=-80.0, channel_gains_db=(-64.0, -63.9))
    gains = dict(quiet.gains())
    assert gains[CellKey("main_out_L", "main_in_L")] == 0.0
    assert gains[CellKey("main_out_R", "main_in_R")] > 0.0


def test_cells_count_ports_over_all_buses() -> None:
    slots = {
        CellKey("main_out_L", "main_in_L"): CellSlot(4, 1, Start.AT_TARGET),
        CellKey("main_out_R", "main_in_R"): CellSlot(0, 2, Start.AT_TARGET),
        CellKey("sum_out_out", "sum_in_3"): CellSlot(7, 2, Start.FROM_SILENCE),
    }
    assert cells([STEREO, MONO_SUM], slots, BUSES, 48_000) == [
        Cell(input=0, output=0, slot=4, bus=1, fade_frames=960, start=0, owner=1),
        Cell(input=1, output=1, slot=0, bus=1, fade_frames=960, start=0, owner=2),
        Cell(input=4, output=2, slot=7, bus=0, fade_frames=1, start=1, owner=2),
    ]
    assert [cell[:3] for cell in cells([MONO_SUM, STEREO], slots, BUSES, 48_000)] == [(2, 0, 7), (3, 1, 4), (4, 2, 0)]


@pytest.mark.parametrize(
    ("fade_ms", "sample_rate_hz", "frames"), [(20.0, 44_100, 882), (0.0, 48_000, 1), (0.001, 48_000, 1), (10.0, 96_000, 960)]
)
def test_fade_is_counted_in_frames(fade_ms: float, sample_rate_hz: int, frames: int) -> None:
    slots = {CellKey("main_out_L", "main_in_L"): CellSlot(0, 1, Start.AT_TARGET)}
    assert cells([replace(STEREO, fade_ms=fade_ms)], slots, BUSES, sample_rate_hz)[0].fade_frames == frames


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=5))
def test_cells_of_all_buses_are_apart_and_inside(shapes: list[tuple[int, int]]) -> None:
    strips = [
        Strip(
            f"bus{number}",
            tuple(map(str, range(inputs))),
            tuple(map(str, range(outputs))),
            0.0,
            (0.0,) * inputs,
            False,
            tuple((1.0,) * inputs for _ in range(outputs)),
            20.0,
        )
        for number, (inputs, outputs) in enumerate(shapes)
    ]
    keys = [key for strip in strips for key, _ in strip.gains()]
    slots = {key: CellSlot(slot, 1, Start.AT_TARGET) for slot, key in enumerate(keys)}
    found = cells(strips, slots, {strip.name: 0 for strip in strips}, 48_000)
    assert len(found) == len(keys) == len({(cell.input, cell.output) for cell in found})
    assert [cell.output for cell in found] == sorted(cell.output for cell in found)
    assert {cell.input for cell in found} == set(range(sum(inputs for inputs, _ in shapes)))
    assert {cell.output for cell in found} == set(range(sum(outputs for _, outputs in shapes)))
