"""The MIDI of the kernel: what passes, what is kept back, and what is ended, without a server."""

from __future__ import annotations

import numpy as np
import pytest

from tests.jack_host.rig import MidiBuffer, MidiEvent, Rig

ALL = range(1, 17)


def on(channel: int, note: int, velocity: int = 100) -> bytes:
    return bytes([0x90 | channel - 1, note, velocity])


def off(channel: int, note: int, velocity: int = 64) -> bytes:
    return bytes([0x80 | channel - 1, note, velocity])


def control(channel: int, number: int, value: int) -> bytes:
    return bytes([0xB0 | channel - 1, number, value])


def pair(*channels: int) -> Rig:
    """Give a rig with one MIDI pair of bus 0, of which these channels are open."""
    rig = Rig(midi=1)
    rig.open(*channels)
    rig.set_plan(midi=[(0, 0)])
    return rig


def drawn(rng: np.random.Generator) -> bytes:
    """Give any event that there is: of a channel, of the system, exclusive."""
    match rng.integers(10):
        case 0:
            return bytes([0xF0, *rng.integers(0, 128, rng.integers(0, 300)).tolist(), 0xF7])
        case 1:
            return bytes([int(rng.choice([0xF8, 0xFA, 0xFC, 0xFE]))])
        case 2:
            return bytes([0xC0 | int(rng.integers(16)), int(rng.integers(128))])
        case _:
            return bytes(
                [int(rng.choice([0x80, 0x90, 0xA0, 0xB0, 0xE0])) | int(rng.integers(16)), *rng.integers(0, 128, 2).tolist()]
            )


# ---- what passes


def test_everything_passes_in_its_order_at_its_frames() -> None:
    rng = np.random.default_rng(1)
    with pair(*ALL) as rig:
        for count in (0, 1, 4, 50):
            for _ in range(10):
                frames = sorted(rng.integers(0, 64, count).tolist())
                events = [(frame, drawn(rng)) for frame in frames]
                assert rig.play(*events) == events
        assert rig.memory.midi_lost == 0


def test_only_open_channels_pass_and_what_is_of_no_channel() -> None:
    with pair(2, 16) as rig:
        events = [(0, on(1, 60)), (1, on(2, 61)), (1, b"\xf8"), (5, control(3, 7, 1)), (6, on(16, 0)), (7, b"\xf0\x01\xf7")]
        assert rig.play(*events) == [events[1], events[2], events[4], events[5]]


def test_nothing_passes_where_no_channel_is_open() -> None:
    with pair() as rig:
        assert rig.play((0, on(1, 60)), (1, b"\xf8"), (2, b"\xf0\x01\xf7")) == []


def test_pairs_of_other_buses_do_not_mind() -> None:
    with Rig(1, 1, midi=2) as rig:
        rig.open(1, bus=0)
        rig.open(1, bus=7)
        rig.set_plan([(0, 0, 0)], midi=[(0, 0), (1, 7)])
        assert rig.play((3, on(1, 60)), pair=1) == [(3, on(1, 60))]
        rig.open(bus=0)
        assert rig.play((3, on(1, 61)), pair=1) == [(3, on(1, 61))]
        assert list(rig.outputs()) == [[], [(3, on(1, 61))]]


# ---- what is ended


def test_mute_ends_what_sounds_and_lets_go_of_the_pedals() -> None:
    with pair(*ALL) as rig:
        rig.play((0, on(1, 60)), (0, on(1, 127)), (1, on(2, 0)), (2, on(1, 61)), (3, off(1, 61)), (4, on(3, 5)), (5, on(3, 5, 0)))
        rig.play((0, control(1, 64, 127)), (0, control(4, 66, 64)), (1, control(5, 64, 127)), (2, control(5, 64, 63)))
        rig.open()
        ended = rig.play((10, on(1, 64)))
        assert ended == [(0, each) for each in (off(1, 60), off(1, 127), control(1, 64, 0), off(2, 0), control(4, 66, 0))]
        assert rig.play() == [], "it is ended twice"
        rig.open(*ALL)
        assert rig.play((1, on(1, 60))) == [(1, on(1, 60))]


def test_channel_that_is_closed_is_ended_alone() -> None:
    with pair(*ALL) as rig:
        rig.play((0, on(1, 60)), (0, on(2, 61)))
        rig.open(2)
        assert rig.play((4, on(2, 62)), (5, on(1, 63))) == [(0, off(1, 60)), (4, on(2, 62))]


@pytest.mark.parametrize("silencer", [control(1, 120, 0), control(1, 123, 0), control(1, 126, 1)])
def test_who_ends_the_notes_himself_needs_no_help(silencer: bytes) -> None:
    with pair(*ALL) as rig:
        rig.play((0, on(1, 60)), (1, silencer))
        rig.open()
        assert rig.play() == []


def test_reset_of_all_controllers_lets_go_of_the_pedals() -> None:
    with pair(*ALL) as rig:
        rig.play((0, control(1, 64, 127)), (0, control(1, 66, 127)), (1, control(1, 121, 0)))
        rig.open()
        assert rig.play() == []


def test_model_of_what_sounds() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        with pair(*ALL) as rig:
            notes: set[tuple[int, int]] = set()
            for _ in range(200):
                channel, note, velocity = int(rng.integers(1, 17)), int(rng.integers(128)), int(rng.integers(0, 128))
                if rng.integers(2):
                    rig.play((0, on(channel, note, velocity)))
                    (notes.add if velocity else notes.discard)((channel, note))
                elif notes:
                    channel, note = sorted(notes)[int(rng.integers(len(notes)))]
                    rig.play((0, off(channel, note)))
                    notes.discard((channel, note))
            rig.open()
            assert rig.play() == [(0, off(*each)) for each in sorted(notes)]


def test_bus_that_goes_ends_what_sounds_before_its_ports_may_go() -> None:
    with Rig(midi=2) as rig:
        rig.open(*ALL)
        rig.set_plan(midi=[(0, 0), (1, 0)])
        rig.play((0, on(1, 60)), pair=0)
        rig.play((0, on(1, 61)), pair=1)
        rig.set_plan(midi=[(1, 0)])
        assert rig.play((5, on(1, 62)), pair=1) == [(5, on(1, 62))]
        assert next(rig.outputs()) == [(0, off(1, 60))]
        for _ in range(2):
            assert not rig.kernel.settled(), "who feeds us, too, hears us a cycle later"
            rig.cycle()
            assert next(rig.outputs()) == [], "it is ended twice"
        assert rig.kernel.settled()
        # Whoever has its place next begins in silence.
        rig.set_plan(midi=[(0, 0), (1, 0)])
        rig.cycle()
        rig.open()
        assert rig.play(pair=0) == []
        assert rig.play(pair=1) == []


def test_what_sounds_is_known_over_plans() -> None:
    with pair(*ALL) as rig:
        rig.play((0, on(1, 60)))
        rig.set_plan(midi=[(0, 0)])
        rig.cycle()
        assert rig.kernel.settled()
        rig.open()
        assert rig.play() == [(0, off(1, 60))]


# ---- no room


def test_events_that_have_no_room_are_counted() -> None:
    with pair(*ALL) as rig:
        rig.ports.midi[1] = MidiBuffer(room=10)
        events: list[MidiEvent] = [(frame, on(1, frame)) for frame in range(5)]
        assert rig.play(*events) == events[:3]
        assert rig.memory.midi_lost == 2
        assert rig.play((0, bytes([0xF0, *range(20), 0xF7])), (1, b"\xf8")) == [(1, b"\xf8")]
        assert rig.memory.midi_lost == 3


def test_ends_of_notes_that_have_no_room_come_in_the_next_cycles() -> None:
    with pair(*ALL) as rig:
        notes = [(0, on(1, note)) for note in range(10)]
        rig.play(*notes)
        rig.ports.midi[1] = MidiBuffer(room=10)
        rig.open()
        ended = [event for _ in range(4) for event in rig.play()]
        assert ended == [(0, off(1, note)) for note in range(10)]
        assert rig.memory.midi_lost == 0
        assert rig.play() == []


def test_first_plan_may_be_left_for_an_empty_one() -> None:
    with pair(*ALL) as rig:
        rig.play((0, on(1, 60)))
        rig.kernel.set_plan(0, [], [], [])
        assert rig.play() == [(0, off(1, 60))]


def test_pair_that_has_the_slot_of_another_begins_in_silence_and_ends_what_that_one_left() -> None:
    """So it is where no cycle saw the plan in between, and where all slots are in use."""
    with Rig(midi=2) as rig:
        rig.open(*ALL)
        rig.set_plan(midi=[(0, 0)], midi_slots=[(5, 1)])
        rig.play((0, on(1, 60)), pair=0)
        rig.set_plan(midi=[(1, 0)], midi_slots=[(5, 2)])
        assert rig.play((3, on(1, 61)), pair=1) == [(3, on(1, 61))]
        assert next(rig.outputs()) == [(0, off(1, 60))]
        rig.open()
        assert rig.play(pair=1) == [(0, off(1, 61))]
        assert next(rig.outputs()) == []
