"""What the kernel counts of its cycles, and what the daemon makes of it."""

from __future__ import annotations

from itertools import pairwise
from operator import mul

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jackd_router.jack_host.kernel import library
from jackd_router.jack_host.memory import COST_BUCKETS
from jackd_router.jack_io.shared_memory import COST_NS
from jackd_router.runtime.state import CycleCost
from jackd_router.runtime.statistics import Statistics
from tests.jack_host.rig import Rig

SLOW_S = 0.002
FIRST_BEYOND_NS = 2**34
"""The first cost that the last bucket takes because there is no other: 17 s."""


@given(st.integers(0, FIRST_BEYOND_NS - 1))
@example(0)
@example(15)
@example(FIRST_BEYOND_NS - 1)
def test_cost_is_counted_near_to_what_it_was(ns: int) -> None:
    bucket = library.cost_bucket(ns)
    assert abs(COST_NS[bucket] - ns) <= ns / 16
    assert library.cost_bucket(ns + 1) - bucket in (0, 1) or bucket == COST_BUCKETS - 1


def test_every_bucket_is_used_and_knows_its_middle() -> None:
    assert [library.cost_bucket(int(ns)) for ns in COST_NS] == list(range(COST_BUCKETS))
    assert all(one < next_one for one, next_one in pairwise(COST_NS))


@pytest.mark.parametrize("ns", [FIRST_BEYOND_NS, 2**63, 2**64 - 1])
def test_what_no_bucket_is_for_is_in_the_last(ns: int) -> None:
    assert library.cost_bucket(ns) == COST_BUCKETS - 1


def test_cycles_and_their_time_are_counted() -> None:
    with Rig() as rig:
        rig.cycle()  # counts, without any plan
        rig.set_gains(1)
        rig.set_plan([(0, 0, 0)])
        for cycle in range(2, 7):
            rig.cycle()
            assert rig.memory.cycles == cycle
            assert sum(rig.memory.read_costs()) == cycle
        assert 0 < rig.memory.most_cost_ns <= rig.shared.busy_ns
        total = sum(map(mul, COST_NS, rig.memory.read_costs()))
        assert total == pytest.approx(rig.shared.busy_ns, rel=1 / 16)


def test_freewheeling_costs_nothing() -> None:
    with Rig() as rig:
        rig.cycle()
        known = (rig.memory.read_costs(), rig.memory.most_cost_ns, rig.shared.busy_ns)
        rig.notify("kernel_on_freewheel", 1)
        rig.cycle()
        assert (rig.memory.read_costs(), rig.memory.most_cost_ns, rig.shared.busy_ns) == known
        assert rig.memory.cycles == 2, "the keeper of the server looks whether it goes on"
        rig.notify("kernel_on_freewheel", 0)
        rig.cycle()
        assert sum(rig.memory.read_costs()) == 2


def test_thread_is_named_by_its_first_cycle() -> None:
    with Rig() as rig:
        assert rig.memory.thread_id == 0
        rig.cycle()
        assert rig.memory.thread_id == rig.thread_id()


def test_median_is_that_of_most_cycles_and_max_that_of_the_worst() -> None:
    with Rig() as rig:
        statistics = Statistics()
        assert statistics.cycle_cost == CycleCost()
        statistics.begin_generation(rig.memory)
        assert statistics.cycle_cost == CycleCost()
        rig.set_gains(1)
        rig.set_plan([(0, 0, 0)])
        rig.ports.buffer_takes_s = SLOW_S  # two ports
        slow_usec = 2 * SLOW_S * 1e6
        for _ in range(3):
            rig.cycle()
        rig.ports.buffer_takes_s = 0
        for _ in range(2):
            rig.cycle()
        cost = statistics.cycle_cost
        assert cost.cycles == 5
        assert slow_usec * 15 / 16 <= cost.median_usec <= cost.max_usec * 17 / 16
        assert cost.max_usec >= slow_usec

        statistics.reset()
        assert statistics.cycle_cost == CycleCost()
        rig.cycle()
        after = statistics.cycle_cost
        assert after.cycles == 1
        assert after.median_usec == pytest.approx(after.max_usec, rel=1 / 16)
        assert after.max_usec == rig.memory.most_cost_ns / 1000
        assert rig.memory.cycles == 6, "the keeper of the server looks whether it goes on"

        statistics.end_generation()
        assert statistics.cycle_cost == CycleCost()
        assert statistics.xruns == (0, 0)


def test_median_of_an_even_number_is_the_lower_of_the_two() -> None:
    with Rig() as rig:
        statistics = Statistics()
        statistics.begin_generation(rig.memory)
        for bucket, cycles in ((40, 5), (80, 5)):
            rig.shared.cost[bucket] = cycles
        assert statistics.cycle_cost.median_usec == COST_NS[40] / 1000
        rig.shared.cost[80] = 6
        assert statistics.cycle_cost.median_usec == COST_NS[80] / 1000


def test_xruns_are_counted_from_the_reset() -> None:
    with Rig() as rig:
        statistics = Statistics()
        statistics.begin_generation(rig.memory)
        rig.notify("kernel_on_xrun")
        count, first_usec = statistics.xruns
        assert (count, first_usec) == rig.memory.xruns
        statistics.reset()
        assert statistics.xruns == (0, 0)
        rig.notify("kernel_on_xrun")
        count, last_usec = statistics.xruns
        assert count == 1
        assert last_usec >= first_usec > 0
