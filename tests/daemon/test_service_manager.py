"""What the service manager is told, in which order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from jackd_router.daemon import Daemon
from jackd_router.runtime.router import Router
from tests.conftest import StartRouter
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.preloaded import FaultyDisk
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus
from tests.support.unix_socket import NotifySocket


def states(router: RouterProcess) -> list[str]:
    """Give what was told, without STATUS and the times."""
    return [line for line in router.notify.lines() if line in ("READY=1", "RELOADING=1", "STOPPING=1")]


def test_start_reload_and_end(running_server: JackServer, start_router: StartRouter) -> None:
    router = start_router("")
    assert states(router) == ["READY=1"]
    before_usec = time.monotonic_ns() // 1000
    router.reload_by_signal()
    eventually(lambda: states(router) == ["READY=1", "RELOADING=1", "READY=1"])
    reloading = next(message for message in router.notify.messages() if "RELOADING=1" in message)
    told_usec = int(dict(line.split("=") for line in reloading.splitlines())["MONOTONIC_USEC"])
    assert before_usec <= told_usec <= time.monotonic_ns() // 1000
    router.stop()
    assert states(router) == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_a_refused_reload_is_complete_too(start_router: StartRouter) -> None:
    router = start_router('[daemon]\nwatch = false\n[[rule]]\nname = "good"\nfrom = "a"\nto = "b"\n')
    router.write_config("[[rule]]\n")
    router.reload_by_signal()
    eventually(lambda: states(router) == ["READY=1", "RELOADING=1", "READY=1"])
    status = router.notify.last("STATUS")
    assert status is not None
    assert "configuration refused, the older one stays in force" in status
    assert f"{router.config_path}:1:" in status


def test_a_disk_that_hangs_keeps_no_reload_from_its_end(tmp_path: Path, session_bus: SessionBus, jack_server: JackServer) -> None:
    router = RouterProcess(tmp_path, "", bus_address=session_bus.address, server_name=jack_server.name)
    copies = router.state_home / "jackd-router" / "last-good"
    router.extra_env = FaultyDisk(tmp_path).env("fsync", 3, "hang", copies)  # those of the start are two
    router.start()
    router.reload_by_signal()
    eventually(lambda: states(router) == ["READY=1", "RELOADING=1", "READY=1"])
    router.cli("reload").check_returncode()
    assert "the disk does not answer" in router.output()
    router.close(check=True)


def test_it_is_ready_before_there_is_a_server(jack_server: JackServer, start_router: StartRouter) -> None:
    router = start_router("")
    assert router.notify.last("STATUS") == f"waiting for {jack_server.awaited}"
    jack_server.start()
    connected = f"connected to {jack_server.title} as 'router': 48000 Hz, 256 frames"
    eventually(lambda: router.notify.last("STATUS") == connected)
    jack_server.kill()
    eventually(lambda: str(router.notify.last("STATUS")).startswith("waiting for JACK server"))
    assert states(router) == ["READY=1"]


def test_the_watchdog_is_calmed_while_the_loop_turns(tmp_path: Path, session_bus: SessionBus, jack_server: JackServer) -> None:
    router = RouterProcess(tmp_path, "", bus_address=session_bus.address, server_name=jack_server.name)
    router.extra_env = {"WATCHDOG_USEC": "300000"}

    def pings() -> int:
        return router.notify.lines().count("WATCHDOG=1")

    with router:
        eventually(lambda: pings() >= 5)
        # A process that stands still must not calm it: what was on its way comes, and then no more.
        os.kill(router.pid, signal.SIGSTOP)
        eventually(lambda: "T (stopped)" in Path(f"/proc/{router.pid}/status").read_text())
        seen = pings()
        until = time.monotonic() + 1
        eventually(lambda: time.monotonic() > until)
        assert pings() == seen
        os.kill(router.pid, signal.SIGCONT)
        eventually(lambda: pings() > seen)


@pytest.mark.asyncio
async def test_the_watchdog_is_not_calmed_while_the_rules_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    daemon = Daemon(tmp_path / "router.toml")
    with NotifySocket(tmp_path / "notify") as notify:
        for still, told in ((True, ()), (False, ("WATCHDOG=1",))):
            monkeypatch.setattr(Router, "stands_still", still)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(daemon._stay_alive(), 0.2)
            assert tuple(notify.lines()[:1]) == told


def test_no_watchdog_where_nobody_asks_for_one(start_router: StartRouter) -> None:
    router = start_router("")
    router.reload_by_signal()
    eventually(lambda: states(router).count("READY=1") == 2)
    assert "WATCHDOG=1" not in router.notify.lines()
