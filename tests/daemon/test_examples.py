"""The programs in examples/, as a user starts them: before there is a daemon, and over its restart."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import StartClient, StartRouter
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.process import Process
from tests.support.session_bus import SessionBus

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = """
[[bus]]
name = "main"
channels = 1

[[rule]]
name = "in"
from = "synth:*"
to = { bus = "main" }
"""


@pytest.mark.parametrize(
    ("command", "connection", "silence", "loud"),
    [
        (
            ["/usr/bin/python3", str(EXAMPLES / "applet.py")],
            "('synth:out', 'router:main_in_1')",
            "levels: {'main': [-200.0, -200.0]}",
            "levels: {'main': [-6.0, -6.0]}",
        ),
        ([str(EXAMPLES / "watch.sh")], "synth:out -> router:main_in_1", "levels: main [-200,-200]", "levels: main [-6,-6]"),
    ],
    ids=["applet", "watch"],
)
def test_it_finds_the_daemon_and_follows_its_restart(
    command: list[str],
    connection: str,
    silence: str,
    loud: str,
    session_bus: SessionBus,
    running_server: JackServer,
    start_router: StartRouter,
    start_client: StartClient,
    tmp_path: Path,
    keep_log: Callable[[Path], None],
) -> None:
    example = Process(
        command, tmp_path / "example.log", {"PATH": "/usr/bin:/bin", "DBUS_SESSION_BUS_ADDRESS": session_bus.address}
    )
    keep_log(example.log)
    try:
        eventually(lambda: example.output().startswith("state: no daemon\n"), timeout=20)
        seen = 0

        def shows(text: str) -> bool:
            return text in example.output()[seen:]

        synth = start_client("synth", outputs=["out"])
        for _ in range(2):
            router = start_router(CONFIG)
            for text in ("state: connected\n", silence, connection):
                eventually(lambda text=text: shows(text), timeout=20)  # type: ignore[misc]
            synth.play_forever({"out": np.full(480, 0.5012, np.float32)})
            eventually(lambda: shows(loud), timeout=20)
            synth.play_forever({})
            router.stop()
            eventually(lambda: shows("state: no daemon\n"), timeout=20)
            seen = len(example.output())
        assert example.status() is None, "it ended by itself"
        assert "rror" not in example.output()
    finally:
        example.terminate()
    eventually(lambda: not _is_left(example.pid), what="whatever it has started ends with it")


def _is_left(group: int) -> bool:
    """Tell whether a process of this group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("example", ["applet.py", "watch.sh"])
def test_it_fits_on_a_page(example: str) -> None:
    assert len((EXAMPLES / example).read_text().splitlines()) < 60
