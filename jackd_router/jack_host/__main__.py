"""Entry of the JACK host: `python -m jackd_router.jack_host CONTROL PING MEMORY EVENTFD`, four descriptors.

The main thread does nothing but answer pings, so that the daemon can tell a stuck server (pings are answered, a
request is not) from a stuck host (nothing is). It never calls libjack: a signal that Python handles on a thread that
waits in a request breaks the client for good. All signals are blocked; libjack's threads inherit that.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from contextlib import suppress

from jackd_router.jack_host import memory, protocol
from jackd_router.jack_host.requests import Requests

_PR_SET_PDEATHSIG = 1
_GOODBYE_S = 1.0
"""How long the request thread may take to leave the server after the daemon has gone."""


def main(control: int, ping: int, memory_file: int, eventfd: int) -> None:
    """Serve until the daemon says so, or is gone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    # One that is stopped while the daemon is killed is to go on, see that, and leave: blocked or not, this signal does it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    _allow_descriptors()
    mapped = mmap.mmap(memory_file, ctypes.sizeof(memory.Shared))
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    requests = Requests(socket.socket(fileno=control), address, eventfd)
    thread = threading.Thread(target=requests.run, name="requests", daemon=True)
    threading.excepthook = _die
    thread.start()
    pings = socket.socket(fileno=ping)
    with suppress(ConnectionError):  # the daemon is gone, too
        while pings.recv(1):
            pings.send(protocol.PONG)
    thread.join(_GOODBYE_S)
    os._exit(1)


def _allow_descriptors() -> None:
    """Allow as many as the system does: PipeWire's libjack has one for each connection of ours, and 1,024 is a usual limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _die(failure: threading.ExceptHookArgs) -> None:
    """End with the traceback on stderr, which the daemon logs: a host without its request thread is of no use."""
    sys.excepthook(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    sys.stderr.flush()
    os._exit(3)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
