"""What is set at run time and outlives the daemon."""

from __future__ import annotations

import json

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.router_process import RouterProcess

MAIN = bus_path("main")
CONFIG = """
[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "system:playback_*"

[[bus]]
name = "main"
gain = -6.0
"""


def values(remote: Remote) -> tuple[object, ...]:
    return tuple(remote.read(f"Bus.{name}", path=MAIN) for name in ("Gain", "Mute", "ChannelGains", "Matrix"))


def set_by_hand(remote: Remote) -> tuple[object, ...]:
    """Set everything of the bus to other values, and give them."""
    remote.write("Bus.Gain", "d", -12.5, path=MAIN)
    remote.write("Bus.Mute", "b", True, path=MAIN)
    remote.write("Bus.ChannelGains", "ad", [-1.0, 2.0], path=MAIN)
    remote.write("Bus.Matrix", "aad", [[0.0, 1.0], [1.0, 0.0]], path=MAIN)
    return (-12.5, True, [-1.0, 2.0], [[0.0, 1.0], [1.0, 0.0]])


def test_gains_and_switches_are_kept(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    kept = set_by_hand(remote)
    remote.call("Rules.SetRuleEnabled", "sba{sv}", "synth to speakers", False, NO_OPTIONS)
    router.stop()
    router.start()
    assert values(remote) == kept
    assert [rule[:2] for rule in remote.call("Rules.ListRules")] == [["synth to speakers", False]]


def test_they_are_kept_by_a_daemon_that_is_killed(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    kept = set_by_hand(remote)
    eventually(lambda: "-12.5" in state_file(router) and "[" in state_file(router))
    router.kill()
    router.start()
    assert values(remote) == kept


def test_a_value_that_changed_in_the_file_wins(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    set_by_hand(remote)
    router.stop()
    router.write_config(CONFIG.replace("-6.0", "-9.0"))
    router.start()
    gain, mute, *_ = values(remote)
    assert (gain, mute) == (-9.0, True)


DAMAGES = {
    "empty": b"",
    "cut off": b"{",
    "binary": b"\xff\xfe\0",
    "a list": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "a long number": b"9" * 5000,
    "of another version": b'{"layout": 99}',
    "of other types": b'{"layout": 1, "rules": [], "buses": 7}',
}


def test_a_damaged_file_is_set_aside(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    path = router.state_home / "jackd-router" / "state.json"
    for number, (kind, damage) in enumerate(DAMAGES.items(), 1):
        remote.write("Bus.Gain", "d", -1.0, path=MAIN)
        router.stop()
        assert json.loads(path.read_text())["buses"]["main"]["set"]["gain"] == -1.0
        path.write_bytes(damage)
        router.start()
        assert values(remote) == (-6.0, False, [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]), kind
        assert path.with_suffix(".damaged.json").read_bytes() == damage, kind
        assert router.output().count("set aside") == number, kind


def test_values_that_cannot_be_are_ignored(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    set_by_hand(remote)
    router.stop()
    path = router.state_home / "jackd-router" / "state.json"
    kept = json.loads(path.read_text())
    kept["buses"]["main"]["set"] |= {"gain": 1e9, "matrix": "none"}
    path.write_text(json.dumps(kept))
    router.start()
    assert values(remote) == (-6.0, False, [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])


def state_file(router: RouterProcess) -> str:
    """Give the state file as text, nothing while there is none."""
    path = router.state_home / "jackd-router" / "state.json"
    return path.read_text() if path.exists() else ""


def test_a_state_folder_that_cannot_be_made_is_one_warning(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    router.stop()
    folder = router.state_home / "jackd-router"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("no folder")
    router.start()
    for gain_db in (-1.0, -2.0, -3.0):
        remote.write("Bus.Gain", "d", gain_db, path=MAIN)
        assert remote.read("Bus.Gain", path=MAIN) == gain_db
    router.stop()
    assert router.output().count("state.json cannot be written") == 1
    folder.unlink()
    router.start()
    remote.write("Bus.Gain", "d", -4.0, path=MAIN)
    eventually(lambda: "-4.0" in state_file(router))


def test_what_is_set_to_what_the_file_says_is_not_kept(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    remote.write("Bus.Gain", "d", -1.0, path=MAIN)
    eventually(lambda: "-1.0" in state_file(router))
    remote.write("Bus.Gain", "d", -6.0, path=MAIN)
    router.stop()
    assert json.loads(state_file(router))["buses"] == {}
