"""What an answer or a signal tells is what is so: reports of changes, what was refused, and no more signals than changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.names import CONFIG as CONFIG_INTERFACE
from jackd_router.dbus_api.names import bus_path
from jackd_router.runtime.publisher import ONE_BURST_S
from tests.conftest import StartClient, StartRouter
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
name = "always"
from = "synth:left"
to = "desk:left"
manual = "enforce"
"""
ALWAYS, FREE, FORBIDDEN = ("synth:left", "desk:left"), ("synth:left", "desk:right"), ("synth:right", "desk:left")
MISSING = ("synth:left", "desk:nothing")
DRY_RUN, HOLD = {"dry-run": variant("b", True)}, {"hold": variant("b", True)}
Pair = tuple[str, str]


@pytest.fixture
def router(desk: JackClient, start_router: StartRouter, remote: Remote) -> RouterProcess:
    """Give a daemon that has made the connection which its rules want."""
    router = start_router(CONFIG)
    eventually(lambda: remote.connections("synth") == {ALWAYS})
    return router


def pairs(report: dict[str, Any], key: str) -> set[Pair]:
    return {(source, destination) for source, destination in report[key]}


def apply(remote: Remote, connect: list[Pair], disconnect: list[Pair], options: dict[str, Variant]) -> dict[str, Any]:
    return dict(remote.call("Graph.Apply", "a(ss)a(ss)a{sv}", connect, disconnect, options))


# ---- reports


@pytest.mark.jack2("PipeWire has no such option")
def test_what_the_server_refuses_is_not_called_connected(
    jack_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    rule = '[[rule]]\nname = "out"\nfrom = "router:main_out_1"\nto = "system:playback_1"\n'
    buses = '[daemon]\nwatch = false\n[[bus]]\nname = "main"\nchannels = 1\n'
    wanted = ("router:main_out_1", "system:playback_1")
    jack_server.refuses_own_connections = True
    jack_server.start()
    router = start_router(buses)
    eventually(remote.connected)
    router.config_path.write_text(buses + rule)
    for member in ("Config.Reload", "Rules.Reapply"):
        report = remote.call(member, "a{sv}", NO_OPTIONS)
        assert (pairs(report, "connect"), pairs(report, "failed")) == (set(), {wanted}), member
    assert remote.connections() == set()


@pytest.mark.parametrize("pause", ["switched off", "inhibited"])
def test_what_rules_may_not_do_is_not_called_done(router: RouterProcess, remote: Remote, pause: str) -> None:
    if pause == "inhibited":
        remote.call("Manager.Inhibit", "ssa{sv}", "test", "to look", NO_OPTIONS)
    else:
        remote.write("Rules.Enabled", "b", False)
    assert remote.call("Graph.Disconnect", "ssa{sv}", *ALWAYS, HOLD) == "disconnected"
    assert pairs(remote.call("Rules.Reapply", "a{sv}", DRY_RUN), "connect") == {ALWAYS}, "what would be, were it not for that"
    report = remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)
    assert (pairs(report, "connect"), pairs(report, "failed")) == (set(), set())
    assert remote.call("Graph.Connect", "ssa{sv}", *ALWAYS, NO_OPTIONS) == "connected"
    router.config_path.write_text("[daemon]\nwatch = false\n")
    assert pairs(remote.call("Config.Reload", "a{sv}", NO_OPTIONS), "disconnect") == set()
    assert remote.connections("synth") == {ALWAYS}


def test_apply_tells_beforehand_what_it_will_not_do(router: RouterProcess, remote: Remote) -> None:
    connect, disconnect = [FREE, FORBIDDEN, MISSING], [ALWAYS]
    would = apply(remote, connect, disconnect, DRY_RUN)
    assert remote.connections("synth") == {ALWAYS}
    does = apply(remote, connect, disconnect, NO_OPTIONS)
    assert would == does
    assert (pairs(does, "connect"), pairs(does, "disconnect")) == ({FREE}, set())
    reasons = {(source, end): why for (source, end), why in zip(does["failed"], does["reasons"], strict=True)}
    assert reasons.keys() == {ALWAYS, FORBIDDEN, MISSING}
    assert reasons[ALWAYS].endswith('would be made again: rule "always" enforces it')
    assert 'would be cut again: rule "never across" (' in reasons[FORBIDDEN]
    assert reasons[MISSING].startswith("there is no port desk:nothing")
    assert "option" not in "".join(does["reasons"]), "this call has none for that"


def test_of_what_a_rule_makes_again_there_is_nothing_to_undo(router: RouterProcess, remote: Remote) -> None:
    def steps() -> list[str]:
        return [what for _, what in remote.read("Manager.UndoSteps")]

    assert remote.call("Graph.Disconnect", "ssa{sv}", *ALWAYS, NO_OPTIONS) == "disconnected"
    eventually(lambda: remote.connections("synth") == {ALWAYS})
    assert steps() == []
    remote.write("Rules.Enabled", "b", False)
    assert remote.call("Graph.Disconnect", "ssa{sv}", *ALWAYS, NO_OPTIONS) == "disconnected"
    assert steps() == ["disconnected synth:left -> desk:left", "disabled all rules"]
    remote.write("Rules.Enabled", "b", True)
    eventually(lambda: remote.connections("synth") == {ALWAYS})
    assert remote.call("Graph.Disconnect", "ssa{sv}", *ALWAYS, HOLD) == "disconnected"
    assert remote.call("Graph.Disconnect", "ssa{sv}", *ALWAYS, NO_OPTIONS) == "not-connected"
    assert remote.connections("synth") == set()


# ---- calls that follow each other closely


def test_of_many_calls_each_is_told_what_it_did(router: RouterProcess, remote: Remote) -> None:
    with ThreadPoolExecutor(8) as callers:
        answers = callers.map(lambda _: remote.call("Graph.Connect", "ssa{sv}", *FREE, NO_OPTIONS), range(8))
    assert sorted(answers) == ["already-connected"] * 7 + ["connected"]
    assert [what for _, what in remote.read("Manager.UndoSteps")] == ["connected synth:left -> desk:right"]


def test_each_of_many_calls_can_be_taken_back(router: RouterProcess, remote: Remote) -> None:
    members = ("Graph.Connect", "Graph.Disconnect") * 3
    assert remote.calls([(member, "ssa{sv}", (*FREE, NO_OPTIONS)) for member in members]) == ["connected", "disconnected"] * 3
    steps = [what.split()[0] for _, what in remote.read("Manager.UndoSteps")]
    assert steps == ["disconnected", "connected"] * 3
    for connected in (True, False) * 3:
        remote.call("Manager.Undo", "a{sv}", NO_OPTIONS)
        assert (FREE in remote.connections("synth")) is connected


# ---- signals


@pytest.fixture
def many(running_server: JackServer, start_client: StartClient, router: RouterProcess, remote: Remote) -> list[Pair]:
    """Give 400 pairs that can be connected."""
    ports = [str(number) for number in range(20)]
    start_client("big", outputs=ports)
    start_client("sink", inputs=ports)
    eventually(lambda: len(remote.call("Graph.ListPorts", "sa{sv}", "big", NO_OPTIONS)) == len(ports))
    eventually(lambda: len(remote.call("Graph.ListPorts", "sa{sv}", "sink", NO_OPTIONS)) == len(ports))
    return [(f"big:{one}", f"sink:{other}") for one, other in product(ports, ports)]


def test_many_changes_in_one_call_are_told_as_one(many: list[Pair], remote: Remote) -> None:
    def told_before_the_answer(call: Callable[[], object]) -> tuple[int, int]:
        """Give how many were connected and cut, which one signal tells: on a busy machine one for each time that it may take."""
        before, begun = len(remote.signals("GraphChanged")), time.monotonic()
        call()
        told = remote.signals("GraphChanged")[before:]
        assert len(told) <= 1 + (time.monotonic() - begun) // ONE_BURST_S
        return sum(len(signal.body[4]) for signal in told), sum(len(signal.body[5]) for signal in told)

    exact = {"exact": variant("b", True)}
    remote.call("Snapshots.Save", "sa{sv}", "before", NO_OPTIONS)
    assert told_before_the_answer(lambda: apply(remote, many, [], NO_OPTIONS)) == (400, 0)
    assert told_before_the_answer(lambda: remote.call("Snapshots.Restore", "sa{sv}", "before", exact)) == (0, 400)
    assert told_before_the_answer(lambda: remote.call("Manager.Undo", "a{sv}", NO_OPTIONS)) == (400, 0)


def test_what_did_not_change_is_not_told(router: RouterProcess, remote: Remote) -> None:
    rule = "Rules.SetRuleEnabled", "sba{sv}", "always", False, NO_OPTIONS
    remote.call(*rule)
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)  # after which everything is told
    told = len(remote.signals("RulesChanged"))
    remote.call(*rule)
    remote.write("Rules.Enabled", "b", True)
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "never across", False, NO_OPTIONS)
    eventually(lambda: len(remote.signals("RulesChanged")) > told)
    assert [signal.body[0] for signal in remote.signals("RulesChanged")[told:]] == [["never across"]]
    before = len(remote.signals("PropertiesChanged"))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    changed = [(signal.body[0], set(signal.body[1])) for signal in remote.signals("PropertiesChanged")[before:]]
    assert [names for interface, names in changed if interface == CONFIG_INTERFACE] == [{"LoadedUSec"}]


def test_a_bus_that_becomes_one_of_midi_tells_its_channels(router: RouterProcess, remote: Remote) -> None:
    path = bus_path("keys")
    for type_, channels in (("audio", []), ("midi", [*range(1, 17)]), ("audio", [])):
        router.config_path.write_text(f'{CONFIG}[[bus]]\nname = "keys"\nchannels = 1\ntype = "{type_}"\n')
        told = len(remote.signals("PropertiesChanged"))
        remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        assert remote.read("Bus.MidiChannels", path=path) == channels
        signals = [signal for signal in remote.signals("PropertiesChanged")[told:] if signal.path == path]
        last = {name: value.value for signal in signals for name, value in signal.body[1].items()}
        assert last.get("MidiChannels", []) == channels, type_
