"""The commands against the real daemon on a real JACK server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartClient, StartRouter
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

# The file is not watched: what a reload does is to be seen before, and only after, it is asked for.
RULES = """\
[daemon]
watch = false

[[rule]]
name = "no microphone"
action = "forbid"
from = "mic:*"
to = "system:playback_*"

[[rule]]
name = "to speakers"
from = "synth:*"
to = "system:playback_*"

[[bus]]
name = "main"
channels = ["L", "R"]
gain = -6.0

[[profile]]
name = "live"
description = "on the stage"
bus.main.gain = 3.0
"""
WANTED = [
    {"source": "synth:out_1", "destination": "system:playback_1"},
    {"source": "synth:out_2", "destination": "system:playback_2"},
]


def asked(router: RouterProcess, *arguments: str, code: int = 0) -> str:
    """Run a command that must end with this code, and give what it said: stdout where it worked, else its stderr."""
    done = router.cli(*arguments)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    if code == 0:
        assert done.stderr == ""
        return done.stdout
    return done.stderr


def told(router: RouterProcess, *arguments: str, code: int = 0) -> Any:
    """Run a command with --json, and give the JSON."""
    done = router.cli(*arguments, "--json")
    assert done.returncode == code, done
    return json.loads(done.stdout)


def is_connected(router: RouterProcess) -> bool:
    """Whether the daemon has a server."""
    return router.cli("status").returncode == 0


@pytest.fixture
def router(running_server: JackServer, start_client: StartClient, start_router: StartRouter) -> RouterProcess:
    """Give a daemon that has made the connections which its rules want."""
    start_client("synth", outputs=["out_1", "out_2"])
    start_client("mic", outputs=["out"])
    router = start_router(RULES)
    eventually(lambda: told(router, "connections", "synth:*") == WANTED)
    return router


def test_without_a_server(start_router: StartRouter) -> None:
    router = start_router(RULES)
    done = router.cli("status")
    assert (done.returncode, done.stderr) == (4, "")
    assert "connecting" in done.stdout
    assert told(router, "status", code=4)["server_state"] == "connecting"
    for command in (["ports"], ["connections"], ["graph"], ["connect", "a:b", "c:d"], ["disconnect", "a:b", "c:d"]):
        (line,) = asked(router, *command, code=4).splitlines()
        assert line.startswith("jackd-router: ")
    assert told(router, "ports", code=4) == []
    assert [rule["name"] for rule in told(router, "rules")] == ["no microphone", "to speakers"]
    (bus,) = told(router, "bus")
    assert (bus["name"], bus["gain"], bus["active"]) == ("main", -6.0, False)
    assert "no server" in asked(router, "bus")


def test_status(router: RouterProcess, jack_server: JackServer) -> None:
    status = told(router, "status")
    assert status["server_state"] == "connected"
    assert (status["sample_rate"], status["buffer_size"]) == (48_000, 256)
    assert status["realtime"] is jack_server.says_realtime
    assert (status["rules"], status["buses"], status["held"]) == (2, 1, 0)
    assert status["config_path"] == str(router.config_path)
    assert status["config_valid"] is True
    assert "48000 Hz" in asked(router, "status")


def test_ports(router: RouterProcess) -> None:
    (port,) = told(router, "ports", "system:capture_1")
    assert port | {"aliases": None} == {
        "name": "system:capture_1",
        "direction": "output",
        "type": "audio",
        "physical": True,
        "terminal": True,
        "aliases": None,
    }
    assert [port["name"] for port in told(router, "ports", "synth")] == ["synth:out_1", "synth:out_2"]
    assert told(router, "ports", "synth", "--input") == []
    assert told(router, "ports", "--type", "midi") == []
    inputs = {port["name"] for port in told(router, "ports", "--input", "--type", "audio")}
    assert inputs == {"system:playback_1", "system:playback_2", "router:main_in_L", "router:main_in_R"}
    heading, *rows = asked(router, "ports", "synth:*").splitlines()
    assert heading.split() == ["PORT", "DIRECTION", "TYPE", "PHYSICAL", "ALIASES"]
    assert rows[0].split() == ["synth:out_1", "output", "audio"]


def test_the_whole_graph(router: RouterProcess) -> None:
    graph = told(router, "graph")
    assert sorted(graph["connections"], key=str) == sorted((pair | {"rule": "to speakers"} for pair in WANTED), key=str)
    assert {"mic:out", "synth:out_1", "system:playback_1"} < {port["name"] for port in graph["ports"]}
    assert {port["pretty_name"] for port in graph["ports"]} == {None}, "no rule asks for metadata"
    lines = asked(router, "graph").splitlines()
    assert lines[lines.index("synth") + 1 :][:2] == ["    out_1  (audio output)", "        -> system:playback_1"]


def test_explain(router: RouterProcess) -> None:
    explained = told(router, "explain", "synth:out_1", "system:playback_1")
    assert explained["state"] == "connected"
    assert [step["rule"] for step in explained["steps"]] == ["to speakers"]
    assert told(router, "explain", "mic:out", "system:playback_1")["state"] == "forbidden"
    text = asked(router, "explain", "mic:out", "system:playback_1")
    assert text.startswith("forbidden: mic:out -> system:playback_1 ")
    assert "no microphone" in text
    peers = {peer["peer"]: (peer["state"], peer["rule"]) for peer in told(router, "explain", "synth:out_1")}
    assert peers["system:playback_1"] == ("connected", "to speakers")


def test_explain_of_a_port_that_is_not_there_says_so(router: RouterProcess) -> None:
    nothing = "no rule speaks of {} and a port that is there now"
    assert asked(router, "explain", "synht:out_1") == (
        f"{nothing.format('synht:out_1')}; it is not there itself, did you mean synth:out_1?\n"
    )
    assert asked(router, "explain", "x:y") == f"{nothing.format('x:y')}; it is not there itself\n"
    assert asked(router, "explain", "system:capture_1") == f"{nothing.format('system:capture_1')}\n"


def test_connect_and_disconnect(router: RouterProcess) -> None:
    pair = ("synth:out_1", "system:playback_2")
    assert asked(router, "connect", *pair) == "connected: synth:out_1 -> system:playback_2\n"
    assert asked(router, "connect", *pair) == "already-connected: synth:out_1 -> system:playback_2\n"
    assert asked(router, "disconnect", *pair) == "disconnected: synth:out_1 -> system:playback_2\n"
    assert asked(router, "disconnect", *pair) == "not-connected: synth:out_1 -> system:playback_2\n"


@pytest.mark.parametrize(
    ("source", "destination", "culprit"),
    [
        ("synth:out_9", "system:playback_1", "synth:out_9"),
        ("synth:out_1", "system:playback_9", "system:playback_9"),
        ("synth:out_1", "mic:out", "mic:out"),
        ("mic:out", "system:playback_1", "no microphone"),
    ],
)
def test_what_cannot_be_connected_is_named(router: RouterProcess, source: str, destination: str, culprit: str) -> None:
    (line,) = asked(router, "connect", source, destination, code=1).splitlines()
    assert line.startswith("jackd-router: ")
    assert culprit in line


def test_a_hold_stands_against_a_rule(router: RouterProcess) -> None:
    assert asked(router, "connect", "mic:out", "system:playback_1", "--hold").startswith("connected: ")
    assert told(router, "connections", "mic:*") == [{"source": "mic:out", "destination": "system:playback_1"}]


def test_cut_by_hand_until_released(router: RouterProcess) -> None:
    pair = ("synth:out_1", "system:playback_1")
    asked(router, "disconnect", *pair)
    assert told(router, "explain", *pair)["state"] == "held"
    assert asked(router, "release", *pair) == "released: synth:out_1 -> system:playback_1\n"
    eventually(lambda: told(router, "connections", "synth:*") == WANTED)
    assert asked(router, "release", *pair) == "not-held: synth:out_1 -> system:playback_1\n"


def test_undo(router: RouterProcess) -> None:
    assert asked(router, "undo", "--list").splitlines() == ["WHEN  CHANGE"]
    assert asked(router, "undo", code=1).startswith("jackd-router: there is nothing to undo")
    pair, crossed = ("synth:out_1", "system:playback_1"), ("synth:out_1", "system:playback_2")
    asked(router, "disconnect", *pair)
    asked(router, "connect", *crossed)
    _, newest, oldest = asked(router, "undo", "--list").splitlines()
    assert newest.endswith("  connected synth:out_1 -> system:playback_2")
    assert oldest.endswith("  disconnected synth:out_1 -> system:playback_1")
    steps = told(router, "undo", "--list")
    assert [step["what"] for step in steps] == [line.partition("  ")[2] for line in (newest, oldest)]
    assert steps[0]["usec"] > steps[1]["usec"] > 0
    assert asked(router, "undo").splitlines() == [
        "undone: connected synth:out_1 -> system:playback_2",
        "- synth:out_1 -> system:playback_2",
    ]
    assert told(router, "undo") == {
        "what": "disconnected synth:out_1 -> system:playback_1",
        "connect": WANTED[:1],
        "disconnect": [],
        "failed": [],
        "problems": [],
    }
    assert told(router, "connections", "synth:*") == WANTED


def test_undo_says_what_it_could_not_do(router: RouterProcess, start_client: StartClient) -> None:
    organ = start_client("organ", outputs=["out"])
    pair = ("organ:out", "system:playback_1")
    eventually(lambda: router.cli("connect", *pair).returncode == 0)
    organ.close()
    eventually(lambda: told(router, "ports", "organ") == [])
    done = router.cli("undo")
    assert (done.returncode, done.stdout) == (
        1,
        "undone: connected organ:out -> system:playback_1\n! organ:out -> system:playback_1 (failed)\n",
    )
    assert done.stderr.startswith("jackd-router: organ:out -> system:playback_1: there is no port organ:out")


def test_reapply(router: RouterProcess) -> None:
    asked(router, "disconnect", "synth:out_2", "system:playback_2")
    assert told(router, "reapply", "--dry-run")["connect"] == WANTED[1:]
    assert asked(router, "reapply", "--dry-run") == "+ synth:out_2 -> system:playback_2\n"
    assert told(router, "connections", "synth:*") == WANTED[:1]
    assert told(router, "reapply")["connect"] == WANTED[1:]
    assert told(router, "connections", "synth:*") == WANTED
    assert asked(router, "reapply") == "no connection changed\n"


def test_rules_on_and_off(router: RouterProcess) -> None:
    names = [rule["name"] for rule in told(router, "rules")]
    assert names == ["no microphone", "to speakers"]
    assert asked(router, "rules", "disable", "to speakers") == "disabled: to speakers\n"
    eventually(lambda: told(router, "connections", "synth:*") == [])
    assert [(rule["enabled"], rule["inactive_because"]) for rule in told(router, "rules")] == [
        (True, ""),
        (False, "it is switched off"),
    ]
    assert asked(router, "rules", "enable", "to speakers") == "enabled: to speakers\n"
    eventually(lambda: told(router, "connections", "synth:*") == WANTED)
    assert "to speaker" in asked(router, "rules", "disable", "to speaker", code=1)


def test_reload(router: RouterProcess) -> None:
    assert asked(router, "reload") == "no connection changed\n"
    router.write_config(RULES.replace("synth:*", "synth:out_1"))
    wanted_now = [
        {"source": "synth:out_1", "destination": "system:playback_1"},
        {"source": "synth:out_1", "destination": "system:playback_2"},
    ]
    planned = told(router, "reload", "--dry-run")
    assert (planned["connect"], planned["disconnect"]) == (wanted_now[1:], WANTED[1:])
    assert told(router, "connections", "synth:*") == WANTED
    asked(router, "reload")
    eventually(lambda: told(router, "connections", "synth:*") == wanted_now)


def test_a_reload_with_mistakes_changes_nothing(router: RouterProcess) -> None:
    router.write_config(RULES.replace("to =", "ot =") + "volume = 3\n")
    for command in (["reload"], ["reload", "--dry-run"], ["plan"]):
        problems = [line for line in asked(router, *command, code=1).splitlines() if not line.startswith("jackd-router: ")]
        assert len(problems) >= 3, problems
        assert all(line.startswith(f"{router.config_path}:") for line in problems)
    assert told(router, "connections", "synth:*") == WANTED


def test_plan_of_a_file_that_is_not_there(router: RouterProcess, tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert asked(router, "plan", str(missing), code=1) == f"jackd-router: {missing}: no such file\n"


def test_plan_on_the_saved_graph_is_the_plan_on_the_graph(router: RouterProcess, tmp_path: Path) -> None:
    other, saved = tmp_path / "other.toml", tmp_path / "graph.json"
    other.write_text(
        RULES.replace('"synth:*"', '"synth:*_1"').replace("playback_*", "playback_2") + '[policy]\nunmatched = "remove"\n'
    )
    saved.write_text(asked(router, "graph", "--json"))
    planned = told(router, "plan", str(other))
    assert planned["connect"] == [{"source": "synth:out_1", "destination": "system:playback_2"}]
    assert told(router, "plan", str(other), "--graph", str(saved)) == planned


def test_plan_of_another_file(router: RouterProcess, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text('[[rule]]\nname = "lonely"\nfrom = "nobody:*"\nto = "system:*"\n')
    relative = os.path.relpath(file)  # to our working directory, not to that of the daemon
    planned = told(router, "plan", relative)
    assert sorted(planned["disconnect"], key=str) == sorted(WANTED, key=str)
    assert planned["unmet"] == ["lonely"]
    assert "- synth:out_1 -> system:playback_1\n" in asked(router, "plan", relative)
    assert told(router, "connections", "synth:*") == WANTED


def test_buses(router: RouterProcess) -> None:
    asked(router, "bus", "main", "--gain", "-12.5", "--mute")
    (bus,) = told(router, "bus")
    assert (bus["gain"], bus["mute"], bus["active"]) == (-12.5, True, True)
    assert bus["inputs"] == ["router:main_in_L", "router:main_in_R"]
    asked(router, "bus", "main", "--gain=3", "--unmute")
    (bus,) = told(router, "bus", "main")
    assert (bus["gain"], bus["mute"]) == (3.0, False)
    assert asked(router, "bus").splitlines()[1].split() == ["main", "audio", "2", "in,", "2", "out", "+3.0", "dB"]
    assert "from -144" in asked(router, "bus", "main", "--gain", "1e9", code=1)
    assert "mian" in asked(router, "bus", "mian", "--mute", code=1)
    assert "mian" in asked(router, "bus", "mian", code=1)


def test_a_fade_is_waited_for(router: RouterProcess) -> None:
    asked(router, "bus", "main", "--gain", "-40", "--fade", "0.3", "--unmute")
    (bus,) = told(router, "bus", "main")
    assert bus["gain"] == -40.0


def test_a_bus_of_midi(router: RouterProcess) -> None:
    asked(router, "bus", "create", "keys", "--type", "midi", "--channels", "1", "--midi-channels", "1,10")
    assert "keys" in asked(router, "bus", "keys")
    assert asked(router, "bus", "keys").splitlines()[1].split() == [
        "keys",
        "midi",
        "1",
        "in,",
        "1",
        "out",
        "made,",
        "channels",
        "1",
        "10",
    ]
    asked(router, "bus", "keys", "--midi-channels", "16", "--mute")
    (bus,) = told(router, "bus", "keys")
    assert (bus["midi_channels"], bus["mute"], bus["channel_gains"], bus["matrix"]) == ([16], True, [], [])
    assert "carries MIDI: it has no gain" in asked(router, "bus", "keys", "--gain", "0", code=1)
    assert "no MIDI channel 17" in asked(router, "bus", "keys", "--midi-channels", "17", code=1)
    assert "it has no MIDI channels" in asked(router, "bus", "main", "--midi-channels", "1", code=1)


def test_buses_that_are_made(router: RouterProcess) -> None:
    assert asked(router, "bus", "create", "fx", "--channels", "L,R", "--gain", "-6").splitlines() == [
        "made: fx",
        *(f"  router:fx_{way}_{channel}" for way in ("in", "out") for channel in "LR"),
    ]
    (sub,) = told(
        router,
        *("bus", "create", "sub", "--channels=2", "--outputs=sum", "--channel-gains=-1,-2.5", "--mute"),
        *("--matrix=0.5,-0.5", "--fade-ms=0"),
    )
    assert (sub["inputs"], sub["outputs"]) == (["router:sub_in_1", "router:sub_in_2"], ["router:sub_out_sum"])
    assert (sub["channel_gains"], sub["mute"], sub["matrix"], sub["origin"]) == ([-1.0, -2.5], True, [[0.5, -0.5]], "")
    assert told(router, "bus", "main")[0]["origin"] == f"{router.config_path}:15"
    listed = [line.split() for line in asked(router, "bus").splitlines()]
    assert [(row[0], row[-1]) for row in listed[1:]] == [("fx", "made"), ("main", "dB"), ("sub", "made")]
    assert "channels: found 65 names" in asked(router, "bus", "create", "x", "--channels", "x," * 64 + "y", code=1)
    assert "there is a bus 'fx' already" in asked(router, "bus", "create", "fx", code=1)
    assert "take it out there" in asked(router, "bus", "remove", "main", code=1)
    assert "did you mean 'sub'?" in asked(router, "bus", "remove", "sbu", code=1)
    assert asked(router, "bus", "remove", "fx") == "removed: fx\n"
    assert [bus["name"] for bus in told(router, "bus")] == ["main", "sub"]
    (table,) = told(router, "graph")["made_buses"]
    assert table == {
        "name": "sub",
        "type": "audio",
        "channels": ["1", "2"],
        "outputs": ["sum"],
        "gain": 0.0,
        "channel_gains": [-1.0, -2.5],
        "mute": True,
        "matrix": [[0.5, -0.5]],
    }
    saved, file = router.folder / "graph.json", router.folder / "other.toml"
    saved.write_text(asked(router, "graph", "--json"))
    file.write_text('[[rule]]\nname = "to sub"\nfrom = "synth:*"\nto = { bus = "sub" }\n')
    plans = [json.loads(router.cli("plan", str(file), *more, "--json").stdout) for more in ([], ["--graph", str(saved)])]
    assert plans[0] == plans[1]
    assert {"source": "synth:out_1", "destination": "router:sub_in_1"} in plans[0]["connect"]
    asked(router, "bus", "create", "create")
    asked(router, "bus", "--gain", "-3", "--", "create")
    assert told(router, "bus")[0]["gain"] == -3.0


def test_profiles(router: RouterProcess) -> None:
    assert [line.split() for line in asked(router, "profile").splitlines()] == [
        ["PROFILE", "STATE", "DESCRIPTION"],
        ["default", "active"],
        ["live", "on", "the", "stage"],
    ]
    assert asked(router, "profile", "live") == "active: live\n"
    assert told(router, "profile") == [
        {"name": "default", "description": "", "active": False},
        {"name": "live", "description": "on the stage", "active": True},
    ]
    assert told(router, "bus", "main")[0]["gain"] == 3.0
    assert told(router, "status")["profile"] == "live"
    assert "\nProfile  live\n" in asked(router, "status")
    assert "did you mean 'live'?" in asked(router, "profile", "lvie", code=1)
    assert told(router, "profile", "default")[0] == {"name": "default", "description": "", "active": True}


def test_levels_once(router: RouterProcess) -> None:
    levels = told(router, "bus", "--meters")
    assert [level["port"] for level in levels["main"]] == [
        "router:main_in_L",
        "router:main_in_R",
        "router:main_out_L",
        "router:main_out_R",
    ]
    assert all(level["peak"] == -200.0 for level in levels["main"])
    assert asked(router, "bus", "--meters").splitlines()[1].split() == ["main", "router:main_in_L", "-200.0", "-200.0"]


def test_a_server_that_dies(router: RouterProcess, jack_server: JackServer) -> None:
    jack_server.kill()
    eventually(lambda: router.cli("status").returncode == 4)
    jack_server.start()
    eventually(lambda: is_connected(router))
    assert "connected" in asked(router, "status")


def test_snapshots(router: RouterProcess) -> None:
    assert asked(router, "snapshot") == ""
    assert told(router, "snapshot", "list") == []
    file = router.state_home / "jackd-router" / "snapshots" / "the evening.toml"
    saved = asked(router, "snapshot", "save", "the evening", "--description", "on stage")
    assert saved == "saved: the evening, 2 connections\n"
    assert "overwrite" in asked(router, "snapshot", "save", "the evening", code=1)
    record = told(router, "snapshot", "save", "the evening", "--overwrite")
    assert record == {
        "name": "the evening",
        "created_usec": record["created_usec"],
        "connections": 2,
        "description": "on stage",
        "path": str(file),
    }
    assert told(router, "snapshot") == told(router, "snapshot", "list") == [record]
    assert json.loads(asked(router, "snapshot", "--json", "list")) == [record]
    heading, row = asked(router, "snapshot").splitlines()
    assert heading.split() == ["SNAPSHOT", "SAVED", "CONNECTIONS", "DESCRIPTION"]
    assert row.startswith("the evening  20")
    assert row.endswith("  2            on stage")
    assert asked(router, "snapshot", "show", "the evening") == asked(router, "connections", "synth:*")
    assert told(router, "snapshot", "show", "the evening") == record | {"connections": WANTED}

    asked(router, "disconnect", *WANTED[0].values())
    asked(router, "connect", "synth:out_1", "system:playback_2")
    crossed = {"source": "synth:out_1", "destination": "system:playback_2"}
    assert asked(router, "snapshot", "restore", "the evening", "--dry-run") == "+ synth:out_1 -> system:playback_1\n"
    exact = told(router, "snapshot", "restore", "the evening", "--exact", "--dry-run")
    assert exact == {"connected": WANTED[:1], "disconnected": [crossed], "missing": [], "failed": []}
    assert told(router, "snapshot", "restore", "the evening", "--exact") == exact
    assert told(router, "connections", "synth:*") == WANTED
    assert asked(router, "snapshot", "restore", "the evening") == "no connection changed\n"

    file.write_text(
        file.read_text()
        + '[[rule]]\nname = "mic"\nfrom = { exact = "mic:out" }\nto = { exact = "system:playback_1" }\n'
        + '[[rule]]\nname = "x"\nfrom = { exact = "x:1" }\nto = { exact = "x:2" }\n'
    )
    done = router.cli("snapshot", "restore", "the evening")
    assert (done.returncode, done.stderr) == (1, "")
    missing, failed, end = done.stdout.splitlines()
    assert (missing, end) == ("missing: x:1 -> x:2", "no connection changed")
    assert failed.startswith("! mic:out -> system:playback_1 (failed: ")
    assert '"no microphone"' in failed
    (record,) = told(router, "snapshot", "restore", "the evening", code=1)["failed"]
    assert (record["source"], "no microphone" in record["reason"]) == ("mic:out", True)

    assert "did you mean 'the evening'?" in asked(router, "snapshot", "show", "evening", code=1)
    assert "cannot be the name of a snapshot" in asked(router, "snapshot", "save", "a/b", code=1)
    assert asked(router, "snapshot", "save", "--", "-x").startswith("saved: -x")
    assert asked(router, "snapshot", "delete", "the evening") == "deleted: the evening\n"
    assert json.loads(asked(router, "snapshot", "delete", "--json", "--", "-x")) == {"deleted": "-x"}
    assert not list(file.parent.iterdir())


def test_snapshots_without_a_server(start_router: StartRouter) -> None:
    router = start_router(RULES)
    assert told(router, "snapshot") == []
    asked(router, "snapshot", "save", "x", code=4)
    assert asked(router, "snapshot", "restore", "x", code=1).startswith("jackd-router: there is no snapshot 'x'")
