"""What the tests of the real process share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.daemon.remote import Remote
from tests.support.session_bus import SessionBus

OpenRemote = Callable[[], Remote]


@pytest.fixture
def open_remote(session_bus: SessionBus) -> Iterator[OpenRemote]:
    """Give a function that connects another client to the message bus."""
    with ExitStack() as remotes:

        def open_one() -> Remote:
            remote = Remote(session_bus.address)
            remotes.callback(remote.close)
            return remote

        yield open_one


@pytest.fixture
def remote(open_remote: OpenRemote) -> Remote:
    """Give a client on the message bus."""
    return open_remote()
