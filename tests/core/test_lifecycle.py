"""The table of our life on a server: every state with everything that can happen."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.lifecycle import Deed, Happening, State, pause_s, step

_S, _H, _D = State, Happening, Deed

WANTED: dict[State, dict[Happening, tuple[State, Deed]]] = {
    _S.WAITING: {
        _H.SERVER_APPEARED: (_S.OPENING, _D.OPEN),
        _H.STOP_ASKED: (_S.STOPPED, _D.NOTHING),
    },
    _S.OPENING: {
        _H.CLIENT_OPENED: (_S.CONNECTED, _D.NOTHING),
        _H.OPEN_FAILED: (_S.PAUSED, _D.CLOSE_AND_PAUSE),
        _H.CLIENT_SHUT_DOWN: (_S.PAUSED, _D.CLOSE_AND_PAUSE),
        _H.HOST_ENDED: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.HOST_SILENT: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.ANSWER_OVERDUE: (_S.OPENING_LATE, _D.NOTHING),
        _H.SERVER_GONE: (_S.WAITING, _D.CLOSE_DEAD),
        _H.SERVER_REPLACED: (_S.WAITING, _D.CLOSE_LIVE),
        _H.STOP_ASKED: (_S.STOPPED, _D.CLOSE_LIVE),
    },
    _S.OPENING_LATE: {
        _H.CLIENT_OPENED: (_S.CONNECTED, _D.NOTHING),
        _H.OPEN_FAILED: (_S.PAUSED, _D.CLOSE_AND_PAUSE),
        _H.CLIENT_SHUT_DOWN: (_S.PAUSED, _D.CLOSE_AND_PAUSE),
        _H.HOST_ENDED: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.HOST_SILENT: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.PATIENCE_ENDED: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.SERVER_GONE: (_S.WAITING, _D.CLOSE_DEAD),
        _H.SERVER_REPLACED: (_S.WAITING, _D.CLOSE_LIVE),
        _H.STOP_ASKED: (_S.STOPPED, _D.CLOSE_LIVE),
    },
    _S.CONNECTED: {
        _H.CLIENT_SHUT_DOWN: (_S.PAUSED, _D.CLOSE_AND_PAUSE),
        _H.HOST_ENDED: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.HOST_SILENT: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.ANSWER_OVERDUE: (_S.UNRESPONSIVE, _D.NOTHING),
        _H.SERVER_GONE: (_S.WAITING, _D.CLOSE_DEAD),
        _H.SERVER_REPLACED: (_S.WAITING, _D.CLOSE_LIVE),
        _H.STOP_ASKED: (_S.STOPPED, _D.CLOSE_LIVE),
    },
    _S.UNRESPONSIVE: {
        _H.SERVER_ANSWERED: (_S.CONNECTED, _D.NOTHING),
        _H.CLIENT_SHUT_DOWN: (_S.PAUSED, _D.CLOSE_AND_PAUSE),
        _H.HOST_ENDED: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.HOST_SILENT: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.PATIENCE_ENDED: (_S.PAUSED, _D.KILL_AND_PAUSE),
        _H.SERVER_GONE: (_S.WAITING, _D.CLOSE_DEAD),
        _H.SERVER_REPLACED: (_S.WAITING, _D.CLOSE_LIVE),
        _H.STOP_ASKED: (_S.STOPPED, _D.CLOSE_LIVE),
    },
    _S.PAUSED: {
        _H.RETRY_DUE: (_S.OPENING, _D.OPEN),
        _H.SERVER_GONE: (_S.WAITING, _D.NOTHING),
        _H.SERVER_REPLACED: (_S.WAITING, _D.NOTHING),
        _H.STOP_ASKED: (_S.STOPPED, _D.NOTHING),
    },
    _S.STOPPED: {},
}

WITH_CLIENT = {_S.OPENING, _S.OPENING_LATE, _S.CONNECTED, _S.UNRESPONSIVE}
ENDING = {_D.CLOSE_DEAD, _D.CLOSE_LIVE, _D.CLOSE_AND_PAUSE, _D.KILL_AND_PAUSE}
HAPPENINGS = st.lists(st.sampled_from(Happening), max_size=40)


@pytest.mark.parametrize(("state", "happening"), [*product(State, Happening)])
def test_every_state_with_everything_that_can_happen(state: State, happening: Happening) -> None:
    assert step(state, happening) == WANTED[state].get(happening, (state, Deed.NOTHING))


def life(happenings: Iterable[Happening]) -> list[tuple[State, Deed]]:
    """Give every state from the beginning on, and what was done to get there."""
    steps = [(State.WAITING, Deed.NOTHING)]
    for happening in happenings:
        steps.append(step(steps[-1][0], happening))
    return steps


@given(HAPPENINGS)
def test_there_is_a_host_exactly_where_one_was_opened_and_not_ended(happenings: list[Happening]) -> None:
    hosts = 0
    for state, deed in life(happenings):
        hosts += (deed is Deed.OPEN) - (deed in ENDING)
        assert hosts == (state in WITH_CLIENT)


@given(HAPPENINGS)
def test_a_pause_is_entered_with_a_deed_that_begins_it(happenings: list[Happening]) -> None:
    for (before, _), (now, deed) in pairwise(life(happenings)):
        begins = deed in (Deed.CLOSE_AND_PAUSE, Deed.KILL_AND_PAUSE)
        assert begins == (now is State.PAUSED and before is not State.PAUSED)


@given(HAPPENINGS)
def test_stopped_is_the_end_and_can_be_reached_at_once(happenings: list[Happening]) -> None:
    state, _ = step(life(happenings)[-1][0], Happening.STOP_ASKED)
    assert state is State.STOPPED
    assert {step(state, happening) for happening in Happening} == {(State.STOPPED, Deed.NOTHING)}


@given(HAPPENINGS)
def test_from_everywhere_a_new_server_leads_to_a_client(happenings: list[Happening]) -> None:
    state = life([happening for happening in happenings if happening is not Happening.STOP_ASKED])[-1][0]
    for happening in (Happening.SERVER_GONE, Happening.SERVER_APPEARED, Happening.CLIENT_OPENED):
        state, _ = step(state, happening)
    assert state is State.CONNECTED


def test_pauses_double_up_to_two_seconds() -> None:
    assert [pause_s(failures) for failures in range(1, 9)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert pause_s(1_000_000) == 2.0
