"""How the daemon starts where something is missing, broken, or taken."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

RULE = """
[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "system:playback_*"
"""
WANTED = {("synth:left", "system:playback_1"), ("synth:right", "system:playback_2")}
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""To root no folder is closed otherwise."""
BROKEN = """
[[rule]]
name = "synth to speakers"
form = "synth:*"
to = "system:playback_*"
"""


@pytest.fixture
def second(tmp_path: Path, session_bus: SessionBus, jack_server: JackServer) -> Iterator[RouterProcess]:
    """Give another daemon on the test's bus, with files of its own; it is not started yet."""
    folder = tmp_path / "second"
    folder.mkdir()
    router = RouterProcess(folder, "", bus_address=session_bus.address, server_name=jack_server.name)
    yield router
    router.close(check=True)


def test_without_a_message_bus_the_rules_work(tmp_path: Path, running_server: JackServer, start_client: StartClient) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    bus = SessionBus(tmp_path)
    with RouterProcess(tmp_path, RULE, bus_address=bus.address, server_name=running_server.name) as router:
        eventually(lambda: synth.connections() >= WANTED)
        assert router.cli("status").returncode == 3
        with bus:
            eventually(lambda: router.cli("status").returncode == 0, timeout=20, what="the daemon finds the bus")
        synth.unregister("left", "right")
        synth.register("left", "right")
        eventually(lambda: synth.connections() >= WANTED)


def test_that_there_is_no_message_bus_is_said_once(tmp_path: Path, jack_server: JackServer) -> None:
    path = tmp_path / "closes-at-once"
    router = RouterProcess(tmp_path, "", bus_address=f"unix:path={path}", server_name=jack_server.name)
    with socket.create_server(str(path), family=socket.AF_UNIX) as listener:
        listener.settimeout(20)
        router.start(wait_until_ready=False)
        try:
            for _ in range(3):
                listener.accept()[0].close()
        finally:
            router.close(check=False)
    assert router.output().count("Working without D-Bus") == 1


def test_without_a_server_it_waits_for_one(jack_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    start_router(RULE)
    assert (remote.read("Server.State"), remote.read("Manager.Status")) == ("connecting", "ok")
    assert remote.read("Manager.StatusText") == f"waiting for {jack_server.awaited}"
    assert [rule[0] for rule in remote.call("Rules.ListRules")] == ["synth to speakers"]
    jack_server.start()
    eventually(remote.connected)
    assert remote.read("Server.Implementation") == jack_server.implementation


@pytest.mark.jack2("what PipeWire's folder is to it")
def test_a_runtime_folder_that_may_not_be_entered(
    tmp_path: Path, session_bus: SessionBus, jack_server: JackServer, remote: Remote
) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0)
    router = RouterProcess(tmp_path, "", bus_address=session_bus.address, server_name=jack_server.name)
    router.extra_env = {"XDG_RUNTIME_DIR": str(folder)}
    router.wrapper = WITHOUT_PRIVILEGES
    with router:
        jack_server.start()
        eventually(remote.connected)
        warning = f"The folder {folder} cannot be watched, so no PipeWire is found there: Permission denied"
        assert router.output().count(warning) == 1


def test_a_second_daemon_is_refused_and_disturbs_nothing(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    first = start_router(RULE)
    eventually(lambda: synth.connections() >= WANTED)
    host = first.host_pid()
    second = start_router('[client]\nname = "second"\n[policy]\nunmatched = "remove"\n', wait_until_ready=False)
    eventually(lambda: second.status is not None)
    assert second.status == 1
    last = second.output().splitlines()[-1]
    assert last.startswith("jackd-router: ")
    assert "another jackd-router runs on this session" in last
    assert "READY=1" not in second.notify.lines()
    assert first.status is None
    assert (first.host_pid(), remote.connected()) == (host, True)
    assert synth.connections() >= WANTED


def test_a_second_daemon_leaves_the_state_of_the_first_alone(
    second: RouterProcess, running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    first = start_router(RULE)
    state = first.state_home / "jackd-router" / "state.json"
    second.extra_env = {"XDG_STATE_HOME": str(first.state_home)}
    os.kill(first.pid, signal.SIGSTOP)  # it writes nothing now
    state.write_text("{}")  # it seems to be damaged, as one of a newer version does
    second.start(wait_until_ready=False)
    eventually(lambda: second.status == 1)
    assert state.read_text() == "{}"
    os.kill(first.pid, signal.SIGCONT)
    first.stop()
    first.write_config(BROKEN)
    first.start()
    assert [rule[0] for rule in remote.call("Rules.ListRules")] == ["synth to speakers"]


@pytest.mark.jack2("of the names of JACK2 servers")
def test_what_is_asked_for_before_the_name_is_ours_waits_for_it(
    session_bus: SessionBus, running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    os.kill(session_bus.pid, signal.SIGSTOP)
    try:
        router = start_router("", wait_until_ready=False)
        eventually(lambda: "Configuration loaded" in router.output())
        router.reload_by_signal()
        router.write_config(f'[server]\nname = "{running_server.name}"\n{RULE}')
        with pytest.raises(AssertionError, match="not within"):
            eventually(lambda: router.notify.lines() or "Connected" in router.output(), timeout=1.5)
    finally:
        os.kill(session_bus.pid, signal.SIGCONT)
    eventually(remote.owned)
    eventually(lambda: "synth to speakers" in str(remote.call("Rules.ListRules")))
    eventually(remote.connected)
    assert router.notify.lines()[0] == "READY=1"


def test_a_second_daemon_is_refused_while_there_is_no_bus(
    second: RouterProcess, session_bus: SessionBus, running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    first = start_router(RULE)
    second.extra_env = {"XDG_STATE_HOME": str(first.state_home)}
    session_bus.kill()
    second.start(wait_until_ready=False)
    eventually(lambda: second.status == 1)
    assert f"another jackd-router runs (process {first.pid})" in second.output()
    assert "READY=1" not in second.notify.lines()
    session_bus.start()
    eventually(lambda: first.cli("status").returncode == 0, timeout=20, what="the first one finds the bus")


def test_an_invalid_file_without_a_copy_means_no_rules(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    synth.connect("synth:left", "system:playback_2")
    router = start_router('[policy]\nunmatched = "remove"\n' + BROKEN)
    eventually(remote.connected)
    assert (remote.read("Manager.Status"), remote.read("Config.Valid")) == ("error", False)
    assert "there are no rules" in remote.read("Manager.StatusText")
    assert [(severity, line) for severity, _, line, _, _ in remote.read("Config.Problems")] == [("error", 4), ("error", 6)]
    assert remote.call("Rules.ListRules") == []
    assert synth.connections() == {("synth:left", "system:playback_2")}
    router.write_config(RULE)
    eventually(lambda: synth.connections() >= WANTED)
    assert (remote.read("Manager.Status"), remote.read("Config.Valid")) == ("ok", True)


def test_an_invalid_file_means_the_last_good_one(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(RULE)
    router.stop()
    router.write_config(BROKEN)
    router.start()
    assert (remote.read("Manager.Status"), remote.read("Config.Valid")) == ("error", False)
    assert "the last good one is in force" in remote.read("Manager.StatusText")
    synth = start_client("synth", outputs=["left", "right"])
    eventually(lambda: synth.connections() >= WANTED)
    # It is still invalid at the next start, and the copy is still the good one.
    router.stop()
    router.start()
    assert [rule[0] for rule in remote.call("Rules.ListRules")] == ["synth to speakers"]


def test_closed_standard_streams_are_not_taken_by_others(
    second: RouterProcess, running_server: JackServer, remote: Remote
) -> None:
    second.wrapper = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    second.start()
    eventually(remote.connected)
    assert [str(Path(f"/proc/{second.pid}/fd/{number}").readlink()) for number in range(3)] == [os.devnull] * 3


def test_a_copy_that_may_not_be_read_means_no_rules(second: RouterProcess, remote: Remote) -> None:
    second.write_config(BROKEN)
    (second.state_home / "jackd-router").mkdir(mode=0)
    second.wrapper = WITHOUT_PRIVILEGES
    second.start()
    assert "there are no rules" in remote.read("Manager.StatusText")


def test_a_missing_file_means_no_rules(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(None)
    assert (remote.read("Manager.Status"), remote.read("Config.Valid")) == ("ok", True)
    assert remote.call("Rules.ListRules") == []
    assert f"Configuration loaded; there is no {router.config_path}: 0 rules, 0 buses" in router.output()
    assert f"{router.config_path} (no such file)" in router.cli("status").stdout
    router.write_config(RULE)
    eventually(lambda: [rule[0] for rule in remote.call("Rules.ListRules")] == ["synth to speakers"])
    assert "no such file" not in router.cli("status").stdout


def test_a_daemon_that_was_killed_starts_again(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    router = start_router(RULE)
    eventually(lambda: synth.connections() >= WANTED)
    router.kill()
    assert router.status == -signal.SIGKILL
    router.start()
    # The host of the dead daemon leaves by itself, and its name is free again.
    eventually(remote.connected)
    eventually(lambda: len([port for port in synth.ports() if port.startswith("router")]) == 0)
    assert synth.connections() >= WANTED


def test_one_that_comes_while_the_other_ends_takes_over_everything(
    second: RouterProcess, running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    config = RULE + '[[bus]]\nname = "main"\n'
    one, other = start_router(config), second
    other.write_config(config)
    other.extra_env = {"XDG_STATE_HOME": str(one.state_home)}
    folder = one.state_home / "jackd-router"
    for gain_db in (-1.0, -2.0):
        other.start(wait_until_ready=False)
        eventually(partial(has_open, other, folder))
        remote.write("Bus.Gain", "d", gain_db, path=bus_path("main"))
        one.stop()
        eventually(remote.owned)
        assert remote.read("Bus.Gain", path=bus_path("main")) == gain_db
        eventually(remote.connected)
        assert remote.read("Server.ClientName") == "router"
        one, other = other, one


def has_open(router: RouterProcess, folder: Path) -> bool:
    return any(path.resolve() == folder for path in Path(f"/proc/{router.pid}/fd").iterdir())


def test_one_that_hangs_keeps_its_name(running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    first = start_router(RULE)
    eventually(remote.connected)
    os.kill(first.pid, signal.SIGSTOP)
    second = start_router("", wait_until_ready=False)
    eventually(lambda: second.status == 1)
    assert "another jackd-router runs" in second.output()
    os.kill(first.pid, signal.SIGCONT)
    assert [rule[0] for rule in remote.call("Rules.ListRules")] == ["synth to speakers"]
