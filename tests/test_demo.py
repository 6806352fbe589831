"""`make demo`, run as a user would: to its end, interrupted, and with something going wrong."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.process import children

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "tools.demo"]
CLEAN = "no process, no file and no socket is left"


@pytest.mark.timeout(240)
def test_all_of_it_happens() -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    for line in (
        "synth:out_1        router:main_in_L",
        'rule "synth to main bus"',
        'rule "browser never into a recorder"',
        "48000 of 48000 samples equal in every bit, frame offset 0",
        "router:main_out_L  ",
        "over 24000 frames -6.000 dB",
        "$ kill -KILL $(pidof jackd)",
        "the ports of its buses and their connections were all back",
        "router.toml:",
        "not reloaded: the configuration that was in force stays",
        CLEAN,
        "All of that happened",
    ):
        assert line in done.stdout, f"{line!r} is not in\n{done.stdout}"


@contextmanager
def on_a_terminal() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the demo on a pseudo-terminal of its own, and give the process and our end."""
    ours, theirs = pty.openpty()
    script = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    argv = [sys.executable, "-c", script, *COMMAND]
    environment = os.environ | {"TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    with (
        subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as process,
        ExitStack() as end,
    ):
        end.callback(process.kill)  # also one that does not hear Ctrl-C: Popen would wait for it for ever
        os.close(theirs)
        try:
            yield process, ours
        finally:
            os.close(ours)
            process.wait(30)


def read_until(terminal: int, text: bytes, then: Callable[[], object]) -> str:
    """Give all that is written there; do something once the text was."""
    shown, done = b"", False
    with suppress(OSError):  # EIO: nobody has the other end open any more
        while chunk := os.read(terminal, 65_536):
            shown += chunk
            if not done and text in shown:
                done = True
                then()
    assert done, shown
    return shown.decode()


@pytest.mark.parametrize("moment", ["jackd-router on a private", "2. Why", "records from the same frame on", "4. Meters"])
def test_ctrl_c_ends_all_of_it(moment: str) -> None:
    with on_a_terminal() as (process, terminal):
        shown = read_until(terminal, moment.encode(), lambda: os.write(terminal, b"\x03"))
    assert process.returncode == 130, shown
    assert "Traceback" not in shown
    assert shown.rstrip().endswith("Interrupted; everything was ended."), shown
    assert not list(Path("/dev/shm").glob(f"*demo-{process.pid}*"))
    assert not list(Path(os.environ["XDG_RUNTIME_DIR"]).glob(f"demo-{process.pid}*"))


def test_colours_are_for_terminals_and_what_went_wrong_is_named() -> None:
    def kill_daemon() -> None:
        for child in children(process.pid):
            if b"\0run\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)

    with on_a_terminal() as (process, terminal):
        shown = read_until(terminal, b"3. Sound", kill_daemon)
    assert process.returncode == 1, shown
    assert "\x1b[1m3. Sound through a bus" in shown
    assert "demo: FAILED in step 3, 'Sound through a bus, compared bit for bit': `jackd-router connect" in shown
    assert CLEAN not in shown
    eventually(lambda: not Path(os.environ["XDG_RUNTIME_DIR"], f"demo-{process.pid}").exists())
