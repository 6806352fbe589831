"""What could be better, and what to do about it: realtime priority, memory that cannot be paged out, devices that may be meant.

Nothing here makes the status worse: whoever starts `jackd -r` may want it so. It is a warning in the log, once for each
cause until it is mended, a property, and a line of `jackd-router status`.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from jackd_router.core.system_names import undecided_text
from jackd_router.jack_io.host_process import HostProcess
from jackd_router.runtime.state import ServerState
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

_MORE = "see REALTIME in `man jackd-router`"


class Cause(StrEnum):
    """Why sound may drop out though everything works."""

    SERVER_NOT_REALTIME = "server-not-realtime"
    CLIENT_NOT_REALTIME = "client-not-realtime"
    MEMORY_NOT_LOCKED = "memory-not-locked"


class Hints:
    """Looks once a second. What two looks in a row find is so.

    One look may err: rtkit gives PipeWire's threads their priority a moment after they run, JACK2 gives it back to its
    clients a moment after a freewheel.
    """

    def __init__(self) -> None:
        self._found: frozenset[Cause] = frozenset()
        self._told: frozenset[Cause] = frozenset()
        self._undecided: tuple[str, ...] = ()

    def look(self, state: ServerState, host: HostProcess, undecided: Mapping[str, Sequence[str]]) -> ServerState:
        """Give the state with what is found, and log what is new; `undecided` as in SystemNames."""
        return self._look_at_devices(self._look_at_priority(state, host), undecided)

    def _look_at_devices(self, state: ServerState, undecided: Mapping[str, Sequence[str]]) -> ServerState:
        texts = tuple(undecided_text(way, clients) for way, clients in undecided.items())
        for text in texts:
            if text not in self._undecided:
                log.warning("%s", text)
        kept = tuple(hint for hint in state.hints if hint not in self._undecided)
        self._undecided = texts
        return replace(state, hints=(*kept, *texts))

    def _look_at_priority(self, state: ServerState, host: HostProcess) -> ServerState:
        realtime = host.realtime
        if realtime is None or host.memory.freewheeling:  # while freewheeling JACK2 takes the priority from its clients
            return state
        before, self._found = self._found, causes(state, realtime, locked=host.memory.locked)
        certain = self._found & before
        texts = {cause: _text(cause, state.implementation) for cause in Cause if cause in certain}
        for cause, text in texts.items():
            if cause not in self._told:
                log.warning("%s", text[0].upper() + text[1:], extra={"MESSAGE_ID": Event.SOUND_AT_RISK})
        self._told = self._told & self._found | certain
        return replace(state, client_realtime=realtime, hints=tuple(texts.values()))

    def end_generation(self) -> None:
        """Look at the next server with new eyes; what was told stays told."""
        self._found = frozenset()


def causes(state: ServerState, client_realtime: bool, *, locked: bool) -> frozenset[Cause]:
    """Give what stands in the way; of a server without realtime priority no client can have it."""
    found = set()
    if not state.realtime:
        found.add(Cause.SERVER_NOT_REALTIME)
    elif not client_realtime:
        found.add(Cause.CLIENT_NOT_REALTIME)
    if not locked:
        found.add(Cause.MEMORY_NOT_LOCKED)
    return frozenset(found)


def _text(cause: Cause, implementation: str) -> str:
    match cause:
        case Cause.SERVER_NOT_REALTIME:
            return (
                "the JACK server runs without realtime priority, so sound drops out when the machine is busy: "
                f"start it with `jackd -R`; {_MORE}"
            )
        case Cause.CLIENT_NOT_REALTIME:
            other = "install rtkit, or " if implementation == "pipewire" else ""
            return (
                "the JACK server is set to realtime and our process thread does not get that priority, so sound drops out when "
                f"the machine is busy: {other}raise the limit rtprio (now {_limit(resource.RLIMIT_RTPRIO)}) of this account and "
                f"log in anew; {_MORE}"
            )
        case Cause.MEMORY_NOT_LOCKED:
            return (
                "the memory of our process thread cannot be locked, so sound may drop out when memory runs short: raise the "
                f"limit memlock (now {_limit(resource.RLIMIT_MEMLOCK, 1024)}) of this account and log in anew; {_MORE}"
            )


def _limit(which: int, unit: int = 1) -> str:
    """Give a limit of ours, which the host inherits; memory in KiB, as `ulimit -l` and limits.conf have it."""
    soft, _ = resource.getrlimit(which)
    if soft == resource.RLIM_INFINITY:
        return "unlimited"
    return f"{soft // unit} KiB" if unit > 1 else str(soft)
