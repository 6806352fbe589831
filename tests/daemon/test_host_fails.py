"""The JACK host fails in every way: it is replaced, nothing of it stays, and nobody else notices."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit

import pytest

from jackd_router.dbus_api.names import bus_path
from tests.conftest import StartClient, StartRouter
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.support.eventually import eventually
from tests.support.faulty_libjack import FaultyLibjack
from tests.support.jack_client import JackClient, play_and_compare
from tests.support.jack_server import JackServer
from tests.support.process import children
from tests.support.router_process import RouterProcess
from tests.support.samples import random_bits
from tests.support.session_bus import SessionBus

ROUNDS = int(os.environ.get("HOST_DEATHS", "12"))

CONFIG = """
[[rule]]
name = "synth to bus"
from = "synth:*"
to = { bus = "main" }

[[rule]]
name = "bus to desk"
from = { bus = "main" }
to = "desk:*"

[[bus]]
name = "main"
"""
WANTED = {("synth:left", "router:main_in_1"), ("synth:right", "router:main_in_2")}
WANTED |= {("router:main_out_1", "desk:left"), ("router:main_out_2", "desk:right")}
FOREIGN = ("synth:left", "desk:right")
BY_HAND = ("mouth:out", "system:playback_1")


pytestmark = pytest.mark.jack2("the libjack that is given faults is that of JACK2")
SYNCHRONOUS = pytest.mark.parametrize("studio", [True], indirect=True, ids=[""])


class Studio:
    """A daemon whose libjack has faults, and others who must not notice: a connection of theirs, and their sound."""

    def __init__(
        self, router: RouterProcess, remote: Remote, library: FaultyLibjack, mouth: JackClient, ears: JackClient
    ) -> None:
        self.router, self.remote, self.library, self._mouth, self._ears = router, remote, library, mouth, ears

    def all_is_right(self) -> bool:
        """Whether the daemon is a client again, with all that the rules want, and sees it."""
        connections = self.connections()
        return self.remote.connected() and connections >= WANTED | {FOREIGN} and self.remote.connections() == connections

    def connections(self) -> frozenset[tuple[str, str]]:
        """Give all connections, as others see them."""
        return self._ears.connections()

    def host(self) -> int:
        """Give the process of the host."""
        pid = eventually(self.router.host_pid)
        assert pid is not None
        return pid

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Check that the objects of the daemon and what is set on them stay, and all that others have, and that all is right."""
        eventually(self.all_is_right, what="all is right before")
        gain_db = round(random.uniform(-60.0, 0.0), 1)
        self.remote.write("Bus.Gain", "d", gain_db, path=bus_path("main"))
        rules = [rule[:4] for rule in self.remote.call("Rules.ListRules")]
        sound = {"out": random_bits(20_011, seed=1)}
        play_and_compare(self._mouth, sound, self._ears, {"in": sound["out"]})
        eventually(lambda: self._ears.passed() > 0)
        yield
        eventually(self.all_is_right, timeout=20, what="all is right after")
        passed = self._ears.passed()
        eventually(lambda: self._ears.passed() > passed)
        assert self.remote.read("Bus.Gain", path=bus_path("main")) == gain_db
        assert [rule[:4] for rule in self.remote.call("Rules.ListRules")] == rules
        assert self.remote.signals("InterfacesRemoved") == []
        compared = self._ears.compared()
        assert compared.differing == 0, f"the sound of others differs from frame {compared.first} on"


@pytest.fixture
def library(tmp_path: Path) -> FaultyLibjack:
    return FaultyLibjack(tmp_path / "faulty")


@pytest.fixture
def studio(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    session_bus: SessionBus,
    jack_server: JackServer,
    start_client: StartClient,
    remote: Remote,
    library: FaultyLibjack,
    keep_log: Callable[[Path], None],
) -> Iterator[Studio]:
    # Synchronous: in the other mode the sound of others depends on how busy the machine is.
    jack_server.synchronous = getattr(request, "param", False)
    jack_server.start()
    start_client("synth", outputs=["left", "right"])
    desk = start_client("desk", inputs=["left", "right"])
    desk.connect(*FOREIGN)
    mouth, ears = start_client("mouth", outputs=["out"]), start_client("ears", inputs=["in"])
    ears.connect("mouth:out", "ears:in")
    router = RouterProcess(tmp_path, CONFIG, bus_address=session_bus.address, server_name=jack_server.name)
    router.extra_env = library.env
    keep_log(router.log)
    with router:
        yield Studio(router, remote, library, mouth, ears)


@SYNCHRONOUS
def test_it_is_killed(studio: Studio) -> None:
    with studio.untouched():
        os.kill(studio.host(), signal.SIGKILL)
        eventually(lambda: not studio.remote.connected())


@SYNCHRONOUS
def test_it_crashes_in_a_request(studio: Studio) -> None:
    with studio.untouched():
        host = studio.host()
        studio.library.let("jack_connect", "crash")
        studio.remote.error("Graph.Connect", "ssa{sv}", *BY_HAND, NO_OPTIONS)
        eventually(lambda: not Path(f"/proc/{host}").exists())


@SYNCHRONOUS
@pytest.mark.parametrize("function", ["jack_client_open", "jack_activate"])
def test_it_crashes_again_and_again_while_it_opens(studio: Studio, function: str) -> None:
    with studio.untouched():
        for _ in range(3):
            studio.library.let(function, "crash")
            with suppress(ProcessLookupError):  # the one that crashed last may still be on its way out: it has its heir
                os.kill(studio.host(), signal.SIGKILL)
            eventually(lambda: not studio.library.is_waiting(function), what="it has crashed")
    assert "ended by itself" in studio.router.output()


@SYNCHRONOUS
def test_it_never_answers(studio: Studio) -> None:
    with studio.untouched():
        host = studio.host()
        studio.library.let("jack_connect", "hang")
        studio.remote.error("Graph.Connect", "ssa{sv}", *BY_HAND, NO_OPTIONS)
        eventually(lambda: studio.remote.read("Server.State") == "unresponsive")
        assert studio.remote.read("Manager.Status") == "degraded"
        eventually(lambda: not Path(f"/proc/{host}").exists(), timeout=20, what="patience has an end")


@SYNCHRONOUS
@pytest.mark.parametrize("function", ["jack_client_open", "jack_activate"][: None if "HOST_DEATHS" in os.environ else 1])
def test_it_hangs_while_it_opens(studio: Studio, function: str) -> None:
    with studio.untouched():
        studio.library.let(function, "hang")
        os.kill(studio.host(), signal.SIGKILL)
        eventually(lambda: not studio.library.is_waiting(function), what="it hangs")
        host = studio.host()
        assert not studio.remote.connected()
        assert studio.remote.read("Manager.Status") == "degraded"
        eventually(lambda: not Path(f"/proc/{host}").exists(), timeout=20, what="patience has an end")


def test_its_notifications_are_late(studio: Studio) -> None:
    eventually(studio.all_is_right)
    for member, answer in (("Graph.Connect", "connected"), ("Graph.Disconnect", "disconnected")):
        studio.library.let("port_connect_callback", "late")
        assert studio.remote.call(member, "ssa{sv}", *BY_HAND, NO_OPTIONS) == answer
        assert not studio.library.is_waiting("port_connect_callback")
        assert (BY_HAND in studio.remote.connections()) is (answer == "connected"), "who was answered sees what was done"


def test_what_is_just_being_cut_can_be_connected(studio: Studio) -> None:
    eventually(studio.all_is_right)
    rule = '[[rule]]\nname = "aide"\nfrom = "{}"\nto = "{}"\n'.format(*BY_HAND)
    studio.router.write_config(CONFIG + rule)
    eventually(lambda: BY_HAND in studio.remote.connections())
    studio.library.let("jack_disconnect", "late")
    studio.library.let("port_connect_callback", "late")
    studio.router.write_config(CONFIG)
    eventually(lambda: BY_HAND not in studio.connections())
    assert studio.remote.call("Graph.Connect", "ssa{sv}", *BY_HAND, NO_OPTIONS) == "connected"
    eventually(lambda: BY_HAND in studio.connections() & studio.remote.connections())


def test_it_is_frozen(studio: Studio) -> None:
    eventually(studio.all_is_right)
    host = studio.host()
    os.kill(host, signal.SIGSTOP)
    eventually(lambda: not Path(f"/proc/{host}").exists(), what="it is ended")
    eventually(studio.all_is_right)


def test_it_is_frozen_while_the_daemon_is_killed(studio: Studio) -> None:
    eventually(studio.all_is_right)
    host = studio.host()
    os.kill(host, signal.SIGSTOP)
    studio.router.kill()
    eventually(lambda: not Path(f"/proc/{host}").exists(), what="it has left, too")


@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_it_cannot_close(studio: Studio, fault: str) -> None:
    eventually(studio.all_is_right)
    host = studio.host()
    studio.library.let("jack_client_close", fault)
    studio.router.write_config(CONFIG + '[client]\nname = "other"\n')
    eventually(lambda: studio.remote.read("Server.ClientName") == "other")
    eventually(lambda: not Path(f"/proc/{host}").exists())
    studio.library.let("jack_client_close", fault)
    assert studio.router.stop() == 0
    assert not Path(f"/proc/{host}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_spare_one_fails(jack_server: JackServer, start_router: StartRouter, remote: Remote, number: signal.Signals) -> None:
    router = start_router(CONFIG)
    spare = eventually(router.host_pid)
    assert spare is not None
    os.kill(spare, number)
    if number is signal.SIGKILL:
        eventually(lambda: router.host_pid() is None)
    jack_server.start()
    eventually(lambda: remote.connected() and len(remote.connections("router:")) == 0)
    assert router.host_pid() not in (spare, None)


def test_it_cannot_be_started(studio: Studio) -> None:
    """Let the system have no more descriptors: each of those that a host takes may be the one too many."""
    eventually(studio.all_is_right)
    pid, before = studio.router.pid, studio.router.counters().descriptors
    first = min(int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir() if "memfd" in str(link.readlink()))
    soft, hard = prlimit(pid, RLIMIT_NOFILE)
    for limit in range(first, first + 12, 2):
        prlimit(pid, RLIMIT_NOFILE, (limit, hard))
        os.kill(studio.host(), signal.SIGKILL)
        eventually(lambda: not studio.remote.connected())
        eventually(lambda: "cannot be started: Too many open files" in studio.remote.read("Manager.StatusText"))
        prlimit(pid, RLIMIT_NOFILE, (soft, hard))
        studio.remote.call("Server.Reconnect", "a{sv}", NO_OPTIONS)
        eventually(studio.all_is_right, what="it is started when there is room")
    eventually(lambda: studio.router.counters().descriptors <= before, what=f"not more than {before} descriptors are left")


@pytest.mark.timeout(60 + 2 * ROUNDS)
def test_nothing_of_it_stays(studio: Studio) -> None:
    """Let hosts die at any moment of their lives."""
    chance = random.Random(1)
    seen: list[dict[str, int]] = []
    for death in range(ROUNDS):
        # The server, too, waits for a client that died while it became one.
        eventually(studio.all_is_right, timeout=20, what=f"all is right before death {death + 1}")
        if death in (3, ROUNDS - 1):
            eventually(lambda: len(children(studio.router.pid)) == 1)
            looks = [held_by(studio.router.pid) for _ in range(20)]
            # The fewest: a file that is just being written has a descriptor for a moment.
            seen.append({what: min(look[what] for look in looks) for what in looks[0]})
        if chance.random() < 0.3:
            studio.library.let(chance.choice(("jack_client_open", "jack_activate", "jack_connect")), "crash")
        os.kill(studio.host(), signal.SIGKILL)
        eventually(lambda: not studio.remote.connected())
        studio.remote.call("Server.Reconnect", "a{sv}", NO_OPTIONS)
    assert seen[0] == seen[1]


def held_by(pid: int) -> dict[str, int]:
    """Count what a process holds, and what everybody has in the memory that is shared."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {
        "descriptors": len([*Path(f"/proc/{pid}/fd").iterdir()]),
        "threads": len([*Path(f"/proc/{pid}/task").iterdir()]),
        "memfds": maps.count("memfd:jackd-router"),
        "shared files": len([*Path("/dev/shm").rglob("*")]),
        "processes": len(children(pid)),  # those that have ended and were not waited for are among them
    }
