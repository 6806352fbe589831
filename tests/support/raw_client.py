"""A JACK client whose names are any bytes: JACK-Client, which the others are made with, takes text only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.pipewire_server import client_env

_PROGRAM = """import ctypes, sys
jack = ctypes.CDLL("libjack.so.0")
jack.jack_client_open.restype = jack.jack_port_register.restype = ctypes.c_void_p
jack.jack_port_register.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]
server, name, *ports = (bytes.fromhex(text) for text in sys.argv[1:])
status = ctypes.c_int()
client = jack.jack_client_open(name, 1 | 2 | (0 if server.startswith(b"/") else 4), ctypes.byref(status), server)
assert client
assert jack.jack_activate(ctypes.c_void_p(client)) == 0
for position, port in enumerate(ports):
    assert jack.jack_port_register(client, port, b"32 bit float mono audio", 2 - position % 2, 0)
print("ready", flush=True)
sys.stdin.read()
jack.jack_client_close(ctypes.c_void_p(client))
"""


@contextmanager
def client_with_raw_names(server: str, name: bytes, *ports: bytes) -> Iterator[None]:
    """Let there be a client of this name, its ports in turn an output and an input."""
    arguments = [text.hex() for text in (server.encode(), name, *ports)]
    with (
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | client_env(server),
        ) as process,
        ExitStack() as end,
    ):
        end.callback(process.kill)  # also when it does not answer: Popen would wait for it for ever
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        assert process.communicate(timeout=10)
    assert process.returncode == 0
