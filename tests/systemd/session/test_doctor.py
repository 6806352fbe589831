"""What `jackd-router doctor` says of the unit."""

from __future__ import annotations

from tests.support.jack_client import JackClient
from tests.systemd.session.conftest import RULE
from tests.systemd.session.unit import NAME, UNITS, Unit, doctor, systemctl


def test_enabled_and_well(unit: Unit, synth: JackClient) -> None:
    unit.write_config(RULE)
    systemctl("enable", "--now", NAME)
    told = doctor()
    assert {check: grade for check, (grade, _) in told.items() if grade == "fail"} == {}
    assert (told["unit"], told["linger"], told["daemon"][0]) == (("ok", ""), ("ok", ""), "ok")
    assert "enabled" not in told
    assert doctor({"SSH_CONNECTION": "::1 1 ::1 22"})["linger"] == ("warn", "loginctl enable-linger tester")


def test_not_enabled_and_failed(unit: Unit) -> None:
    unit.add_drop_in("[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n")
    systemctl("start", NAME)
    told = doctor()
    assert told["unit"][0] == "fail"
    assert "journalctl --user -u jackd-router" in told["unit"][1]
    assert told["enabled"] == ("warn", "systemctl --user enable --now jackd-router")
    assert told["daemon"] == ("fail", "systemctl --user start jackd-router, or: jackd-router run")
    assert "linger" not in told


def test_changed_behind_systemds_back(unit: Unit) -> None:
    path = UNITS / NAME
    before = path.read_text()
    systemctl("enable", NAME)
    path.write_text(before + "# changed\n")
    try:
        assert doctor()["unit-file"] == ("warn", "systemctl --user daemon-reload")
    finally:
        path.write_text(before)
