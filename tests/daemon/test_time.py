"""The clock jumps, or all stands still for a while, as a machine that sleeps: the router goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.daemon.rival import Rival
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.preloaded import Clock
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

YEAR_S = 365 * 24 * 3600
RULE = """
[[rule]]
name = "synth to desk"
from = "synth:*"
to = "desk:*"
"""
BUS = '[[bus]]\nname = "main"\n'
LEFT, RIGHT = ("synth:left", "desk:left"), ("synth:right", "desk:right")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def router(
    tmp_path: Path, session_bus: SessionBus, jack_server: JackServer, clock: Clock, keep_log: Callable[[Path], None]
) -> Iterator[RouterProcess]:
    """Give a daemon with that clock, not started yet."""
    router = RouterProcess(tmp_path, RULE + BUS, bus_address=session_bus.address, server_name=jack_server.name)
    router.extra_env = dict(clock.env)
    keep_log(router.log)
    yield router
    router.close(check=True)


def test_the_clock_can_be_set(clock: Clock) -> None:
    clock.set_ahead(-YEAR_S)
    program = "import time; print(time.time(), time.clock_gettime(time.CLOCK_REALTIME), time.monotonic())"
    told = subprocess.run([sys.executable, "-c", program], env=os.environ | clock.env, capture_output=True, check=True)
    real = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    (set_back, also, same), (now, _, monotonic) = (map(float, one.stdout.split()) for one in (told, real))
    assert -2 < now - YEAR_S - set_back < 60
    assert abs(also - set_back) < 60
    assert abs(monotonic - same) < 60


def has_loaded(router: RouterProcess, times: int) -> bool:
    return router.output().count("Configuration loaded") == times


def test_a_clock_that_jumps_changes_nothing(desk: JackClient, router: RouterProcess, remote: Remote, clock: Clock) -> None:
    router.start()
    desk.connect("synth:left", "desk:right")
    eventually(lambda: desk.connections() >= {LEFT, RIGHT})
    host, version = router.host_pid(), 0
    for number, ahead_s in enumerate((YEAR_S, -YEAR_S, 0)):
        clock.set_ahead(ahead_s)
        desk.disconnect(*LEFT)
        eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
        remote.call("Rules.ReleaseHold", "ssa{sv}", *LEFT, NO_OPTIONS)
        eventually(lambda: desk.connections() >= {LEFT, RIGHT})
        remote.write("Bus.Gain", "d", -1.0 - number, path=bus_path("main"))
        router.write_config(f"# {number}\n{RULE}{BUS}")
        eventually(partial(has_loaded, router, number + 2))
        assert (remote.read("Server.State"), remote.read("Manager.Status")) == ("connected", "ok")
        assert remote.read("Graph.GraphVersion") > version
        version = remote.read("Graph.GraphVersion")
    assert router.host_pid() == host
    # Over restarts, too: the one before has seen a later time than the next one.
    clock.set_ahead(YEAR_S)
    desk.disconnect(*LEFT)
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    remote.write("Bus.Mute", "b", True, path=bus_path("main"))
    router.kill()
    clock.set_ahead(-YEAR_S)
    router.start()
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    assert (remote.read("Bus.Gain", path=bus_path("main")), remote.read("Bus.Mute", path=bus_path("main"))) == (-3.0, True)
    assert remote.read("Graph.GraphVersion") > version


@pytest.mark.parametrize("ahead_s", [-YEAR_S, YEAR_S])
def test_a_truce_is_no_longer_than_it_was(
    running_server: JackServer, desk: JackClient, router: RouterProcess, remote: Remote, clock: Clock, ahead_s: int
) -> None:
    router.write_config(RULE.rstrip() + '\nmanual = "enforce"\n')
    router.start()
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    with Rival(running_server.name, LEFT, wants_it=False):
        eventually(lambda: remote.read("Rules.Contested") == [[*LEFT]], timeout=20)
        router.kill()
    clock.set_ahead(ahead_s)
    router.start()
    eventually(lambda: desk.connections() == {LEFT, RIGHT}, timeout=10, what="the truce is over")


STILL_S = 3


def rest(seconds: float) -> None:
    """Let the time pass that the test is about."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until)


@pytest.mark.jack2("what stands still is one process")
@pytest.mark.parametrize("first", ["daemon", "server"])
def test_nobody_is_blamed_for_a_time_in_which_all_stood_still(
    running_server: JackServer, desk: JackClient, start_router: StartRouter, remote: Remote, first: str
) -> None:
    router = start_router(RULE + BUS)
    eventually(lambda: desk.connections() >= {LEFT, RIGHT})
    desk.disconnect(*LEFT)
    eventually(lambda: remote.read("Rules.Held") == [[*LEFT]])
    eventually(remote.connected)
    host = router.host_pid()
    assert host is not None
    everybody = {"server": running_server.pid, "host": host, "desk": desk.pid, "daemon": router.pid}
    for name, pid in everybody.items():
        if name == first == "daemon":
            rest(1.6)  # when it falls asleep last, it may wait for an answer of the others already
        os.kill(pid, signal.SIGSTOP)
    rest(STILL_S)
    os.kill(everybody.pop(first), signal.SIGCONT)
    rest(0.3)  # they do not all awake at once
    for pid in everybody.values():
        os.kill(pid, signal.SIGCONT)
    # Two seconds of a living host make it sure that nobody was about to end it.
    cycles = remote.read("Server.CycleCount")
    eventually(lambda: remote.read("Server.CycleCount") > cycles + 2 * 48_000 / 256)
    assert router.host_pid() == host
    assert (remote.read("Server.State"), remote.read("Manager.Status")) == ("connected", "ok")
    assert "does not answer" not in router.output()
    assert remote.read("Rules.Held") == [[*LEFT]]
    desk.assert_connections({RIGHT})
