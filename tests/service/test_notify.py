"""The notify protocol, on a real socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jackd_router.service import notify
from tests.support.unix_socket import NotifySocket


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    """Give the service manager's end of the socket."""
    with NotifySocket(tmp_path / "notify") as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", str(listener.path))
        yield listener


def test_ready_comes_with_its_status(systemd: NotifySocket) -> None:
    notify.tell_ready("waiting for the JACK server")
    assert systemd.messages() == ("READY=1\nSTATUS=waiting for the JACK server",)


def test_reload_names_the_time_of_systemds_own_clock(systemd: NotifySocket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify.tell_reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = systemd.lines()
    assert first == "RELOADING=1"
    name, _, usec = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= after


def test_stopping_and_alive(systemd: NotifySocket) -> None:
    notify.tell_alive()
    notify.tell_stopping()
    assert systemd.messages() == ("WATCHDOG=1", "STOPPING=1\nSTATUS=stopping")


def test_status_cannot_smuggle_assignments(systemd: NotifySocket) -> None:
    notify.tell_status("no port 'a\nREADY=1' \udcff")
    assert systemd.lines() == (r"STATUS=no port 'a\nREADY=1' \xff",)


def test_a_manager_that_does_not_read_holds_nothing_up(systemd: NotifySocket) -> None:
    for number in range(100):
        notify.tell_status(f"number {number}")
    notify.tell_stopping()
    unread = systemd.messages()
    assert unread[0] == "STATUS=number 0"
    assert len(unread) < 100
    notify.tell_ready("it reads again")
    assert systemd.messages()[-1] == "READY=1\nSTATUS=it reads again"


def test_what_matters_waits_a_moment_for_room(systemd: NotifySocket) -> None:
    for number in range(100):
        notify.tell_status(f"number {number}")
    reader = threading.Timer(0.1, systemd.messages)
    reader.start()
    notify.tell_stopping()
    reader.join()
    assert systemd.messages()[-1] == "STOPPING=1\nSTATUS=stopping"


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0jackd-router-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@jackd-router-test-{os.getpid()}")
        notify.tell_alive()
        manager.settimeout(5)
        assert manager.recv(100) == b"WATCHDOG=1"


def test_nobody_listens_and_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify.tell_ready("fine")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify.tell_ready("fine")


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("30000000", None, 10.0),
        pytest.param("30000000", str(os.getpid()), 10.0, id="ours"),
        pytest.param("30000000", str(os.getpid() + 1), None, id="that of another process"),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_watchdog_interval(monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, interval: float | None) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert notify.watchdog_interval_s() == interval
