"""What the router remembers of pairs of ports, and when it forgets."""

from __future__ import annotations

from jackd_router.core.graph import Connection, PortName
from jackd_router.runtime.ledger import Failure, Ledger, Quarrel, Request

PAIR = Connection(PortName("synth:out_1"), PortName("system:playback_1"))
OTHER = Connection(PortName("guitar:out"), PortName("system:playback_1"))


def test_everything_about_a_pair_ends_with_its_port() -> None:
    ledger = Ledger()
    for pair in (PAIR, OTHER):
        ledger.owned[pair] = "rule"
        ledger.held[pair] = ledger.kept[pair] = (1, 2)
        ledger.requests[pair] = Request(connect=True, rule="rule", since=0.0, answered=True)
        ledger.failures[pair] = Failure(times=1, due=0.0, code=-1)
        ledger.quarrels[pair] = Quarrel()
    assert ledger.forget_ports({PAIR.source})
    tables = (ledger.owned, ledger.held, ledger.kept, ledger.requests, ledger.failures, ledger.quarrels)
    assert [set(table) for table in tables] == [{OTHER}] * len(tables)


def test_request_that_may_still_act_on_another_port_of_that_name_is_known() -> None:
    for connect, answered, echoed, may_act in (
        (True, False, False, True),
        (True, True, False, True),  # the answer may be earlier than what the server told
        (True, False, True, False),  # that was the port that went
        (False, False, False, True),
        (False, False, True, True),  # perhaps because the port went
    ):
        request = Request(connect=connect, rule="rule", since=0.0, answered=answered, echoed=echoed)
        ledger = Ledger(requests={PAIR: request, OTHER: Request(connect=True, rule="rule", since=0.0)})
        ledger.forget_ports({PAIR.source})
        assert ledger.on_its_way(PAIR, connect=connect) is (request if may_act else None)
        assert ledger.on_its_way(PAIR, connect=not connect) is None
        assert set(ledger.requests) == {OTHER}
        ledger.finish(PAIR, request)
        assert not ledger.astray


def test_a_port_without_holds_releases_none() -> None:
    ledger = Ledger(owned={PAIR: "rule"})
    assert not ledger.forget_ports({PAIR.source})
    assert not ledger.owned


def test_failures_wait_twice_as_long_each_time_up_to_a_limit() -> None:
    ledger = Ledger()
    waits = [ledger.fail(PAIR, -1, now=0.0).due for _ in range(9)]
    assert waits[:3] == [0.05, 0.1, 0.2]
    assert waits[-1] == waits[-2] == 5.0


def test_the_third_undoing_within_five_seconds_begins_a_truce() -> None:
    ledger = Ledger()
    assert [ledger.undo(PAIR, now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert ledger.contested(PAIR, 3.9)
    assert not ledger.contested(PAIR, 4.1)
    assert not ledger.contested(OTHER, 3.0)
    # Who goes on after the truce meets one of twice the length at once.
    assert ledger.undo(PAIR, 4.2)
    assert ledger.contested(PAIR, 8.1)
    assert ledger.undo(PAIR, 8.3)
    assert ledger.undo(PAIR, 16.4), "also after a truce that is longer than the window"
    assert ledger.contested(PAIR, 32.3)
    # A long peace makes good.
    assert [ledger.undo(PAIR, 1000.0 + n) for n in range(3)] == [False, False, True]
    assert not ledger.contested(PAIR, 1004.1)


def test_undoing_now_and_then_is_no_quarrel() -> None:
    ledger = Ledger()
    assert not any(ledger.undo(PAIR, now) for now in (0.0, 10.0, 20.0, 30.0))


def test_the_next_thing_due_is_the_earliest() -> None:
    ledger = Ledger()
    assert ledger.next_due(0.0) is None
    ledger.fail(PAIR, -1, now=1.0)
    for now in (0.0, 0.1, 0.2):
        ledger.undo(OTHER, now)
    assert ledger.next_due(1.0) == 1.05
    # What is due waits for an answer or for the end of an inhibition: no timer can hurry it.
    assert ledger.next_due(2.1) == 2.2
