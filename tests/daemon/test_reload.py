"""Reloads: all or nothing, by every way to ask for one, and without a notice to what did not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackd_router.dbus_api.names import ERROR_PREFIX, bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, noise, offset_of
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

UNWATCHED = "[daemon]\nwatch = false\n"
TO_LEFT = """
[[rule]]
name = "synth to the left"
from = "synth:*"
to = "system:playback_1"
"""
TO_RIGHT = TO_LEFT.replace("left", "right").replace("playback_1", "playback_2")
LEFT, RIGHT = ({("synth:out", f"system:playback_{n}")} for n in (1, 2))
BROKEN = TO_RIGHT + '[[bus]]\nname = "main"\ngain = 1e9\nvolume = 3\n'


def rules(remote: Remote) -> list[str]:
    return [rule[0] for rule in remote.call("Rules.ListRules")]


@pytest.mark.parametrize("way", ["call", "signal", "save"])
def test_a_broken_file_changes_nothing(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote, way: str
) -> None:
    synth = start_client("synth", outputs=["out"])
    router = start_router(TO_LEFT if way == "save" else UNWATCHED + TO_LEFT)
    eventually(lambda: synth.connections() == LEFT)
    router.write_config(BROKEN if way == "save" else UNWATCHED + BROKEN)
    if way == "call":
        error = remote.error("Config.Reload", "a{sv}", NO_OPTIONS)
        assert error.name == f"{ERROR_PREFIX}.InvalidConfig"
        assert error.text.startswith(f"{router.config_path}:")
    elif way == "signal":
        router.reload_by_signal()
    eventually(lambda: remote.read("Config.Valid") is False)
    lines = (UNWATCHED * (way != "save") + BROKEN).splitlines()
    gain, volume = lines.index("gain = 1e9") + 1, lines.index("volume = 3") + 1
    assert [(file, line) for _, file, line, _, _ in remote.read("Config.Problems")] == [
        (str(router.config_path), gain),
        (str(router.config_path), volume),
    ]
    assert remote.read("Manager.Status") == "degraded"
    assert "the older one stays in force" in remote.read("Manager.StatusText")
    assert rules(remote) == ["synth to the left"]
    synth.assert_connections(LEFT)
    synth.unregister("out")
    synth.register("out")
    eventually(lambda: synth.connections() == LEFT)


@pytest.mark.parametrize("way", ["call", "signal", "save in place", "save anew", "drop-in"])
def test_a_good_file_is_put_in_force(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote, way: str
) -> None:
    synth = start_client("synth", outputs=["out"])
    header = UNWATCHED if way in ("call", "signal") else ""
    router = start_router(header + TO_LEFT)
    eventually(lambda: synth.connections() == remote.connections() == LEFT)
    if way == "save in place":
        router.config_path.write_text(TO_RIGHT)
    elif way == "drop-in":
        folder = Path(f"{router.config_path}.d")
        folder.mkdir()
        (folder / "10-right.toml").write_text(TO_RIGHT)
    else:
        router.write_config(header + TO_RIGHT)
    if way == "call":
        report = remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        assert (report["connect"], report["disconnect"]) == ([[*pair] for pair in RIGHT], [[*pair] for pair in LEFT])
        assert remote.connections() == RIGHT  # the call answers when all is applied
    elif way == "signal":
        router.reload_by_signal()
    eventually(lambda: synth.connections() == (LEFT | RIGHT if way == "drop-in" else RIGHT))
    assert remote.read("Config.Valid") is True


def test_a_dry_run_only_tells(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    synth = start_client("synth", outputs=["out"])
    router = start_router(UNWATCHED + TO_LEFT)
    eventually(lambda: synth.connections() == LEFT)
    eventually(lambda: remote.connections() == LEFT)
    router.write_config(UNWATCHED + TO_RIGHT)
    valid, problems, report = remote.call("Config.Plan", "sa{sv}", "", NO_OPTIONS)
    assert (valid, problems) == (True, [])
    assert (report["connect"], report["disconnect"]) == ([[*pair] for pair in RIGHT], [[*pair] for pair in LEFT])
    assert rules(remote) == ["synth to the left"]
    synth.assert_connections(LEFT)


BUSES = """
[[rule]]
name = "in"
from = "ears:out"
to = { bus = "main", channel = "1" }

[[rule]]
name = "out"
from = { bus = "main", channel = "1" }
to = "ears:in"

[[bus]]
name = "main"
channels = 1
"""
FRAMES = 2 * 48_000


def test_sound_of_a_bus_goes_on_while_others_come_and_go(tmp_path: Path, session_bus: SessionBus, remote: Remote) -> None:
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "ears", outputs=["out"], inputs=["in"]) as ears,
        RouterProcess(
            tmp_path,
            UNWATCHED + BUSES + '[[bus]]\nname = "old"\n',
            bus_address=session_bus.address,
            server_name=server.name,
        ) as router,
    ):
        wanted = {("ears:out", "router:main_in_1"), ("router:main_out_1", "ears:in")}
        eventually(lambda: ears.connections() == wanted)
        assert "router:old_in_1" in ears.ports()
        block = noise(FRAMES)
        ears.begin({"out": block}, ["in"], FRAMES + 4_096)
        router.write_config(UNWATCHED + '[[bus]]\nname = "new"\nchannels = 3\n' + BUSES)
        remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
        assert offset_of(block, ears.finish().channels["in"]) is not None, "the sound was interrupted"
        assert ears.connections() == wanted
        ours = {port for port in ears.ports() if port.startswith("router:")}
        new = {f"router:new_{way}_{n}" for way in ("in", "out") for n in (1, 2, 3)}
        assert ours == {"router:main_in_1", "router:main_out_1"} | new
        cut = [[*pair] for pair in wanted]
        assert not any(pair in signal.body[5] for signal in remote.signals("GraphChanged") for pair in cut)


def test_a_linked_file_is_watched_where_it_is(running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(None)
    target = router.folder / "elsewhere" / "studio.toml"
    target.parent.mkdir()
    target.write_text('[[rule]]\nname = "first"\nfrom = "a"\nto = "b"\n')
    router.config_path.symlink_to(target)
    eventually(lambda: [rule[0] for rule in remote.call("Rules.ListRules")] == ["first"])
    target.write_text('[[rule]]\nname = "second"\nfrom = "a"\nto = "b"\n')
    eventually(lambda: [rule[0] for rule in remote.call("Rules.ListRules")] == ["second"])


def test_rules_follow_a_bus_whose_channels_have_other_names(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    rule = '[[rule]]\nname = "to the bus"\nfrom = "synth:*"\nto = { bus = "main" }\n'
    bus = '[[bus]]\nname = "main"\n'
    router = start_router(UNWATCHED + rule + bus)
    eventually(lambda: ("synth:right", "router:main_in_2") in desk.connections())
    router.write_config(UNWATCHED + rule + bus + 'channels = ["L", "R"]\n')
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    wanted = {("synth:left", "router:main_in_L"), ("synth:right", "router:main_in_R")}
    eventually(lambda: desk.connections() == wanted)


def test_what_was_set_by_hand_survives_an_edit_elsewhere(
    running_server: JackServer, start_router: StartRouter, remote: Remote
) -> None:
    bus = '[[bus]]\nname = "main"\ngain = -3.0\n'
    router = start_router(UNWATCHED + bus)
    main = bus_path("main")
    remote.write("Bus.Gain", "d", -20.0, path=main)
    remote.write("Bus.Mute", "b", True, path=main)
    router.write_config(UNWATCHED + "# one line more\n" + TO_LEFT + bus + "fade_ms = 30\n")
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    assert (remote.read("Bus.Gain", path=main), remote.read("Bus.Mute", path=main)) == (-20.0, True)
    # The value that the file changes is the file's again; the other one stays.
    router.write_config(UNWATCHED + bus.replace("-3.0", "-6.0"))
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)
    assert (remote.read("Bus.Gain", path=main), remote.read("Bus.Mute", path=main)) == (-6.0, True)
