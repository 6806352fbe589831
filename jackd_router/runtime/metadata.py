"""Reads the metadata of ports into the mirror, while a rule wants it: pretty names, and which ports are CV."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from jackd_router.jack_host import protocol
from jackd_router.jack_io.host_process import Answer, HostProcess
from jackd_router.runtime.mirror import Changes, Mirror

log = logging.getLogger(__name__)

_LATE_S = 2.0


class Metadata:
    """Asks for what the mirror has not read yet; one request at a time, so that what comes meanwhile is in the next one."""

    def __init__(self, mirror: Mirror, on_changes: Callable[[Changes], None], on_asked: Callable[[], None]) -> None:
        """Take the mirror, and what to call with the changes that an answer makes, and when there was something to ask for."""
        self._mirror, self._on_changes, self._on_asked = mirror, on_changes, on_asked
        self._loop = asyncio.get_running_loop()
        self._host: HostProcess | None = None
        """Who was asked and has not answered yet."""
        self._asked: dict[int, int] = {}
        self._late: asyncio.TimerHandle | None = None
        self._warned = False

    def want(self, wanted: bool, host: HostProcess | None) -> None:
        """Read all metadata, or forget it; what was asked for before is not heard."""
        self._asked = {}
        self._on_changes(self._mirror.want_metadata(wanted=wanted))
        if host is not None:
            self.read(host)

    def read(self, host: HostProcess) -> None:
        """Ask for what has not been read, unless an answer is still to come."""
        if self._host is not None:
            return
        self._asked = self._mirror.take_unread()
        if self._asked:
            self._host = host
            log.debug("Reading the metadata of %d ports", len(self._asked))
            host.submit(lambda answer: self._began(host, answer), protocol.READ_METADATA, tuple(self._asked))
            self._on_asked()

    def _began(self, host: HostProcess, answer: Answer | None) -> None:
        """Wait from now on: before, a server that stands still keeps all requests waiting, not only this one."""
        if answer is not None and self._host is host:
            reason = f"the database of the JACK server's metadata did not answer within {_LATE_S:g} s"
            self._late = self._loop.call_later(_LATE_S, self._warn, reason)

    def take(self, kind: str, rows: tuple[Any, ...]) -> None:
        """Take a part of the answer, or its end."""
        if kind == protocol.METADATA:
            self._on_changes(self._mirror.take_metadata(self._asked, rows))
            return
        host = self._host
        self._stop_waiting()
        (problem,) = rows
        if problem:
            self._warn(problem)
        elif self._warned:
            self._warned = False
            log.info("The metadata of ports can be read again")
        if host is not None:
            self.read(host)

    def _warn(self, reason: str) -> None:
        """Say once that rules see no pretty names, and no CV."""
        if not self._warned:
            self._warned = True
            log.warning("The metadata of ports cannot be read: %s", reason, extra={"REASON": reason})

    def end_generation(self) -> None:
        """Wait for nobody: the host is gone."""
        self._stop_waiting()
        self._warned = False

    def _stop_waiting(self) -> None:
        self._host, self._asked = None, {}
        if self._late is not None:
            self._late.cancel()
            self._late = None
