"""A call of the daemon's name on the session bus starts the unit."""

from __future__ import annotations

from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.systemd.session.conftest import RULE, WANTED
from tests.systemd.session.unit import PROGRAM, Unit, property_by_busctl, run


def test_the_first_call_starts_the_unit_and_is_answered(unit: Unit) -> None:
    assert not unit.is_active
    assert property_by_busctl("Manager", "Status") == "ok"
    eventually(lambda: unit.is_active)  # the answer may come a moment before READY=1
    assert unit.show("NRestarts") == "0"


def test_looking_does_not_start_it(unit: Unit) -> None:
    done = run(PROGRAM, "status")
    assert (done.returncode, done.stdout) == (3, "")
    assert unit.show("ActiveState") == "inactive"


def test_a_second_daemon_says_so_and_disturbs_nothing(unit: Unit, synth: JackClient) -> None:
    unit.write_config(RULE)
    unit.start()
    eventually(lambda: synth.connections() == WANTED)
    before = (unit.pid, unit.host_pids(), unit.status_line())
    second = run(PROGRAM, "run")
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith("jackd-router: another jackd-router runs")
    assert (unit.pid, unit.host_pids(), unit.status_line()) == before
    assert synth.connections() == WANTED
