"""Whose a connection is outlives the daemon and its JACK host, as long as the server runs on."""

from __future__ import annotations

import os
import signal

import pytest

from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.daemon.rival import Rival
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

WANT = '[[rule]]\nname = "synth to desk"\nfrom = "synth:*"\nto = "desk:*"\n'
LEFT, RIGHT = ("synth:left", "desk:left"), ("synth:right", "desk:right")
CROSSED = ("synth:left", "desk:right")


def kept(router: RouterProcess) -> str:
    """Give the state file as it is."""
    file = router.state_home / "jackd-router" / "state.json"
    return file.read_text() if file.exists() else ""


def end(router: RouterProcess, how: str) -> None:
    """End the daemon: as systemd does, or as a crash would."""
    if how == "stop":
        router.stop()
    else:
        router.kill()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_rule_that_goes_while_the_daemon_is_away_takes_its_connections_along(
    desk: JackClient, start_router: StartRouter, how: str
) -> None:
    router = start_router(WANT)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    desk.connect(*CROSSED)  # of somebody else
    eventually(lambda: kept(router).count("synth to desk") == 2)
    end(router, how)
    desk.assert_connections({LEFT, RIGHT, CROSSED})
    router.config_path.write_text(WANT.replace(":*", ":left"))
    router.start()
    eventually(lambda: desk.connections() == {LEFT, CROSSED})


def test_what_a_rule_wants_is_adopted_without_cutting_sound(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(WANT)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    router.kill()
    (router.state_home / "jackd-router" / "state.json").unlink(missing_ok=True)  # nobody remembers
    begin = len(router.output())
    router.start()
    eventually(lambda: [rule[5] for rule in remote.call("Rules.ListRules")] == [2])
    assert "onnected synth" not in router.output()[begin:]
    router.config_path.write_text("")
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    desk.assert_connections(set())


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_holds_stay(desk: JackClient, start_router: StartRouter, remote: Remote, how: str) -> None:
    router = start_router(WANT)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    desk.disconnect(*LEFT)
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    eventually(lambda: '"held": [["synth:left", "desk:left"]]' in kept(router))
    end(router, how)
    router.start()
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    desk.assert_connections({RIGHT})
    remote.call("Rules.ReleaseHold", "ssa{sv}", *LEFT, NO_OPTIONS)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})


def test_the_death_of_the_host_ends_no_hold(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(WANT)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    desk.disconnect(*LEFT)
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    host = router.host_pid()
    assert host is not None
    os.kill(host, signal.SIGKILL)
    eventually(lambda: remote.read("Rules.Held") == [])
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    desk.assert_connections({RIGHT})
    assert "was lost" not in router.output()


def test_another_run_of_the_server_is_another_matter(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    pair = ("system:capture_1", "system:playback_1")
    router = start_router('[[rule]]\nname = "wire"\nfrom = "system:capture_1"\nto = "system:playback_1"\nallow_feedback = true\n')
    eventually(lambda: remote.connections() == {pair})
    assert remote.call("Graph.Disconnect", "ssa{sv}", *pair, NO_OPTIONS) == "disconnected"
    eventually(lambda: '"held": [["system:capture_1", "system:playback_1"]]' in kept(router))
    router.stop()
    running_server.kill()
    running_server.start()
    router.start()
    eventually(lambda: remote.connections() == {pair})
    assert "The hold on system:capture_1 -> system:playback_1 was lost with the server" in router.output()


def test_a_quarrel_goes_on_where_it_was(
    running_server: JackServer, desk: JackClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(WANT + 'manual = "enforce"\n')
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    with Rival(running_server.name, LEFT, wants_it=False):
        eventually(lambda: '"contested": [["synth:left", "desk:left", 2, ' in kept(router), timeout=20)
        router.kill()
        router.start()
        eventually(lambda: remote.read("Rules.Contested") == [[*LEFT]])
        # Not from the beginning: the next truce is the third.
        eventually(lambda: '"contested": [["synth:left", "desk:left", 3, ' in kept(router), timeout=20)
