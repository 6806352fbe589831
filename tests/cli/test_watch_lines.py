"""What `watch` makes of single signals."""

from __future__ import annotations

import pytest

from jackd_router.cli.remote import OwnerChanged
from jackd_router.cli.watch import lines_of
from jackd_router.dbus_api.message_bus import variant
from jackd_router.dbus_api.messages import Signal
from jackd_router.dbus_api.names import (
    BUS,
    BUS_NAME,
    CONFIG,
    GRAPH,
    MANAGER,
    PROFILES,
    PROPERTIES,
    ROOT_PATH,
    RULES,
    SERVER,
    SNAPSHOTS,
)


def lines(interface: str, member: str, *body: object, path: str = ROOT_PATH) -> list[tuple[str, dict[str, object], str]]:
    """Give the lines for one signal of the daemon."""
    event = Signal(":1.7", path, interface, member, list(body))
    return [(line.event, dict(line.fields), line.text) for line in lines_of(event)]


def properties(interface: str, path: str = ROOT_PATH, **changed: object) -> list[tuple[str, dict[str, object], str]]:
    """Give the lines for changed properties."""
    return lines(PROPERTIES, "PropertiesChanged", interface, changed, [], path=path)


def test_a_burst_of_changes() -> None:
    told = lines(
        GRAPH,
        "GraphChanged",
        1,
        2,
        [["synth:out", 2, "audio", []]],
        ["old:in"],
        [["synth:out", "system:playback_1"]],
        [["synth:out", "old:in"]],
        {"renamed": variant("a(ss)", [["a:1", "a:2"]])},
    )
    assert [(event, text) for event, _, text in told] == [
        ("disconnected", "synth:out -> old:in"),
        ("port-removed", "old:in"),
        ("port-renamed", "a:1 is now a:2"),
        ("port-added", "synth:out  (audio output)"),
        ("connected", "synth:out -> system:playback_1"),
    ]


def test_too_much_to_tell() -> None:
    ((event, fields, text),) = lines(GRAPH, "GraphChanged", 1, 9, [], [], [], [], {"resync": variant("b", True)})
    assert (event, fields) == ("graph", {"resync": True})
    assert "jackd-router graph" in text


def test_properties_have_the_keys_of_the_listings() -> None:
    problem: list[str | int] = ["error", "r.toml", 3, 1, "bad"]
    ((event, fields, text),) = properties(CONFIG, Valid=variant("b", False), Problems=variant("a(ssuus)", [problem]))
    assert event == "config"
    assert fields == {
        "valid": False,
        "problems": [{"severity": "error", "file": "r.toml", "line": 3, "column": 1, "text": "bad"}],
    }
    assert text == "valid: no, problems: r.toml:3:1: bad"
    ((event, fields, text),) = properties(RULES, Held=variant("a(ss)", [["a:1", "b:1"]]), Contested=variant("a(ss)", []))
    assert (event, text) == ("rules", "held: a:1 -> b:1, contested: none")
    assert fields == {"held": [{"source": "a:1", "destination": "b:1"}], "contested": []}


def test_a_property_that_is_only_named_is_no_line() -> None:
    assert properties(MANAGER) == []


def test_a_bus_is_named_and_units_keep_their_names() -> None:
    ((event, fields, text),) = properties(BUS, f"{ROOT_PATH}/bus/FX_20return", Gain=variant("d", -6.0))
    assert (event, fields, text) == ("bus", {"bus": "FX return", "gain": -6.0}, "bus: FX return, gain: -6")
    ((_, fields, _),) = properties(SERVER, LastXrunUSec=variant("t", 7), ClientName=variant("s", ""))
    assert fields == {"last_xrun_usec": 7, "client_name": ""}


def test_profiles() -> None:
    live = {"Name": variant("s", "live"), "Description": variant("s", "on the stage")}
    ((event, fields, text),) = properties(PROFILES, Profiles=variant("aa{sv}", [live]), ActiveProfile=variant("s", "live"))
    assert event == "profile"
    assert fields == {"profiles": [{"name": "live", "description": "on the stage"}], "active_profile": "live"}
    assert text == "profiles: live, active_profile: live"


def test_the_version_of_the_graph_is_no_news() -> None:
    assert properties(GRAPH, GraphVersion=variant("t", 5)) == []


@pytest.mark.parametrize(("names", "text"), [(["a", "b"], "changed: a, b"), ([], "changed: all")])
def test_rules_that_changed(names: list[str], text: str) -> None:
    assert lines(RULES, "RulesChanged", names) == [("rules", {"names": names}, text)]


def test_snapshots_that_changed() -> None:
    ((event, fields, _),) = lines(SNAPSHOTS, "SnapshotsChanged")
    assert (event, fields) == ("snapshots", {})


def test_signals_of_others_are_no_lines() -> None:
    assert lines("org.freedesktop.DBus", "NameOwnerChanged", BUS_NAME, "", ":1.7") == []
    assert [line.text for line in lines_of(OwnerChanged(present=False))] == ["left"]
