"""Runs the steps one after the other and tells in its exit code whether all of them held: 0, 1 when not, 130 after Ctrl-C."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tests.support.process import children
from tools.demo.steps import STEPS
from tools.demo.studio import Studio
from tools.demo.terminal import DemoFailed, bear_any_encoding, check, failed, heading, say, well

ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36
INTRODUCTION = """\
jackd-router on a private JACK server (dummy driver, 48000 Hz, 256 frames), with a private session bus,
the configuration config/router.toml, and real JACK clients. What follows a $ is what you would type."""


def main() -> int:
    """Run the demo and give its exit code."""
    if not os.environ.get("JACKD_ROUTER_ISOLATED"):
        os.execv(ROOT / "tests/isolate", ["tests/isolate", sys.executable, "-m", "tools.demo"])
    bear_any_encoding()
    _adopt_orphans()
    signal.signal(signal.SIGTERM, _interrupt)
    begun = time.monotonic()
    doing = "at the start"
    try:
        print(INTRODUCTION)
        with Studio() as studio:
            for number, (title, step) in enumerate(STEPS, 1):
                heading(number, title)
                doing = f"in step {number}, {title!r}"
                step(studio)
            doing = "while everything was ended"
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _check_nothing_is_left(studio)
    except KeyboardInterrupt:
        say("Interrupted; everything was ended.")
        return 130
    except Exception as error:  # noqa: BLE001  (whatever it is, the step that it broke is what the reader needs to know)
        failed(f"{doing}: {error if isinstance(error, DemoFailed | AssertionError) else repr(error)}")
        return 1
    print(f"\nAll of that happened, in {time.monotonic() - begun:.0f} seconds.")
    return 0


def _adopt_orphans() -> None:
    """Become the parent of what our children leave behind, so that it is seen at the end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_nothing_is_left(studio: Studio) -> None:
    left = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children(os.getpid())]
    check(not left, f"no process is left; there are: {', '.join(left)}")
    check(not studio.folder.exists(), f"no file is left; there is {studio.folder}")
    sockets = [str(path) for path in Path("/dev/shm").iterdir() if studio.server.name in path.name]
    check(not sockets, f"no socket is left; there are: {', '.join(sockets)}")
    well("no process, no file and no socket is left")


if __name__ == "__main__":
    sys.exit(main())
