"""Which of our requests may have made a connection that nobody has asked for."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from jackd_router.core.graph import Connection, Graph, PortName
from jackd_router.runtime.ledger import Request
from jackd_router.runtime.mistaken import Mistaken
from tests.core.building import destination, source

SYNTH, TAPE, OTHER, OLD = (PortName(name) for name in ("synth:out", "tape:in", "other:in", "old:in"))
PAIR, MADE = Connection(SYNTH, TAPE), Connection(SYNTH, OTHER)


class World:
    """A graph, and one request that was on its way when its second port went and another one came."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.mistaken = Mistaken()
        for name in (TAPE, OLD):
            self.add(name)
        self.graph.add_port(replace(source(SYNTH), registration=self.graph.newest + 1))
        self.request = Request(connect=True, rule="r", since=0.0)
        self.mistaken.asked(PAIR, self.request, self.graph.newest)
        self.replace(TAPE, OTHER)

    def add(self, name: str) -> None:
        """Let an input come."""
        self.graph.add_port(replace(destination(name), registration=self.graph.newest + 1))

    def replace(self, gone: PortName, came: PortName) -> None:
        """Let an input go, and another one come."""
        self.graph.remove_port(gone)
        self.mistaken.ports_gone({gone})
        self.add(came)

    def told(self, connection: Connection) -> tuple[Connection, Request] | None:
        """Tell of a connection that is not known to be ours."""
        self.graph.connect(connection)
        return self.mistaken.told(connection, self.graph)

    def answer(self, code: int, *, now: float = 0.0) -> Connection | None:
        """Let the server answer, as the requests do."""
        self.request.answered, self.request.since = True, now
        return self.mistaken.answered(self.request, code)


@pytest.mark.parametrize("code", [0, errno.ENOENT])
def test_the_answer_may_come_before_or_after(code: int) -> None:
    before, after = World(), World()
    assert before.answer(code) is None
    assert before.told(MADE) == (PAIR, before.request)
    assert after.told(MADE) is None
    assert after.answer(code) == MADE


def test_what_was_refused_has_made_nothing() -> None:
    before, after = World(), World()
    assert before.answer(errno.EINVAL) is None
    assert before.told(MADE) is None
    assert after.told(MADE) is None
    assert after.answer(errno.EINVAL) is None


def test_a_port_that_was_there_has_not_taken_the_place() -> None:
    world = World()
    world.answer(0)
    assert world.told(Connection(SYNTH, OLD)) is None


def test_a_connection_of_other_ports_is_of_others() -> None:
    world = World()
    world.answer(0)
    world.add("late:in")
    world.graph.add_port(replace(source("late:out"), registration=world.graph.newest + 1))
    assert world.told(Connection(PortName("late:out"), PortName("late:in"))) is None


def test_either_end_may_have_gone_and_the_other_come_again_under_its_name() -> None:
    world = World()
    world.answer(0)
    world.graph.remove_port(SYNTH)
    world.mistaken.ports_gone({SYNTH})
    world.graph.add_port(replace(source(SYNTH), registration=world.graph.newest + 1))
    assert world.told(MADE) == (PAIR, world.request)


def test_what_has_ended_explains_nothing() -> None:
    echoed, overdue = World(), World()
    echoed.mistaken.ended(echoed.request)
    assert echoed.told(MADE) is None
    overdue.answer(0, now=1.0)
    overdue.mistaken.forget_overdue(1.5)
    overdue.mistaken.forget_overdue(2.5)
    assert overdue.told(MADE) is None


def test_one_request_explains_one_connection() -> None:
    world = World()
    world.answer(0)
    assert world.told(MADE)
    world.mistaken.ended(world.request)
    world.add("third:in")
    assert world.told(Connection(SYNTH, PortName("third:in"))) is None


def test_a_port_that_stays_is_what_was_asked_for() -> None:
    world = World()
    request = Request(connect=True, rule="r", since=0.0)
    world.mistaken.ended(world.request)
    world.mistaken.asked(Connection(SYNTH, OLD), request, world.graph.newest)
    world.add("late:in")
    request.answered = True
    assert world.mistaken.answered(request, 0) is None
    assert world.told(Connection(SYNTH, PortName("late:in"))) is None
