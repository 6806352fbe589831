"""The face on the real daemon: every interface, every property, the names, the bus that comes and goes, and nonsense."""

from __future__ import annotations

import asyncio
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from dbus_next import Message, MessageType
from dbus_next._private.unmarshaller import Unmarshaller

from jackd_router.dbus_api import errors, names
from jackd_router.dbus_api.errors import BusLost, CallError
from jackd_router.dbus_api.inbox import Inbox
from jackd_router.dbus_api.interface_xml import Interface, parse_interfaces, read_interface
from jackd_router.dbus_api.message_bus import Value, Variant, variant
from jackd_router.dbus_api.messages import Body, Signal, SignalMatch
from jackd_router.dbus_api.names import DBUS, DBUS_PATH
from jackd_router.dbus_api.session_bus import SessionBus
from tests.conftest import StartClient, StartRouter
from tests.dbus_api.flood import Flood, with_header_field
from tests.dbus_api.scripted_bus import accept_handshake
from tests.dbus_api.until import until
from tests.support.eventually import eventually_async
from tests.support.jack_server import JackServer
from tests.support.router_process import cli
from tests.support.session_bus import SessionBus as BusDaemon

pytestmark = pytest.mark.asyncio

CONFIG = """
[client]
name = "router"

[daemon]
watch = false

[[rule]]
name = "synth to speakers"
from = "synth:*"
to = "ears:*"
pair = "order"

[[rule]]
name = "nothing to the recorder"
action = "forbid"
from = "synth:*"
to = "recorder:*"

[[bus]]
name = "main"
channels = ["L", "R"]
gain = -6.0

[[bus]]
name = "talk-back"
channels = 1

[[profile]]
name = "live"
description = "on the stage"
bus.main.gain = 3.0
"""
NOTHING: dict[str, Variant] = {}
EXPORTED = ("Manager", "Server", "Graph", "Rules", "Profiles", "Snapshots", "Config", "Buses")


class Remote:
    """A client of the daemon, in the words of the API."""

    def __init__(self, bus: SessionBus) -> None:
        self.bus = bus

    async def call(self, member: str, signature: str = "", *body: Value, path: str = names.ROOT_PATH) -> Body:
        """Call `Interface.Member` of the API, or a member by its whole name."""
        name = member if member.startswith("org.") else f"{names.BUS_NAME}.{member}"
        interface, _, method = name.rpartition(".")
        return await self.bus.call(names.BUS_NAME, path, interface, method, signature, body)

    async def get(self, property_name: str, path: str = names.ROOT_PATH) -> object:
        """Give the value of the property `Interface.Name`."""
        interface, _, name = property_name.rpartition(".")
        (value,) = await self.call(f"{names.PROPERTIES}.Get", "ss", f"{names.BUS_NAME}.{interface}", name, path=path)
        got: object = value.value
        return got

    async def set(self, property_name: str, value: Variant, path: str = names.ROOT_PATH) -> None:
        """Set the property `Interface.Name`."""
        interface, _, name = property_name.rpartition(".")
        await self.call(f"{names.PROPERTIES}.Set", "ssv", f"{names.BUS_NAME}.{interface}", name, value, path=path)

    async def error_of(self, member: str, signature: str = "", *body: Value, path: str = names.ROOT_PATH) -> CallError:
        """Give the error that a call is answered with."""
        with pytest.raises(CallError) as caught:
            await self.call(member, signature, *body, path=path)
        return caught.value

    async def collect(self) -> list[Signal]:
        """Give a list that fills with the signals of the daemon."""
        seen: list[Signal] = []
        await self.bus.subscribe(SignalMatch(sender=names.BUS_NAME), lambda got: seen.append(got))
        return seen


@asynccontextmanager
async def remote(daemon: BusDaemon) -> AsyncIterator[Remote]:
    """Give a client of the daemon on this bus."""
    async with await SessionBus.open([daemon.address]) as bus:
        yield Remote(bus)


async def connected(on: Remote) -> None:
    """Wait until the daemon has its server."""
    await eventually_async(lambda: _is_connected(on))


async def _is_connected(on: Remote) -> bool:
    return await on.get("Server.State") == "connected"


def plain(xml: str) -> dict[str, str]:
    """Give the interfaces of a document by name, without comments and white space."""
    return {interface.name: interface.xml for interface in parse_interfaces(xml)}


async def test_the_contract_is_what_is_offered(session_bus: BusDaemon, start_router: StartRouter) -> None:
    start_router(CONFIG)
    async with remote(session_bus) as on:
        (root,) = await on.call("org.freedesktop.DBus.Introspectable.Introspect")
        offered = {name: xml for name, xml in plain(root).items() if name.startswith(names.BUS_NAME)}
        assert offered == {read_interface(name).name: read_interface(name).xml for name in EXPORTED}
        (bus,) = await on.call("org.freedesktop.DBus.Introspectable.Introspect", path=names.bus_path("talk-back"))
        assert plain(bus)[names.BUS] == read_interface("Bus").xml
        (buses,) = await on.call("org.freedesktop.DBus.Introspectable.Introspect", path=f"{names.ROOT_PATH}/bus")
        assert [child.attrib["name"] for child in ET.fromstring(buses).iterfind("node")] == ["main", "talk_2dback"]


async def test_every_property_has_a_value(session_bus: BusDaemon, running_server: JackServer, start_router: StartRouter) -> None:
    router = start_router(CONFIG)
    async with remote(session_bus) as on:
        await connected(on)
        for name in EXPORTED:
            interface = read_interface(name)
            (values,) = await on.call(f"{names.PROPERTIES}.GetAll", "s", interface.name)
            assert {key: value.signature for key, value in values.items()} == types_of(interface)
        (values,) = await on.call(f"{names.PROPERTIES}.GetAll", "s", names.BUS, path=names.bus_path("main"))
        assert {key: value.signature for key, value in values.items()} == types_of(read_interface("Bus"))
        assert values["Name"].value == "main"
        assert values["Inputs"].value == ["router:main_in_L", "router:main_in_R"]
        assert (values["Channels"].value, values["Gain"].value, values["Mute"].value, values["Active"].value) == (
            2,
            -6.0,
            False,
            True,
        )
        assert values["Matrix"].value == [[1.0, 0.0], [0.0, 1.0]]
        assert await on.get("Server.ServerName") == running_server.socket.name
        assert await on.get("Config.Path") == str(router.config_path)
        (managed,) = await on.call("org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        assert set(managed) == {names.bus_path("main"), names.bus_path("talk-back")}


def types_of(interface: Interface) -> dict[str, str]:
    return {name: declared.type for name, declared in interface.properties.items() if declared.readable}


async def test_status_in_one_call(session_bus: BusDaemon, running_server: JackServer, start_router: StartRouter) -> None:
    start_router(CONFIG)
    async with remote(session_bus) as on:
        await connected(on)
        (status,) = await on.call("Manager.GetStatus")
        documented = Path(__file__).parents[2].joinpath("dbus", f"{names.MANAGER}.xml").read_text()
        for key, value in status.items():
            assert re.search(rf"\b{key} {value.signature}\b", documented), f"{key} {value.signature} is not documented"
        assert {key: status[key].value for key in ("server-state", "profile", "rules", "buses", "held", "config-valid")} == {
            "server-state": "connected",
            "profile": "default",
            "rules": 2,
            "buses": 2,
            "held": 0,
            "config-valid": True,
        }


async def test_graph_rules_and_signals(
    session_bus: BusDaemon, running_server: JackServer, start_router: StartRouter, start_client: StartClient
) -> None:
    start_router(CONFIG)
    async with remote(session_bus) as on:
        await connected(on)
        seen = await on.collect()
        start_client("ears", inputs=["1", "2", "10"])
        start_client("recorder", inputs=["in"])
        start_client("synth", outputs=["left", "right"])
        pairs = [["synth:left", "ears:1"], ["synth:right", "ears:2"]]
        await until(lambda: [change for got in seen if got.member == "GraphChanged" for change in got.body[4]] == pairs)
        done = [["synth to speakers", "connect", *pair] for pair in pairs]
        await until(lambda: [action for got in seen if got.member == "Applied" for action in got.body[0]] == done)

        version, clients, ports, connections = await on.call("Graph.GetGraph", "t", 0)
        assert {name: more["ports"].value for name, more in clients}["ears"] == 3
        assert ["synth:left", 2, "audio", []] in ports
        assert sorted(connections) == pairs
        assert await on.call("Graph.GetGraph", "t", version) == [version, [], [], []]
        chain = [got.body[:2] for got in seen if got.member == "GraphChanged"]
        assert [previous for previous, _ in chain[1:]] == [following for _, following in chain[:-1]]

        assert await on.call("Graph.ListPorts", "sa{sv}", "ears", NOTHING) == [["ears:1", "ears:2", "ears:10"]]
        some = {
            "direction": variant("s", "input"),
            "type": variant("s", "audio"),
            "offset": variant("u", 1),
            "limit": variant("u", 1),
        }
        assert await on.call("Graph.ListPorts", "sa{sv}", "ears:*", some) == [["ears:2"]]
        assert await on.call("Graph.ListConnections", "sa{sv}", "*:2", NOTHING) == [[["synth:right", "ears:2"]]]

        assert await on.call("Graph.Connect", "ssa{sv}", "synth:left", "ears:10", NOTHING) == ["connected"]
        assert await on.call("Graph.Connect", "ssa{sv}", "synth:left", "ears:10", NOTHING) == ["already-connected"]
        assert await on.call("Graph.Disconnect", "ssa{sv}", "synth:left", "ears:10", NOTHING) == ["disconnected"]
        assert await on.call("Graph.Disconnect", "ssa{sv}", "synth:left", "ears:10", NOTHING) == ["not-connected"]
        (report,) = await on.call(
            "Graph.Apply", "a(ss)a(ss)a{sv}", [("synth:left", "ears:10")], [], {"dry-run": variant("b", True)}
        )
        assert report["connect"].value == [["synth:left", "ears:10"]]
        refused = await on.error_of("Graph.Connect", "ssa{sv}", "synth:left", "recorder:in", NOTHING)
        assert refused.name == f"{names.ERROR_PREFIX}.Refused"
        assert "nothing to the recorder" in refused.text
        missing = await on.error_of("Graph.Connect", "ssa{sv}", "synth:left", "ears:nothing", NOTHING)
        assert (missing.name, "ears:nothing" in missing.text) == (f"{names.ERROR_PREFIX}.NoSuchPort", True)
        backwards = await on.error_of("Graph.Connect", "ssa{sv}", "synth:left", "synth:right", NOTHING)
        assert (backwards.name, "synth:right" in backwards.text) == (f"{names.ERROR_PREFIX}.IncompatiblePorts", True)

        (rules,) = await on.call("Rules.ListRules")
        assert [rule[:3] for rule in rules] == [
            ["synth to speakers", True, "connect"],
            ["nothing to the recorder", True, "forbid"],
        ]
        (rule,) = await on.call("Rules.GetRule", "s", "synth to speakers")
        assert rule["matches"].value == pairs
        state, summary, steps = await on.call("Rules.Explain", "ss", "synth:left", "ears:1")
        assert (state, steps[0][0]) == ("connected", "synth to speakers")
        assert summary
        (peers,) = await on.call("Rules.ExplainPort", "s", "synth:left")
        assert ["ears:1", "connected", "synth to speakers"] in [peer[:3] for peer in peers]

        await on.call("Graph.Disconnect", "ssa{sv}", *pairs[0], NOTHING)
        assert await on.get("Rules.Held") == [pairs[0]]
        await until(lambda: any("Held" in got.body[1] for got in seen if got.member == "PropertiesChanged"))
        assert await on.call("Rules.ReleaseHold", "ssa{sv}", *pairs[0], NOTHING) == ["released"]
        assert await on.call("Rules.ReleaseHold", "ssa{sv}", *pairs[0], NOTHING) == ["not-held"]
        (report,) = await on.call("Rules.Reapply", "a{sv}", {"dry-run": variant("b", True)})
        assert report["connect"].value == []
        await on.set("Rules.Enabled", variant("b", False))
        await until(lambda: any("Enabled" in got.body[1] for got in seen if got.member == "PropertiesChanged"))
        await on.call("Rules.SetRuleEnabled", "sba{sv}", "synth to speakers", False, NOTHING)
        (rule,) = await on.call("Rules.GetRule", "s", "synth to speakers")
        assert rule["enabled"].value is False
        assert (await on.error_of("Rules.GetRule", "s", "nothing")).name == f"{names.ERROR_PREFIX}.NoSuchRule"


async def test_the_log_is_controlled_as_systemd_does(session_bus: BusDaemon, start_router: StartRouter) -> None:
    router = start_router(CONFIG)
    interface = read_interface(names.LOG_CONTROL)
    prefix = f"{names.PROPERTIES}."

    async with remote(session_bus) as on:

        async def read() -> dict[str, object]:
            (values,) = await on.call(f"{prefix}GetAll", "s", names.LOG_CONTROL, path=names.LOG_CONTROL_PATH)
            assert {name: value.signature for name, value in values.items()} == types_of(interface)
            return {name: value.value for name, value in values.items()}

        async def write(name: str, value: str) -> None:
            body = (names.LOG_CONTROL, name, variant("s", value))
            await on.call(f"{prefix}Set", "ssv", *body, path=names.LOG_CONTROL_PATH)

        async def refused(name: str, value: str) -> str:
            with pytest.raises(CallError) as caught:
                await write(name, value)
            return caught.value.name

        (offered,) = await on.call("org.freedesktop.DBus.Introspectable.Introspect", path=names.LOG_CONTROL_PATH)
        assert plain(offered)[names.LOG_CONTROL] == interface.xml
        assert await read() == {"LogLevel": "info", "LogTarget": "console", "SyslogIdentifier": "jackd-router"}
        debug = "answered io.github.jackd_router.Router1.Error.NoSuchRule"
        await on.error_of("Rules.GetRule", "s", "nothing")
        assert debug not in router.output()
        for level in ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"):
            await write("LogLevel", level)
            assert (await read())["LogLevel"] == level
        await on.error_of("Rules.GetRule", "s", "nothing")
        assert debug in router.output()
        before = len(router.output())
        await write("LogLevel", "notice")
        await on.set("Profiles.ActiveProfile", variant("s", "live"))  # logged at info
        assert router.output()[before:] == ""
        await write("LogTarget", "auto")
        await write("LogTarget", "console")
        assert await refused("LogTarget", "journal") == errors.NOT_SUPPORTED
        assert await refused("LogLevel", "chatty") == errors.INVALID_ARGS
        assert await refused("SyslogIdentifier", "me") == errors.PROPERTY_READ_ONLY
        (managed,) = await on.call("org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        assert names.LOG_CONTROL_PATH not in managed


async def test_configuration(session_bus: BusDaemon, start_router: StartRouter, tmp_path: Path) -> None:
    router = start_router(CONFIG)
    async with remote(session_bus) as on:
        seen = await on.collect()
        assert await on.call("Config.Validate", "sa{sv}", "", NOTHING) == [True, []]
        (text,) = await on.call("Config.GetEffective")
        assert "synth to speakers" in text
        broken = tmp_path / "broken.toml"
        broken.write_text('[[rule]]\nname = "x"\nform = "a"\n')
        valid, problems = await on.call("Config.Validate", "sa{sv}", str(broken), NOTHING)
        assert not valid
        assert [problem[:3] for problem in problems if "form" in problem[4]] == [["error", str(broken), 3]]
        valid, problems, report = await on.call("Config.Plan", "sa{sv}", str(broken), NOTHING)
        assert (valid, report["connect"].value) == (False, [])
        relative = await on.error_of("Config.Validate", "sa{sv}", "broken.toml", NOTHING)
        assert (relative.name, "relative" in relative.text) == (errors.INVALID_ARGS, True)

        router.write_config(broken.read_text())
        refused = await on.error_of("Config.Reload", "a{sv}", NOTHING)
        assert refused.name == f"{names.ERROR_PREFIX}.InvalidConfig"
        assert refused.text.startswith(f"{router.config_path}:")
        assert await on.get("Config.Valid") is False
        assert len(await on.get("Config.Problems")) > 0  # type: ignore[arg-type]
        assert await on.get("Manager.Status") == "degraded"
        await until(lambda: any("Problems" in got.body[1] for got in seen if got.member == "PropertiesChanged"))

        router.write_config(CONFIG.replace('name = "main"', 'name = "fx_return"').replace("bus.main", "bus.fx_return"))
        (report,) = await on.call("Config.Reload", "a{sv}", NOTHING)
        assert set(report) == {"connect", "disconnect", "failed", "unmet", "shadowed", "refused"}
        await until(lambda: {"InterfacesAdded", "InterfacesRemoved"} <= {got.member for got in seen})
        (managed,) = await on.call("org.freedesktop.DBus.ObjectManager.GetManagedObjects")
        assert set(managed) == {names.bus_path("fx_return"), names.bus_path("talk-back")}


async def test_buses(session_bus: BusDaemon, running_server: JackServer, start_router: StartRouter) -> None:
    start_router(CONFIG)
    main = names.bus_path("main")
    async with remote(session_bus) as on:
        await connected(on)
        seen = await on.collect()
        assert await on.call("Buses.GetBus", "s", "main") == [main]
        assert (await on.error_of("Buses.GetBus", "s", "mian")).name == f"{names.ERROR_PREFIX}.NoSuchBus"
        await on.set("Bus.Gain", variant("d", -12.5), main)
        await on.set("Bus.Mute", variant("b", True), main)
        await on.set("Bus.ChannelGains", variant("ad", [1.0, -1.0]), main)
        assert await on.get("Bus.Gain", main) == -12.5
        assert await on.get("Bus.Mute", main) is True
        assert await on.get("Bus.ChannelGains", main) == [1.0, -1.0]
        await until(
            lambda: {"Gain", "Mute", "ChannelGains"} <= {name for got in seen if got.path == main for name in got.body[1]}
        )
        for gain in (20.5, float("inf"), float("nan"), 1e9):
            with pytest.raises(CallError) as caught:
                await on.set("Bus.Gain", variant("d", gain), main)
            assert caught.value.name == errors.INVALID_ARGS
        assert await on.call("Bus.FadeTo", "du", 0.0, 5, path=main) == []
        assert await on.get("Bus.Gain", main) == 0.0
        assert (await on.error_of("Bus.FadeTo", "du", 21.0, 5, path=main)).name == errors.INVALID_ARGS
        (levels,) = await on.call("Buses.GetLevels", "a{sv}", NOTHING)
        assert {name: len(ports) for name, ports in levels.items()} == {"main": 4, "talk-back": 2}
        assert levels["main"][0] == [-200.0, -200.0]


async def test_profiles(session_bus: BusDaemon, start_router: StartRouter) -> None:
    start_router(CONFIG)
    async with remote(session_bus) as on:
        seen = await on.collect()
        assert "profiles" in await on.get("Manager.Features")  # type: ignore[operator]
        profiles = await on.get("Profiles.Profiles")
        assert profiles == [
            {"Name": variant("s", "default"), "Description": variant("s", "")},
            {"Name": variant("s", "live"), "Description": variant("s", "on the stage")},
        ]
        await on.set("Profiles.ActiveProfile", variant("s", "live"))
        assert await on.get("Profiles.ActiveProfile") == "live"
        assert await on.get("Bus.Gain", names.bus_path("main")) == 3.0
        assert "profile 'live'" in str(await on.get("Manager.StatusText"))
        await until(lambda: any("ActiveProfile" in got.body[1] for got in seen if got.member == "PropertiesChanged"))
        for wrong, name in (("lvie", f"{names.ERROR_PREFIX}.NoSuchProfile"), (7, errors.INVALID_ARGS)):
            with pytest.raises(CallError) as caught:
                await on.set("Profiles.ActiveProfile", variant("s" if isinstance(wrong, str) else "u", wrong))
            assert caught.value.name == name
        with pytest.raises(CallError) as caught:
            await on.set("Profiles.Profiles", variant("aa{sv}", []))
        assert caught.value.name == errors.PROPERTY_READ_ONLY


async def test_options_that_nobody_knows(session_bus: BusDaemon, start_router: StartRouter) -> None:
    start_router(CONFIG)
    unknown = {"dry_run": variant("b", True)}
    async with remote(session_bus) as on:
        for member, signature, body in (
            ("Manager.Inhibit", "ssa{sv}", ("me", "why")),
            ("Manager.Undo", "a{sv}", ()),
            ("Server.Reconnect", "a{sv}", ()),
            ("Graph.ListPorts", "sa{sv}", ("",)),
            ("Graph.ListConnections", "sa{sv}", ("",)),
            ("Graph.Connect", "ssa{sv}", ("a:b", "c:d")),
            ("Graph.Disconnect", "ssa{sv}", ("a:b", "c:d")),
            ("Graph.Apply", "a(ss)a(ss)a{sv}", ([], [])),
            ("Rules.SetRuleEnabled", "sba{sv}", ("x", True)),
            ("Rules.Reapply", "a{sv}", ()),
            ("Rules.ReleaseHold", "ssa{sv}", ("a:b", "c:d")),
            ("Config.Reload", "a{sv}", ()),
            ("Config.Validate", "sa{sv}", ("",)),
            ("Config.Plan", "sa{sv}", ("",)),
            ("Buses.CreateBus", "sa{sv}", ("x",)),
            ("Buses.GetLevels", "a{sv}", ()),
        ):
            arguments: tuple[Value, ...] = (*body, unknown)
            error = await on.error_of(member, signature, *arguments)
            assert error.name == errors.INVALID_ARGS, member
            assert "'dry_run'" in error.text


async def test_without_a_server_the_rest_answers(session_bus: BusDaemon, start_router: StartRouter) -> None:
    start_router(CONFIG)
    async with remote(session_bus) as on:
        assert await on.get("Server.State") == "connecting"
        assert await on.get("Server.DspLoad") == 0.0
        error = await on.error_of("Graph.Connect", "ssa{sv}", "a:b", "c:d", NOTHING)
        assert error.name == f"{names.ERROR_PREFIX}.NotConnected"
        await on.set("Bus.Gain", variant("d", -3.0), names.bus_path("main"))
        assert await on.get("Bus.Active", names.bus_path("main")) is False
        (levels,) = await on.call("Buses.GetLevels", "a{sv}", NOTHING)
        assert all(level == [-200.0, -200.0] for ports in levels.values() for level in ports)
        await on.call("Server.ResetXruns")


async def test_inhibitors_end_with_their_callers(session_bus: BusDaemon, start_router: StartRouter) -> None:
    router = start_router(CONFIG)
    async with remote(session_bus) as on:
        seen = await on.collect()
        async with remote(session_bus) as other:
            (cookie,) = await other.call("Manager.Inhibit", "ssa{sv}", "patchbay", "dragging a cable", NOTHING)
            assert await on.get("Manager.Inhibitors") == [[cookie, other.bus.unique_name, "patchbay", "dragging a cable"]]
        await eventually_async(lambda: _has_no_inhibitors(on))
        await until(lambda: any("Inhibitors" in got.body[1] for got in seen if got.member == "PropertiesChanged"))
        (cookie,) = await on.call("Manager.Inhibit", "ssa{sv}", "me", "a while", NOTHING)
        await on.call("Manager.Uninhibit", "u", cookie)
        assert (await on.error_of("Manager.Uninhibit", "u", cookie)).name == f"{names.ERROR_PREFIX}.NoSuchInhibitor"
        for _ in range(64):
            router.notify.messages()  # read as systemd does: the status names who inhibits
            await on.call("Manager.Inhibit", "ssa{sv}", "me", "a while", NOTHING)
        assert (await on.error_of("Manager.Inhibit", "ssa{sv}", "me", "once more", NOTHING)).name == errors.LIMITS_EXCEEDED
        assert str(await on.get("Manager.StatusText")).endswith("rules are stopped by me, me, me, 61 more")
        for who in ("", "x" * 321, "two\nlines"):
            assert (await on.error_of("Manager.Inhibit", "ssa{sv}", who, "a while", NOTHING)).name == errors.INVALID_ARGS


async def _has_no_inhibitors(on: Remote) -> bool:
    return await on.get("Manager.Inhibitors") == []


async def test_a_second_daemon_says_so_and_ends(session_bus: BusDaemon, start_router: StartRouter) -> None:
    first = start_router(CONFIG)
    done = cli("run", "--config", str(first.config_path), env=first.env())
    assert done.returncode == 1
    assert "another jackd-router" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


async def test_the_daemon_outlives_the_bus(session_bus: BusDaemon, start_router: StartRouter) -> None:
    router = start_router(CONFIG)
    held = []
    for round_number in range(4):
        async with remote(session_bus) as on:
            await eventually_async(partial(_answers, on), 20)
            if not round_number:
                await on.set("Bus.Gain", variant("d", -9.0), names.bus_path("main"))
            await on.call("Manager.Inhibit", "ssa{sv}", "me", "until the bus dies", NOTHING)
            session_bus.kill()  # before who inhibits has left
        session_bus.start()
        async with remote(session_bus) as on:
            await eventually_async(partial(_answers, on), 20)
            assert await on.get("Bus.Gain", names.bus_path("main")) == -9.0
            assert await on.get("Manager.Inhibitors") == []
            held.append(router.counters().descriptors)
    assert held == held[:1] * 4


async def test_who_called_before_the_name_was_ours_holds_nothing(session_bus: BusDaemon, start_router: StartRouter) -> None:
    router = start_router(CONFIG)
    session_bus.kill()
    inhibited, left = asyncio.Event(), asyncio.Event()

    async def bus(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let somebody call while another one has the name."""
        await accept_handshake(reader, writer)
        asked = 0
        async for message in messages(reader):
            if message.message_type is MessageType.METHOD_RETURN:
                inhibited.set()
                writer.write(answer(asked, "u", [3]))  # DBUS_REQUEST_NAME_REPLY_EXISTS
            elif message.member == "RequestName":
                asked = message.serial
                call = Message(":1.7", names.ROOT_PATH, names.MANAGER, "Inhibit", signature="ssa{sv}", body=["ghost", "so", {}])
                call.serial = 1
                writer.write(with_header_field(bytes(call._marshall()), 7, ":1.9"))
            else:
                writer.write(answer(message.serial, "s", [":1.7"]))
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_unix_server(bus, session_bus.address.removeprefix("unix:path="))
    await asyncio.wait_for(left.wait(), 20)
    assert inhibited.is_set()
    server.close()
    await server.wait_closed()
    session_bus.start()
    async with remote(session_bus) as on:
        await eventually_async(partial(_answers, on), 20)
        assert await on.get("Manager.Inhibitors") == []
    assert "another jackd-router runs" in router.output()


async def messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """Give what comes, until the other side leaves."""
    waiting = Inbox()
    while chunk := await reader.read(65_536):
        waiting.put(chunk)
        while (frame := waiting.take()) is not None:
            message = Unmarshaller(io.BytesIO(frame)).unmarshall()
            assert message is not None
            yield message


def answer(serial: int, signature: str, body: list[object]) -> bytes:
    """Give an answer to the message of this number."""
    reply = Message(message_type=MessageType.METHOD_RETURN, reply_serial=serial, signature=signature, body=body, serial=9)
    return with_header_field(bytes(reply._marshall()), 7, DBUS)


async def test_only_the_bus_tells_who_has_left(session_bus: BusDaemon, start_router: StartRouter) -> None:
    start_router(CONFIG)
    async with remote(session_bus) as on, await Flood.open(session_bus.address) as liar:
        await on.call("Manager.Inhibit", "ssa{sv}", "me", "for a test", NOTHING)
        holder = on.bus.unique_name
        (daemon,) = await on.bus.call(DBUS, DBUS_PATH, DBUS, "GetNameOwner", "s", [names.BUS_NAME])
        lie = Message.new_signal(DBUS_PATH, DBUS, "NameOwnerChanged", "sss", [holder, holder, ""])
        lie.destination, lie.serial = daemon, 1
        liar.send_bytes(bytes(lie._marshall()))
        liar.send(daemon, names.ROOT_PATH, names.MANAGER, "Inhibit", "ssa{sv}", ["liar", "to come after it", NOTHING])
        await eventually_async(partial(_who_inhibits, on, ["me", "liar"]))


async def _who_inhibits(on: Remote, who: list[str]) -> bool:
    inhibitors = await on.get("Manager.Inhibitors")
    assert isinstance(inhibitors, list)
    return [inhibitor[2] for inhibitor in inhibitors] == who


async def _answers(on: Remote) -> bool:
    try:
        return bool(await on.get("Manager.Version"))
    except (CallError, BusLost):
        return False


async def test_a_daemon_without_a_bus_takes_one_that_comes(session_bus: BusDaemon, start_router: StartRouter) -> None:
    session_bus.kill()
    start_router(CONFIG)
    session_bus.start()
    async with remote(session_bus) as on:
        await eventually_async(partial(_answers, on), 20)


async def test_calls_are_answered_when_the_daemon_ends(session_bus: BusDaemon, start_router: StartRouter) -> None:
    router = start_router(CONFIG)
    async with remote(session_bus) as on, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(on.error_of("Server.Reconnect", "a{sv}", NOTHING))
        await on.get("Manager.Version")
        await asyncio.to_thread(router.stop)
        assert (await waiting).name in (errors.CANCELLED, f"{names.ERROR_PREFIX}.NotConnected")
