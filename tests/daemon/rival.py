"""Other JACK clients: a rival wants a connection to be otherwise and insists, a restless one changes it all the time."""

from __future__ import annotations

import threading
from contextlib import suppress

from tests.support.jack_client import JackClient, JackClientError


class Rival:
    """Undoes a connection whenever it sees it, or makes it whenever it misses it, and counts how often."""

    def __init__(self, server_name: str, pair: tuple[str, str], *, wants_it: bool) -> None:
        self._client = JackClient(server_name, "rival")
        self._pair, self._wants_it = pair, wants_it
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._insist, daemon=True)
        self.times = 0
        self._thread.start()

    def __enter__(self) -> Rival:
        """Give itself, at work."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give in."""
        self._end.set()
        self._thread.join(10)
        self._client.close()

    def _insist(self) -> None:
        while not self._end.is_set():
            # The other side may be faster: then there is nothing to do any more, or libjack sees only a part of what it does.
            with suppress(JackClientError):
                if (self._pair in self._client.connections()) is self._wants_it:
                    continue
                change = self._client.connect if self._wants_it else self._client.disconnect
                change(*self._pair)
                self.times += 1


class Restless:
    """Makes a connection and undoes it, without a pause."""

    def __init__(self, server_name: str, name: str, pair: tuple[str, str]) -> None:
        self._client = JackClient(server_name, name)
        self._pair = pair
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._toggle, daemon=True)
        self._thread.start()

    def __enter__(self) -> Restless:
        """Give itself, at work."""
        return self

    def __exit__(self, *_: object) -> None:
        """Rest."""
        self._end.set()
        self._thread.join(10)
        self._client.close()

    def _toggle(self) -> None:
        while not self._end.is_set():
            self._client.connect(*self._pair)
            self._client.disconnect(*self._pair)
