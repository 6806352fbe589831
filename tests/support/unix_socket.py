"""Unix sockets as the tests need them: whether a server listens, and systemd's end of the notify protocol."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType

from tests.support.eventually import eventually


def accepts(path: Path) -> bool:
    """Tell whether a server accepts connections there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        return attempt.connect_ex(str(path)) == 0


class NotifySocket:
    """What systemd listens on for sd_notify messages; `NOTIFY_SOCKET` of a service is its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))

    def __enter__(self) -> NotifySocket:
        """Give itself, listening."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the socket."""
        self.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def messages(self) -> tuple[str, ...]:
        """Give every message received so far; one may hold several lines."""
        while True:
            try:
                self._messages.append(self._socket.recv(65_536).decode())
            except BlockingIOError:
                return tuple(self._messages)

    def lines(self) -> tuple[str, ...]:
        """Give every assignment received so far, as `READY=1`."""
        return tuple(line for message in self.messages() for line in message.splitlines())

    def last(self, variable: str) -> str | None:
        """Give the newest value of a variable, as of STATUS."""
        values = [value for name, _, value in (line.partition("=") for line in self.lines()) if name == variable]
        return values[-1] if values else None

    def wait_for(self, line: str, timeout: float = 10) -> None:
        """Wait until this assignment was received."""
        eventually(lambda: line in self.lines(), timeout, what=f"sd_notify sends {line}")
