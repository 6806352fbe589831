"""Snapshots on a real server: what is saved, what comes back, and what rules have to say to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jackd_router.dbus_api.errors import INVALID_ARGS, LIMITS_EXCEEDED
from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.names import ERROR_PREFIX
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.raw_client import client_with_raw_names
from tests.support.router_process import RouterProcess

UNWATCHED = "[daemon]\nwatch = false\n"
WANT = '[[rule]]\nname = "synth to desk"\nfrom = "synth:*"\nto = "desk:*"\n'
LEFT, RIGHT = ("synth:left", "desk:left"), ("synth:right", "desk:right")
CROSSED = ("synth:left", "desk:right")

Pairs = set[tuple[str, str]]


def save(remote: Remote, name: str, **options: Variant) -> None:
    remote.call("Snapshots.Save", "sa{sv}", name, dict(options))


def overwrite(remote: Remote, name: str) -> None:
    save(remote, name, overwrite=variant("b", True))


def restore(remote: Remote, name: str, **options: bool) -> dict[str, Pairs]:
    """Restore, and give the report: what is not empty in it, but for the reasons."""
    given = {key.replace("_", "-"): variant("b", value) for key, value in options.items()}
    report = remote.call("Snapshots.Restore", "sa{sv}", name, given)
    assert len(report["reasons"]) == len(report["failed"])
    return {key: pairs_in(value) for key, value in report.items() if value and key != "reasons"}


def reasons(remote: Remote, name: str, **options: bool) -> list[str]:
    """Restore, and give why something failed."""
    given = {key.replace("_", "-"): variant("b", value) for key, value in options.items()}
    return list(remote.call("Snapshots.Restore", "sa{sv}", name, given)["reasons"])


def pairs_in(value: list[list[str]]) -> Pairs:
    return {(source, destination) for source, destination in value}


def saved(remote: Remote, name: str) -> Pairs:
    """Give what is in a snapshot."""
    return pairs_in(remote.call("Snapshots.Get", "s", name))


def listed(remote: Remote) -> list[str]:
    """Give the names of the snapshots."""
    return [name for name, _, _ in remote.call("Snapshots.List")]


def folder(router: RouterProcess) -> Path:
    """Give where the daemon keeps them."""
    return router.state_home / "jackd-router" / "snapshots"


def error(remote: Remote, member: str, signature: str, *body: object) -> str:
    """Give the name of the error that a call is answered with, without what all of ours begin with."""
    return remote.error(f"Snapshots.{member}", signature, *body).name.removeprefix(f"{ERROR_PREFIX}.")  # type: ignore[arg-type]


@pytest.fixture
def router(desk: JackClient, start_router: StartRouter, remote: Remote) -> RouterProcess:
    """Give a daemon without rules, with a server on which synth:left is connected."""
    router = start_router(UNWATCHED)
    eventually(remote.connected)
    desk.connect(*LEFT)
    eventually(lambda: remote.connections("desk") == {LEFT})
    return router


# ---- saved and put back


def test_what_was_connected_is_connected_again(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    assert "snapshots" in remote.read("Manager.Features")
    assert remote.call("Snapshots.List") == []
    save(remote, "the evening", description=variant("s", "Gerät"))
    save(remote, "empty 10")
    save(remote, "empty 2")
    assert listed(remote) == ["empty 2", "empty 10", "the evening"]
    told = remote.call("Snapshots.GetSnapshot", "s", "the evening")
    path = folder(router) / "the evening.toml"
    assert told | {"created-usec": None} == {
        "name": "the evening",
        "description": "Gerät",
        "created-usec": None,
        "connections": 1,
        "path": str(path),
    }
    assert remote.call("Snapshots.List")[2] == ["the evening", told["created-usec"], 1]
    assert abs(told["created-usec"] / 1_000_000 - path.stat().st_mtime) < 10
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    desk.disconnect(*LEFT)
    desk.connect(*CROSSED)
    eventually(lambda: remote.connections("desk") == {CROSSED})
    assert restore(remote, "the evening", dry_run=True) == {"connected": {LEFT}}
    assert restore(remote, "the evening", dry_run=True, exact=True) == {"connected": {LEFT}, "disconnected": {CROSSED}}
    desk.assert_connections({CROSSED})
    assert restore(remote, "the evening") == {"connected": {LEFT}}
    desk.assert_connections({CROSSED, LEFT})
    assert restore(remote, "the evening") == {}
    assert restore(remote, "the evening", exact=True) == {"disconnected": {CROSSED}}
    desk.assert_connections({LEFT})

    remote.call("Snapshots.Delete", "s", "the evening")
    assert listed(remote) == ["empty 2", "empty 10"]
    assert error(remote, "Delete", "s", "the evening") == "NoSuchSnapshot"
    eventually(lambda: len(remote.signals("SnapshotsChanged")) == 4)
    assert not [file for file in folder(router).iterdir() if file.name.startswith(".")]


def test_it_outlives_the_daemon_and_is_a_configuration(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    desk.connect(*RIGHT)
    desk.connect(*CROSSED)
    eventually(lambda: len(remote.connections("desk")) == 3)
    save(remote, "it's")
    file = folder(router) / "it's.toml"
    done = router.cli("check", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 rules" in done.stdout
    router.kill()
    for pair in (LEFT, RIGHT, CROSSED):
        desk.disconnect(*pair)
    router.start()
    eventually(remote.connected)
    assert saved(remote, "it's") == {LEFT, RIGHT, CROSSED}
    # In force as the configuration it makes the same.
    router.write_config(file.read_bytes())
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: desk.connections() == {LEFT, RIGHT, CROSSED})


def test_what_absent_clients_had_is_kept(
    router: RouterProcess, desk: JackClient, start_client: StartClient, remote: Remote
) -> None:
    to_drum, to_organ = ("synth:left", "drum:in"), ("organ:out", "desk:right")
    drum, organ = start_client("drum", inputs=["in"]), start_client("organ", outputs=["out", "aux"])
    for pair in (to_drum, to_organ, ("organ:aux", "desk:right")):
        desk.connect(*pair)
    eventually(lambda: len(remote.connections("desk")) == 3)
    save(remote, "all", description=variant("s", "the band"))
    drum.close()
    organ.close()
    desk.disconnect(*LEFT)
    desk.connect(*RIGHT)
    eventually(lambda: remote.connections() & {LEFT, RIGHT, to_organ} == {RIGHT})
    missing = {to_drum, to_organ, ("organ:aux", "desk:right")}
    assert restore(remote, "all", dry_run=True) == {"connected": {LEFT}, "missing": missing}

    assert error(remote, "Save", "sa{sv}", "all", NO_OPTIONS) == "AlreadyExists"
    overwrite(remote, "all")
    assert saved(remote, "all") == {RIGHT, *missing}
    assert remote.call("Snapshots.GetSnapshot", "s", "all")["description"] == "the band"
    # A client that is there has what it has; a port of it that is gone is not waited for.
    start_client("organ", outputs=["out"])
    eventually(lambda: remote.call("Graph.ListPorts", "sa{sv}", "organ", NO_OPTIONS) == ["organ:out"])
    overwrite(remote, "all")
    assert saved(remote, "all") == {RIGHT, to_drum}
    save(remote, "all", overwrite=variant("b", True), description=variant("s", ""))
    assert remote.call("Snapshots.GetSnapshot", "s", "all")["description"] == ""
    # One that comes back is connected by the next restoration.
    start_client("drum", inputs=["in"])
    eventually(lambda: remote.call("Graph.ListPorts", "sa{sv}", "drum", NO_OPTIONS) == ["drum:in"])
    assert restore(remote, "all") == {"connected": {to_drum}}


def test_every_byte_of_a_name_comes_back(router: RouterProcess, running_server: JackServer, remote: Remote) -> None:
    client = b"caf\xe9 \xff[1]"
    ports = b"\xfe" * 200, b"\xe4 (2): \x80/*?", b'it\'s "out" \\', b"n" * (256 - len(client) - 1)
    with client_with_raw_names(running_server.name, client, *ports):
        eventually(lambda: remote.read("Graph.PortCount") == 4 + 4 + 4)
        sources, ends = (
            remote.call("Graph.ListPorts", "sa{sv}", "caf*:*", {"direction": variant("s", way)}) for way in ("output", "input")
        )
        wanted = {(source, end) for source in sources for end in ends}
        assert len(wanted) == 4
        for pair in wanted:
            remote.call("Graph.Connect", "ssa{sv}", *pair, NO_OPTIONS)
        save(remote, "odd")
        assert router.cli("check", str(folder(router) / "odd.toml")).returncode == 0
        remote.call("Graph.Apply", "a(ss)a(ss)a{sv}", [], list(map(list, wanted)), NO_OPTIONS)
        eventually(lambda: remote.connections() == {LEFT})
        assert saved(remote, "odd") == wanted | {LEFT}
        assert restore(remote, "odd") == {"connected": wanted}
        assert remote.connections() == wanted | {LEFT}


@pytest.mark.jack2("PipeWire lets two clients have one name")
def test_our_own_ports_come_back_under_the_name_that_the_server_gives_us(
    desk: JackClient, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    squatter = start_client("router", outputs=["out"])
    router = start_router(UNWATCHED + '[[bus]]\nname = "main"\nchannels = ["L"]\n')
    eventually(remote.connected)
    ours = remote.read("Server.ClientName")
    assert ours != "router"
    pair, of_the_other = (f"{ours}:main_out_L", "desk:left"), ("router:out", "desk:left")
    desk.connect(*pair)
    desk.connect(*of_the_other)
    eventually(lambda: remote.connections("desk") == {pair, of_the_other})
    save(remote, "bus")
    assert saved(remote, "bus") == {pair, of_the_other}
    router.stop()
    squatter.close()
    router.start()
    eventually(remote.connected)
    assert remote.read("Server.ClientName") == "router"
    assert restore(remote, "bus")["connected"] == {("router:main_out_L", "desk:left")}


# ---- rules


RULES = (
    UNWATCHED
    + WANT
    + """
[[rule]]
name = "never crossed"
action = "forbid"
from = "synth:left"
to = "desk:right"
"""
)


def test_what_a_rule_forbids_is_not_made(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    desk.connect(*CROSSED)
    eventually(lambda: remote.connections("desk") == {LEFT, CROSSED})
    save(remote, "crossed")
    router.write_config(RULES)
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    for dry_run in (True, False):
        assert restore(remote, "crossed", dry_run=dry_run) == {"failed": {CROSSED}}
    (reason,) = reasons(remote, "crossed")
    assert "never crossed" in reason
    desk.assert_connections({LEFT, RIGHT})


def test_what_a_rule_wants_is_held_until_a_snapshot_has_it(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    save(remote, "left alone")
    router.write_config(RULES)
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    save(remote, "both")
    assert restore(remote, "left alone", exact=True) == {"disconnected": {RIGHT}}
    assert pairs_in(remote.read("Rules.Held")) == {RIGHT}
    desk.assert_connections({LEFT})
    assert restore(remote, "both") == {"connected": {RIGHT}}
    assert remote.read("Rules.Held") == []
    desk.assert_connections({LEFT, RIGHT})


def test_what_a_rule_enforces_stays(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    save(remote, "left alone")
    router.write_config(RULES.replace('to = "desk:*"\n', 'to = "desk:*"\nmanual = "enforce"\n'))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: desk.connections() == {LEFT, RIGHT})
    begin = len(router.output())
    assert restore(remote, "left alone", exact=True) == {"failed": {RIGHT}}
    (reason,) = reasons(remote, "left alone", exact=True)
    assert reason == 'synth:right -> desk:right would be made again: rule "synth to desk" enforces it'
    desk.assert_connections({LEFT, RIGHT})
    assert "onnected synth" not in router.output()[begin:]


def test_what_is_in_the_way_of_another_is_cut_first(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    save(remote, "left alone")
    desk.disconnect(*LEFT)
    eventually(lambda: remote.connections("desk") == set())
    # While the rule has its connection at synth:left, nobody else's stays there.
    exclusive = '[[rule]]\nname = "only"\nfrom = "synth:left"\nto = "desk:right"\nexclusive = "from"\n'
    router.write_config(UNWATCHED + exclusive)
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: desk.connections() == {CROSSED})
    assert restore(remote, "left alone") == {"failed": {LEFT}}
    assert restore(remote, "left alone", exact=True) == {"connected": {LEFT}, "disconnected": {CROSSED}}
    desk.assert_connections({LEFT})


def test_what_a_rule_cuts_again_is_told_as_failed(router: RouterProcess, desk: JackClient, remote: Remote) -> None:
    desk.connect(*CROSSED)
    eventually(lambda: remote.connections("desk") == {LEFT, CROSSED})
    save(remote, "both")
    exclusive = '[[rule]]\nname = "only"\nfrom = "synth:left"\nto = "desk:right"\nexclusive = "from"\n'
    router.write_config(UNWATCHED + exclusive)
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    eventually(lambda: desk.connections() == {CROSSED})
    remote.call("Graph.Disconnect", "ssa{sv}", *CROSSED, NO_OPTIONS)
    # While the rule has no connection it leaves the other alone; with its own back, it does not.
    told = remote.call("Snapshots.Restore", "sa{sv}", "both", NO_OPTIONS)
    assert pairs_in(told["connected"]) == {CROSSED}
    assert pairs_in(told["failed"]) == {LEFT}
    assert told["reasons"] == ["it was cut again at once"]
    desk.assert_connections({CROSSED})


def test_ports_of_another_type_are_told(
    router: RouterProcess, desk: JackClient, start_client: StartClient, remote: Remote
) -> None:
    drum = start_client("drum", inputs=["in"])
    desk.connect("synth:left", "drum:in")
    eventually(lambda: ("synth:left", "drum:in") in remote.connections())
    save(remote, "drum")
    drum.close()
    start_client("drum", midi_inputs=["in"])
    eventually(lambda: remote.call("Graph.ListPorts", "sa{sv}", "drum", {"type": variant("s", "midi")}) == ["drum:in"])
    (reason,) = reasons(remote, "drum")
    assert "midi" in reason


# ---- what goes wrong


def test_without_a_server(jack_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    jack_server.start()
    start_router(UNWATCHED)
    eventually(remote.connected)
    save(remote, "empty")
    jack_server.terminate()
    eventually(lambda: not remote.connected())
    assert error(remote, "Save", "sa{sv}", "empty", {"overwrite": variant("b", True)}) == "NotConnected"
    assert error(remote, "Restore", "sa{sv}", "empty", NO_OPTIONS) == "NotConnected"
    assert listed(remote) == ["empty"]
    assert saved(remote, "empty") == set()
    remote.call("Snapshots.Delete", "s", "empty")
    assert listed(remote) == []


def test_a_server_that_does_not_answer(
    router: RouterProcess, running_server: JackServer, desk: JackClient, remote: Remote
) -> None:
    save(remote, "left")
    desk.disconnect(*LEFT)
    eventually(lambda: remote.connections("desk") == set())
    running_server.freeze()
    (reason,) = reasons(remote, "left")
    assert "JACK server" in reason
    assert listed(remote) == ["left"]
    running_server.resume()
    eventually(remote.connected)
    eventually(lambda: restore(remote, "left") == {} and desk.connections() == {LEFT})


@pytest.mark.parametrize("name", ["", ".", "..", "../state", "a/b", "/etc/passwd", "a\\b", ".hidden", "a\nb", "x" * 201])
def test_a_name_is_no_path(router: RouterProcess, remote: Remote, name: str) -> None:
    assert error(remote, "Save", "sa{sv}", name, NO_OPTIONS) == INVALID_ARGS
    for member in ("Get", "GetSnapshot", "Delete"):
        assert error(remote, member, "s", name) == "NoSuchSnapshot"
    assert error(remote, "Restore", "sa{sv}", name, NO_OPTIONS) == "NoSuchSnapshot"
    assert not folder(router).exists()


def test_a_name_that_is_nearly_right(router: RouterProcess, remote: Remote) -> None:
    assert remote.error("Snapshots.Get", "s", "evenin").text == "there is no snapshot 'evenin'; there are: none"
    save(remote, "evening")
    assert remote.error("Snapshots.Get", "s", "evenin").text == "there is no snapshot 'evenin'; did you mean 'evening'?"
    text = remote.error("Snapshots.Save", "sa{sv}", "x", {"overwritten": variant("b", True)}).text
    assert "did you mean 'overwrite'?" in text


BROKEN = '[[rule]]\nname = "a"\nfrom = "a:*"\nto = { exact = "b:c" }\n'


def test_a_file_that_is_none_harms_nothing(router: RouterProcess, remote: Remote) -> None:
    save(remote, "good")
    files = {
        "broken": BROKEN.encode(),
        "torn": (folder(router) / "good.toml").read_bytes()[:-9],
        "empty": b"",
        "bytes": b"\xff\xfe\0",
        "deep": b"a = " + b"[" * 100_000,
        "two\nlines": b"[snapshot]\n",
    }
    for name, content in files.items():
        (folder(router) / f"{name}.toml").write_bytes(content)
    (folder(router) / "folder.toml").mkdir()
    os.mkfifo(folder(router) / "pipe.toml")
    (folder(router) / "nowhere.toml").symlink_to("nothing")
    (folder(router) / os.fsdecode(b"\xff.toml")).write_bytes(b"[snapshot]\n")
    (folder(router) / ".good.toml.swp").write_bytes(b"no")
    (folder(router) / "notes.txt").write_bytes(b"no")
    assert listed(remote) == ["good"]
    assert listed(remote) == ["good"]
    warned = [line for line in router.output().splitlines() if "is no snapshot" in line]
    assert len(warned) == len(files) + 3
    assert any(r"two\x0alines.toml is no snapshot" in line for line in warned)

    for name in ("broken", "torn", "empty", "bytes", "deep"):
        told = remote.error("Snapshots.Get", "s", name)
        assert told.name == f"{ERROR_PREFIX}.InvalidConfig"
        assert told.text.startswith(f"{folder(router)}/{name}.toml:")
    assert (
        'broken.toml:1:1: rule "a": a snapshot has rules of exact names alone'
        in remote.error("Snapshots.Get", "s", "broken").text
    )
    for name in ("folder", "pipe", "nowhere"):
        assert error(remote, "Restore", "sa{sv}", name, NO_OPTIONS) == "Refused"
        assert error(remote, "GetSnapshot", "s", name) == "Refused"
    # What cannot be read may hold what somebody still wants.
    assert error(remote, "Save", "sa{sv}", "broken", {"overwrite": variant("b", True)}) == "InvalidConfig"
    assert (folder(router) / "broken.toml").read_text() == BROKEN
    for name in ("broken", "torn", "empty", "bytes", "deep", "pipe", "nowhere"):
        remote.call("Snapshots.Delete", "s", name)
    assert error(remote, "Delete", "s", "folder") == "Refused"

    # One that was mended is read anew, one that somebody wrote is one.
    (folder(router) / "folder.toml").rmdir()
    (folder(router) / "folder.toml").write_text(BROKEN.replace('"a:*"', '{ exact = "a:b" }'))
    assert listed(remote) == ["folder", "good"]
    assert saved(remote, "folder") == {("a:b", "b:c")}


def test_a_folder_that_is_none(router: RouterProcess, remote: Remote) -> None:
    folder(router).parent.mkdir(exist_ok=True)
    folder(router).write_text("in the way")
    for member, signature, body in (
        ("List", "", ()),
        ("Get", "s", ("x",)),
        ("Save", "sa{sv}", ("x", NO_OPTIONS)),
        ("Delete", "s", ("x",)),
    ):
        assert error(remote, member, signature, *body) == "Refused"
    folder(router).unlink()
    save(remote, "x")
    assert listed(remote) == ["x"]


def test_no_more_than_256(router: RouterProcess, remote: Remote) -> None:
    folder(router).mkdir(parents=True)
    for number in range(256):
        (folder(router) / f"{number}.toml").write_text("[snapshot]\n")
    assert error(remote, "Save", "sa{sv}", "one more", NO_OPTIONS) == LIMITS_EXCEEDED
    overwrite(remote, "7")
    assert len(remote.call("Snapshots.List")) == 256
