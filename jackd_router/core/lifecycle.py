"""The life of our client on a JACK server as a table: what happened -> the next state, and what to do.

Pure: `runtime/lifecycle.py` finds out what happened and does what is to be done.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where we stand with the server."""

    WAITING = "waiting"  # there is no server
    OPENING = "opening"  # a host becomes its client
    OPENING_LATE = "opening-late"  # ... and the server has not answered within the deadline
    CONNECTED = "connected"
    UNRESPONSIVE = "unresponsive"  # the server does not answer a request, or runs no cycles
    PAUSED = "paused"  # there is a server; after a failure we wait before the next attempt
    STOPPED = "stopped"  # we are leaving


class Happening(StrEnum):
    """What can happen."""

    SERVER_APPEARED = "server-appeared"
    SERVER_GONE = "server-gone"
    SERVER_REPLACED = "server-replaced"  # it still runs, and another one is to be followed: as if it had gone
    CLIENT_OPENED = "client-opened"
    OPEN_FAILED = "open-failed"
    CLIENT_SHUT_DOWN = "client-shut-down"  # the server threw us out, or told that it ends
    HOST_ENDED = "host-ended"  # the process with libjack ended by itself
    HOST_SILENT = "host-silent"  # ... or does not even answer a ping
    ANSWER_OVERDUE = "answer-overdue"
    SERVER_ANSWERED = "server-answered"
    PATIENCE_ENDED = "patience-ended"
    RETRY_DUE = "retry-due"
    STOP_ASKED = "stop-asked"


class Deed(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    OPEN = "open"  # let a fresh host become a client
    CLOSE_DEAD = "close-dead"  # end the host of a server that is gone
    CLOSE_LIVE = "close-live"  # let the host say goodbye, then end it
    KILL_AND_PAUSE = "kill-and-pause"
    CLOSE_AND_PAUSE = "close-and-pause"


_S, _H, _D = State, Happening, Deed

_TABLE: dict[tuple[State, Happening], tuple[State, Deed]] = {
    (_S.WAITING, _H.SERVER_APPEARED): (_S.OPENING, _D.OPEN),
    (_S.WAITING, _H.STOP_ASKED): (_S.STOPPED, _D.NOTHING),
    #
    (_S.OPENING, _H.CLIENT_OPENED): (_S.CONNECTED, _D.NOTHING),
    (_S.OPENING, _H.OPEN_FAILED): (_S.PAUSED, _D.CLOSE_AND_PAUSE),
    (_S.OPENING, _H.CLIENT_SHUT_DOWN): (_S.PAUSED, _D.CLOSE_AND_PAUSE),
    (_S.OPENING, _H.HOST_ENDED): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.OPENING, _H.HOST_SILENT): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.OPENING, _H.ANSWER_OVERDUE): (_S.OPENING_LATE, _D.NOTHING),
    (_S.OPENING, _H.SERVER_GONE): (_S.WAITING, _D.CLOSE_DEAD),
    (_S.OPENING, _H.SERVER_REPLACED): (_S.WAITING, _D.CLOSE_LIVE),
    (_S.OPENING, _H.STOP_ASKED): (_S.STOPPED, _D.CLOSE_LIVE),
    #
    (_S.OPENING_LATE, _H.CLIENT_OPENED): (_S.CONNECTED, _D.NOTHING),
    (_S.OPENING_LATE, _H.OPEN_FAILED): (_S.PAUSED, _D.CLOSE_AND_PAUSE),
    (_S.OPENING_LATE, _H.CLIENT_SHUT_DOWN): (_S.PAUSED, _D.CLOSE_AND_PAUSE),
    (_S.OPENING_LATE, _H.HOST_ENDED): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.OPENING_LATE, _H.HOST_SILENT): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.OPENING_LATE, _H.PATIENCE_ENDED): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.OPENING_LATE, _H.SERVER_GONE): (_S.WAITING, _D.CLOSE_DEAD),
    (_S.OPENING_LATE, _H.SERVER_REPLACED): (_S.WAITING, _D.CLOSE_LIVE),
    (_S.OPENING_LATE, _H.STOP_ASKED): (_S.STOPPED, _D.CLOSE_LIVE),
    #
    (_S.CONNECTED, _H.CLIENT_SHUT_DOWN): (_S.PAUSED, _D.CLOSE_AND_PAUSE),
    (_S.CONNECTED, _H.HOST_ENDED): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.CONNECTED, _H.HOST_SILENT): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.CONNECTED, _H.ANSWER_OVERDUE): (_S.UNRESPONSIVE, _D.NOTHING),
    (_S.CONNECTED, _H.SERVER_GONE): (_S.WAITING, _D.CLOSE_DEAD),
    (_S.CONNECTED, _H.SERVER_REPLACED): (_S.WAITING, _D.CLOSE_LIVE),
    (_S.CONNECTED, _H.STOP_ASKED): (_S.STOPPED, _D.CLOSE_LIVE),
    #
    (_S.UNRESPONSIVE, _H.SERVER_ANSWERED): (_S.CONNECTED, _D.NOTHING),
    (_S.UNRESPONSIVE, _H.CLIENT_SHUT_DOWN): (_S.PAUSED, _D.CLOSE_AND_PAUSE),
    (_S.UNRESPONSIVE, _H.HOST_ENDED): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.UNRESPONSIVE, _H.HOST_SILENT): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.UNRESPONSIVE, _H.PATIENCE_ENDED): (_S.PAUSED, _D.KILL_AND_PAUSE),
    (_S.UNRESPONSIVE, _H.SERVER_GONE): (_S.WAITING, _D.CLOSE_DEAD),
    (_S.UNRESPONSIVE, _H.SERVER_REPLACED): (_S.WAITING, _D.CLOSE_LIVE),
    (_S.UNRESPONSIVE, _H.STOP_ASKED): (_S.STOPPED, _D.CLOSE_LIVE),
    #
    (_S.PAUSED, _H.RETRY_DUE): (_S.OPENING, _D.OPEN),
    (_S.PAUSED, _H.SERVER_GONE): (_S.WAITING, _D.NOTHING),
    (_S.PAUSED, _H.SERVER_REPLACED): (_S.WAITING, _D.NOTHING),
    (_S.PAUSED, _H.STOP_ASKED): (_S.STOPPED, _D.NOTHING),
}


def step(state: State, happening: Happening) -> tuple[State, Deed]:
    """Give the next state and what to do; what does not concern a state changes nothing."""
    return _TABLE.get((state, happening), (state, Deed.NOTHING))


def pause_s(failures: int) -> float:
    """Give how long to wait after so many failed attempts in a row (1, 2 ...): 50 ms, doubling up to 2 s."""
    return float(min(0.05 * 2 ** min(failures - 1, 10), 2.0))
