"""Runs the lines against a real daemon on a private JACK server, and keeps what they said. Runs inside tests/isolate."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus
from tools.api.contract import Interface
from tools.api.examples import BUS_NAME, CONFIG, ROOT, Example, examples

STUDIO = Path("/dev/shm/studio")  # a place that is the same wherever this runs: paths are among the answers
TRANSCRIPT = Path(__file__).parent / "transcript.txt"

Transcript = dict[str, str]
"""Line -> what it said, without the last newline."""


def record(contract: list[Interface]) -> Transcript:
    """Run every line whose interface the daemon has."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, STUDIO, ignore_errors=True)
        STUDIO.mkdir()
        server = stack.enter_context(JackServer(STUDIO / "jackd.log", name="default"))
        stack.enter_context(JackClient(server.name, "synth", outputs=("left", "right")))
        desk = stack.enter_context(JackClient(server.name, "desk", inputs=("left", "right")))
        bus = stack.enter_context(SessionBus(STUDIO))
        router = RouterProcess(STUDIO, CONFIG, bus_address=bus.address, server_name=server.name)
        stack.enter_context(router)
        eventually(lambda: len(desk.connections()) == 2)
        return {one.line: _said(one, router) for one in examples(contract) if _is_offered(one, contract, router)}


def _is_offered(example: Example, contract: list[Interface], router: RouterProcess) -> bool:
    """Tell whether this build has the interface at all."""
    name = next(interface.name for interface in contract if interface.title == example.interface)
    path = example.line.partition("$N ")[2].split()[0].replace("$R", ROOT)
    return "\n." in _run(f"busctl --user introspect $N {path} {name}", router).stdout  # a member


def _said(example: Example, router: RouterProcess) -> str:
    done = _run(example.line, router)
    return (done.stdout + done.stderr).rstrip("\n")


def _run(line: str, router: RouterProcess) -> subprocess.CompletedProcess[str]:
    env = router.env() | {"N": BUS_NAME, "R": ROOT, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True, text=True, timeout=30, check=False)


def write(transcript: Transcript, file: Path = TRANSCRIPT) -> None:
    """Keep it: each line after `$ `, what it said below, an empty line."""
    file.write_text("".join(f"$ {line}\n{said}{chr(10) if said else ''}\n" for line, said in transcript.items()))


def read(file: Path = TRANSCRIPT) -> Transcript:
    """Give what was kept."""
    entries = re.findall(r"^\$ (.*)\n((?:(?!\$ ).+\n)*)\n", file.read_text(), re.MULTILINE)
    return {line: said.rstrip("\n") for line, said in entries}


def alike(example: Example, one: str, other: str) -> bool:
    """Tell whether two answers to a line say the same, but for what is another each time: times, measures, order of sets."""
    return _lasting(example, one) == _lasting(example, other)


def _lasting(example: Example, said: str) -> list[str]:
    return sorted(re.sub(r"\d+(\.\d+)?" if example.varies else r"\d{9,}", "#", said).split())
