"""How the daemon ends, and what it leaves."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

WITHIN_S = 2
CONFIG = """
[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "system:playback_*"

[[bus]]
name = "main"
"""


def stopped_within(router: RouterProcess, number: signal.Signals) -> float:
    """Send the signal, check that the daemon ends well, and give the seconds that it took."""
    begun = time.monotonic()
    os.kill(router.pid, number)
    eventually(lambda: router.status is not None)
    took = time.monotonic() - begun
    assert router.status == 0, router.output()
    router.assert_no_traceback()
    return took


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_what_it_connected_stays(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, number: signal.Signals
) -> None:
    synth = start_client("synth", outputs=["out"])
    router = start_router(CONFIG)
    made = {("synth:out", "system:playback_1"), ("synth:out", "system:playback_2")}
    eventually(lambda: made <= synth.connections())
    eventually(lambda: "router:main_in_1" in synth.ports())
    host = router.host_pid()
    assert stopped_within(router, number) < WITHIN_S
    assert made <= synth.connections()
    synth.assert_seen(lambda: any(port.startswith("router:") for port in synth.ports()), expected=False)
    assert host is not None
    assert not Path(f"/proc/{host}").exists()


def test_it_ends_without_a_server(start_router: StartRouter) -> None:
    assert stopped_within(start_router(CONFIG), signal.SIGTERM) < WITHIN_S


def test_it_ends_while_the_server_is_frozen(running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    eventually(remote.connected)
    running_server.freeze()
    assert stopped_within(router, signal.SIGTERM) < WITHIN_S


def test_a_reload_that_comes_while_it_ends_is_not_told(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(CONFIG)
    eventually(remote.connected)
    running_server.freeze()  # so that the end takes a second
    os.kill(router.pid, signal.SIGTERM)
    eventually(lambda: "STOPPING=1" in router.notify.lines())
    router.reload_by_signal()
    eventually(lambda: router.status == 0)
    told = router.notify.lines()
    assert not {"RELOADING=1", "READY=1"} & set(told[told.index("STOPPING=1") :])


def test_it_ends_right_after_it_was_started(running_server: JackServer, start_router: StartRouter) -> None:
    router = start_router(CONFIG, wait_until_ready=False)
    # The signal handlers are the first thing that the daemon sets up; before them SIGTERM is the interpreter's.
    eventually(lambda: "Configuration loaded" in router.output())
    assert stopped_within(router, signal.SIGTERM) < WITHIN_S
