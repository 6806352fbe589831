"""Pretty names and CV from a real server's metadata: read while they are wanted, right whatever happens, and never in the way."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from jackd_router.core.graph import PortName
from jackd_router.dbus_api.graph import Graph, graph_changed_body
from jackd_router.dbus_api.message_bus import variant
from jackd_router.dbus_api.messages import Call
from jackd_router.jack_host.library import Implementation
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import GraphDiff, Listener, Outcome, ServerPhase
from tests.conftest import StartClient
from tests.runtime.in_process import loaded_router
from tests.support.eventually import until
from tests.support.jack_server import METADATA, JackServer, forget_metadata
from tests.support.pipewire_server import client_env

pytestmark = pytest.mark.asyncio

PRETTY, SIGNAL = "pretty-name", "signal-type"

BUSY = """
import jack
client = jack.Client("busy", no_start_server=True)
subject = client.outports.register("out").uuid
print("ready", flush=True)
while True:
    client.set_property(subject, "urn:busy", "x" * 3000)
"""
PROBE = """
import sys, jack
client = jack.Client("probe", no_start_server=True)
subject = client.get_port_by_name(sys.argv[1]).uuid
print("ready", flush=True)
for line in sys.stdin:
    jack.get_property(subject, "http://jackaudio.org/metadata/pretty-name")
    print("read", flush=True)
"""


class Told(Listener):
    """Everything that was announced of the graph."""

    def __init__(self) -> None:
        self.diffs: list[GraphDiff] = []

    def graph_changed(self, diff: GraphDiff) -> None:
        """Keep it."""
        self.diffs.append(diff)


@pytest_asyncio.fixture
async def router(jack_server: JackServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Router]:
    """Give a router that has not begun to look for the test's server."""
    caplog.set_level(logging.DEBUG, "jackd_router.runtime.metadata")
    async with loaded_router(tmp_path, "", jack_server.name) as router:
        yield router


def want(router: Router, wanted: bool = True) -> None:
    """Let metadata be read, or not, as the rules do."""
    router._events.want_metadata(wanted)


async def start(router: Router) -> None:
    """Let the router look for the server, and wait until it is there."""
    router.start()
    await connected(router)


async def connected(router: Router) -> None:
    """Wait for the server."""
    await until(lambda: router.server.phase is ServerPhase.CONNECTED)


async def reads(router: Router, port: str, pretty_name: str | None, kind: str = "audio") -> None:
    """Wait until this is what the router knows of the port."""

    def holds() -> bool:
        known = router.graph.ports.get(PortName(port))
        return known is not None and (known.pretty_name, known.type) == (pretty_name, kind)

    await until(holds)


async def test_what_was_set_before_is_read(
    running_server: JackServer, router: Router, start_client: StartClient, caplog: pytest.LogCaptureFixture
) -> None:
    synth = start_client("synth", outputs=["out", "mod"], midi_inputs=["keys"])
    synth.set_property("out", PRETTY, "Left")
    synth.set_property("mod", SIGNAL, "CV")
    synth.set_property("keys", PRETTY, "caf\udce9")
    want(router)
    await start(router)
    await reads(router, "synth:out", "Left")
    await reads(router, "synth:mod", None, "cv")
    await reads(router, "synth:keys", "caf\udce9", "midi")
    assert caplog.text.count("Reading the metadata") == 1


@pytest.mark.jack2("PipeWire does not tell others that a port was renamed")
async def test_what_is_set_later_is_read(running_server: JackServer, router: Router, start_client: StartClient) -> None:
    want(router)
    await start(router)
    synth = start_client("synth", outputs=["out"])
    synth.set_property("out", PRETTY, "Left")
    await reads(router, "synth:out", "Left")
    synth.set_property("out", PRETTY, "Right")
    synth.set_property("out", SIGNAL, "CV")
    await reads(router, "synth:out", "Right", "cv")
    synth.set_property("out", SIGNAL, "AUDIO")
    await reads(router, "synth:out", "Right")
    synth.rename("out", "main")
    await reads(router, "synth:main", "Right")
    synth.remove_property("main", PRETTY)
    await reads(router, "synth:main", None)
    removals: tuple[Callable[[], None], ...] = (lambda: synth.remove_property("main"), synth.remove_all_properties)
    for remove in removals:
        synth.set_property("main", PRETTY, "Again")
        await reads(router, "synth:main", "Again")
        remove()
        await reads(router, "synth:main", None)


async def test_nothing_is_read_while_nobody_wants_it(
    running_server: JackServer, router: Router, start_client: StartClient, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    router.subscribe(told)

    def added() -> list[str]:
        return [port.name for diff in told.diffs for port in diff.ports_added if port.name.startswith("synth:")]

    await start(router)
    synth = start_client("synth", outputs=["out"])
    synth.set_property("out", PRETTY, "Left")
    synth.set_property("out", SIGNAL, "CV")
    synth.register("next")
    await reads(router, "synth:next", None)
    assert "Reading the metadata" not in caplog.text
    want(router)
    await reads(router, "synth:out", "Left", "cv")
    want(router, False)
    await reads(router, "synth:out", None)
    count = caplog.text.count("Reading the metadata")
    synth.set_property("out", PRETTY, "Right")
    synth.register("last")
    await reads(router, "synth:last", None)
    assert caplog.text.count("Reading the metadata") == count
    await until(lambda: "synth:last" in added())
    assert sorted(added()) == ["synth:last", "synth:next", "synth:out"], "with another name, or as CV, it is the same port"


async def test_answer_that_nobody_wants_any_more_is_not_taken(
    running_server: JackServer, router: Router, start_client: StartClient
) -> None:
    start_client("synth", outputs=["out"]).set_property("out", PRETTY, "Left")
    await start(router)
    await reads(router, "synth:out", None)
    want(router)
    want(router, False)
    other = start_client("other", outputs=["out"])
    await reads(router, "other:out", None)
    assert router.graph.ports[PortName("synth:out")].pretty_name is None
    want(router)
    want(router, False)
    want(router)
    await reads(router, "synth:out", "Left")
    other.set_property("out", PRETTY, "Right")
    await reads(router, "other:out", "Right")


def crash(start_client: StartClient) -> None:
    """Let a client with a pretty name die."""
    client = start_client("first", outputs=["out"])
    client.set_property("out", PRETTY, "First")
    client.kill()


def leave(start_client: StartClient) -> None:
    """Let a client with a pretty name leave."""
    client = start_client("first", outputs=["out"])
    client.set_property("out", PRETTY, "First")
    client.close()


def unregister(start_client: StartClient) -> None:
    """Let a port with a pretty name go."""
    client = start_client("first", outputs=["out"])
    client.set_property("out", PRETTY, "First")
    client.unregister("out")


@pytest.mark.jack2("what JACK2 leaves of a port that is gone")
@pytest.mark.parametrize("go", [crash, leave, unregister])
async def test_jack2_gives_the_next_port_nothing_of_the_one_before(
    go: Callable[[StartClient], None], running_server: JackServer, router: Router, start_client: StartClient
) -> None:
    want(router)
    await start(router)
    observer = start_client("observer")
    go(start_client)
    await until(lambda: "first:out" not in observer.ports())
    second = start_client("second", outputs=["out"])
    second.set_property("out", SIGNAL, "CV")
    await reads(router, "second:out", None, "cv")


@pytest.mark.jack2("what JACK2 leaves of a port that is gone")
async def test_next_server_begins_with_nothing(running_server: JackServer, router: Router, start_client: StartClient) -> None:
    want(router)
    await start(router)
    start_client("synth", outputs=["out"]).set_property("out", PRETTY, "Left")
    await reads(router, "synth:out", "Left")
    running_server.kill()
    await until(lambda: not router.graph.ports)
    running_server.start()
    await connected(router)
    synth = start_client("synth", outputs=["out"])
    await reads(router, "synth:out", None)
    synth.set_property("out", PRETTY, "Right")
    await reads(router, "synth:out", "Right")


async def test_what_the_message_bus_is_told(running_server: JackServer, router: Router, start_client: StartClient) -> None:
    told, face = Told(), Graph(router)
    router.subscribe(told)
    await start(router)
    synth = start_client("synth", outputs=["out", "mod", "plain"])
    # PipeWire takes text only.
    byte, shown = ("\udce9", r"\xe9") if running_server.implementation is Implementation.JACK2 else ("é", "é")
    synth.set_property("out", PRETTY, f"Left {byte}")
    synth.set_property("mod", SIGNAL, "CV")
    await reads(router, "synth:plain", None)
    call = Call("", "/", None, "GetMetadata", "", [], 1, wants_reply=True)
    assert face.get_metadata(call) == []
    want(router)
    wanted = [("synth:out", f"Left {shown}", ""), ("synth:mod", "", "CV")]
    await until(lambda: face.get_metadata(call) == wanted)
    await until(lambda: bool(told.diffs[-1].metadata))
    assert graph_changed_body(told.diffs[-1])[2:] == ([], [], [], [], {"metadata": variant("a(sss)", wanted)})
    want(router, False)
    assert face.get_metadata(call) == []


# ---- a database in trouble


class Program:
    """A program that says a word when it is ready, and one for each line that it gets."""

    def __init__(self, server: JackServer, source: str, *arguments: str) -> None:
        env = os.environ | client_env(server.name)
        command = [sys.executable, "-c", source, *arguments]
        self.popen = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.hears(10)

    def ask(self) -> None:
        """Send it a line."""
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def hears(self, deadline_s: float) -> bool:
        """Tell whether it says its word in time."""
        assert self.popen.stdout is not None
        return bool(select.select([self.popen.stdout], [], [], deadline_s)[0] and self.popen.stdout.readline())

    def close(self) -> None:
        """End it, where it stands."""
        self.popen.kill()
        with self.popen:
            pass


@contextmanager
def locked_database(server: JackServer, port: str, log: Path) -> Iterator[None]:
    """Lock the database for ever, at what is said of a port: JACK2 lets a reader and a writer do that to each other.

    It ends with the death of all who use the database. Who writes is a client of another server: its own one comes to a
    standstill, too.
    """
    with ExitStack() as stack:
        stack.callback(forget_metadata)
        stack.callback(server.kill)
        other = JackServer(log)
        other.start()
        stack.callback(other.kill)
        stack.enter_context(closing(Program(other, BUSY)))
        probe = stack.enter_context(closing(Program(server, PROBE, port)))
        for _ in range(100_000):
            probe.ask()
            if not probe.hears(1):
                break
        else:
            raise AssertionError("they never came into each other's way")
        yield


@pytest.mark.jack2("PipeWire has no database")
async def test_locked_database_keeps_nothing_else_waiting(
    running_server: JackServer, router: Router, start_client: StartClient, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    synth = start_client("synth", outputs=["out"])
    synth.set_property("out", PRETTY, "Left")
    await start(router)
    await reads(router, "synth:out", None)
    with locked_database(running_server, "synth:out", tmp_path / "other.log"):
        want(router)
        await until(lambda: "cannot be read" in caplog.text)
        assert await router.connect(PortName("synth:out"), PortName("system:playback_1")) is Outcome.CONNECTED
        synth.register("next")
        await reads(router, "synth:next", None)
        assert router.server.phase is ServerPhase.CONNECTED
        await asyncio.wait_for(router.stop(), 3)
    assert caplog.text.count("cannot be read") == 1


@contextmanager
def broken_database() -> Iterator[None]:
    """Let there be a file where the database's folder should be."""
    forget_metadata()
    METADATA.touch()
    try:
        yield
    finally:
        METADATA.unlink()


@pytest.mark.jack2("PipeWire has no database")
async def test_broken_database_is_none(
    running_server: JackServer, router: Router, start_client: StartClient, caplog: pytest.LogCaptureFixture
) -> None:
    want(router)
    with broken_database():
        await start(router)
        await until(lambda: "is broken" in caplog.text)
        synth = start_client("synth", outputs=["out"])
        await reads(router, "synth:out", None)
        assert synth.ports() == frozenset(router.graph.ports)
        assert caplog.text.count("cannot be read") == 1
    synth.set_property("out", PRETTY, "Left")
    await reads(router, "synth:out", "Left")
    await until(lambda: "can be read again" in caplog.text)
