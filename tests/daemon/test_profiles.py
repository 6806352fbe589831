"""Profiles of the real daemon: what a switch, a reload and a restart make of rules and gains."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jackd_router.dbus_api.message_bus import variant
from jackd_router.dbus_api.names import ERROR_PREFIX, PROFILES, bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess

CONFIG = """
[daemon]
watch = false

[[bus]]
name = "main"
gain = -6.0

[[bus]]
name = "talk"

[[rule]]
name = "to the left"
from = "synth:*"
to = "system:playback_1"
profiles = ["default", "night"]

[[rule]]
name = "to the right"
from = "synth:*"
to = "system:playback_2"
profiles = ["live"]

[[profile]]
name = "live"
description = "on the stage"
[profile.bus.main]
gain = 3.0
[profile.bus.talk]
mute = true

[[profile]]
name = "night"
[profile.bus.talk]
gain = -30.0
"""
WITHOUT_LIVE = (
    CONFIG.replace('name = "live"', 'name = "stage"').replace('["live"]', '["stage"]').replace("gain = 3.0", "gain = 2.0")
)
BROKEN = "[[bus]]\nnme = 1\n"
LEFT, RIGHT = ({("synth:out", f"system:playback_{n}")} for n in (1, 2))


def switch(remote: Remote, name: str) -> None:
    remote.write("Profiles.ActiveProfile", "s", name)


def active(remote: Remote) -> str:
    return str(remote.read("Profiles.ActiveProfile"))


def set_gain(remote: Remote, bus: str, gain_db: float) -> None:
    remote.write("Bus.Gain", "d", gain_db, path=bus_path(bus))


def sound(remote: Remote) -> dict[str, tuple[float, bool]]:
    """Give the gain and the mute of each bus."""
    paths = {bus: bus_path(bus) for bus in ("main", "talk")}
    return {bus: (remote.read("Bus.Gain", path=path), remote.read("Bus.Mute", path=path)) for bus, path in paths.items()}


def reload(remote: Remote, router: RouterProcess, config: str) -> None:
    router.write_config(config)
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)


def state_path(router: RouterProcess) -> Path:
    return router.state_home / "jackd-router" / "state.json"


def warnings(router: RouterProcess) -> int:
    """Give how often a profile was missed."""
    return router.output().count("There is no profile 'live' in the configuration: 'default' is active")


def test_a_switch_sets_what_is_named_and_gives_back_the_rest(start_router: StartRouter, remote: Remote) -> None:
    start_router(CONFIG)
    own = {"main": (-6.0, False), "talk": (0.0, False)}
    assert (active(remote), sound(remote)) == ("default", own)
    switch(remote, "live")
    assert (active(remote), sound(remote)) == ("live", {"main": (3.0, False), "talk": (0.0, True)})
    switch(remote, "night")
    assert sound(remote) == {"main": (-6.0, False), "talk": (-30.0, False)}
    switch(remote, "default")
    assert sound(remote) == own


def test_what_is_set_by_hand_stays_until_a_switch_names_it(start_router: StartRouter, remote: Remote) -> None:
    start_router(CONFIG)
    set_gain(remote, "main", -12.5)
    switch(remote, "night")
    assert sound(remote)["main"] == (-12.5, False)
    switch(remote, "live")
    assert sound(remote)["main"] == (3.0, False)
    set_gain(remote, "main", 1.0)
    switch(remote, "live")  # it is active: no switch
    assert sound(remote)["main"] == (1.0, False)
    switch(remote, "default")
    assert sound(remote)["main"] == (-6.0, False)


def test_a_switch_is_answered_when_the_rules_are_applied(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["out"])
    start_router(CONFIG)
    eventually(lambda: remote.connections("synth:*") == LEFT)
    for profile, wanted in (("live", RIGHT), ("night", LEFT), ("live", RIGHT), ("default", LEFT)):
        switch(remote, profile)
        assert remote.connections("synth:*") == wanted
        synth.assert_connections(wanted)


def test_a_hold_ends_with_the_profile(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("synth", outputs=["out"])
    start_router(CONFIG)
    eventually(lambda: remote.connections("synth:*") == LEFT)
    ((source, destination),) = LEFT
    remote.call("Graph.Disconnect", "ssa{sv}", source, destination, NO_OPTIONS)
    switch(remote, "live")
    switch(remote, "default")
    assert remote.connections("synth:*") == LEFT


@pytest.mark.parametrize("end", [RouterProcess.stop, RouterProcess.kill])
def test_the_active_profile_is_kept(start_router: StartRouter, remote: Remote, end: Callable[[RouterProcess], object]) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")
    set_gain(remote, "talk", -3.0)
    heard = sound(remote)
    if end is RouterProcess.kill:
        eventually(lambda: state_path(router).exists() and "-3.0" in state_path(router).read_text())
    end(router)
    router.start()
    assert (active(remote), sound(remote)) == ("live", heard)
    switch(remote, "default")
    assert sound(remote) == {"main": (-6.0, False), "talk": (-3.0, False)}
    assert warnings(router) == 0


def test_values_that_changed_while_the_daemon_was_away(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")
    set_gain(remote, "main", 1.0)
    set_gain(remote, "talk", -3.0)
    router.stop()
    router.write_config(CONFIG.replace("gain = 3.0", "gain = 4.0").replace("gain = -6.0", "gain = -7.0"))
    router.start()
    # That of the profile is the one that counts; what it hides may change.
    assert sound(remote) == {"main": (4.0, False), "talk": (-3.0, True)}
    switch(remote, "default")
    assert sound(remote)["main"] == (-7.0, False)


def test_a_kept_profile_that_is_gone(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")
    set_gain(remote, "talk", -3.0)
    router.stop()
    router.write_config(WITHOUT_LIVE)
    router.start()
    assert warnings(router) == 1
    assert (active(remote), sound(remote)) == ("default", {"main": (-6.0, False), "talk": (-3.0, False)})
    router.stop()
    assert json.loads(state_path(router).read_text())["profile"] == "default"
    router.write_config(CONFIG)
    router.start()
    assert (active(remote), warnings(router)) == ("default", 1)


def test_the_last_good_configuration_has_its_profiles(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")
    heard = sound(remote)
    router.stop()
    router.write_config(BROKEN)
    router.start()
    assert (active(remote), sound(remote)) == ("live", heard)


def test_a_profile_and_gains_wait_until_the_file_can_be_read(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")
    set_gain(remote, "main", 1.0)
    router.stop()
    for copy in state_path(router).parent.glob("last-good/*"):
        copy.unlink()
    router.write_config(BROKEN)
    router.start()
    assert (active(remote), warnings(router)) == ("default", 1)
    reload(remote, router, CONFIG)
    assert (active(remote), sound(remote)) == ("live", {"main": (1.0, False), "talk": (0.0, True)})
    assert warnings(router) == 1


def test_a_reload_without_the_active_profile(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_client("synth", outputs=["out"])
    router = start_router(CONFIG)
    eventually(lambda: remote.connections("synth:*") == LEFT)
    switch(remote, "live")
    set_gain(remote, "main", 1.0)
    router.write_config(WITHOUT_LIVE)
    report = remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    assert (report["connect"], report["disconnect"]) == ([[*pair] for pair in LEFT], [[*pair] for pair in RIGHT])
    assert remote.connections("synth:*") == LEFT
    assert (active(remote), sound(remote)) == ("default", {"main": (-6.0, False), "talk": (0.0, False)})
    assert [profile["Name"] for profile in remote.read("Profiles.Profiles")] == ["default", "stage", "night"]
    assert warnings(router) == 1
    reload(remote, router, CONFIG)  # it is not active again by itself
    assert (active(remote), warnings(router)) == ("default", 1)


def test_a_reload_applies_what_changed_of_the_active_profile(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")
    set_gain(remote, "talk", -3.0)
    reload(remote, router, CONFIG.replace("gain = 3.0", "gain = 4.0"))
    assert sound(remote) == {"main": (4.0, False), "talk": (-3.0, True)}
    set_gain(remote, "main", 1.0)
    reload(remote, router, CONFIG.replace("gain = 3.0", "gain = 4.0\nmute = true"))
    assert sound(remote)["main"] == (1.0, True)
    reload(remote, router, CONFIG.replace("[profile.bus.main]\ngain = 3.0", ""))
    assert sound(remote) == {"main": (-6.0, False), "talk": (-3.0, True)}


def test_what_was_set_on_a_bus_waits_while_the_bus_is_away(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    set_gain(remote, "main", -12.5)
    without = CONFIG.replace('[[bus]]\nname = "main"\ngain = -6.0\n', "").replace("[profile.bus.main]\ngain = 3.0", "")
    reload(remote, router, without)
    reload(remote, router, CONFIG)
    assert sound(remote)["main"] == (-12.5, False)


def test_who_listens_is_told(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    switch(remote, "live")

    def told() -> list[dict[str, object]]:
        bodies = [signal.body for signal in remote.signals("PropertiesChanged")]
        return [{key: value.value for key, value in body[1].items()} for body in bodies if body[0].endswith(".Profiles")]

    eventually(lambda: told() == [{"ActiveProfile": "live"}])
    eventually(lambda: str(router.notify.last("STATUS")).endswith("; profile 'live'"))
    assert remote.call("Manager.GetStatus")["profile"] == "live"
    assert "Profile 'live' is active, after 'default'" in router.output()
    reload(remote, router, WITHOUT_LIVE)
    eventually(lambda: set(told()[-1]) == {"Profiles", "ActiveProfile"})
    assert told()[-1]["ActiveProfile"] == "default"
    eventually(lambda: "profile" not in str(router.notify.last("STATUS")))


def test_a_profile_that_is_none(start_router: StartRouter, remote: Remote) -> None:
    start_router(CONFIG)
    for name, hint in (("lvie", "did you mean 'live'?"), ("", "there are: 'default', 'live', 'night'")):
        setting = (PROFILES, "ActiveProfile", variant("s", name))
        error = remote.error("org.freedesktop.DBus.Properties.Set", "ssv", *setting)
        assert error.name == f"{ERROR_PREFIX}.NoSuchProfile"
        assert error.text == f"there is no profile {name!r}; {hint}"
    assert active(remote) == "default"


def test_a_file_of_the_first_layout_is_taken_over(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(CONFIG)
    router.stop()
    values = {"gain": -6.0, "mute": False, "channel_gains": [0.0, 0.0], "matrix": [[1.0, 0.0], [0.0, 1.0]]}
    kept = {
        "layout": 1,
        "rules": {"to the left": {"enabled": False, "configured": True}},
        "buses": {"main": {"set": values | {"gain": -12.5}, "configured": values}},
    }
    state_path(router).write_text(json.dumps(kept))
    router.start()
    assert sound(remote)["main"] == (-12.5, False)
    assert [rule[1] for rule in remote.call("Rules.ListRules")] == [False, True]
    assert "set aside" not in router.output()
