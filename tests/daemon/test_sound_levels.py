"""Levels of buses over D-Bus, of sound that is known to the last bit."""

from __future__ import annotations

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jackd_router.core.mix import amplitude
from tests.daemon.conftest import OpenRemote, StartSound
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.daemon.sound import Sound, constant
from tests.support.eventually import eventually
from tests.support.jack_client import Samples, noise
from tests.support.samples import bits

MONO = """
[[bus]]
name = "main"
channels = 1
fade_ms = 1
"""
SILENCE_DBFS, OVER_DBFS = -200.0, 200.0
WINDOWS_KEPT_FRAMES = 64 * 512
"""The kernel keeps 64 windows; with periods of 256 frames each is of 512."""


def dbfs(value: float) -> float:
    return 20 * math.log10(value)


def levels(remote: Remote, bus: str = "main") -> list[tuple[float, float]]:
    """Give (peak, rms) of each port."""
    return [(peak, rms) for peak, rms in remote.call("Buses.GetLevels", "a{sv}", NO_OPTIONS)[bus]]


def peaks(remote: Remote) -> list[float]:
    return [peak for peak, _ in levels(remote)]


def powers(remote: Remote) -> list[float]:
    return [rms for _, rms in levels(remote)]


def with_at(block: Samples, **places: float) -> Samples:
    """Give a copy with other values at frames: `_7=0.5`."""
    copy = block.copy()
    for place, value in places.items():
        copy[int(place[1:])] = value
    return copy


def play_once(sound: Sound, block: Samples) -> None:
    """Let a block pass, and silence until its last window is closed.

    Again where it was not heard: PipeWire loses a period that a client plays too late.
    """
    eventually(lambda: np.abs(sound.passed({"out_1": block}, silence=1_024)["in_1"]).max() == np.abs(block).max())


@pytest.mark.parametrize("gain_db", [0.0, -6.0, 20.0])
def test_peak_is_exactly_that_of_the_signal(start_sound: StartSound, gain_db: float) -> None:
    sound = start_sound(MONO + f"gain = {gain_db}\n")
    gain = np.float32(amplitude(gain_db))
    for value in (1.0, -0.7, 3.0, 1e-6, -1e-3):
        block = with_at(noise(500) * np.float32(abs(value) / 2), _123=value)
        sound.mouth.play_forever({"out_1": block})
        peak = np.float32(abs(value))
        eventually(lambda peak=peak: peaks(sound.remote) == [dbfs(float(peak)), dbfs(float(peak * gain))])  # type: ignore[misc]
    sound.mouth.play_forever({})
    eventually(lambda: levels(sound.remote) == [(SILENCE_DBFS, SILENCE_DBFS)] * 2)


def test_rms_is_that_of_the_signal(start_sound: StartSound) -> None:
    sound = start_sound(MONO + "matrix = [[-0.5]]\n")
    sine = (0.5 * np.sin(2 * np.pi * np.arange(48) / 48)).astype(np.float32)
    square = np.resize(np.array([0.5, -0.5], np.float32), 48)
    for block, rms in ((sine, dbfs(math.sqrt(0.125))), (square, dbfs(0.5))):
        sound.mouth.play_forever({"out_1": block})
        # 300 ms are not a whole number of periods of the sine.
        wanted = pytest.approx([rms, rms + dbfs(0.5)], abs=0.01)
        eventually(lambda wanted=wanted: powers(sound.remote) == wanted)  # type: ignore[misc]


def test_rms_is_of_the_last_300_ms(start_sound: StartSound) -> None:
    sound = start_sound(MONO)
    sound.passed({"out_1": constant(0, 16_000)})
    # 100 ms of sound in 300: wherever the 300 ms begin, 100 ms of sound are in them, and at most a window more.
    sound.mouth.play_forever({"out_1": np.concatenate([constant(1, 4_800), constant(0, 9_600)])})
    least, most = dbfs(math.sqrt(4_800 / (14_400 + 512))), dbfs(math.sqrt((4_800 + 1_024) / (14_400 + 512)))
    eventually(lambda: powers(sound.remote)[0] >= least)
    for _ in range(50):
        assert least <= powers(sound.remote)[0] <= most
    # Of 340 ms of silence nothing is left that sounded before, and of 340 ms of sound nothing that was silent.
    sound.mouth.play_forever({"out_1": np.concatenate([constant(1, 16_320), constant(0, 16_320)])})
    eventually(lambda: powers(sound.remote)[0] == SILENCE_DBFS)
    eventually(lambda: powers(sound.remote)[0] == 0)


def test_no_caller_takes_a_peak_from_another(start_sound: StartSound, open_remote: OpenRemote) -> None:
    sound = start_sound(MONO)
    one, other = open_remote(), open_remote()
    assert peaks(one) == peaks(other) == [SILENCE_DBFS] * 2
    play_once(sound, with_at(constant(0), _100=0.5))
    assert peaks(one) == [dbfs(0.5)] * 2
    play_once(sound, with_at(constant(0), _100=0.25))
    assert peaks(one) == [dbfs(0.25)] * 2
    assert peaks(one) == [SILENCE_DBFS] * 2
    assert peaks(other) == [dbfs(0.5)] * 2, "the highest since its own last call"
    assert peaks(other) == [SILENCE_DBFS] * 2
    play_once(sound, with_at(constant(0), _100=-0.125))
    assert peaks(other) == peaks(one) == [dbfs(0.125)] * 2


def test_caller_that_asks_seldom_misses_no_peak(start_sound: StartSound, open_remote: OpenRemote) -> None:
    sound = start_sound(MONO)
    seldom, first_time = open_remote(), open_remote()
    peaks(seldom)
    play_once(sound, with_at(constant(0), _100=0.5))
    # Nobody asks meanwhile.
    sound.passed({"out_1": constant(0, 2 * WINDOWS_KEPT_FRAMES)})
    assert peaks(first_time) == [SILENCE_DBFS] * 2, "who has never asked before gets what sounds now"
    assert peaks(seldom) == [dbfs(0.5)] * 2
    assert peaks(seldom) == [SILENCE_DBFS] * 2


def test_no_peak_is_lost_while_plans_follow_each_other(start_sound: StartSound, open_remote: OpenRemote) -> None:
    sound = start_sound(MONO)
    seldom, other = open_remote(), open_remote()
    over = threading.Event()

    def replan() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            sound.router.write_config(sound.RULES + ('[[bus]]\nname = "aux"\n' if number % 2 else "") + MONO)
            other.call("Config.Reload", "a{sv}", NO_OPTIONS)

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(replan)
        try:
            for number in range(1, 21):
                peaks(seldom)
                play_once(sound, with_at(constant(0), _100=number / 32))
                assert peaks(seldom) == [dbfs(number / 32)] * 2
        finally:
            over.set()
        work.result()


def test_meters_go_on_when_other_buses_come_and_go(start_sound: StartSound) -> None:
    sound = start_sound(MONO)
    square = np.resize(np.array([0.5, -0.5], np.float32), 48)
    sound.mouth.play_forever({"out_1": square})
    steady = [(dbfs(0.5), dbfs(0.5))] * 2
    eventually(lambda: levels(sound.remote) == steady)
    for number in range(6):
        sound.reload('[[bus]]\nname = "aux"\n' + MONO if number % 2 else MONO)
        for _ in range(20):
            assert levels(sound.remote) == steady
    sound.reload('[[bus]]\nname = "aux"\n' + MONO)
    assert levels(sound.remote, "aux") == [(SILENCE_DBFS, SILENCE_DBFS)] * 4


@pytest.mark.jack2("a period that comes too late is lost on PipeWire, where JACK2 with --sync waits")
@pytest.mark.parametrize(
    ("value", "peak"), [(math.nan, dbfs(0.5)), (math.inf, OVER_DBFS), (-math.inf, OVER_DBFS), (-3e38, OVER_DBFS)]
)
def test_what_is_no_number_passes_and_spoils_no_meter(start_sound: StartSound, value: float, peak: float) -> None:
    sound = start_sound(MONO)
    square = np.resize(np.array([0.5, -0.5], np.float32), 9_600)
    spoilt = with_at(square, _4321=value)
    assert bits(sound.passed({"out_1": spoilt})["in_1"]) == bits(spoilt)
    # One of them in each 200 ms: there is none of the last 300 ms without.
    sound.mouth.play_forever({"out_1": square})
    steady = [(dbfs(0.5), dbfs(0.5))] * 2
    eventually(lambda: levels(sound.remote) == steady)
    sound.mouth.play_forever({"out_1": spoilt})
    seen: set[float] = set()
    for _ in range(100):
        for port, rms in levels(sound.remote):
            assert rms == dbfs(0.5)
            seen.add(port)
    eventually(lambda: peak in peaks(sound.remote))
    assert seen <= {dbfs(0.5), peak}
    sound.mouth.play_forever({"out_1": square})
    eventually(lambda: levels(sound.remote) == steady)


def test_nothing_but_what_is_no_number(start_sound: StartSound) -> None:
    sound = start_sound(MONO)
    for value, level in ((math.inf, OVER_DBFS), (math.nan, SILENCE_DBFS), (1e30, OVER_DBFS), (0.25, dbfs(0.25))):
        sound.mouth.play_forever({"out_1": constant(value)})
        eventually(lambda level=level: levels(sound.remote) == [(level, level)] * 2)  # type: ignore[misc]
