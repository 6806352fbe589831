"""Buses come, go and change while another one sounds: not one sample of that one differs, and its ports stay."""

from __future__ import annotations

import numpy as np
import pytest

from jackd_router.dbus_api.names import bus_path
from tests.daemon.conftest import StartSound
from tests.daemon.sound import constant
from tests.support.jack_client import play_and_compare
from tests.support.samples import random_bits

pytestmark = pytest.mark.jack2("a period that comes too late is lost on PipeWire, where JACK2 with --sync waits")

BLOCK_FRAMES = 20_011
"""Of a block that is repeated: no multiple of any period, so that a period that comes late or twice is seen."""


def bus(name: str, channels: str = '["L", "R"]', more: str = "") -> str:
    return f'[[bus]]\nname = "{name}"\nchannels = {channels}\n{more}'


def ports(name: str, *channels: str, outputs: tuple[str, ...] | None = None) -> set[str]:
    return {f"{name}_in_{one}" for one in channels} | {f"{name}_out_{one}" for one in outputs or channels}


def test_bystander_does_not_notice_a_reload(start_sound: StartSound) -> None:
    main, crowd = bus("main"), "".join(bus(f"crowd-{n}") for n in range(62))
    sound = start_sound(main, inputs=2, outputs=2)
    sound.pass_forever({1: random_bits(BLOCK_FRAMES, seed=1), 2: random_bits(BLOCK_FRAMES, seed=2)})
    connections = sound.connections()
    many, people = ({port for n in range(62) for port in ports(f"{name}-{n}", "L", "R")} for name in ("crowd", "people"))
    changes = [
        ("added behind", main + bus("aux"), ports("aux", "L", "R")),
        ("moved before it", bus("aux") + main, ports("aux", "L", "R")),
        ("renamed", bus("fx") + main, ports("fx", "L", "R")),
        ("a channel more", bus("fx", '["L", "C", "R"]') + main, ports("fx", "L", "C", "R")),
        ("other outputs", bus("fx", "3", "outputs = 2\n") + main, ports("fx", "1", "2", "3", outputs=("1", "2"))),
        ("a channel less", bus("fx", "2", "outputs = 2\n") + main, ports("fx", "1", "2")),
        ("gain, mute, fade", bus("fx", "2", "gain = -3.0\nmute = true\nfade_ms = 1\n") + main, ports("fx", "1", "2")),
        ("matrix", bus("fx", "2", "matrix = [[1, 1], [1, -1]]\n") + main, ports("fx", "1", "2")),
        ("removed", main, set()),
        ("as many as there can be", main + crowd, many),
        ("one more, in front", bus("front") + main + crowd, ports("front", "L", "R") | many),
        ("all of them renamed but one", bus("fore") + main + crowd.replace("crowd", "people"), ports("fore", "L", "R") | people),
        ("most removed", bus("front", '["R"]') + main, ports("front", "R")),
        ("nothing", bus("front", '["R"]') + main, ports("front", "R")),
        ("a profile", main + '[[profile]]\nname = "live"\n', set()),
    ]
    for what, config, others in changes:
        sound.reload(config)
        assert sound.ports() == ports("main", "L", "R") | others, what
        assert sound.connections() == connections, what
        sound.wait_frames(2_048)
        assert sound.ears.compared().differing == 0, f"{what}: {sound.ears.compared()}"
    gone = [signal.body[3:6:2] for signal in sound.remote.signals("GraphChanged")]
    assert "router:front_in_L" in repr(gone)
    assert "router:main_" not in repr(gone), "ports removed or connections cut, as they were told"
    sound.ears.disconnect("router:main_out_L", "ears:in_1")
    sound.wait_frames(2_048)
    assert sound.ears.compared().differing > 1_000, "the comparison does not listen"


def test_channels_that_stay_do_not_notice_that_others_come_and_go(start_sound: StartSound) -> None:
    rules = """
[[rule]]
name = "into aux"
from = "mouth:out_2"
to = { bus = "aux", channel = "L" }

[[rule]]
name = "out of aux"
from = { bus = "aux", channel = "L" }
to = "ears:in_2"
"""
    main = rules + bus("main", '["L"]')
    sound = start_sound(main + bus("aux", '["L"]'), inputs=2, outputs=2)
    sound.pass_forever({1: random_bits(BLOCK_FRAMES, seed=1), 2: random_bits(BLOCK_FRAMES, seed=2)})
    for channels in (["L", "R"], ["C", "L", "R"], ["LFE", "C", "L", "R"], ["C", "L"], ["L", "C"], ["L"]):
        sound.reload(main + bus("aux", str(channels)))
        assert sound.ports() == ports("main", "L") | ports("aux", *channels)
        sound.wait_frames(2_048)
        assert sound.ears.compared().differing == 0, f"{channels}: {sound.ears.compared()}"


DESK_RULES = """
[[rule]]
name = "into desk"
from = "mouth:out_2"
to = { bus = "desk" }
pair = "all"

[[rule]]
name = "out of desk"
from = { bus = "desk" }
to = "ears:in_2"
pair = "all"
"""


def test_bystander_does_not_notice_that_cells_come(start_sound: StartSound) -> None:
    size = 16
    nothing = [[0.0] * size for _ in range(size)]
    desk = bus("desk", str(size), f"fade_ms = 1\nmatrix = {nothing}\n")
    sound = start_sound(bus("main", '["L"]') + desk + DESK_RULES, inputs=2, outputs=2)
    assert len(sound.connections()) == 2 + 2 * size
    block = random_bits(BLOCK_FRAMES, seed=1)
    play_and_compare(sound.mouth, {"out_1": block, "out_2": constant(1)}, sound.ears, {"in_1": block})
    matrix = nothing
    for cell in np.random.default_rng(1).permutation(size * size):
        # What the plan does not have yet: the host takes another one for each of these calls, and lets it run before the next.
        matrix[cell // size][cell % size] = 1 / size**2
        sound.remote.write("Bus.Matrix", "aad", matrix, path=bus_path("desk"))
    sound.wait_for_plan()
    sound.wait_frames(2_048)
    assert sound.ears.compared().differing == 0, sound.ears.compared()
    sound.wait_until_heard({"in_2": 1})
