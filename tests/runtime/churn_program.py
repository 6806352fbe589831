"""A JACK client that changes the graph as fast as the server lets it: python churn_program.py SERVER NAME.

Its commands come on standard input, a line each: `change N` makes N changes, `flood N` causes about N notifications;
their end is the command to leave. Without Python callbacks, so that it can leave; the ports of its partner, whose NAME
ends with the other letter, it connects, too.
"""

from __future__ import annotations

import ctypes
import random
import sys

PORTS = 12
FLOOD_PORTS = 1000
OUTPUT, INPUT = 2, 1


class Churn:
    """The client and its ports."""

    def __init__(self, server: str, name: str) -> None:
        self._jack = ctypes.CDLL("libjack.so.0")
        for function in ("jack_client_open", "jack_port_register"):
            getattr(self._jack, function).restype = ctypes.c_void_p
        silence = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
        self._silence = silence(lambda message: None)
        self._jack.jack_set_error_function(self._silence)
        status = ctypes.c_int()
        # No start, exact name; the server's name. That of PipeWire is its folder, which the environment says.
        options = 1 | 2 | (0 if server.startswith("/") else 4)
        client = self._jack.jack_client_open(name.encode(), options, ctypes.byref(status), server.encode())
        assert client, f"status {status.value:#x}"
        self._client = ctypes.c_void_p(client)
        self._names = [name, name[:-1] + ("b" if name.endswith("a") else "a")]
        self._ports: dict[int, ctypes.c_void_p] = {}
        self._random = random.Random(name)
        assert self._jack.jack_activate(self._client) == 0

    def change(self) -> None:
        """Make one change; half of the attempts to connect or disconnect fail, as those of real programs do."""
        number = self._random.randrange(PORTS)
        what = self._random.random()
        if number not in self._ports:
            flags = INPUT if number % 2 else OUTPUT
            port = self._register(b"p%d" % number, flags)
            if port is not None:  # PipeWire has not forgotten the last one of that name, perhaps
                self._ports[number] = port
        elif what < 0.3:
            self._jack.jack_port_unregister(self._client, self._ports.pop(number))
        else:
            ends = [f"{self._random.choice(self._names)}:p{self._random.randrange(PORTS // 2) * 2 + end}" for end in (0, 1)]
            change = self._jack.jack_connect if what < 0.75 else self._jack.jack_disconnect
            change(self._client, *(end.encode() for end in ends))

    def flood(self, notifications: int) -> None:
        """Let all ports of a client with many of them go and come back at once, again and again."""
        for number in range(FLOOD_PORTS):
            self._register(b"flood%d" % number, OUTPUT)
        for _ in range(notifications // (2 * FLOOD_PORTS) + 1):
            assert self._jack.jack_deactivate(self._client) == 0
            assert self._jack.jack_activate(self._client) == 0

    def _register(self, name: bytes, flags: int) -> ctypes.c_void_p | None:
        port = self._jack.jack_port_register(self._client, name, b"32 bit float mono audio", flags, 0)
        return ctypes.c_void_p(port) if port else None

    def close(self) -> None:
        """Leave the server."""
        self._jack.jack_client_close(self._client)


def main(server: str, name: str) -> None:
    """Do what the lines say."""
    churn = Churn(server, name)
    print("ready", flush=True)
    for line in sys.stdin:
        command, number = line.split()
        if command == "flood":
            churn.flood(int(number))
        else:
            for _ in range(int(number)):
                churn.change()
        print("done", flush=True)
    churn.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
