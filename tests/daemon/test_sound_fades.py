"""Changes of gain, mute and matrix over D-Bus while sound passes: as smooth as they are long, and exact at their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pytest

from jackd_router.core.mix import amplitude
from jackd_router.dbus_api.message_bus import Value
from tests.daemon.conftest import StartSound
from tests.daemon.sound import MAIN, Sound, constant
from tests.support.eventually import eventually
from tests.support.jack_client import Samples

pytestmark = pytest.mark.jack2("a period that comes too late is lost on PipeWire, where JACK2 with --sync waits")

RATE_HZ = 48_000
MOST_FRAMES = 480_000
"""Of a recording that is ended when what it is for has happened."""


def bus(fade_ms: float, more: str = "") -> str:
    return f'[[bus]]\nname = "main"\nchannels = ["L", "R"]\nfade_ms = {fade_ms}\n{more}'


def recorded(sound: Sound, change: Callable[[], None], frames: int) -> Mapping[str, Samples]:
    """Give what was heard from before a change until so many frames after it was done."""
    sound.ears.begin({}, ["in_1", "in_2"], MOST_FRAMES)
    eventually(sound.ears.passed)
    change()
    sound.wait_for_plan()
    return sound.ears.finish(more=frames).channels


def assert_fade(heard: Samples, before: float, after: float, fade_frames: int) -> None:
    """Check that a constant goes from one value to the other in so many equal steps."""
    first, last = np.float32(before), np.float32(after)
    (changed,) = np.nonzero(heard != first)
    (arrived,) = np.nonzero(heard == last)
    assert changed.size
    assert arrived.size, f"{after} was never reached; last: {heard[-1]}"
    assert changed[0] > 0, "the change came before the recording"
    assert arrived[0] - changed[0] == fade_frames - 1
    assert (heard[arrived[0] :] == last).all()
    steps = np.abs(np.diff(heard[changed[0] - 1 : arrived[0] + 1].astype(np.float64)))
    # Each frame is rounded once, by up to half an ulp: one between two frames.
    ulp = float(np.spacing(max(abs(first), abs(last))))
    assert steps.max() <= abs(float(last) - float(first)) / fade_frames + ulp


@pytest.mark.parametrize("fade_ms", [20, 5, 100])
def test_gain_fades_in_equal_steps_to_its_exact_target(start_sound: StartSound, fade_ms: int) -> None:
    sound = start_sound(bus(fade_ms), inputs=2, outputs=2)
    sound.mouth.play_forever({"out_1": constant(1), "out_2": constant(-0.5)})
    sound.wait_until_heard({"in_1": 1, "in_2": -0.5})
    fade_frames = fade_ms * RATE_HZ // 1000
    before = 0.0
    for gain in (-20.0, -0.1, -144.0, 6.0, -60.0, 20.0, 0.0):
        heard = recorded(sound, partial(sound.remote.write, "Bus.Gain", "d", gain, path=MAIN), fade_frames + 1_000)
        one, other = amplitude(before), amplitude(gain)
        assert_fade(heard["in_1"], one, other, fade_frames)
        assert_fade(heard["in_2"], one * -0.5, other * -0.5, fade_frames)
        before = gain


def test_mute_and_trims_fade(start_sound: StartSound) -> None:
    sound = start_sound(bus(20, "gain = -6.0\n"), inputs=2, outputs=2)
    sound.mouth.play_forever({"out_1": constant(1), "out_2": constant(1)})
    level, trimmed = amplitude(-6.0), amplitude(-18.0)
    sound.wait_until_heard({"in_1": level, "in_2": level})
    changes: list[tuple[str, str, Value, tuple[float, float], tuple[float, float]]] = [
        ("Mute", "b", True, (level, level), (0, 0)),
        ("Mute", "b", False, (0, 0), (level, level)),
        ("ChannelGains", "ad", [-12.0, 0.0], (level, level), (trimmed, level)),
        ("Mute", "b", True, (trimmed, level), (0, 0)),
        ("Mute", "b", False, (0, 0), (trimmed, level)),
    ]
    for name, signature, value, before, after in changes:
        heard = recorded(sound, partial(sound.remote.write, f"Bus.{name}", signature, value, path=MAIN), 2_000)
        for port, one, other in zip(("in_1", "in_2"), before, after, strict=True):
            if one == other:
                assert (heard[port] == np.float32(one)).all()
            else:
                assert_fade(heard[port], one, other, 960)


def test_matrix_fades_also_through_cells_that_are_new(start_sound: StartSound) -> None:
    sound = start_sound(bus(20), inputs=2, outputs=2)
    sound.mouth.play_forever({"out_1": constant(1), "out_2": constant(0.25)})
    sound.wait_until_heard({"in_1": 1, "in_2": 0.25})
    changes: list[tuple[list[list[float]], float, float]] = [
        ([[-1, 0], [0, 1]], -1, 0.25),  # inverted
        ([[0.5, 0], [0, 1]], 0.5, 0.25),
        ([[0, 0], [0, 1]], 0, 0.25),
        ([[0, 1], [0, 1]], 0.25, 0.25),  # new to the plan, alone
        ([[0, 1], [2, 1]], 0.25, 2.25),  # new to the plan, beside another one
        ([[0, 0], [0, 1]], 0, 0.25),
        ([[0, -3], [0, 1]], -0.75, 0.25),  # not new any more
        ([[1, 0], [0, 1]], 1, 0.25),
        ([[0, 1], [1, 0]], 0.25, 1),  # two cells of each output at once
    ]
    one, other = 1.0, 0.25
    for matrix, first, second in changes:
        heard = recorded(sound, partial(sound.remote.write, "Bus.Matrix", "aad", matrix, path=MAIN), 2_000)
        for port, before, after in (("in_1", one, first), ("in_2", other, second)):
            if before == after:
                assert (heard[port] == np.float32(before)).all()
            else:
                assert_fade(heard[port], before, after, 960)
        one, other = first, second


def test_fade_that_is_turned_goes_on_from_where_it_is(start_sound: StartSound) -> None:
    sound = start_sound(bus(100), inputs=2, outputs=2)
    sound.mouth.play_forever({"out_1": constant(1), "out_2": constant(1)})
    sound.wait_until_heard({"in_1": 1, "in_2": 1})

    def toggle() -> None:
        for turn in range(200):
            sound.remote.write("Bus.Mute", "b", turn % 2 == 0, path=MAIN)

    heard = recorded(sound, toggle, 6_000)["in_1"].astype(np.float64)
    assert np.abs(np.diff(heard)).max() <= 1 / 4_800 + float(np.spacing(np.float32(1)))
    assert heard[-1] == 1
    assert heard.min() < 1, "nothing was changed at all"
