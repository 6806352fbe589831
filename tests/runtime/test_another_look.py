"""What PipeWire's libjack does not tell: another client, which has just come, sees it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from jackd_router.core.graph import Connection, PortName
from jackd_router.jack_io.host_process import HostProcess
from jackd_router.runtime import server_events
from jackd_router.runtime.mirror import Changes
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import ServerPhase
from tests.runtime.in_process import loaded_router
from tests.support.eventually import eventually_async, until
from tests.support.jack_client import JackClient
from tests.support.pipewire_server import PipeWireServer, device, server_env

pytestmark = pytest.mark.asyncio

CONFIG = """
[[rule]]
name = "r"
from = "synth:late"
to = "Card"
"""


@pytest_asyncio.fixture
async def router(tmp_path: Path, pipewire: PipeWireServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Router]:
    """Give a router that is a client of PipeWire, and looks anew soon after a change."""
    monkeypatch.setattr(server_events, "_LOOK_S", 0.5)
    monkeypatch.setattr(server_events, "_PIPEWIRE_CALM_S", 0.4)
    for name, value in server_env(pipewire.name).items():
        monkeypatch.setenv(name, value)
    async with loaded_router(tmp_path, CONFIG, "none") as router:
        router.start()
        yield router


@pytest.fixture
def pipewire(tmp_path: Path) -> PipeWireServer:
    """Give PipeWire with a device."""
    return PipeWireServer(tmp_path / "pipewire.log", captures=0, playbacks=0, devices=[device("Card", ["FL"], is_source=False)])


async def test_what_our_client_was_never_told_is_found(pipewire: PipeWireServer, router: Router) -> None:
    async def is_followed() -> bool:
        return router.server.phase is ServerPhase.CONNECTED

    async def holds(wanted: set[str]) -> bool:
        return {str(name) for name in router.graph.ports} == wanted

    async def is_connected() -> bool:
        return Connection(PortName("synth:late"), PortName("Card:playback_FL")) in router.graph.connections

    with ExitStack() as stack:
        stack.enter_context(pipewire)
        await eventually_async(is_followed)
        synth = stack.enter_context(JackClient(pipewire.name, "synth", outputs=["early", "ghost"]))
        await eventually_async(lambda: holds({"Card:playback_FL", "synth:early", "synth:ghost"}))
        fold = router._mirror.fold
        with pytest.MonkeyPatch.context() as lossy:
            lossy.setattr(router._mirror, "fold", lambda events: fold(()))  # PipeWire 1.4 drops what its queue has no room for
            synth.unregister("ghost")
            synth.register("late")
            await asyncio.sleep(0.3)
        assert await holds({"Card:playback_FL", "synth:early", "synth:ghost"})
        synth.register("told")
        await eventually_async(lambda: holds({"Card:playback_FL", "synth:early", "synth:late", "synth:told"}))
        await eventually_async(is_connected)
        assert ("synth:late", "Card:playback_FL") in synth.connections()


def reads(router: Router, name: str, *wanted: object) -> Callable[[], Awaitable[bool]]:
    """Give what tells whether the router knows this pretty name and type of a port."""

    async def holds() -> bool:
        port = router.graph.ports.get(PortName(name))
        return port is not None and (port.pretty_name, port.type) == wanted

    return holds


async def host_of(router: Router) -> HostProcess:
    """Give the JACK host, once it is a client."""
    await until(lambda: router.server.phase is ServerPhase.CONNECTED)
    host = router._events.keeper.host
    assert host is not None
    return host


async def looking(router: Router) -> HostProcess:
    """Give the other client, once there is one."""
    await until(lambda: router._events.keeper._looking is not None)
    found = router._events.keeper._looking
    assert found is not None
    return found


async def rest(router: Router) -> None:
    """Wait until another client has looked since the last change."""
    events = router._events
    await until(lambda: events._verified_at > events._changed_at and events.keeper._looking is None)


@contextmanager
def unaware(host: HostProcess) -> Iterator[None]:
    """Let our client take note of nothing."""
    os.kill(host.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(host.pid, signal.SIGCONT)


async def test_what_is_said_before_our_client_has_seen_the_port_is_found(pipewire: PipeWireServer, router: Router) -> None:
    with pipewire:
        host = await host_of(router)
        router._events.want_metadata(True)
        with JackClient(pipewire.name, "synth", outputs=["out"]) as synth:
            with unaware(host):
                for name in ("mod", "drone"):
                    synth.register(name)
                    synth.set_property(name, "pretty-name", f"{name} 1")
                synth.set_property("mod", "signal-type", "CV")
            await eventually_async(reads(router, "synth:mod", "mod 1", "cv"))
            synth.set_property("drone", "signal-type", "CV")
            await eventually_async(reads(router, "synth:drone", "drone 1", "cv"))
            assert host is router._events.keeper.host
            router._events.want_metadata(False)
            await eventually_async(reads(router, "synth:mod", None, "audio"))


def keep_from_our_client(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our own client never be told what ports say of themselves."""
    monkeypatch.setattr(router._mirror, "take_metadata", lambda asked, rows: Changes())


async def test_another_one_looks_where_the_first_has_failed(
    pipewire: PipeWireServer, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_from_our_client(router, monkeypatch)
    with pipewire:
        host = await host_of(router)
        router._events.want_metadata(True)
        await rest(router)
        with JackClient(pipewire.name, "synth", outputs=["out"]) as synth:
            synth.set_property("out", "pretty-name", "Left")
            (await looking(router)).kill()
            await eventually_async(reads(router, "synth:out", "Left", "audio"))
            assert host is router._events.keeper.host


async def test_rule_that_comes_later_finds_what_was_said_before(
    pipewire: PipeWireServer, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_from_our_client(router, monkeypatch)
    with pipewire:
        await host_of(router)
        with JackClient(pipewire.name, "synth", outputs=["out"]) as synth:
            synth.set_property("out", "pretty-name", "Left")
            await eventually_async(reads(router, "synth:out", None, "audio"))
            await rest(router)
            router._events.want_metadata(True)
            await eventually_async(reads(router, "synth:out", "Left", "audio"))


async def test_router_that_stops_while_another_client_looks_leaves_no_process(pipewire: PipeWireServer, router: Router) -> None:
    with pipewire:
        other = await looking(router)
        await router.stop()
        assert not other.alive
        assert router._events.keeper._looking is None
