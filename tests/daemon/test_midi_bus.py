"""MIDI through a bus of the real daemon, from one real client to another."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from jackd_router.dbus_api.errors import CallError
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, MidiEvent
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

KEYS = "/io/github/jackd_router/Router1/bus/keys"
CONFIG = """\
[[bus]]
name = "keys"
type = "midi"
channels = ["a", "b"]
[[rule]]
name = "in"
from = "band:out*"
to = { bus = "keys" }
"""
ON, OFF, PEDAL, PEDAL_UP = b"\x90\x3c\x64", b"\x80\x3c\x40", b"\xb0\x40\x7f", b"\xb0\x40\x00"
FRAMES = 4800


@pytest.fixture
def band(jack_server: JackServer) -> Iterator[JackClient]:
    """Give a client with two MIDI outputs and inputs, on a server that waits for each client in each period."""
    jack_server.synchronous = True
    jack_server.start()
    with JackClient(jack_server.name, "band", midi_outputs=["out_a", "out_b"], midi_inputs=["in_a", "in_b"]) as client:
        yield client


@pytest.fixture
def router(band: JackClient, start_router: StartRouter) -> RouterProcess:
    """Give a daemon whose bus is connected on both sides: by a rule where events come in, by hand where they go out."""
    router = start_router(CONFIG)
    eventually(lambda: len(band.connections()) == 2)
    for channel in "ab":
        band.connect(f"router:keys_out_{channel}", f"band:in_{channel}")
    eventually(lambda: len([pair for pair in band.connections() if "router:keys_" in "".join(pair)]) == 4)
    return router


def play(band: JackClient, *events: MidiEvent, frames: int = FRAMES) -> list[MidiEvent]:
    """Send events through the first channel, and give what comes back: a period later, as it is a loop."""
    return band.exchange_midi({"out_a": events}, ["in_a"], frames)["in_a"]


@pytest.mark.jack2("a period that comes too late is lost on PipeWire, where JACK2 with --sync waits")
def test_events_pass_at_their_frames(band: JackClient, router: RouterProcess, remote: Remote, start_client: StartClient) -> None:
    """With 3,000 events a second on each of two pairs: none is lost, late, or out of order."""
    listener = start_client("listener", midi_inputs=["in_a", "in_b"])
    for channel in "ab":
        band.disconnect(f"router:keys_out_{channel}", f"band:in_{channel}")  # in a loop somebody is a period late
        listener.connect(f"router:keys_out_{channel}", f"listener:in_{channel}")
    rng = random.Random(1)
    sent: dict[str, list[MidiEvent]] = {}
    for port in ("out_a", "out_b"):
        frames = sorted(rng.randrange(48_000) for _ in range(3000))
        kinds = [rng.choice((0x90, 0x80, 0xB1, 0xEF)) for _ in frames]
        sent[port] = [(at, bytes([kind, rng.randrange(128), rng.randrange(128)])) for at, kind in zip(frames, kinds, strict=True)]
    sent["out_a"] += [(48_000, b"\xf8"), (48_001, b"\xf0" + bytes(range(100)) + b"\xf7")]
    begin = listener.frame_time() + 96_000
    listener.begin_midi({}, ["in_a", "in_b"], 49_000, at=begin)
    band.begin_midi(sent, [], 49_000, at=begin)
    band.finish_midi()
    assert listener.finish_midi() == {"in_a": sent["out_a"], "in_b": sent["out_b"]}
    assert remote.read("Server.MidiLost") == 0


def test_nothing_passes_a_muted_bus(band: JackClient, router: RouterProcess, remote: Remote) -> None:
    remote.write("Bus.Mute", "b", True, path=KEYS)
    assert play(band, (100, ON), (200, b"\xf8")) == []
    remote.write("Bus.Mute", "b", False, path=KEYS)
    assert [event for _, event in play(band, (100, ON))] == [ON]


def test_channels_can_be_closed_and_are_kept(band: JackClient, router: RouterProcess, remote: Remote) -> None:
    play(band, (0, ON), (1, b"\x91\x05\x01"))
    band.listen("in_a")
    remote.write("Bus.MidiChannels", "au", [16, 2], path=KEYS)
    eventually(lambda: band.heard("in_a") == [OFF])
    assert [event for _, event in play(band, (5, ON), (6, b"\x91\x06\x01"))] == [b"\x91\x06\x01"]
    router.stop()
    router.start()
    assert remote.read("Bus.MidiChannels", path=KEYS) == [2, 16]


@pytest.mark.parametrize("how", ["mute", "removed", "of audio", "stopped"])
def test_who_listens_hears_the_end_of_what_sounds(how: str, band: JackClient, router: RouterProcess, remote: Remote) -> None:
    play(band, (0, ON), (1, PEDAL))
    band.listen("in_a")
    if how == "mute":
        remote.write("Bus.Mute", "b", True, path=KEYS)
    elif how == "stopped":
        router.stop()
    else:
        router.write_config(CONFIG.replace('"midi"', '"audio"') if how == "of audio" else "")
        remote.call("Config.Reload", "a{sv}", {})
    eventually(lambda: band.heard("in_a") == [OFF, PEDAL_UP])
    if how == "of audio":
        assert remote.read("Bus.Type", path=KEYS) == "audio"
        eventually(lambda: "router:keys_in_a" in band.ports() and not remote.connections("router:keys_*"))


def test_what_a_bus_of_midi_has_not_is_refused(band: JackClient, router: RouterProcess, remote: Remote) -> None:
    refused: dict[str, Callable[[], object]] = {
        "gain": lambda: remote.write("Bus.Gain", "d", -6.0, path=KEYS),
        "channel gains": lambda: remote.write("Bus.ChannelGains", "ad", [], path=KEYS),
        "matrix": lambda: remote.write("Bus.Matrix", "aad", [], path=KEYS),
        "gain ": lambda: remote.call("Bus.FadeTo", "du", -6.0, 10, path=KEYS),
    }
    for what, attempt in refused.items():
        with pytest.raises(CallError, match=f"bus 'keys' carries MIDI: it has no {what.strip()}"):
            attempt()
    for channels, said in (
        ([], "no MIDI channel"),
        ([0], "there is no MIDI channel 0"),
        ([1, 17], "there is no MIDI channel 17"),
    ):
        with pytest.raises(CallError, match=said):
            remote.write("Bus.MidiChannels", "au", channels, path=KEYS)
    assert remote.call("Buses.GetLevels", "a{sv}", {}) == {"keys": []}
    assert (remote.read("Bus.Gain", path=KEYS), remote.read("Bus.Matrix", path=KEYS)) == (0.0, [])
