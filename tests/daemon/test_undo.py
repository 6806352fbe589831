"""Undo on the real daemon: each change that a person makes through it, taken back in the way in which it was made."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.names import ERROR_PREFIX, MANAGER
from tests.conftest import StartClient, StartRouter
from tests.daemon.conftest import OpenRemote
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

CONFIG = """
[daemon]
watch = false

[[rule]]
name = "never across"
action = "forbid"
from = "synth:right"
to = "desk:left"

[[rule]]
name = "synth to desk"
from = "synth:*"
to = "desk:*"
profiles = ["default"]

[[profile]]
name = "live"
"""
LEFT, RIGHT = ("synth:left", "desk:left"), ("synth:right", "desk:right")
CROSSED, FORBIDDEN = ("synth:left", "desk:right"), ("synth:right", "desk:left")
HOLD = {"hold": variant("b", True)}
Pair = tuple[str, str]


@pytest.fixture
def router(desk: JackClient, start_router: StartRouter, remote: Remote) -> RouterProcess:
    """Give a daemon that has made the connections which its rules want."""
    router = start_router(CONFIG)
    eventually(lambda: remote.connections("synth") == wired(desk) == {LEFT, RIGHT})
    return router


def connect(remote: Remote, pair: Pair, options: dict[str, Variant] = NO_OPTIONS) -> str:
    return str(remote.call("Graph.Connect", "ssa{sv}", *pair, options))


def disconnect(remote: Remote, pair: Pair, options: dict[str, Variant] = NO_OPTIONS) -> str:
    return str(remote.call("Graph.Disconnect", "ssa{sv}", *pair, options))


def undo(remote: Remote) -> tuple[str, dict[str, Any]]:
    what, report = remote.call("Manager.Undo", "a{sv}", NO_OPTIONS)
    return what, report


def steps(remote: Remote) -> list[str]:
    return [what for _, what in remote.read("Manager.UndoSteps")]


def held(remote: Remote) -> set[Pair]:
    return {(source, destination) for source, destination in remote.read("Rules.Held")}


def stay(remote: Remote) -> set[Pair]:
    return {(source, destination) for source, destination in remote.read("Rules.Kept")}


def wired(desk: JackClient) -> set[Pair]:
    """Give the connections as another client sees them: a moment later than who made them."""
    return set(desk.connections())


def kept_rules(router: RouterProcess) -> Any:
    """Give what the state file says of switches, after the daemon has ended."""
    return json.loads((router.state_home / "jackd-router" / "state.json").read_text())["rules"]


def test_nothing_to_undo(router: RouterProcess, remote: Remote) -> None:
    assert connect(remote, LEFT) == "already-connected"
    assert disconnect(remote, FORBIDDEN) == "not-connected"
    remote.write("Profiles.ActiveProfile", "s", "default")
    remote.write("Rules.Enabled", "b", True)
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)
    assert remote.error("Graph.Connect", "ssa{sv}", *FORBIDDEN, NO_OPTIONS).name == f"{ERROR_PREFIX}.Refused"
    assert steps(remote) == []
    error = remote.error("Manager.Undo", "a{sv}", NO_OPTIONS)
    assert (error.name, "nothing to undo" in error.text) == (f"{ERROR_PREFIX}.NothingToUndo", True)
    assert "undo" in remote.read("Manager.Features")


def test_a_cut_is_made_again_and_its_hold_released(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    assert disconnect(remote, LEFT) == "disconnected"
    eventually(lambda: (held(remote), wired(desk)) == ({LEFT}, {RIGHT}))
    what, report = undo(remote)
    assert what == "disconnected synth:left -> desk:left"
    assert report == {"connect": [[*LEFT]], "disconnect": [], "failed": [], "problems": []}
    eventually(lambda: (held(remote), wired(desk)) == (set(), {LEFT, RIGHT}))
    assert [rule[5] for rule in remote.call("Rules.ListRules")] == [0, 2], "the rule owns it again"


def test_a_connection_is_cut_again(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    assert connect(remote, CROSSED) == "connected"
    what, report = undo(remote)
    assert (what, report["disconnect"]) == ("connected synth:left -> desk:right", [[*CROSSED]])
    eventually(lambda: (held(remote), wired(desk)) == (set(), {LEFT, RIGHT}))


def test_a_connection_that_ended_a_hold_is_held_again(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    disconnect(remote, LEFT)
    connect(remote, LEFT)
    eventually(lambda: (held(remote), wired(desk)) == (set(), {LEFT, RIGHT}))
    undo(remote)
    eventually(lambda: (held(remote), wired(desk)) == ({LEFT}, {RIGHT}))
    undo(remote)
    eventually(lambda: (held(remote), wired(desk)) == (set(), {LEFT, RIGHT}))


def test_a_connection_against_a_rule_is_the_rules_business_again(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    assert connect(remote, FORBIDDEN, HOLD) == "connected"
    assert (held(remote), stay(remote)) == (set(), {FORBIDDEN})
    undo(remote)
    eventually(lambda: (stay(remote), wired(desk)) == (set(), {LEFT, RIGHT}))
    assert remote.error("Graph.Connect", "ssa{sv}", *FORBIDDEN, NO_OPTIONS).name == f"{ERROR_PREFIX}.Refused"


def test_a_connection_that_was_kept_is_kept_again(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    connect(remote, FORBIDDEN, HOLD)
    assert disconnect(remote, FORBIDDEN) == "disconnected"
    assert stay(remote) == set()
    undo(remote)
    eventually(lambda: (stay(remote), wired(desk)) == ({FORBIDDEN}, {LEFT, RIGHT, FORBIDDEN}))


def test_only_a_hold(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    assert connect(remote, LEFT, HOLD) == "already-connected"
    assert disconnect(remote, CROSSED, HOLD) == "not-connected"
    assert (held(remote), stay(remote)) == ({CROSSED}, {LEFT})
    assert steps(remote) == ["held as cut synth:left -> desk:right", "held as connected synth:left -> desk:left"]
    undo(remote)
    undo(remote)
    eventually(lambda: (held(remote), stay(remote), wired(desk)) == (set(), set(), {LEFT, RIGHT}))


def test_released_holds_are_held_again(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    disconnect(remote, LEFT)
    disconnect(remote, RIGHT)
    remote.call("Rules.ReleaseHold", "ssa{sv}", *LEFT, NO_OPTIONS)
    eventually(lambda: (held(remote), wired(desk)) == ({RIGHT}, {LEFT}))
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)
    eventually(lambda: (held(remote), wired(desk)) == (set(), {LEFT, RIGHT}))
    assert steps(remote)[:2] == ["released synth:right -> desk:right", "released synth:left -> desk:left"]
    assert undo(remote)[1]["disconnect"] == [[*RIGHT]]
    eventually(lambda: (held(remote), wired(desk)) == ({RIGHT}, {LEFT}))
    undo(remote)
    eventually(lambda: (held(remote), wired(desk)) == ({LEFT, RIGHT}, set()))


def test_many_changes_in_one_call_are_one_step(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    report = remote.call("Graph.Apply", "a(ss)a(ss)a{sv}", [CROSSED, FORBIDDEN], [LEFT, RIGHT], NO_OPTIONS)
    assert report["failed"] == [[*FORBIDDEN]]
    eventually(lambda: wired(desk) == {CROSSED})
    assert steps(remote) == ["connected synth:left -> desk:right, disconnected 2 pairs"]
    _, report = undo(remote)
    assert (report["connect"], report["disconnect"]) == ([[*LEFT], [*RIGHT]], [[*CROSSED]])
    eventually(lambda: (held(remote), wired(desk), steps(remote)) == (set(), {LEFT, RIGHT}, []))


def test_a_switch_of_the_profile_goes_back_with_its_holds(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    disconnect(remote, LEFT)
    remote.write("Profiles.ActiveProfile", "s", "live")
    eventually(lambda: (held(remote), wired(desk)) == (set(), set()))
    connect(remote, LEFT)
    assert steps(remote)[:2] == ["connected synth:left -> desk:left", "switched from profile 'default' to 'live'"]
    undo(remote)
    begin = len(router.output())
    assert undo(remote)[1] == {"connect": [[*RIGHT]], "disconnect": [], "failed": [], "problems": []}
    assert "onnected synth:left" not in router.output()[begin:], "not even for a moment"
    assert remote.read("Profiles.ActiveProfile") == "default"
    eventually(lambda: (held(remote), wired(desk)) == ({LEFT}, {RIGHT}))


def test_what_is_held_again_in_a_profile_is_cut_there(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    disconnect(remote, LEFT)
    remote.write("Profiles.ActiveProfile", "s", "live")
    desk.connect(*LEFT)  # somebody else, no step of ours
    eventually(lambda: remote.connections("synth") == {LEFT})
    assert undo(remote)[1]["disconnect"] == [[*LEFT]]
    eventually(lambda: (held(remote), wired(desk)) == ({LEFT}, {RIGHT}))


@pytest.mark.parametrize("persist", [True, False])
def test_a_rule_is_switched_as_it_was(router: RouterProcess, desk: JackClient, remote: Remote, persist: bool) -> None:
    options = {"persist": variant("b", persist)}
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "synth to desk", False, options)
    eventually(lambda: wired(desk) == set())
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "synth to desk", False, options)  # it is: no step
    assert steps(remote) == ["disabled rule 'synth to desk'"]
    assert undo(remote)[1]["connect"] == [[*LEFT], [*RIGHT]]
    eventually(lambda: wired(desk) == {LEFT, RIGHT})
    router.stop()
    assert kept_rules(router) == {}
    router.start()
    eventually(lambda: remote.connections("synth") == {LEFT, RIGHT})
    assert steps(remote) == []


def test_a_kept_switch_stays_where_another_one_is_undone(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    off, on = (("synth to desk", enabled) for enabled in (False, True))
    remote.call("Rules.SetRuleEnabled", "sba{sv}", *off, NO_OPTIONS)
    remote.call("Rules.SetRuleEnabled", "sba{sv}", *on, {"persist": variant("b", False)})
    eventually(lambda: wired(desk) == {LEFT, RIGHT})
    undo(remote)
    eventually(lambda: wired(desk) == set())
    router.stop()
    assert kept_rules(router) == {"synth to desk": {"enabled": False, "configured": True}}


def test_the_master_switch(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    remote.write("Rules.Enabled", "b", False)
    desk.disconnect(*LEFT)
    eventually(lambda: remote.connections("synth") == {RIGHT})
    assert undo(remote)[0] == "disabled all rules"
    assert remote.read("Rules.Enabled") is True


def test_what_is_gone_is_told_and_the_rest_is_done(
    router: RouterProcess, desk: JackClient, start_client: StartClient, remote: Remote
) -> None:
    organ = start_client("organ", outputs=["out"])
    eventually(lambda: remote.call("Graph.ListPorts", "sa{sv}", "organ", NO_OPTIONS) == ["organ:out"])
    remote.call("Graph.Apply", "a(ss)a(ss)a{sv}", [("organ:out", "desk:left"), CROSSED], [LEFT], NO_OPTIONS)
    organ.close()
    eventually(lambda: remote.connections("organ") == set())
    eventually(lambda: remote.call("Graph.ListPorts", "sa{sv}", "organ", NO_OPTIONS) == [])
    _, report = undo(remote)
    assert (report["connect"], report["disconnect"]) == ([[*LEFT]], [[*CROSSED]])
    assert report["failed"] == [["organ:out", "desk:left"]]
    (problem,) = report["problems"]
    assert problem.startswith("organ:out -> desk:left: there is no port organ:out")
    eventually(lambda: wired(desk) == {LEFT, RIGHT})


def test_a_rule_and_a_profile_that_are_gone(router: RouterProcess, remote: Remote) -> None:
    remote.write("Profiles.ActiveProfile", "s", "live")
    remote.write("Profiles.ActiveProfile", "s", "default")
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "never across", False, NO_OPTIONS)
    router.write_config(CONFIG.replace("never across", "no more").replace('"live"', '"stage"'))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    assert undo(remote)[1]["problems"] == ["there is no rule 'never across'"]
    assert undo(remote)[1]["problems"] == ["there is no profile 'live'; there are: 'default', 'stage'"]
    assert (remote.read("Profiles.ActiveProfile"), steps(remote)) == (
        "default",
        ["switched from profile 'default' to 'live'"],
    )


def test_without_a_server_the_step_waits(router: RouterProcess, jack_server: JackServer, remote: Remote) -> None:
    disconnect(remote, LEFT)
    jack_server.kill()
    eventually(lambda: not remote.connected())
    assert remote.error("Manager.Undo", "a{sv}", NO_OPTIONS).name == f"{ERROR_PREFIX}.NotConnected"
    assert steps(remote) == ["disconnected synth:left -> desk:left"]


def test_a_connection_that_a_rule_forbids_by_now_is_not_made(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    connect(remote, CROSSED)
    disconnect(remote, CROSSED)
    router.write_config(CONFIG.replace('from = "synth:right"\nto = "desk:left"', 'from = "synth:left"\nto = "desk:right"'))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    _, report = undo(remote)
    assert (report["connect"], report["failed"]) == ([], [[*CROSSED]])
    assert '"never across"' in report["problems"][0]
    eventually(lambda: wired(desk) == {LEFT, RIGHT})


def test_a_connection_that_a_rule_wants_by_now_is_held_when_it_is_cut(
    router: RouterProcess, desk: JackClient, remote: Remote
) -> None:
    connect(remote, CROSSED)
    router.write_config(CONFIG + '[[rule]]\nname = "across"\nfrom = "synth:left"\nto = "desk:right"\n')
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    assert undo(remote)[1]["disconnect"] == [[*CROSSED]]
    eventually(lambda: (held(remote), wired(desk)) == ({CROSSED}, {LEFT, RIGHT}))


def test_calls_at_the_same_time_take_back_a_step_each(
    router: RouterProcess, desk: JackClient, remote: Remote, open_remote: OpenRemote
) -> None:
    connect(remote, CROSSED)
    disconnect(remote, CROSSED)
    disconnect(remote, LEFT)
    disconnect(remote, RIGHT)
    remotes = [open_remote() for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(undo, remotes))
    assert sorted(what for what, _ in done) == sorted(
        ["connected synth:left -> desk:right", *(f"disconnected {' -> '.join(pair)}" for pair in (CROSSED, LEFT, RIGHT))]
    )
    eventually(lambda: (held(remote), wired(desk), steps(remote)) == (set(), {LEFT, RIGHT}, []))


def test_many_steps_back(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    for _ in range(30):
        connect(remote, CROSSED)
        disconnect(remote, CROSSED)
    assert len(steps(remote)) == 60
    for number in range(60):
        now = {LEFT, RIGHT} if number % 2 == 0 else {LEFT, RIGHT, CROSSED}
        eventually(lambda now=now: wired(desk) == now)  # type: ignore[misc]  # another client sees it a cycle later
        undo(remote)
    eventually(lambda: wired(desk) == {LEFT, RIGHT})
    assert steps(remote) == []


def test_that_there_is_something_to_undo_is_announced(router: RouterProcess, remote: Remote) -> None:
    def announced() -> int:
        changed = [signal.body for signal in remote.signals("PropertiesChanged")]
        return sum(body[0] == MANAGER and body[2] == ["UndoSteps"] for body in changed)

    connect(remote, CROSSED)
    eventually(lambda: announced() == 1)
    undo(remote)
    eventually(lambda: announced() == 2)
    assert f"Undone: connected {CROSSED[0]} -> {CROSSED[1]}" in router.output()


def test_a_snapshot_is_one_step(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    connect(remote, CROSSED)
    remote.call("Snapshots.Save", "sa{sv}", "crossed", NO_OPTIONS)
    disconnect(remote, CROSSED)
    disconnect(remote, LEFT)
    eventually(lambda: desk.connections() == {RIGHT})
    count = len(steps(remote))
    remote.call("Snapshots.Restore", "sa{sv}", "crossed", NO_OPTIONS)
    eventually(lambda: desk.connections() == {LEFT, RIGHT, CROSSED})
    assert len(steps(remote)) == count + 1
    what, _ = undo(remote)
    assert what == "restored snapshot 'crossed': connected 2 pairs"
    eventually(lambda: desk.connections() == {RIGHT})
    assert remote.read("Rules.Held"), "what was held before is held again"
