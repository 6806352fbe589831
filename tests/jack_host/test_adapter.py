"""The adapter on JACK-Client: the private names that it relies on, in the oldest release that is allowed and in the one here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from jackd_router.jack_host import adapter
from jackd_router.jack_host.kernel import Kernel
from tests.support.jack_server import JackServer

SOURCE = Path(adapter.__file__).read_text()
PROJECT = Path(__file__).parents[2] / "pyproject.toml"

# Opens a client with native callbacks in a process of its own, as the JACK host does, and tells what it sees.
PROGRAM = """
import ctypes, json, os, sys
from jackd_router.jack_host import adapter, memory
from jackd_router.jack_host.kernel import Kernel, library

shared = memory.Shared()
library.shared_init(ctypes.addressof(shared))
kernel = Kernel(ctypes.addressof(shared), os.eventfd(0, os.EFD_NONBLOCK), adapter.functions())
adapter.collect_messages()
client = adapter.JackClient("adapter", sys.argv[1], kernel)
own = [adapter.OwnPort(b"in", True), adapter.OwnPort(b"out", False)]
for port in own:
    client.register(port)
kernel.set_plan(1, *([client.address(port)] for port in own), [(0, 0, 0, 0, 1, memory.AT_TARGET, 1)])
client.activate()
while not kernel.settled():
    pass
result = {
    "release": adapter.jack.__version__,
    "opened": client.describe(),
    "connect": [client.connect(b"adapter:out", b"adapter:in") for _ in range(2)],
    "ports": {name.decode(): [number, flags] for number, name, flags, kind, aliases in client.read_ports()},
    "connections": list(client.read_connections()),
    "disconnect": client.disconnect(b"adapter:out", b"adapter:in"),
    "load": client.load_percent(),
}
number, _ = result["ports"]["adapter:out"]
result["metadata"] = [str(client.read_metadata(number))]
for key, value in (("pretty-name", b"caf\\xe9"), ("signal-type", b"CV")):
    client._client.set_property((1 << 32) + number + 1, "http://jackaudio.org/metadata/" + key, value)
result["metadata"] += [str(client.read_metadata(number)), client.can_read_metadata()]
client.close()
try:
    adapter.JackClient("adapter", "no-such-server", kernel)
except adapter.JackError as error:
    result["error"] = str(error)
print(json.dumps(result), flush=True)
os._exit(0)
"""


def oldest_release() -> str:
    """Give the lower bound that the project sets."""
    dependencies = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    (bound,) = (name for name in dependencies if name.startswith("JACK-Client"))
    return str(bound.removeprefix("JACK-Client>="))


@pytest.fixture
def oldest(pytestconfig: pytest.Config) -> Path:
    """Give a folder with the oldest release; it is fetched once and kept with pytest's other things."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(f"jack-client-{oldest_release()}")
    if not (folder / "jack.py").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", folder, f"JACK-Client=={oldest_release()}"], check=True, timeout=50)
    return folder


def private_names(source: str) -> set[str]:
    """Give every name with a leading underscore that is taken from JACK-Client."""
    return set(re.findall(r"\bjack\.(_\w+)", source)) | set(re.findall(r"\b(?:self\.)?_client\.(_\w+)", source))


def test_no_other_private_name_is_relied_on() -> None:
    assert private_names(SOURCE) == {"_lib", "_ffi", "_ptr"}
    assert len(re.findall(r"^(?:import jack|from jack )", SOURCE, re.MULTILINE)) == 1


def test_library_has_every_function_that_is_called() -> None:
    called = set(re.findall(r"_lib\.(jack_\w+)", SOURCE)) | set(Kernel.CALLBACKS)
    assert len(called) > 20
    assert [name for name in sorted(called) if not hasattr(adapter._lib, name)] == []


def check(server: JackServer, path: Path | None) -> str:
    """Let the adapter work with the JACK-Client of a folder, or the one here, and give its release."""
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.name], capture_output=True, text=True, env=environment, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["opened"] == ["adapter", 48_000, 256, False]
    assert result["connect"] == [0, 17]
    ports = result["ports"]
    assert {name: flags for name, (_, flags) in ports.items() if name.startswith("adapter:")} == {
        "adapter:in": 1,
        "adapter:out": 2,
    }
    assert result["connections"] == [[ports["adapter:out"][0], ports["adapter:in"][0]]]
    assert result["disconnect"] == 0
    assert 0 <= result["load"] <= 100
    assert result["error"]
    number, _ = ports["adapter:out"]
    rows = [(number, b"adapter:out", None, None), (number, b"adapter:out", b"caf\xe9", b"CV")]
    assert result["metadata"] == [*map(str, rows), True]
    return str(result["release"])


@pytest.mark.jack2("loads JACK2's libjack")
def test_adapter_works_with_the_release_here(running_server: JackServer) -> None:
    assert check(running_server, None) == version("JACK-Client")


@pytest.mark.jack2("loads JACK2's libjack")
def test_adapter_works_with_the_oldest_release(running_server: JackServer, oldest: Path) -> None:
    assert check(running_server, oldest) == oldest_release()
