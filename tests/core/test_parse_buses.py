"""Reading [[bus]]: values, limits, and every mistake at its place."""

from __future__ import annotations

import pytest

from jackd_router.core.language.vocabulary import KNOWN
from tests.core.building import config
from tests.core.parsing import BUS, problems

MIDI = BUS + "type = 'midi'\n"


def test_a_bus_is_stereo_and_at_unity_by_default() -> None:
    (bus,) = config(BUS).buses
    assert (bus.inputs, bus.outputs, bus.gain_db, bus.channel_gains_db) == (("1", "2"), ("1", "2"), 0.0, (0.0, 0.0))
    assert (bus.mute, bus.matrix, bus.fade_ms) == (False, None, 20.0)


def test_gain_below_silence_is_silence() -> None:
    assert [bus.gain_db for bus in config(BUS + "gain = -1e9\n[[bus]]\nname = 'b'\ngain = -inf").buses] == [-144.0, -144.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
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
        (BUS + "type = 'mid'", '3:8: type: found "mid"; allowed: "audio", "midi" (did you mean "midi"?)'),
        (BUS + "nute = true", f"3:1: unknown key \"nute\"; did you mean 'mute'? known here: {', '.join(KNOWN['bus'])}"),
        (
            BUS + "midi_channels = [1]",
            '3:1: midi_channels: a bus of the type "audio" has none; only one of the type "midi" has',
        ),
        (MIDI + "gain = 0", '4:1: gain: a bus of the type "midi" has none; only one of the type "audio" has'),
        (MIDI + "midi_channels = 0", "4:17: midi_channels: found 0; allowed: a number from 1 to 16, or a list of some"),
        (
            MIDI + "midi_channels = [1, true]",
            "4:21: midi_channels: found true; allowed: a number from 1 to 16, or a list of some",
        ),
        (
            MIDI + "midi_channels = []",
            "4:17: midi_channels: found an empty list; allowed: a number from 1 to 16, or a list of some",
        ),
        (
            MIDI + "[[profile]]\nname = 'p'\nbus.main.gain = 1",
            '6:10: gain: "main" is a bus of MIDI, which has none',
        ),
        (BUS + "mute = 0", "3:8: mute: found 0; allowed: true, false"),
        ("[[bus]]\nchannels = 1", "1:1: a bus must have a name"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert problems(text) == [f"1.toml:{expected}"]


def test_midi_channels_are_read_in_order() -> None:
    def channels(text: str) -> tuple[int, ...]:
        (bus,) = config(MIDI + text).buses
        return bus.midi_channels

    assert channels("") == tuple(range(1, 17))
    assert channels("midi_channels = 10") == (10,)
    assert channels("midi_channels = [16, 2, 2]") == (2, 16)


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
