"""Sound through a bus of the daemon on a real server: every bit of it, and no frame later."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jackd_router.dbus_api.errors import INVALID_ARGS, UNKNOWN_OBJECT, CallError
from jackd_router.dbus_api.message_bus import Value
from jackd_router.dbus_api.names import ERROR_PREFIX, bus_path
from tests.daemon.conftest import StartSound
from tests.daemon.sound import MAIN
from tests.support.eventually import eventually
from tests.support.jack_client import noise
from tests.support.samples import PATTERNS, bits, random_bits

pytestmark = pytest.mark.jack2("a period that comes too late is lost on PipeWire, where JACK2 with --sync waits")

STEREO = """
[[bus]]
name = "main"
channels = ["L", "R"]
"""


def test_every_bit_comes_through_and_no_frame_later(start_sound: StartSound) -> None:
    sound = start_sound(STEREO, inputs=2, outputs=2)
    left = np.concatenate([PATTERNS.view(np.float32), random_bits(48_000, seed=1)])
    right = np.concatenate([random_bits(48_000, seed=2), PATTERNS[::-1].view(np.float32)])
    assert np.isnan(left).sum() > 100, "few patterns are worth a test"
    heard = sound.passed({"out_1": left, "out_2": right}, silence=1_000)
    assert bits(heard["in_1"]) == bits(left) + [0] * 1_000
    assert bits(heard["in_2"]) == bits(right) + [0] * 1_000


def test_impulse_comes_in_the_frame_in_which_it_is_sent(start_sound: StartSound) -> None:
    sound = start_sound(STEREO, inputs=2, outputs=2)
    for place in (0, 1, 255, 256, 1_000):
        impulse = np.zeros(2_000, np.float32)
        impulse[place] = 1
        heard = sound.passed({"out_1": impulse, "out_2": -impulse})
        assert {port: np.flatnonzero(block).tolist() for port, block in heard.items()} == {"in_1": [place], "in_2": [place]}
        assert (heard["in_1"][place], heard["in_2"][place]) == (1, -1)


def test_unity_is_exact_wherever_it_stands_in_the_matrix(start_sound: StartSound) -> None:
    sound = start_sound(STEREO + "matrix = [[0, 1], [1, 0]]\n", inputs=2, outputs=2)
    left, right = random_bits(9_600, seed=1), random_bits(9_600, seed=2)
    heard = sound.passed({"out_1": left, "out_2": right})
    assert (bits(heard["in_1"]), bits(heard["in_2"])) == (bits(right), bits(left))


def test_silence_is_exact_whatever_comes_in(start_sound: StartSound) -> None:
    sound = start_sound(STEREO + "channel_gains = [0.0, -144.0]\n", inputs=2, outputs=2)
    block = np.concatenate([PATTERNS.view(np.float32), random_bits(9_600, seed=1)])
    heard = sound.passed({"out_1": block, "out_2": block})
    assert bits(heard["in_1"]) == bits(block)
    assert not any(bits(heard["in_2"]))
    sound.remote.write("Bus.Mute", "b", True, path=MAIN)
    sound.passed({"out_1": block})  # the fade goes on meanwhile
    assert not any(bits(sound.passed({"out_1": block, "out_2": block})["in_1"]))


def test_buffer_size_changes_under_the_sound(start_sound: StartSound) -> None:
    sound = start_sound(STEREO, inputs=2, outputs=2)
    sound.pass_forever({1: random_bits(20_011, seed=1), 2: random_bits(20_011, seed=2)})
    connections = sound.connections()
    for frames in (64, 256, 32, 1024, 48):
        sound.ears.set_buffer_size(frames)
        sound.wait_frames(9_600)
        assert sound.ears.compared().differing == 0, f"after the change to {frames} frames: {sound.ears.compared()}"
        eventually(lambda frames=frames: sound.remote.read("Server.BufferSize") == frames)  # type: ignore[misc]
    assert sound.connections() == connections


MATRIX = [[1.0, 0.0], [0.0, 1.0]]
BAD_VALUES: list[tuple[str, str, Value, str]] = [
    ("Gain", "d", math.nan, "the gain of bus 'main' cannot be nan dB"),
    ("Gain", "d", math.inf, "the gain of bus 'main' cannot be inf dB"),
    ("Gain", "d", 20.001, "the gain of bus 'main' cannot be 20.001 dB: from -144 (silence) to +20"),
    ("Gain", "d", 1e308, "the gain of bus 'main' cannot be 1e+308 dB"),
    ("Gain", "s", "loud", "Gain"),
    ("ChannelGains", "ad", [0.0, math.nan], "channel gain 2 of bus 'main' cannot be nan dB"),
    ("ChannelGains", "ad", [math.inf, 0.0], "channel gain 1 of bus 'main' cannot be inf dB"),
    ("ChannelGains", "ad", [0.0, 21.0], "channel gain 2 of bus 'main' cannot be 21 dB"),
    ("ChannelGains", "ad", [0.0], "bus 'main' has 2 inputs; 1 channel gains were given"),
    ("ChannelGains", "ad", [], "bus 'main' has 2 inputs; 0 channel gains were given"),
    ("ChannelGains", "ad", [0.0] * 3, "bus 'main' has 2 inputs; 3 channel gains were given"),
    ("Matrix", "aad", [[1.0, 0.0], [math.nan, 1.0]], "the factor nan at output 2, input 1 of bus 'main'"),
    ("Matrix", "aad", [[1.0, math.inf], [0.0, 1.0]], "the factor inf at output 1, input 2 of bus 'main'"),
    ("Matrix", "aad", [[1.0, -math.inf], [0.0, 1.0]], "the factor -inf at output 1, input 2 of bus 'main'"),
    ("Matrix", "aad", [[1.0, 0.0], [0.0, 10.5]], "the factor 10.5 at output 2, input 2 of bus 'main' is not in -10 ... 10"),
    ("Matrix", "aad", [], "the matrix of bus 'main' has 2 rows (outputs) of 2 factors (inputs)"),
    ("Matrix", "aad", [[1.0, 0.0]], "the matrix of bus 'main' has 2 rows"),
    ("Matrix", "aad", [[1.0, 0.0], [1.0]], "the matrix of bus 'main' has 2 rows"),
    ("Matrix", "aad", [[1.0], [1.0]], "the matrix of bus 'main' has 2 rows"),
    ("Matrix", "aad", [[1.0, 0.0, 0.0]] * 2, "the matrix of bus 'main' has 2 rows"),
    ("Matrix", "ad", [1.0, 0.0], "Matrix"),
    ("Mute", "d", 1.0, "Mute"),
]


def test_nonsense_is_refused_and_changes_nothing(start_sound: StartSound) -> None:
    sound = start_sound(STEREO, inputs=2, outputs=2)
    sound.pass_forever({1: random_bits(20_011, seed=1), 2: random_bits(20_011, seed=2)})
    told = len(sound.remote.signals("PropertiesChanged"))
    for name, signature, value, text in BAD_VALUES:
        with pytest.raises(CallError) as refused:
            sound.remote.write(f"Bus.{name}", signature, value, path=MAIN)
        assert refused.value.name == INVALID_ARGS, (name, value)
        assert text in refused.value.text, (name, value)
    nobody = bus_path("nobody")
    for member, signature, value in (("Gain", "d", -3.0), ("Mute", "b", True), ("Matrix", "aad", MATRIX)):
        with pytest.raises(CallError) as refused:
            sound.remote.write(f"Bus.{member}", signature, value, path=nobody)
        assert (refused.value.name, nobody in refused.value.text) == (UNKNOWN_OBJECT, True)
    error = sound.remote.error("Buses.GetBus", "s", "nobody")
    assert (error.name, error.text) == (f"{ERROR_PREFIX}.NoSuchBus", "there is no bus 'nobody'; there are: main")
    values = {name: sound.remote.read(f"Bus.{name}", path=MAIN) for name in ("Gain", "Mute", "ChannelGains", "Matrix")}
    assert values == {"Gain": 0.0, "Mute": False, "ChannelGains": [0.0, 0.0], "Matrix": MATRIX}
    assert not [signal for signal in sound.remote.signals("PropertiesChanged")[told:] if signal.path == MAIN]
    sound.wait_frames(20_011)
    assert sound.ears.compared().differing == 0


def test_gain_without_limit_below_is_silence(start_sound: StartSound) -> None:
    sound = start_sound(STEREO, inputs=2, outputs=2)
    sound.remote.write("Bus.Gain", "d", -math.inf, path=MAIN)
    assert sound.remote.read("Bus.Gain", path=MAIN) == -144.0
    sound.passed({"out_1": noise(4_800)})  # the fade goes on meanwhile
    assert not any(bits(sound.passed({"out_1": noise(4_800), "out_2": noise(4_800)})["in_1"]))
