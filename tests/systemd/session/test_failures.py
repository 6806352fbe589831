"""What systemd does when the daemon fails: it starts it anew, with everything that was set at run time, or gives up."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from jackd_router.dbus_api.names import bus_path
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.systemd.session.conftest import RULE, WANTED
from tests.systemd.session.unit import NAME, PROGRAM, STATE, Unit, journal, systemctl

MAIN = bus_path("main")
CONFIG = RULE + '[[bus]]\nname = "main"\ngain = -6.0\n[[profile]]\nname = "live"\n'
HELD = ("synth:left", "system:playback_1")


def kept() -> str:
    """Give the state file as text, nothing while there is none."""
    path = STATE / "state.json"
    return path.read_text() if path.exists() else ""


def test_killed_it_comes_back_as_it_was(unit: Unit, synth: JackClient, remote: Remote) -> None:
    unit.write_config(CONFIG)
    unit.start()
    eventually(lambda: synth.connections() >= WANTED)
    remote.write("Profiles.ActiveProfile", "s", "live")
    remote.write("Bus.Gain", "d", -12.5, path=MAIN)
    remote.call("Graph.Disconnect", "ssa{sv}", *HELD, NO_OPTIONS)
    eventually(lambda: all(word in kept() for word in ("live", "-12.5", *HELD)))
    pid, (host,) = unit.pid, unit.host_pids()

    os.kill(pid, signal.SIGKILL)
    unit.wait_for_restart()
    assert unit.pid not in (0, pid)
    assert not Path(f"/proc/{host}").exists()
    eventually(remote.connected)
    assert (remote.read("Profiles.ActiveProfile"), remote.read("Bus.Gain", path=MAIN)) == ("live", -12.5)
    assert remote.read("Rules.Held") == [list(HELD)]
    # The other connection was never cut, the held one is not made again.
    assert synth.connections() == WANTED - {HELD}


def test_a_daemon_that_stands_still_is_replaced(unit: Unit, synth: JackClient, remote: Remote) -> None:
    unit.add_drop_in("[Service]\nWatchdogSec=2\n")
    unit.write_config(RULE)
    unit.start()
    eventually(lambda: synth.connections() == WANTED)
    pid = unit.pid
    os.kill(pid, signal.SIGSTOP)
    unit.wait_for_restart()
    assert unit.pid not in (0, pid)
    assert not Path(f"/proc/{pid}").exists()
    assert [entry for entry in journal(f"USER_UNIT={NAME}", "--since=-1min") if "Watchdog timeout" in entry["MESSAGE"]]
    eventually(remote.connected)
    assert synth.connections() == WANTED


def test_it_is_tried_no_more_where_it_cannot_start(unit: Unit, synth: JackClient) -> None:
    unit.add_drop_in("[Service]\nRestartSec=0\n")
    unit.write_config(RULE)
    by_hand = subprocess.Popen([PROGRAM, "run"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: synth.connections() == WANTED)
        assert systemctl("start", NAME).returncode == 1
        eventually(lambda: unit.show("ActiveState") == "failed", timeout=30)
        assert unit.show("Result") == "exit-code"
        assert unit.status_line().startswith('Status: "another jackd-router runs')
        assert "Start request repeated too quickly." in unit.status()
        # The one that was there has not noticed.
        assert by_hand.poll() is None
        assert synth.connections() == WANTED
    finally:
        by_hand.terminate()
        assert by_hand.wait(10) == 0
    systemctl("reset-failed", NAME)
    unit.start()


def test_a_wrong_command_line_is_not_tried_again(unit: Unit) -> None:
    unit.add_drop_in(f"[Service]\nExecStart=\nExecStart={PROGRAM} run --no-such-option\nRestartSec=0\n")
    assert systemctl("start", NAME).returncode == 1
    assert (unit.show("ActiveState"), unit.show("ExecMainStatus"), unit.show("NRestarts")) == ("failed", "2", "0")
    assert "unrecognized arguments: --no-such-option" in unit.status()
