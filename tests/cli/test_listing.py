"""Listings as text and as JSON, from replies as the daemon gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackd_router.cli import listing
from jackd_router.cli.exits import CommandFailed
from jackd_router.cli.records import (
    BusRecord,
    LevelRecord,
    Pair,
    PortRecord,
    ProblemRecord,
    RuleRecord,
    StepRecord,
    bus,
    pairs,
    records,
    report,
)
from jackd_router.cli.terminal import plain_lines

PORTS = [
    ["system:capture_1", 2 | 4 | 16, "audio", ["alsa_pcm:capture_1"]],
    ["synth:midi_in", 1, "midi", []],
]


def test_ports() -> None:
    ports = records(PortRecord, PORTS)
    assert [port._asdict() for port in ports] == [
        {
            "name": "system:capture_1",
            "direction": "output",
            "type": "audio",
            "physical": True,
            "terminal": True,
            "aliases": ["alsa_pcm:capture_1"],
        },
        {"name": "synth:midi_in", "direction": "input", "type": "midi", "physical": False, "terminal": False, "aliases": []},
    ]
    assert plain_lines(listing.ports_table(ports)) == [
        "PORT              DIRECTION  TYPE   PHYSICAL  ALIASES",
        "system:capture_1  output     audio  physical  alsa_pcm:capture_1",
        "synth:midi_in     input      midi",
    ]


def test_graph_as_lines() -> None:
    ports = records(PortRecord, [*PORTS, ["synth:in", 1, "audio", []]])
    assert list(listing.graph_lines(ports, [Pair("system:capture_1", "synth:in")])) == [
        "synth",
        "    in  (audio input)",
        "        <- system:capture_1",
        "    midi_in  (midi input)",
        "system",
        "    capture_1  (audio output)",
        "        -> synth:in",
    ]


def test_rules() -> None:
    reply = [["to speakers", True, "connect", "router.toml:3", 4, 2, 0], ["never", False, "forbid", "router.toml:9", 0, 0, 0]]
    rules = records(RuleRecord, reply)
    assert rules[1]._asdict() == {
        "name": "never",
        "enabled": False,
        "action": "forbid",
        "origin": "router.toml:9",
        "ports": 0,
        "connections": 0,
        "last_applied_usec": 0,
    }
    assert plain_lines(listing.rules_table(rules, {"never": "it is switched off"})) == [
        "RULE         STATE     ACTION   PORTS  CONNECTIONS  LAST APPLIED  WRITTEN AT     REMARK",
        "to speakers  enabled   connect  4      2            never         router.toml:3",
        "never        disabled  forbid   0      0            never         router.toml:9",
    ]
    because = "it counts only in the profiles live"
    assert plain_lines(listing.rules_table(rules[:1], {"to speakers": because})) == [
        "RULE         STATE     ACTION   PORTS  CONNECTIONS  LAST APPLIED  WRITTEN AT     REMARK",
        f"to speakers  inactive  connect  4      2            never         router.toml:3  {because}",
    ]


def test_a_path_is_written_from_home() -> None:
    assert listing.from_home(f"{Path.home()}/.config/router.toml:3") == "~/.config/router.toml:3"
    assert listing.from_home("/etc/router.toml:3") == "/etc/router.toml:3"


def test_steps_of_an_explanation() -> None:
    steps = records(StepRecord, [["never", "router.toml:9", "forbids", "it is written first"]])
    assert plain_lines(listing.steps_table(steps))[1] == "never  forbids  it is written first  router.toml:9"


def test_report_of_a_plan() -> None:
    refused = [["live", "mic:1", "amp:1", "it would howl"]]
    made = {"connect": [["a:1", "b:1"]], "disconnect": [["a:2", "b:2"]]}
    told = report({**made, "unmet": ["lonely"], "shadowed": ["late"], "refused": refused})
    assert list(listing.report_lines(told)) == [
        "+ a:1 -> b:1",
        "- a:2 -> b:2",
        "refused: mic:1 -> amp:1 of rule 'live': it would howl",
        "unmet: rule 'lonely' has no partners now",
        "shadowed: rule 'late' never decides: earlier rules speak first",
    ]
    assert told.as_json() == {
        "connect": [{"source": "a:1", "destination": "b:1"}],
        "disconnect": [{"source": "a:2", "destination": "b:2"}],
        "failed": [],
        "unmet": ["lonely"],
        "shadowed": ["late"],
        "refused": [{"rule": "live", "source": "mic:1", "destination": "amp:1", "reason": "it would howl"}],
    }


def test_an_empty_report_has_nothing_to_say() -> None:
    assert list(listing.report_lines(report({}))) == []


def test_problems_can_be_jumped_to() -> None:
    error, warning = records(ProblemRecord, [["error", "r.toml", 3, 7, "bad"], ["warning", "r.toml", 4, 1, "odd"]])
    assert (str(error), str(warning)) == ("r.toml:3:7: bad", "r.toml:4:1: warning: odd")


def a_bus(**changed: object) -> BusRecord:
    properties: dict[str, object] = {
        "Name": "main",
        "Type": "audio",
        "Inputs": ["router:main_in_L", "router:main_in_R"],
        "Outputs": ["router:main_out_1"],
        "Gain": -6.0,
        "ChannelGains": [0.0, 0.0],
        "Matrix": [[0.5, 0.5]],
        "Mute": False,
        "Active": True,
        "MidiChannels": [],
        "Origin": "router.toml:7",
    }
    return bus(properties | changed)


def test_buses() -> None:
    table = listing.buses_table([a_bus(), a_bus(Name="talk", Gain=-144.0, Mute=True, Active=False)])
    assert plain_lines(table) == [
        "BUS   TYPE   CHANNELS     GAIN     MUTE   REMARK",
        "main  audio  2 in, 1 out  -6.0 dB",
        "talk  audio  2 in, 1 out  silent   muted  no server",
    ]


@pytest.mark.parametrize(
    ("peak", "rms", "bar"),
    [
        (-200.0, -200.0, "." * 40),
        (0.0, 0.0, "#" * 39 + "|"),
        (20.0, 20.0, "#" * 39 + "|"),
        (-30.0, -45.0, "#" * 10 + "." * 9 + "|" + "." * 20),
        (-59.9, -70.0, "." * 40),
    ],
)
def test_meter(peak: float, rms: float, bar: str) -> None:
    assert listing.meter(LevelRecord("p", peak, rms), ascii_only=True) == bar


def test_status_says_what_is_wrong() -> None:
    status: dict[str, object] = {
        "status": "degraded",
        "status-text": "waiting for the JACK server",
        "server-state": "connecting",
        "server-name": "default",
        "profile": "live",
        "ports": 1,
        "connections": 0,
        "rules": 3,
        "buses": 1,
        "held": 1,
        "kept": 0,
        "contested": 0,
        "refused": 2,
        "config-path": "/home/u/router.toml",
        "config-valid": False,
        "version": "1.0",
    }
    fields = listing.status_fields(status)
    assert fields["Status"] == "degraded: waiting for the JACK server"
    assert fields["JACK"] == "connecting, server 'default'"
    assert fields["Profile"] == "live"
    assert fields["Rules"] == "3 rules; connections: 1 held, 0 kept, 0 contested, 2 refused"
    assert fields["Graph"] == "1 port, 0 connections"
    assert fields["File"].startswith("/home/u/router.toml (INVALID")
    assert listing.with_underscores(status)["server_state"] == "connecting"


SERVED: dict[str, object] = {
    "server-state": "connected",
    "server-name": "default",
    "implementation": "jack2",
    "client-name": "router",
    "sample-rate": 48_000,
    "buffer-size": 64,
    "realtime": True,
    "client-realtime": True,
    "hints": [],
    "xruns": 2,
    "cycles": 1000,
    "cycle-median-usec": 2.26,
    "cycle-max-usec": 31.0,
    "dsp-load": 4.04,
}


def test_status_says_what_sound_costs() -> None:
    fields = listing.status_fields(SERVED)
    assert fields["JACK"] == "connected, server 'default' (jack2), 48000 Hz, 64 frames, realtime, 2 xruns, we are 'router'"
    assert fields["Load"] == "DSP 4.0 %; our part of a cycle: 2.3 us (median), 31.0 us (most) of 1333 us, 1000 cycles"
    assert not [name for name in fields if name.startswith("Hint")]
    for without in ({"cycles": 0}, {"sample-rate": 0}):
        assert "Load" not in listing.status_fields(SERVED | without)


@pytest.mark.parametrize(
    ("server", "client", "told"),
    [(True, False, "realtime without us"), (False, False, "not realtime"), (False, True, "not realtime")],
)
def test_status_says_who_has_priority(server: bool, client: bool, told: str) -> None:
    fields = listing.status_fields(SERVED | {"realtime": server, "client-realtime": client})
    assert f", 64 frames, {told}, 2 xruns" in fields["JACK"]


def test_status_shows_hints() -> None:
    def shown(*hints: str) -> dict[str, str]:
        fields = listing.status_fields(SERVED | {"hints": list(hints)})
        return {name: text for name, text in fields.items() if name.startswith("Hint")}

    assert shown("do this") == {"Hint": "do this"}
    assert shown("do this", "and that") == {"Hint 1": "do this", "Hint 2": "and that"}


def test_a_reply_of_another_shape_is_an_error_for_people() -> None:
    with pytest.raises(CommandFailed, match="another version"):
        pairs([["a", "b", "c"]])
    with pytest.raises(CommandFailed, match="another version"):
        records(RuleRecord, 7)
