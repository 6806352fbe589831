"""What the tests of the daemon's side of JACK share: hosts that are ended with their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.jack_io.conversation import Conversation
from tests.support.jack_server import JackServer

StartHost = Callable[[], Conversation]


@pytest_asyncio.fixture
async def start_host(jack_server: JackServer) -> AsyncIterator[StartHost]:
    """Give a function that starts a JACK host with the libjack of the test's server."""
    started: list[Conversation] = []

    def start() -> Conversation:
        started.append(Conversation(jack_server.implementation))
        return started[-1]

    yield start
    for conversation in started:
        # Not killed: jackd takes up to 6 s to end when a client has just died.
        await conversation.end()
