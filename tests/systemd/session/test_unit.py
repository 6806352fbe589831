"""What people do with the unit: enable, status, reload, restart, stop, disable."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackd_router.service.journal import Event
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.systemd.session.conftest import RULE, WANTED
from tests.systemd.session.unit import CONFIG, DROP_INS, NAME, SYSTEMD, UNITS, Unit, journal, systemctl

LINK = UNITS / "default.target.wants" / NAME


def rule_names(remote: Remote) -> list[str]:
    """Give the rules that are in force."""
    return [rule[0] for rule in remote.call("Rules.ListRules")]


def owned(remote: Remote) -> set[tuple[str, str]]:
    """Give the connections that belong to rules."""
    return {(source, destination) for source, destination, _ in remote.call("Rules.ListOwned")}


def test_enable_now_and_disable_now(unit: Unit) -> None:
    assert systemctl("enable", "--now", NAME).returncode == 0
    assert LINK.resolve() == UNITS / NAME
    assert (systemctl("is-enabled", NAME).stdout, systemctl("is-active", NAME).stdout) == ("enabled\n", "active\n")
    pid = unit.pid
    assert systemctl("disable", "--now", NAME).returncode == 0
    assert not LINK.exists()
    assert (unit.show("ActiveState"), unit.show("Result"), unit.show("NRestarts")) == ("inactive", "success", "0")
    assert not Path(f"/proc/{pid}").exists()


def test_status_is_told_in_a_line(unit: Unit, jack_server: JackServer) -> None:
    unit.start()  # READY=1 comes without a server, or every login would wait for one
    assert unit.status_line() == "Status: \"waiting for JACK server 'default'\""
    jack_server.start()
    connected = "Status: \"connected to JACK server 'default' as 'router': 48000 Hz, 256 frames\""
    eventually(lambda: unit.status_line() == connected)
    jack_server.kill()
    eventually(lambda: unit.status_line().startswith("Status: \"waiting for JACK server 'default'"))
    assert unit.is_active


@pytest.mark.parametrize("drop_in", [None, *(["50-notify-reload.conf"] if SYSTEMD >= 253 else [])])
def test_reload_returns_when_the_new_rules_are_in_force(
    unit: Unit, synth: JackClient, remote: Remote, drop_in: str | None
) -> None:
    if drop_in:
        unit.add_drop_in((DROP_INS / drop_in).read_text())
    unit.write_config("[daemon]\nwatch = false\n")
    unit.start()
    eventually(remote.connected)
    unit.write_config(RULE)
    assert systemctl("reload", NAME).returncode == 0
    # At once, without waiting.
    assert rule_names(remote) == ["synth to speakers"]
    assert synth.connections() == WANTED


def test_a_refused_reload_fails_says_why_and_changes_nothing(unit: Unit, synth: JackClient, remote: Remote) -> None:
    unit.write_config(RULE)
    unit.start()
    eventually(lambda: synth.connections() == WANTED)
    pid = unit.pid
    unit.write_config(RULE + 'colour = "red"\n')
    assert systemctl("reload", NAME).returncode == 1
    assert (unit.pid, unit.is_active, unit.show("NRestarts")) == (pid, True, "0")
    assert rule_names(remote) == ["synth to speakers"]
    assert synth.connections() == WANTED
    # The line of busctl, which ends at once, is not always known to be this unit's.
    refused = f'configuration refused, the older one stays in force: {CONFIG}:9:1: unknown key "colour"'
    assert unit.status_line().startswith(f'Status: "{refused}')


def test_restart_is_a_new_process_with_the_same_connections(unit: Unit, synth: JackClient, remote: Remote) -> None:
    unit.write_config(RULE)
    unit.start()
    eventually(lambda: synth.connections() == WANTED)
    pid = unit.pid
    assert systemctl("restart", NAME).returncode == 0
    assert unit.pid not in (0, pid)
    eventually(lambda: owned(remote) == WANTED)
    assert synth.connections() == WANTED


def test_stop_leaves_nothing_behind(unit: Unit, synth: JackClient, remote: Remote) -> None:
    unit.write_config('[[bus]]\nname = "main"\n')
    unit.start()
    eventually(lambda: "router:main_in_1" in synth.ports())
    (host,) = unit.host_pids()
    assert systemctl("stop", NAME).returncode == 0
    assert (unit.show("ActiveState"), unit.show("Result"), unit.show("NRestarts")) == ("inactive", "success", "0")
    assert not Path(f"/proc/{host}").exists()
    eventually(lambda: not [port for port in synth.ports() if port.startswith("router")])


def test_connections_are_found_in_the_journal(unit: Unit, synth: JackClient) -> None:
    unit.write_config(RULE)
    unit.start()
    eventually(lambda: synth.connections() == WANTED)
    (entry,) = eventually(lambda: journal(f"_PID={unit.pid}", "JACK_SOURCE=synth:left"))
    assert entry in journal(f"MESSAGE_ID={Event.CONNECTED}")
    assert entry["JACK_DESTINATION"] == "system:playback_1"
    assert entry["RULE"] == "synth to speakers"
    assert entry["SYSLOG_IDENTIFIER"] == "jackd-router"
    assert entry["_SYSTEMD_USER_UNIT"] == NAME
    assert entry["MESSAGE"].startswith("Connected synth:left -> system:playback_1")
