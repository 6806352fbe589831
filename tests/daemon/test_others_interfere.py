"""What people and other programs do to connections that rules speak of."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from jackd_router.dbus_api.message_bus import variant
from jackd_router.dbus_api.names import ERROR_PREFIX
from jackd_router.jack_host.library import Implementation
from tests.conftest import StartClient, StartRouter
from tests.daemon.conftest import OpenRemote
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.daemon.rival import Restless, Rival
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer

WANT = """
[[rule]]
name = "synth to desk"
from = "synth:*"
to = "desk:*"
"""
ENFORCE = WANT + 'manual = "enforce"\n'
REMOVE = '[policy]\nunmatched = "remove"\n'
FORBID = WANT.replace("synth to desk", "never") + 'action = "forbid"\n'
HOLD = {"hold": variant("b", True)}
LEFT, RIGHT = ("synth:left", "desk:left"), ("synth:right", "desk:right")
CROSSED = ("synth:left", "desk:right")


IMPOSSIBLE = (
    ("synth:nothing", "desk:left", "NoSuchPort", "synth:nothing"),
    ("synth:left", "desk:nothing", "NoSuchPort", "desk:nothing"),
    ("synth:left", "synth:right", "IncompatiblePorts", "synth:right"),
    ("desk:left", "desk:right", "IncompatiblePorts", "desk:left"),
    ("synth:left", "keys:notes", "IncompatiblePorts", "keys:notes"),
)
"""Source, destination, the error, and the port that its text must name."""


def test_what_cannot_be_is_refused_and_named(
    desk: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("keys", midi_inputs=["notes"])
    start_router("")
    eventually(lambda: "keys:notes" in remote.ports())
    for member in ("Graph.Connect", "Graph.Disconnect"):
        for source, destination, error, culprit in IMPOSSIBLE:
            refused = remote.error(member, "ssa{sv}", source, destination, NO_OPTIONS)
            assert refused.name == f"{ERROR_PREFIX}.{error}", (member, source, destination)
            assert culprit in refused.text, (member, source, destination)
    desk.assert_connections(set())


def test_a_forbidden_connection_is_refused_and_cut(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    start_router(FORBID)
    eventually(remote.connected)
    refused = remote.error("Graph.Connect", "ssa{sv}", *LEFT, NO_OPTIONS)
    assert refused.name == f"{ERROR_PREFIX}.Refused"
    assert 'would be cut again: rule "never" (' in refused.text
    desk.connect(*LEFT)
    eventually(lambda: LEFT not in desk.connections())
    eventually(lambda: ["never", "disconnect", *LEFT] in remote.applied())


def test_a_hold_stands_against_a_rule_until_it_ends(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    start_router(FORBID)
    eventually(remote.connected)
    for ending in ("release", "reapply", "cut by somebody", "disconnect", "port"):
        assert remote.call("Graph.Connect", "ssa{sv}", *LEFT, HOLD) == "connected", ending
        assert (remote.read("Rules.Held"), remote.read("Rules.Kept")) == ([], [[*LEFT]])
        status = remote.call("Manager.GetStatus")
        assert (status["held"], status["kept"]) == (0, 1)
        eventually(lambda: remote.connections() == {LEFT})
        assert remote.call("Graph.Connect", "ssa{sv}", *LEFT, HOLD) == "already-connected"
        desk.assert_connections({LEFT})
        match ending:
            case "release":
                assert remote.call("Rules.ReleaseHold", "ssa{sv}", *LEFT, NO_OPTIONS) == "released"
            case "reapply":
                assert remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)["disconnect"] == [[*LEFT]]
            case "cut by somebody":
                desk.disconnect(*LEFT)
            case "disconnect":
                assert remote.call("Graph.Disconnect", "ssa{sv}", *LEFT, NO_OPTIONS) == "disconnected"
            case "port":
                desk.unregister("left")
                desk.register("left", flow="input")
        eventually(lambda: remote.read("Rules.Kept") == [])
        eventually(lambda: LEFT not in desk.connections())
        eventually(lambda: remote.connections() == set())
        eventually(lambda: "desk:left" in remote.ports())


def test_a_cut_by_hand_is_respected_until_the_port_goes(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    start_router(WANT)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    eventually(lambda: remote.connections() == {LEFT, RIGHT})
    desk.disconnect(*LEFT)
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    assert remote.call("Rules.Explain", "ss", *LEFT)[0] == "held"
    desk.assert_connections({RIGHT})
    desk.unregister("left")
    eventually(lambda: remote.read("Rules.Held") == [])
    desk.register("left", flow="input")
    eventually(lambda: desk.connections() >= {LEFT})


def test_a_hold_ends_when_somebody_says_so(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    start_router(WANT)
    eventually(lambda: remote.connections() == {LEFT, RIGHT})
    for release in (("Rules.ReleaseHold", "ssa{sv}", *LEFT, NO_OPTIONS), ("Rules.Reapply", "a{sv}", NO_OPTIONS)):
        desk.disconnect(*LEFT)
        eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
        remote.call(*release)
        assert remote.read("Rules.Held") == []
        eventually(lambda: desk.connections() == {LEFT, RIGHT})


def test_a_rule_that_insists_makes_it_again(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    start_router(ENFORCE)
    eventually(lambda: remote.connections() == desk.connections() == {LEFT, RIGHT})
    made = ["synth to desk", "connect", *LEFT]
    eventually(lambda: remote.applied().count(made) == 1)
    desk.disconnect(*LEFT)
    eventually(lambda: remote.applied().count(made) == 2)
    eventually(lambda: remote.connections() == desk.connections() == {LEFT, RIGHT})
    assert remote.read("Rules.Held") == []
    # Only who says `hold` means it more than the rule does.
    assert remote.call("Graph.Disconnect", "ssa{sv}", *LEFT, HOLD) == "disconnected"
    assert remote.read("Rules.Held") == [[*LEFT]]
    desk.assert_connections({RIGHT})


def test_what_no_rule_speaks_of_stays(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    start_router(ENFORCE)
    eventually(lambda: remote.connections() == {LEFT, RIGHT})
    desk.connect(*CROSSED)
    eventually(lambda: CROSSED in remote.connections())
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)
    # Not at once: on a busy machine libjack was seen to give no port at all, once, while the graph changed.
    eventually(lambda: desk.connections() == {LEFT, RIGHT, CROSSED})


@pytest.mark.parametrize(
    ("config", "wants_it"), [(ENFORCE, False), (FORBID, True), (REMOVE, True)], ids=["undoes", "makes", "makes what nobody wants"]
)
def test_a_rival_is_not_fought_in_a_busy_loop(
    running_server: JackServer, desk: JackClient, start_router: StartRouter, remote: Remote, config: str, wants_it: bool
) -> None:
    router = start_router(config)
    eventually(remote.connected)
    with Rival(running_server.name, LEFT, wants_it=wants_it) as rival:
        eventually(lambda: remote.read("Rules.Contested") == [[*LEFT]])
        # Three times, then a truce of two seconds; once more, then one of four.
        state = router.state_home / "jackd-router" / "state.json"
        eventually(lambda: '"contested": [["synth:left", "desk:left", 2, ' in state.read_text(), timeout=20)
        # On PipeWire it may act on what has been undone already.
        assert rival.times <= (5 if running_server.implementation is Implementation.JACK2 else 10)
        # Said once to each client that we were: PipeWire's libjack (0.3.65) may hang, and another host takes the place of ours.
        assert router.output().count("it has its way for") == router.output().count(" Connected to ")
        assert "another program keeps undoing what rules do to a connection" in remote.read("Manager.StatusText")
        assert remote.call("Rules.Explain", "ss", *LEFT)[0] == "contested"
        # The rest goes on as ever.
        if not wants_it:
            desk.unregister("right")
            desk.register("right", flow="input")
            eventually(lambda: RIGHT in desk.connections())
    eventually(lambda: (LEFT in desk.connections()) is not wants_it, timeout=15)
    eventually(lambda: remote.read("Rules.Contested") == [])


@pytest.mark.parametrize("insists", [False, True])
def test_a_cut_by_hand_counts_in_a_graph_that_never_rests(
    running_server: JackServer, desk: JackClient, start_router: StartRouter, remote: Remote, insists: bool
) -> None:
    start_router(ENFORCE if insists else WANT)
    eventually(lambda: remote.connections() == {LEFT, RIGHT})
    pairs = (CROSSED, ("synth:right", "desk:left"), ("system:capture_1", "desk:left"), ("system:capture_2", "desk:right"))
    with ExitStack() as stack:
        for number, pair in enumerate(pairs):
            stack.enter_context(Restless(running_server.name, f"restless_{number}", pair))
        desk.disconnect(*LEFT)
        if insists:
            eventually(lambda: LEFT in desk.connections())
        else:
            eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])


def test_an_inhibitor_stops_all_automatic_work(
    desk: JackClient, start_router: StartRouter, remote: Remote, open_remote: OpenRemote
) -> None:
    start_router(FORBID.replace("desk:*", "desk:right") + WANT)
    eventually(lambda: LEFT in desk.connections())
    other = open_remote()
    cookies = [one.call("Manager.Inhibit", "ssa{sv}", "a test", "it counts", NO_OPTIONS) for one in (remote, other)]
    assert [(cookie, who) for cookie, _, who, _ in remote.read("Manager.Inhibitors")] == [
        (cookie, "a test") for cookie in cookies
    ]
    desk.unregister("left")
    desk.register("left", flow="input")
    desk.connect(*CROSSED)
    eventually(lambda: CROSSED in remote.connections())
    assert remote.call("Rules.Explain", "ss", *LEFT)[0] == "pending"
    remote.call("Manager.Uninhibit", "u", cookies[0])
    assert "rules are stopped by a test" in remote.read("Manager.StatusText")
    desk.assert_connections({CROSSED})
    # The other one leaves the bus without a word.
    other.close()
    eventually(lambda: desk.connections() == {LEFT})
    assert remote.read("Manager.Inhibitors") == []
