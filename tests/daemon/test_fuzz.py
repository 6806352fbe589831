"""Everything that the daemon offers, called thousands of times with nonsense: it answers, and works afterwards as before."""

from __future__ import annotations

import asyncio

import pytest

from jackd_router.dbus_api import names
from jackd_router.dbus_api.interface_xml import read_interface
from jackd_router.dbus_api.names import DBUS, DBUS_PATH
from jackd_router.dbus_api.session_bus import SessionBus
from tests.conftest import StartClient
from tests.daemon.conftest import StartSound
from tests.daemon.remote import NO_OPTIONS
from tests.daemon.sound import MAIN, Sound
from tests.dbus_api import fuzzer
from tests.dbus_api.fuzzer import Report, fuzz
from tests.dbus_api.nasty_values import NastyValues
from tests.support.eventually import eventually
from tests.support.router_process import RouterProcess
from tests.support.samples import bits, random_bits

pytestmark = pytest.mark.jack2("nothing of it depends on the server")

CONFIG = """
[policy]
manual = "enforce"

[[rule]]
name = "late comers"
from = "late:*"
to = "later:*"

[[rule]]
name = "never"
action = "forbid"
from = "mouth:out_1"
to = "ears:in_2"

[[bus]]
name = "main"
channels = ["L", "R"]

[[bus]]
name = "talk-back"
channels = 1

[[bus]]
name = "keys"
type = "midi"
channels = 1

[[profile]]
name = "live"
bus.main.gain = 3.0
"""
KNOWN = (
    *("mouth:out_1", "mouth:out_2", "ears:in_1", "ears:in_2", "router:main_in_L", "router:main_out_R", "system:capture_1"),
    *("into main", "out of main", "late comers", "never", "main", "talk-back", "keys", "live", "default", "fuzz-1", "fuzz-2"),
    *(names.MANAGER, names.BUS, names.GRAPH, "Gain", "GraphVersion", "audio", "midi", "input", "output"),
)


@pytest.mark.timeout(0 if fuzzer.CALLS > 20_000 else 120)
def test_nonsense_is_answered_and_harms_nothing(start_sound: StartSound, start_client: StartClient) -> None:
    sound = start_sound(CONFIG, inputs=2, outputs=2)
    connections = sound.connections()
    nasty = NastyValues(fuzzer.SEED, [*KNOWN, str(sound.router.config_path), str(sound.router.folder)])
    report, same_owner = asyncio.run(_fuzzed(sound.router, nasty))
    print(f"seed {fuzzer.SEED}: {report}")
    assert not report.findings, f"seed {fuzzer.SEED}\n{report}"
    assert report.calls >= fuzzer.CALLS
    offered = [read_interface(name) for name in ("Manager", "Server", "Graph", "Rules", "Profiles", "Config", "Buses", "Bus")]
    for interface in offered:
        assert {f"{interface.name}.{member}" for member in (*interface.methods, *interface.properties)} <= report.members
    assert same_owner
    sound.router.assert_no_traceback()
    assert "fault of the program" not in sound.router.output()

    restore(sound)
    eventually(lambda: sound.connections() == connections, timeout=20)
    block = random_bits(20_000, seed=3)
    eventually(lambda: bits(sound.passed({"out_1": block, "out_2": block})["in_1"]) == bits(block))
    start_client("late", outputs=["out"])
    start_client("later", inputs=["in"])
    eventually(lambda: ("late:out", "later:in") in sound.remote.connections("late"))


async def _fuzzed(router: RouterProcess, nasty: NastyValues) -> tuple[Report, bool]:
    """Give what comes of it, and whether the name has the same owner as before."""
    assert router.bus_address is not None

    def each_round() -> None:
        router.notify.messages()  # read as systemd does

    async with await SessionBus.open([router.bus_address]) as bus:
        before = await bus.call(DBUS, DBUS_PATH, DBUS, "GetNameOwner", "s", [names.BUS_NAME])
        report = await fuzz(bus, router.bus_address, nasty, fuzzer.CALLS, each_round)
        return report, await bus.call(DBUS, DBUS_PATH, DBUS, "GetNameOwner", "s", [names.BUS_NAME]) == before


def restore(sound: Sound) -> None:
    """Put everything back that a caller can set, as a user would who finds it so."""
    remote = sound.remote
    remote.write("Profiles.ActiveProfile", "s", "default")
    remote.write("Rules.Enabled", "b", True)
    for rule in remote.call("Rules.ListRules"):
        remote.call("Rules.SetRuleEnabled", "sba{sv}", rule[0], True, NO_OPTIONS)
    for name, signature, value in (
        ("Gain", "d", 0.0),
        ("Mute", "b", False),
        ("ChannelGains", "ad", [0.0, 0.0]),
        ("Matrix", "aad", [[1.0, 0.0], [0.0, 1.0]]),
    ):
        remote.write(f"Bus.{name}", signature, value, path=MAIN)
    for pair in (*remote.read("Rules.Held"), *remote.read("Rules.Kept")):
        remote.call("Rules.ReleaseHold", "ssa{sv}", *pair, NO_OPTIONS)
    remote.call("Rules.Reapply", "a{sv}", NO_OPTIONS)
    owned = {(source, destination) for source, destination, _ in remote.call("Rules.ListOwned")}
    for source, destination in remote.connections() - owned:
        remote.call("Graph.Disconnect", "ssa{sv}", source, destination, NO_OPTIONS)
