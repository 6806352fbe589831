"""The notify protocol, on a real socket."""

from __future__ import annotations

import os
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
    assert systemd.lines() == ("STATUS=no port 'a READY=1' \\xff",)


def test_nobody_listens_and_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify.tell_ready("fine")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify.tell_ready("fine")


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("30000000", None, 10.0),
        ("30000000", str(os.getpid()), 10.0),
        ("30000000", str(os.getpid() + 1), None),
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
