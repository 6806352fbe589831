"""A private dbus-broker: the message bus of Fedora and Arch, which passes on what dbus-daemon filters.

Its launcher needs systemd, so this is the controller that the launcher would be: one listening socket, everything allowed.
"""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from dbus_next import Message, Variant

_HANDSHAKE = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
_BATCH = "(bta(btbs)a(btssssuutt)a(btssssuutt))"
_POLICY = f"(a(u{_BATCH})a(buu{_BATCH})a(ss)bs)"
_EVERY_UID = 2**32 - 1
_ANY_NUMBER_OF_FDS = 2**64 - 1


class MessageBroker:
    """One dbus-broker process. `log` has what it says."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "broker"
        self.log = folder / "broker.log"
        self.address = f"unix:path={self._socket}"
        self._end = ExitStack()

    def __enter__(self) -> MessageBroker:
        """Start it."""
        listener = self._end.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        listener.bind(str(self._socket))
        listener.listen()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._end.enter_context(ours)
        output = self._end.enter_context(self.log.open("wb"))
        with theirs:
            argv = ["dbus-broker", f"--controller={theirs.fileno()}", f"--machine-id={1:032x}", "--max-bytes=536870912"]
            process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdout=output, stderr=output)
        self._end.callback(process.wait, 10)
        self._end.callback(process.terminate)
        ours.sendall(_HANDSHAKE)
        socket.send_fds(ours, [_add_listener(listener)], [listener.fileno()])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it."""
        self._end.close()


def _add_listener(listener: socket.socket) -> bytes:
    """Give the call that hands over the socket, with a policy that allows everything."""
    anybody = [[True, 1, "", "", "", "", 0, 0, 0, _ANY_NUMBER_OF_FDS]]
    allowed = [True, 1, [[True, 1, True, ""]], anybody, anybody]
    policy = Variant(_POLICY, [[[_EVERY_UID, allowed]], [], [], False, ""])
    message = Message(
        path="/org/bus1/DBus/Broker",
        interface="org.bus1.DBus.Broker",
        member="AddListener",
        signature="ohv",
        body=["/org/bus1/DBus/Listener/0", 0, policy],
        unix_fds=[listener.fileno()],
        serial=1,
    )
    return bytes(message._marshall(negotiate_unix_fd=True))
