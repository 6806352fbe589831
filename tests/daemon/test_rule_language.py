"""The rule language on a real server: moves that make before they break, ways through other clients, feedback."""

from __future__ import annotations

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

Pairs = set[tuple[str, str]]


def rule(name: str, **keys: str) -> str:
    """Give the text of one rule; values as TOML has them."""
    return f'[[rule]]\nname = "{name}"\n' + "".join(f"{key.rstrip('_')} = {value}\n" for key, value in keys.items())


def stereo(source: str, destination: str) -> Pairs:
    """Give the two connections of a stereo pair."""
    return {(f"{source}:{side}", f"{destination}:{side}") for side in ("left", "right")}


@pytest.fixture
def synth(running_server: JackServer, start_client: StartClient) -> JackClient:
    """Give a client with a stereo output."""
    return start_client("synth", outputs=["left", "right"])


def told_in_order(router: RouterProcess, *texts: str) -> bool:
    """Tell whether the log has these texts, one after the other."""
    rest = router.output()
    for text in texts:
        _, found, rest = rest.partition(text)
        if not found:
            return False
    return True


def test_a_fallback_takes_over_and_gives_back_without_a_gap(
    synth: JackClient, start_client: StartClient, start_router: StartRouter
) -> None:
    start_client("phones", inputs=["left", "right"])
    router = start_router(rule("out", from_='"synth:*"', to='"amp:*"', fallback='["gone:*", "phones:*"]'))
    eventually(lambda: synth.connections() == stereo("synth", "phones"))
    amp = start_client("amp", inputs=["left", "right"])
    eventually(lambda: synth.connections() == stereo("synth", "amp"))
    eventually(lambda: told_in_order(router, "Connected synth:left -> amp:left", "Disconnected synth:left -> phones:left"))
    amp.close()
    eventually(lambda: synth.connections() == stereo("synth", "phones"))


def test_sound_goes_through_a_client_of_via_while_it_is_there(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    router = start_router(rule("through", from_='"synth:*"', to='"desk:*"', via='"reverb:*"'))
    eventually(lambda: synth.connections() == stereo("synth", "desk"))
    reverb = start_client("reverb", inputs=["left", "right"], outputs=["left_out", "right_out"])
    through = stereo("synth", "reverb") | {("reverb:left_out", "desk:left"), ("reverb:right_out", "desk:right")}
    eventually(lambda: synth.connections() == through)
    eventually(lambda: told_in_order(router, "Connected synth:left -> reverb:left", "Disconnected synth:left -> desk:left"))
    eventually(lambda: remote.connections() == through)
    state, summary, _ = remote.call("Rules.Explain", "ss", "synth:left", "desk:left")
    assert state == "forbidden"
    assert "leads the sound through reverb instead" in summary
    refused = remote.error("Graph.Connect", "ssa{sv}", "synth:left", "desk:left", NO_OPTIONS)
    assert 'rule "through" (' in refused.text
    # Who connects them directly by hand is in the way of the rule.
    synth.connect("synth:left", "desk:left")
    eventually(lambda: synth.connections() == through)
    reverb.close()
    eventually(lambda: synth.connections() == stereo("synth", "desk"))


def test_a_recorder_gets_what_the_desk_gets(synth: JackClient, start_client: StartClient, start_router: StartRouter) -> None:
    start_client("desk", inputs=["left", "right"])
    start_client("recorder", inputs=["in_1", "in_2"])
    start_router(rule("record", follow='"desk:*"', to='"recorder:*"'))
    synth.assert_connections(set())
    synth.connect("synth:left", "desk:right")
    eventually(lambda: synth.connections() == {("synth:left", "desk:right"), ("synth:left", "recorder:in_2")})
    synth.disconnect("synth:left", "desk:right")
    eventually(lambda: synth.connections() == set())


@pytest.mark.jack2("another client of PipeWire sees a moment later what was cut")
def test_a_port_that_a_rule_has_for_itself(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    other = start_client("other", outputs=["out"])
    other.connect("other:out", "desk:left")
    start_router(rule("alone", from_='"synth:*"', to='"desk:*"', exclusive='"to"'))
    eventually(lambda: synth.connections() == stereo("synth", "desk"))
    other.connect("other:out", "desk:right")
    eventually(lambda: synth.connections() == stereo("synth", "desk"))
    refused = remote.error("Graph.Connect", "ssa{sv}", "other:out", "desk:right", NO_OPTIONS)
    assert 'rule "alone" has a port of it for its own connections (exclusive)' in refused.text
    # Only while the rule has a connection there.
    synth.disconnect("synth:right", "desk:right")
    other.connect("other:out", "desk:right")
    eventually(lambda: synth.connections() == {("synth:left", "desk:left"), ("other:out", "desk:right")})


def test_all_of_two_clients_or_nothing(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    desk = start_client("desk", inputs=["left"])
    start_router(rule("both", from_='"synth:*"', to='"desk:*"', complete="true"))
    eventually(remote.connected)
    assert "(complete)" in remote.call("Rules.Explain", "ss", "synth:left", "desk:left")[1]
    synth.assert_connections(set())
    desk.register("right", flow="input")
    eventually(lambda: synth.connections() == stereo("synth", "desk"))
    desk.unregister("right")
    eventually(lambda: synth.connections() == set())


def test_the_guard_refuses_feedback_until_a_rule_allows_it(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    guitar = rule("guitar", from_='"system:capture_1"', to='"system:playback_*"')
    router = start_router(guitar)
    pair = ("system:capture_1", "system:playback_1")
    eventually(lambda: ["guitar", "refused", *pair] in remote.applied())
    state, summary, _ = remote.call("Rules.Explain", "ss", *pair)
    assert state == "refused"
    assert "allow_feedback = true" in summary
    assert remote.connections() == set()
    checked = router.cli("check", str(router.config_path))
    assert checked.returncode == 0
    assert '1: warning: rule "guitar": system:capture_1 -> system:playback_1 and 1 more is not made now' in checked.stderr
    assert "write allow_feedback = true into the rule" in checked.stderr
    for text in (guitar, f"# a comment\n{guitar}", f"{guitar}[daemon]\nwatch = false\n"):
        router.config_path.write_text(text)
        told = remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        assert (next(stopped[:3] for stopped in told["refused"]), told["connect"]) == (["guitar", *pair], [])
        assert remote.call("Rules.Explain", "ss", *pair)[0] == "refused"
        assert remote.connections() == set()
    router.config_path.write_text(guitar + "allow_feedback = true\n")
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: remote.connections() == {pair, ("system:capture_1", "system:playback_2")})


def test_feedback_that_somebody_makes_by_hand_is_warned_about_and_left(
    synth: JackClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router("")
    eventually(remote.connected)
    synth.connect("system:capture_1", "system:playback_1")
    eventually(lambda: "The connection system:capture_1 -> system:playback_1 opens a path" in router.output())
    assert remote.call("Graph.Connect", "ssa{sv}", "system:capture_2", "system:playback_2", NO_OPTIONS) == "connected"
    eventually(lambda: "The connection system:capture_2 -> system:playback_2 opens a path" in router.output())
    assert remote.connections() == {(f"system:capture_{n}", f"system:playback_{n}") for n in (1, 2)}


def test_a_matrix_that_opens_a_path_is_warned_about(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    buses = '[[bus]]\nname = "talk"\nchannels = 1\nmatrix = [[0.0]]\n'
    into = rule("in", from_='"system:capture_1"', to='{ bus = "talk" }')
    out = rule("out", from_='{ bus = "talk" }', to='"system:playback_1"')
    router = start_router(buses + into + out)
    wanted = {("system:capture_1", "router:talk_in_1"), ("router:talk_out_1", "system:playback_1")}
    eventually(lambda: remote.connections() == wanted)
    assert "opens a path" not in router.output()
    remote.write("Bus.Matrix", "aad", [[1.0]], path=bus_path("talk"))
    eventually(lambda: "The matrix of a bus opens a path" in router.output())
    assert remote.connections() == wanted


def test_a_condition_switches_a_rule(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    start_router(rule("quiet", from_='"synth:*"', to='"desk:*"', when='{ absent = ["talkback:*"] }'))
    eventually(lambda: synth.connections() == stereo("synth", "desk"))
    talkback = start_client("talkback", outputs=["out"])
    eventually(lambda: synth.connections() == set())
    told = remote.call("Rules.GetRule", "s", "quiet")
    assert (told["active"], told["inactive-because"]) == (
        False,
        "its condition does not hold: entry 1 of when.absent matches a port",
    )
    talkback.close()
    eventually(lambda: synth.connections() == stereo("synth", "desk"))


def test_two_names_that_are_not_there_are_explained(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    start_router(rule("later", from_='"synth:*"', to='"desk:*"'))
    eventually(remote.connected)
    state, summary, steps = remote.call("Rules.Explain", "ss", "synth:out", "desk:in")
    assert state == "not-connected"
    assert "there is no port synth:out and no port desk:in now" in summary
    assert [step[0] for step in steps] == ["later"]


def test_ports_are_chosen_by_their_pretty_names(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    desk = start_client("desk", inputs=["in_1", "in_2"])
    desk.set_property("in_2", "pretty-name", "Grand Piano")
    router = start_router(rule("piano", from_='"synth:left"', to='{ pretty_name = "grand*" }', enabled="false"))
    eventually(remote.connected)
    assert remote.call("Graph.GetMetadata") == []  # nobody asks for it
    router.config_path.write_text(rule("piano", from_='"synth:left"', to='{ pretty_name = "*Piano" }'))
    valid, problems, report = remote.call("Config.Plan", "sa{sv}", "", NO_OPTIONS)
    assert (valid, report["unmet"]) == (True, ["piano"])
    assert "which nobody has read yet: this plan does not know them" in repr(problems)
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    assert remote.call("Config.Plan", "sa{sv}", "", NO_OPTIONS)[1] == []
    eventually(lambda: synth.connections() == {("synth:left", "desk:in_2")})
    desk.set_property("in_1", "pretty-name", "Upright Piano")
    desk.set_property("in_2", "pretty-name", "Organ")
    eventually(lambda: synth.connections() == {("synth:left", "desk:in_1")})


def test_cv_is_kept_from_what_is_meant_for_sound(
    start_client: StartClient, running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    modular = start_client("modular", outputs=["gate", "sound"])
    start_client("desk", inputs=["in"])
    modular.set_property("gate", "signal-type", "CV")
    everything = rule("all", from_='"modular:*"', to='"desk:*"')
    router = start_router(everything)
    both = {("modular:gate", "desk:in"), ("modular:sound", "desk:in")}
    eventually(lambda: modular.connections() == both)
    router.config_path.write_text(everything + rule("cv", from_='{ type = "cv" }', to='"other:*"'))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: modular.connections() == {("modular:sound", "desk:in")})
    assert remote.call("Graph.Connect", "ssa{sv}", "modular:gate", "desk:in", NO_OPTIONS) == "connected"
    assert remote.call("Graph.Disconnect", "ssa{sv}", "modular:gate", "desk:in", NO_OPTIONS) == "disconnected"
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "cv", False, NO_OPTIONS)
    eventually(lambda: modular.connections() == both)


@pytest.mark.jack2("PipeWire connects the ports of clients that are not active")
def test_a_complete_rule_waits_in_peace_for_a_client_that_is_not_active(
    running_server: JackServer, synth: JackClient, start_router: StartRouter
) -> None:
    with JackClient(running_server.name, "desk", inputs=["left", "right"], active=False) as desk:
        router = start_router(
            rule("both", from_='"synth:*"', to='"desk:*"', complete="true") + rule("one", from_='"synth:left"', to='"rec:*"')
        )
        eventually(lambda: "JACK did not connect synth:left -> desk:left" in router.output())
        eventually(lambda: "JACK did not connect synth:right -> desk:right" in router.output())
        with JackClient(running_server.name, "rec", inputs=["in"]):
            eventually(lambda: synth.connections() == {("synth:left", "rec:in")})
        assert router.output().count("JACK did not connect") == 2
        desk.activate()
        eventually(lambda: synth.connections() == stereo("synth", "desk"))


def test_a_reload_that_ends_a_hold_makes_nothing_that_the_guard_refuses(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    feedback = rule("feedback", from_='"system:capture_1"', to='"system:playback_1"')
    router = start_router(feedback + rule("out", from_='"synth:*"', to='"desk:*"'))
    eventually(lambda: remote.connections() == stereo("synth", "desk"))
    synth.disconnect("synth:left", "desk:left")
    eventually(lambda: remote.read("Rules.Held") == [["synth:left", "desk:left"]])
    router.config_path.write_text(feedback + rule("out", from_='"synth:*"', to='"desk:*"', pair='"name"'))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)
    eventually(lambda: synth.connections() == stereo("synth", "desk"))
    assert "Connected system:capture_1" not in router.output()


def test_a_plan_knows_the_buses_that_the_file_brings(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router("")
    eventually(remote.connected)
    buses = '[[bus]]\nname = "talk"\nchannels = 1\n'
    into = rule("in", from_='"system:capture_1"', to='{ bus = "talk" }')
    router.config_path.write_text(buses + into + rule("out", from_='{ bus = "talk" }', to='"system:playback_1"'))
    _, _, report = remote.call("Config.Plan", "sa{sv}", str(router.config_path), NO_OPTIONS)
    assert report["connect"] == [["system:capture_1", "router:talk_in_1"]]
    assert [stopped[:3] for stopped in report["refused"]] == [["out", "router:talk_out_1", "system:playback_1"]]
    assert report["unmet"] == []


def test_a_file_that_is_not_there_cannot_be_planned(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    start_router("")
    for member in ("Config.Plan", "Config.Validate"):
        valid, problems, *_ = remote.call(member, "sa{sv}", "/nowhere/at-all.toml", NO_OPTIONS)
        assert (valid, [problem[4] for problem in problems]) == (False, ["there is no such file"])


def test_connections_tell_whose_they_are(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    eventually(lambda: "desk:right" in synth.ports())  # on PipeWire each client hears of others in its own time
    synth.connect("synth:left", "desk:right")
    start_router(rule("pair", from_='"synth:*"', to='"desk:*"'))
    eventually(lambda: remote.connections() == stereo("synth", "desk") | {("synth:left", "desk:right")})
    eventually(
        lambda: remote.call("Rules.ListOwned") == [["synth:left", "desk:left", "pair"], ["synth:right", "desk:right", "pair"]]
    )


def test_why_a_connection_does_not_stay(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    start_router('[policy]\nunmatched = "remove"\n')
    eventually(remote.connected)
    synth.connect("synth:left", "desk:left")
    eventually(lambda: synth.connections() == set())
    assert 'unmatched = "remove"' in remote.call("Rules.Explain", "ss", "synth:left", "desk:left")[1]
    refused = remote.error("Graph.Connect", "ssa{sv}", "synth:left", "desk:left", NO_OPTIONS)
    assert 'would be cut again: no rule speaks of it, and unmatched = "remove"' in refused.text


def test_a_rule_that_moves_in_the_file_is_told_at_its_new_place(
    synth: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("desk", inputs=["left", "right"])
    router = start_router(rule("pair", from_='"synth:*"', to='"desk:*"'))
    eventually(lambda: remote.connections() == stereo("synth", "desk"))
    synth.disconnect("synth:left", "desk:left")
    eventually(lambda: remote.read("Rules.Held") == [["synth:left", "desk:left"]])
    router.config_path.write_text("# one line more\n" + rule("pair", from_='"synth:*"', to='"desk:*"'))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    (step,) = remote.call("Rules.Explain", "ss", "synth:right", "desk:right")[2]
    assert step[1].endswith("router.toml:2")
    assert remote.read("Rules.Held") == [["synth:left", "desk:left"]]
