"""A child process is started and reaped beside the event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jackd_router.jack_io import child
from jackd_router.jack_io.child import Child, Start
from tests.jack_io.conversation import until
from tests.support.process import children, state

pytestmark = pytest.mark.asyncio


class Life:
    """One child, and what was told of it."""

    def __init__(self, start: Start) -> None:
        self.told: list[object] = []
        self.child = Child(start, lambda: self.told.append("started"), lambda *end: self.told.append(end))

    async def is_over(self) -> None:
        """Wait for its end, and until nothing of it is left."""
        await until(lambda: not self.child.alive)
        await until(lambda: not Path(f"/proc/{self.child.pid}/stat").exists())


def python(code: str) -> Start:
    """Give what starts a program."""
    return lambda: subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("code", "status"), [("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)]
)
async def test_its_end_is_told_and_it_is_reaped(code: str, status: int) -> None:
    life = Life(python(code))
    assert life.child.alive
    await life.is_over()
    assert life.told == ["started", (status, f"ended by itself with status {status}")]
    life.child.kill()  # nobody else may have its number by now


async def test_it_is_killed() -> None:
    life = Life(python("import time; time.sleep(60)"))
    await until(lambda: life.child.pid)
    life.child.kill()
    await life.is_over()
    assert life.told[1:] == [(-9, "ended by itself with status -9")]


async def test_it_is_killed_before_it_is_started() -> None:
    life = Life(python("import time; time.sleep(60)"))
    life.child.kill()
    assert life.child.alive
    await life.is_over()
    assert life.told[1:] == [(-9, "ended by itself with status -9")]


async def test_it_is_killed_where_it_is_stopped_half_started() -> None:
    """It keeps its starter waiting, and with it who is to be started next."""
    before = Life(python("import time; time.sleep(60)"))
    life = Life(lambda: subprocess.Popen([sys.executable, "-c", ""], preexec_fn=lambda: os.kill(os.getpid(), signal.SIGSTOP)))
    after = Life(python("import time; time.sleep(60)"))
    await until(lambda: any(state(pid) == "T" for pid in children(os.getpid())))
    life.child.kill()
    await life.is_over()
    assert life.told[1:] == [(-9, "ended by itself with status -9")]
    await until(lambda: after.child.pid)
    for each in before, after:
        assert each.child.alive
        each.child.kill()
        await each.is_over()


async def test_it_cannot_be_started(tmp_path: Path) -> None:
    life = Life(lambda: subprocess.Popen([tmp_path / "nothing"]))
    assert life.told == []
    await until(lambda: not life.child.alive)
    assert life.told == ["started", (os.EX_OSERR, "cannot be started: No such file or directory")]
    life.child.kill()


async def test_its_end_is_told_where_the_kernel_reaps() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        life = Life(python("pass"))
        await life.is_over()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert len(life.told) == 2


async def test_where_there_is_no_thread_it_says_so_and_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    child._begin_threads.cache_clear()
    with monkeypatch.context() as without:
        without.setattr(child._starter, "submit", no_thread)
        with pytest.raises(OSError, match="no more threads"):
            Life(python("pass"))
    await Life(python("pass")).is_over()


async def test_nobody_waits_while_it_is_started() -> None:
    others_had_a_turn = threading.Event()
    start = python("pass")

    def slow() -> subprocess.Popen[bytes]:
        assert others_had_a_turn.wait(10)
        return start()

    life = Life(slow)
    await asyncio.sleep(0)
    assert life.told == []
    others_had_a_turn.set()
    await life.is_over()
