"""The names of JACK2 for the devices of PipeWire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from jackd_router.core.graph import Port, PortFlags, PortName, PortType
from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.system_names import speak_of_system, system_names, undecided_text
from tests.core.building import config, connection, matcher, source

IN, OUT = PortFlags.INPUT | PortFlags.PHYSICAL | PortFlags.TERMINAL, PortFlags.OUTPUT | PortFlags.PHYSICAL | PortFlags.TERMINAL


def ports(client: str, channels: Sequence[str], flags: PortFlags, kind: PortType = PortType.AUDIO) -> list[Port]:
    way = "capture" if flags & PortFlags.OUTPUT else "playback"
    return [Port(PortName(f"{client}:{way}_{channel}"), kind, flags) for channel in channels]


CARD = [
    *ports("Card", ["FL", "FR", "FC", "LFE"], IN),
    *(Port(PortName(f"Card:monitor_{channel}"), PortType.AUDIO, OUT) for channel in ("FL", "FR", "FC", "LFE")),
    *ports("Card", ["FL", "FR"], OUT),
]
HDMI = ports("HDMI", ["FL", "FR"], IN)


def named(given: Iterable[Port], chosen: str | None = None) -> dict[str, str]:
    pattern = None if chosen is None else Pattern(Form.GLOB, chosen)
    return {str(name): called for name, called in system_names(given, pattern).names.items()}


def test_only_device_is_the_system_in_its_own_order() -> None:
    assert named([*CARD, *ports("synth", ["L"], PortFlags.OUTPUT)]) == {
        "Card:playback_FL": "system:playback_1",
        "Card:playback_FR": "system:playback_2",
        "Card:playback_FC": "system:playback_3",
        "Card:playback_LFE": "system:playback_4",
        "Card:capture_FL": "system:capture_1",
        "Card:capture_FR": "system:capture_2",
    }


def test_each_direction_is_decided_for_itself() -> None:
    found = system_names([*CARD, *HDMI], None)
    assert set(found.names.values()) == {"system:capture_1", "system:capture_2"}
    assert found.undecided == {"playback": ("Card", "HDMI")}
    assert "`system:playback_N` may mean Card or HDMI" in undecided_text("playback", found.undecided["playback"])


@pytest.mark.parametrize(("chosen", "first"), [("HDMI", "HDMI:playback_FL"), ("C*", "Card:playback_FL"), ("USB*", None)])
def test_chosen_device_is_the_system(chosen: str, first: str | None) -> None:
    called = {called: name for name, called in named([*CARD, *HDMI], chosen).items()}
    assert called.get("system:playback_1") == first
    assert not system_names([*CARD, *HDMI], Pattern(Form.GLOB, chosen)).undecided


def test_several_that_are_chosen_are_none() -> None:
    found = system_names([*CARD, *HDMI], Pattern(Form.GLOB, "*"))
    assert found.undecided == {"playback": ("Card", "HDMI")}


def test_midi_of_a_device_does_not_count() -> None:
    assert named(ports("Keyboard", ["0", "1"], OUT, PortType.MIDI)) == {}


def test_port_that_is_called_so_has_no_other_name() -> None:
    assert named(ports("system", ["1", "2"], IN)) == {}


RULE = """
[[rule]]
name = "r"
from = "synth"
to = "{to}"
pair = "order"
"""


@pytest.mark.parametrize("to", ["system:playback_*", "system", "/system:playback_./", "Card:playback_*"])
def test_rules_find_ports_by_both_names_in_the_order_of_the_device(to: str) -> None:
    names = named(CARD)
    given = [replace(port, system_name=names.get(port.name)) for port in CARD]
    synth = [source(f"synth:out_{number}") for number in (1, 2, 3, 4)]
    wanted = matcher(config(RULE.format(to=to)), [*given, *synth]).wanted()
    channels = ("FL", "FR", "FC", "LFE")  # sorted by name FC would come first
    assert set(wanted) == {connection(f"synth:out_{at} -> Card:playback_{channel}") for at, channel in enumerate(channels, 1)}


@pytest.mark.parametrize(
    ("to", "speaks"), [("system:playback_1", True), ("/system.*/", True), ("Card", False), ("*:playback_*", False)]
)
def test_whether_rules_speak_of_it(to: str, speaks: bool) -> None:
    assert speak_of_system(config(RULE.format(to=to)).rules) is speaks
