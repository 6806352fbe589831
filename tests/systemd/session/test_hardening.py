"""What the unit takes away from the daemon, and that everything which it needs is left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.pipewire_server import PipeWireServer
from tests.systemd.session.conftest import RULE, WANTED
from tests.systemd.session.unit import CONFIG, DROP_INS, NAME, PROGRAM, STATE, SYSTEMD, Unit, doctor, run, systemctl

PROBE = Path(__file__).with_name("probe_program.py")
RUNTIME = Path("/run/user/1000")
NOT_PERMITTED = "EPERM"


@pytest.fixture(params=["as it is installed", "50-userns.conf"])
def hardened(request: pytest.FixtureRequest, unit: Unit) -> tuple[Unit, bool]:
    """Give the unit, without and with the drop-in that comes with it, and whether it sees a file system of its own."""
    if request.param == "as it is installed":
        return unit, SYSTEMD >= 254  # which makes the user namespace that this needs by itself
    unit.add_drop_in((DROP_INS / request.param).read_text(), request.param)
    return unit, True


def test_the_daemon_can_do_all_that_it_does(hardened: tuple[Unit, bool], synth: JackClient, remote: Remote) -> None:
    unit, _ = hardened
    unit.write_config(RULE.replace("false", "true") + '[[bus]]\nname = "main"\n')
    unit.start()
    eventually(lambda: synth.connections() >= WANTED)
    eventually(lambda: "router:main_in_1" in synth.ports())
    remote.call("Snapshots.Save", "sa{sv}", "concert", NO_OPTIONS)
    assert (STATE / "snapshots/concert.toml").exists()
    assert (STATE / "last-good").exists()
    eventually((STATE / "state.json").exists)
    unit.write_config(RULE)
    eventually(lambda: not [port for port in synth.ports() if port.startswith("router:main")])
    assert systemctl("reload", NAME).returncode == 0


def test_a_folder_that_was_removed_is_made_again(hardened: tuple[Unit, bool]) -> None:
    unit, _ = hardened
    shutil.rmtree(STATE)
    unit.start()
    assert (STATE / "last-good").exists()
    assert STATE.stat().st_mode & 0o777 == 0o700


def test_where_it_was_removed_from_a_daemon_that_runs_the_doctor_says_so(unit: Unit, remote: Remote) -> None:
    unit.add_drop_in((DROP_INS / "50-userns.conf").read_text())
    unit.write_config('[[bus]]\nname = "main"\n')
    unit.start()
    shutil.rmtree(STATE)
    remote.write("Bus.Gain", "d", -1.0, path=bus_path("main"))
    eventually(lambda: "cannot be saved: Read-only file system" in unit.status_line())
    assert doctor()["state"][0] == "fail"
    STATE.mkdir()


def test_pipewire_is_reached_in_the_run_time_directory(unit: Unit, keep_log: Callable[[Path], None], tmp_path: Path) -> None:
    unit.add_drop_in((DROP_INS / "50-userns.conf").read_text())
    unit.write_config(RULE.replace("system:playback_*", "desk"))
    server = PipeWireServer(tmp_path / "pipewire.log")
    keep_log(server.log)
    server.folder, server.name = RUNTIME, str(RUNTIME)  # where it is in every session
    with server, JackClient(server.name, "synth", outputs=["out"]) as synth, JackClient(server.name, "desk", inputs=["in"]):
        unit.start()
        eventually(lambda: synth.connections() == {("synth:out", "desk:in")})


def test_what_is_left_and_what_is_not(hardened: tuple[Unit, bool], synth: JackClient, tmp_path: Path) -> None:
    unit, own_file_system = hardened
    # In the place of the daemon; not in /tmp, of which the unit has another one.
    probe = Path.home() / PROBE.name
    shutil.copy(PROBE, probe)
    python = PROGRAM.resolve().with_name("python")
    arguments = f"{STATE / 'probe.json'} {synth.server_name} {STATE} {CONFIG.parent} {tmp_path}"
    unit.add_drop_in(f"[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart={python} {probe} {arguments}\n")
    unit.start()
    found = json.loads((STATE / "probe.json").read_text())
    assert found == {
        "session bus": "ok",
        "JACK server": "ok",
        "shared memory": "ok",
        "write the state": "ok",
        "write the configuration": "ok",
        "threads with a scheduling policy": "ok",
        "lock memory": "ok",
        "machine code made at run time": "ok",
        "write the home": "EROFS" if own_file_system else "ok",
        "write the run-time directory": "EROFS" if own_file_system else "ok",
        "see the files of others in /tmp": "ENOENT" if own_file_system else "ok",
        "internet": "EAFNOSUPPORT",
        "namespaces": NOT_PERMITTED,
        "mounts": NOT_PERMITTED,
        "new privileges": "never",
    }


@pytest.mark.parametrize(("drop_in", "at_most"), [(None, 5.5), ("50-userns.conf", 1.8)])
def test_systemd_thinks_well_of_it(unit: Unit, drop_in: str | None, at_most: float) -> None:
    if drop_in:
        unit.add_drop_in((DROP_INS / drop_in).read_text(), drop_in)
    done = run("systemd-analyze", "--user", "--no-pager", "security", f"--threshold={at_most * 10:.0f}", NAME)
    assert done.returncode == 0, done.stdout
