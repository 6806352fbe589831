"""Buses that are made and removed at run time, on a real server: their ports, the rules that name them, and what is kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from jackd_router.dbus_api.errors import INVALID_ARGS, CallError
from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.dbus_api.names import BUS, ERROR_PREFIX, bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.conftest import OpenRemote
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.jack_client import JackClient, noise, offset_of
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

UNWATCHED = "[daemon]\nwatch = false\n"
TO_FX = """
[[rule]]
name = "synth to the effects"
from = "synth:*"
to = { bus = "fx" }

[[rule]]
name = "effects to the desk"
from = { bus = "fx" }
to = "desk:*"
"""
MAIN = '[[bus]]\nname = "main"\n'
FX = bus_path("fx")
STEREO = {"channels": variant("as", ["L", "R"])}
THROUGH_FX = {
    ("synth:left", "router:fx_in_L"),
    ("synth:right", "router:fx_in_R"),
    ("router:fx_out_L", "desk:left"),
    ("router:fx_out_R", "desk:right"),
}


def create(remote: Remote, name: str, **options: Variant) -> str:
    """Make a bus and give its path."""
    given = {key.replace("_", "-"): value for key, value in options.items()}
    return str(remote.call("Buses.CreateBus", "sa{sv}", name, given))


def ours(client: JackClient) -> set[str]:
    """Give the ports of the daemon's own, as another client sees them."""
    return {port for port in client.ports() if port.startswith("router:")}


def has_ports(client: JackClient, count: int) -> bool:
    return len(ours(client)) == count


def managed(remote: Remote) -> set[str]:
    """Give the paths of the buses."""
    return set(remote.call("org.freedesktop.DBus.ObjectManager.GetManagedObjects"))


def reload(remote: Remote) -> None:
    remote.call("Config.Reload", "a{sv}", NO_OPTIONS)


def kept_made(router: RouterProcess) -> list[str]:
    """Give the names of the made buses in the state file."""
    path = router.state_home / "jackd-router" / "state.json"
    return [bus["name"] for bus in json.loads(path.read_text())["made"]] if path.exists() else []


def warnings(remote: Remote) -> list[str]:
    return [text for severity, *_, text in remote.read("Config.Problems") if severity == "warning"]


def test_ports_and_connections_are_there_when_the_call_answers(
    desk: JackClient, start_router: StartRouter, remote: Remote
) -> None:
    start_router(UNWATCHED + TO_FX + MAIN)
    eventually(remote.connected)
    eventually(lambda: has_ports(desk, 4))
    before = ours(desk)
    assert "dynamic-buses" in remote.read("Manager.Features")
    assert ['no [[bus]] is called "fx"' in text for text in warnings(remote)] == [True, True]
    assert create(remote, "fx", **STEREO) == FX
    assert warnings(remote) == []
    fx = {f"router:fx_{way}_{channel}" for way in ("in", "out") for channel in "LR"}
    desk.assert_seen(lambda: ours(desk), before | fx)
    desk.assert_connections(THROUGH_FX)
    assert managed(remote) == {bus_path("main"), FX}
    assert [signal.body[0] for signal in remote.signals("InterfacesAdded")] == [FX]
    (signal,) = remote.signals("InterfacesAdded")
    assert signal.body[1][BUS]["Origin"].value == ""
    assert remote.read("Bus.Active", path=FX) is True
    assert remote.read("Bus.Origin", path=bus_path("main")).endswith("router.toml:13")
    remote.call("Buses.RemoveBus", "s", "fx")
    desk.assert_seen(lambda: ours(desk), before)
    desk.assert_connections(set())
    assert len(warnings(remote)) == 2
    assert managed(remote) == {bus_path("main")}
    eventually(lambda: [signal.body for signal in remote.signals("InterfacesRemoved")] == [[FX, [BUS]]])


EARS = """
[[rule]]
name = "in"
from = "ears:out"
to = { bus = "main", channel = "1" }

[[rule]]
name = "out"
from = { bus = "main", channel = "1" }
to = "ears:in"
"""
FRAMES = 2 * 48_000


def test_other_buses_lose_no_sample(tmp_path: Path, session_bus: SessionBus, remote: Remote) -> None:
    with (
        JackServer(tmp_path / "jackd.log", synchronous=True) as server,
        JackClient(server.name, "ears", outputs=["out"], inputs=["in"]) as ears,
        RouterProcess(
            tmp_path, UNWATCHED + EARS + MAIN + TO_FX, bus_address=session_bus.address, server_name=server.name
        ) as router,
    ):
        wanted = {("ears:out", "router:main_in_1"), ("router:main_out_1", "ears:in")}
        eventually(lambda: ears.connections() == wanted and remote.connected())
        block = noise(FRAMES)
        ears.begin({"out": block}, ["in"], FRAMES + 4_096)
        for _ in range(3):
            create(remote, "fx", **STEREO)
            create(remote, "odd", channels=variant("as", ["1", "2", "3"]))
            remote.call("Buses.RemoveBus", "s", "fx")
            remote.call("Buses.RemoveBus", "s", "odd")
        create(remote, "main2")
        router.write_config(UNWATCHED + EARS + MAIN + TO_FX + '[[bus]]\nname = "main2"\n')
        reload(remote)
        assert offset_of(block, ears.finish().channels["in"]) is not None, "the sound was interrupted"
        assert ears.connections() == wanted
        assert ours(ears) == {f"router:main{bus}_{way}_{n}" for bus in ("", "2") for way in ("in", "out") for n in (1, 2)}
        gone = {name for signal in remote.signals("GraphChanged") for name in signal.body[3]}
        assert not any("main" in name for name in gone)


def test_a_made_bus_outlives_the_daemon_and_reloads(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(UNWATCHED + TO_FX)
    eventually(remote.connected)
    create(remote, "fx", **STEREO, gain=variant("d", -6.0), fade_ms=variant("d", 0.0), matrix=variant("aad", [[0, 1], [1, 0]]))
    create(remote, "second", channels=variant("as", ["1"]), channel_gains=variant("ad", [-3.0]), mute=variant("b", True))
    remote.write("Bus.Gain", "d", -12.5, path=FX)
    reload(remote)
    assert managed(remote) == {FX, bus_path("second")}
    effective = remote.call("Config.GetEffective")
    eventually(lambda: kept_made(router) == ["fx", "second"])
    eventually(lambda: "-12.5" in (router.state_home / "jackd-router" / "state.json").read_text())
    router.kill()
    router.start()
    assert (remote.read("Bus.Gain", path=FX), remote.read("Bus.Matrix", path=FX)) == (-12.5, [[0, 1], [1, 0]])
    second = {name: remote.read(f"Bus.{name}", path=bus_path("second")) for name in ("ChannelGains", "Mute", "Channels")}
    assert second == {"ChannelGains": [-3.0], "Mute": True, "Channels": 1}
    assert remote.call("Config.GetEffective") == effective
    eventually(lambda: desk.connections() == THROUGH_FX)
    router.stop()
    assert kept_made(router) == ["fx", "second"]


def test_without_a_server_a_bus_waits_for_one(jack_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    start_router()
    assert create(remote, "fx", **STEREO) == FX
    assert remote.read("Bus.Active", path=FX) is False
    for _ in range(2):
        jack_server.start()
        with JackClient(jack_server.name, "eyes") as eyes:
            eventually(partial(has_ports, eyes, 4))
            eventually(lambda: remote.read("Bus.Active", path=FX) is True)
        jack_server.kill()
        eventually(lambda: remote.read("Bus.Active", path=FX) is False)
    remote.call("Buses.RemoveBus", "s", "fx")
    assert managed(remote) == set()


def test_a_start_without_any_configuration_has_the_made_buses(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(UNWATCHED)
    create(remote, "fx")
    router.stop()
    for copy in (router.state_home / "jackd-router" / "last-good").iterdir():
        copy.unlink()
    router.write_config("broken")
    router.start()
    assert remote.read("Manager.Status") == "error"
    assert managed(remote) == {FX}


def test_a_server_that_does_not_answer_gives_the_ports_later(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    start_router()
    eyes = start_client("eyes")
    eventually(remote.connected)
    running_server.freeze()
    assert create(remote, "fx") == FX
    running_server.resume()
    eventually(partial(has_ports, eyes, 4))
    eventually(lambda: remote.read("Manager.Status") == "ok")


def test_it_holds_whatever_becomes_of_the_server(
    jack_server: JackServer, start_router: StartRouter, open_remote: OpenRemote
) -> None:
    start_router(UNWATCHED + TO_FX)
    maker, other = open_remote(), open_remote()

    def make_and_remove() -> None:
        for _ in range(10):
            for number in range(4):
                create(maker, f"bus{number}")
            for number in range(4):
                maker.call("Buses.RemoveBus", "s", f"bus{number}")

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(make_and_remove)
        while not work.done():
            jack_server.start()
            eventually(lambda: other.connected() or work.done())
            jack_server.kill()
        work.result()
    create(maker, "fx", **STEREO)
    jack_server.start()
    with JackClient(jack_server.name, "eyes") as eyes:
        eventually(partial(has_ports, eyes, 4))
    assert managed(maker) == {FX}


def test_what_was_set_on_a_bus_goes_with_it(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(UNWATCHED + '[[bus]]\nname = "fx"\n')
    remote.write("Bus.Gain", "d", -12.5, path=FX)  # waits for the bus of the configuration
    router.write_config(UNWATCHED)
    reload(remote)
    create(remote, "fx")
    assert remote.read("Bus.Gain", path=FX) == 0.0
    remote.write("Bus.Gain", "d", -7.5, path=FX)
    remote.call("Buses.RemoveBus", "s", "fx")
    create(remote, "fx")
    assert remote.read("Bus.Gain", path=FX) == 0.0
    remote.call("Buses.RemoveBus", "s", "fx")
    router.stop()
    state = json.loads((router.state_home / "jackd-router" / "state.json").read_text())
    assert (state["made"], state["buses"]) == ([], {})


def test_a_bus_of_the_configuration_takes_the_place_of_a_made_one(
    desk: JackClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(UNWATCHED + TO_FX)
    eventually(remote.connected)
    create(remote, "fx", **STEREO, gain=variant("d", -6.0))
    remote.write("Bus.Mute", "b", True, path=FX)
    router.write_config(UNWATCHED + TO_FX + '[[bus]]\nname = "fx"\nchannels = ["L", "R"]\ngain = -3.0\n')
    reload(remote)
    assert warnings(remote) == ['this bus takes the place of the bus "fx" that was made at run time']
    assert 'takes the place of the bus "fx"' in router.output()
    assert (remote.read("Bus.Gain", path=FX), remote.read("Bus.Mute", path=FX)) == (-3.0, True)
    assert remote.read("Bus.Origin", path=FX) == f"{router.config_path}:13"
    eventually(lambda: any("Origin" in signal.body[1] for signal in remote.signals("PropertiesChanged") if signal.path == FX))
    desk.assert_connections(THROUGH_FX)
    assert not any(signal.body[5] for signal in remote.signals("GraphChanged")), "a connection was cut meanwhile"
    error = remote.error("Buses.RemoveBus", "s", "fx")
    assert (error.name, "take it out there" in error.text) == (f"{ERROR_PREFIX}.ReadOnlyConfig", True)
    reload(remote)
    assert warnings(remote) == []
    router.write_config(UNWATCHED + TO_FX)
    reload(remote)
    assert managed(remote) == set()
    router.stop()
    assert kept_made(router) == []


MISFITS = {
    "a port twice": ('name = "a"\nchannels = ["b_in_c"]\n', 'both this bus and "a"'),
    "too many ports": ("", "with this bus all buses have 1025 inputs together"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_one_that_does_not_fit_any_more_is_left_out_and_not_forgotten(
    start_router: StartRouter, remote: Remote, misfit: str
) -> None:
    bus, why = MISFITS[misfit]
    many = "".join(f'[[bus]]\nname = "many{n}"\nchannels = 64\n' for n in range(16))
    router = start_router(UNWATCHED)
    path = bus_path("a_in_b")
    create(remote, "a_in_b", channels=variant("as", ["c"]))
    remote.write("Bus.Gain", "d", -9.0, path=path)
    router.write_config(UNWATCHED + (f"[[bus]]\n{bus}" if bus else many))
    for _ in range(2):
        reload(remote)
        (warning,) = warnings(remote)
        assert warning.startswith('the bus "a_in_b" that was made at run time is left out: ')
        assert why in warning
        assert path not in managed(remote)
    error = remote.error("Buses.CreateBus", "sa{sv}", "a_in_b", NO_OPTIONS)
    assert error.name == f"{ERROR_PREFIX}.AlreadyExists"
    router.stop()
    router.start()
    assert warnings(remote) == [warning]
    router.write_config(UNWATCHED)
    reload(remote)
    assert remote.read("Bus.Gain", path=path) == -9.0
    router.write_config(UNWATCHED + (f"[[bus]]\n{bus}" if bus else many))
    reload(remote)
    remote.call("Buses.RemoveBus", "s", "a_in_b")
    assert warnings(remote) == []
    router.stop()
    assert kept_made(router) == []


REFUSALS: dict[str, tuple[str, dict[str, Variant], str, str]] = {
    "no name": ("", {}, INVALID_ARGS, "a string, not empty"),
    "an odd name": ("a b", {}, INVALID_ARGS, 'name: found "a b"; allowed: letters'),
    "a long name": ("x" * 250, {}, INVALID_ARGS, "would have a name of 255 bytes; allowed: 254"),
    "a name that is taken": ("main", {}, f"{ERROR_PREFIX}.AlreadyExists", "router.toml:3"),
    "no channels": ("x", {"channels": variant("as", [])}, INVALID_ARGS, "channels: found an empty list"),
    "many channels": ("x", {"channels": variant("as", [f"c{n}" for n in range(65)])}, INVALID_ARGS, "found 65 names"),
    "a channel twice": ("x", {"channels": variant("as", ["L", "L"])}, INVALID_ARGS, 'the name "L" stands there twice'),
    "a port of another": ("odd_in_a", {"channels": variant("as", ["b"])}, INVALID_ARGS, 'both this bus and "odd"'),
    "a loud gain": ("x", {"gain": variant("d", 20.5)}, INVALID_ARGS, "gain: found 20.5; allowed: a number up to 20 dB"),
    "no number": ("x", {"gain": variant("d", float("nan"))}, INVALID_ARGS, "gain: found nan"),
    "few gains": ("x", {"channel-gains": variant("ad", [0.0])}, INVALID_ARGS, "found 1 number; allowed: a list of 2"),
    "another shape": ("x", {"matrix": variant("aad", [[1.0, 0.0]])}, INVALID_ARGS, "found 1 row; allowed: 2 rows"),
    "a large factor": ("x", {"matrix": variant("aad", [[11.0, 0], [0, 1]])}, INVALID_ARGS, "matrix: found 11.0"),
    "a long fade": ("x", {"fade-ms": variant("d", 1e9)}, INVALID_ARGS, "fade-ms: found"),
    "another type": ("x", {"type": variant("s", "video")}, INVALID_ARGS, 'type: found "video"'),
    "another kind of value": ("x", {"gain": variant("s", "loud")}, INVALID_ARGS, "'gain' is a number ('d')"),
    "an unknown option": ("x", {"chanels": variant("as", ["L"])}, INVALID_ARGS, "did you mean 'channels'?"),
}


def test_what_cannot_be_made_is_refused_and_changes_nothing(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, remote: Remote
) -> None:
    router = start_router(UNWATCHED + MAIN + '[[bus]]\nname = "odd"\nchannels = ["a_in_b"]\n')
    eyes = start_client("eyes")
    eventually(partial(has_ports, eyes, 6))
    for what, (name, options, error_name, text) in REFUSALS.items():
        error = remote.error("Buses.CreateBus", "sa{sv}", name, options)
        assert (error.name, text in error.text) == (error_name, True), (what, error.text)
    assert len(ours(eyes)) == 6
    assert managed(remote) == {bus_path("main"), bus_path("odd")}
    for name, error_name in (("main", "ReadOnlyConfig"), ("x", "NoSuchBus"), ("", "NoSuchBus")):
        assert remote.error("Buses.RemoveBus", "s", name).name == f"{ERROR_PREFIX}.{error_name}"
    create(remote, "fx")
    error = remote.error("Buses.CreateBus", "sa{sv}", "fx", NO_OPTIONS)
    assert (error.name, "was made at run time" in error.text) == (f"{ERROR_PREFIX}.AlreadyExists", True)
    assert "did you mean 'fx'?" in remote.error("Buses.RemoveBus", "s", "fxx").text
    router.stop()
    assert kept_made(router) == ["fx"]


def test_no_more_than_64_buses(start_router: StartRouter, remote: Remote) -> None:
    start_router(UNWATCHED + MAIN)
    one = {"channels": variant("as", ["1"])}
    for number in range(63):
        create(remote, f"bus{number}", **one)
    assert "found 65 buses; allowed: 64" in remote.error("Buses.CreateBus", "sa{sv}", "one_more", one).text
    remote.call("Buses.RemoveBus", "s", "bus7")
    create(remote, "one_more", **one)
    assert len(managed(remote)) == 64


def test_where_the_server_has_no_port_left_there_is_no_bus(tmp_path: Path, session_bus: SessionBus, remote: Remote) -> None:
    with (
        JackServer(tmp_path / "jackd.log", port_max=128) as server,
        JackClient(server.name, "eyes") as eyes,
        RouterProcess(tmp_path, UNWATCHED + MAIN, bus_address=session_bus.address, server_name=server.name) as router,
    ):
        eventually(remote.connected)
        wide = {"channels": variant("as", [str(number) for number in range(64)])}
        error = remote.error("Buses.CreateBus", "sa{sv}", "wide", wide)
        assert (error.name, "the server refused our port" in error.text) == (f"{ERROR_PREFIX}.Refused", True)
        assert managed(remote) == {bus_path("main")}
        assert remote.signals("InterfacesAdded") == []
        eventually(partial(has_ports, eyes, 4))
        assert remote.read("Manager.Status") == "ok"
        create(remote, "fx")
        assert len(ours(eyes)) == 8
        router.stop()
        assert kept_made(router) == ["fx"]
        router.start()


def test_many_callers_at_once(open_remote: OpenRemote, running_server: JackServer, start_router: StartRouter) -> None:
    start_router(UNWATCHED)
    remotes = [open_remote() for _ in range(6)]
    eventually(remotes[0].connected)

    def make(number: int) -> str:
        create(remotes[number], f"own{number}")
        try:
            outcome = create(remotes[number], "fx")
        except CallError as error:
            outcome = error.name
        remotes[number].call("Buses.RemoveBus", "s", f"own{number}")
        return outcome

    with ThreadPoolExecutor(len(remotes)) as pool:
        outcomes = sorted(pool.map(make, range(len(remotes))))
    assert outcomes == [FX, *[f"{ERROR_PREFIX}.AlreadyExists"] * (len(remotes) - 1)]
    assert managed(remotes[0]) == {FX}


def test_plan_and_explanation_know_a_made_bus(desk: JackClient, start_router: StartRouter, remote: Remote) -> None:
    router = start_router(UNWATCHED)
    eventually(remote.connected)
    create(remote, "fx", **STEREO)
    assert '[[bus]]  # made at run time\nname = "fx"\n' in remote.call("Config.GetEffective")
    plan = router.folder / "plan.toml"
    plan.write_text(TO_FX)
    valid, _, report = remote.call("Config.Plan", "sa{sv}", str(plan), NO_OPTIONS)
    assert valid
    assert {tuple(pair) for pair in report["connect"]} == THROUGH_FX
    assert (report["disconnect"], report["unmet"]) == ([], [])
    router.write_config(UNWATCHED + TO_FX)
    reload(remote)
    desk.assert_connections(THROUGH_FX)
    state, summary, _ = remote.call("Rules.Explain", "ss", "synth:left", "router:fx_in_L")
    assert (state, "synth to the effects" in summary) == ("connected", True)
    # The copy that a start with a broken file uses holds what the files say: the made bus is beside it all the same.
    router.stop()
    router.write_config("broken")
    router.start()
    assert managed(remote) == {FX}
    eventually(lambda: desk.connections() == THROUGH_FX)
    remote.call("Buses.RemoveBus", "s", "fx")
    eventually(lambda: desk.connections() == set())


def test_a_loop_through_a_made_bus_is_refused(running_server: JackServer, start_router: StartRouter, remote: Remote) -> None:
    into_itself = '[[rule]]\nname = "loop"\nfrom = { bus = "fx" }\nto = { bus = "fx" }\nsame_client = true\n'
    start_router(UNWATCHED + into_itself)
    eventually(remote.connected)
    create(remote, "fx", channels=variant("as", ["1"]))
    state, summary, _ = remote.call("Rules.Explain", "ss", "router:fx_out_1", "router:fx_in_1")
    assert (state, remote.connections()) == ("refused", set()), summary


def test_a_profile_sets_a_made_bus(start_router: StartRouter, remote: Remote) -> None:
    start_router(UNWATCHED + '[[profile]]\nname = "live"\nbus.fx.gain = -3.0\n')
    create(remote, "fx", gain=variant("d", 1.0))
    remote.write("Profiles.ActiveProfile", "s", "live")
    assert remote.read("Bus.Gain", path=FX) == -3.0
    remote.call("Buses.RemoveBus", "s", "fx")
    create(remote, "fx", gain=variant("d", 1.0))
    assert remote.read("Bus.Gain", path=FX) == -3.0
    remote.write("Profiles.ActiveProfile", "s", "default")
    assert remote.read("Bus.Gain", path=FX) == 1.0


def test_of_a_made_bus_that_is_of_no_use_the_rest_knows_nothing(start_router: StartRouter, remote: Remote) -> None:
    router = start_router(UNWATCHED)
    create(remote, "fx")
    create(remote, "other")
    router.stop()
    path = router.state_home / "jackd-router" / "state.json"
    state = json.loads(path.read_text())
    state["made"][1]["gain"] = "loud"
    path.write_text(json.dumps(state))
    router.start()
    assert managed(remote) == {FX}
    assert 'a bus that was made at run time is of no use: gain: found "loud"' in router.output()
