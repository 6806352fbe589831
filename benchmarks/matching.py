"""What one port, and what a whole reload, costs with 500 rules and thousands of ports. No server is needed."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.many_rules import SHARES, Studio, read, studio
from benchmarks.surroundings import Surroundings
from jackd_router.core.config import Config
from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.graph import Graph, Port
from jackd_router.core.steps import run_at_once
from jackd_router.runtime.announcer import Action
from jackd_router.runtime.inhibitors import Inhibitors
from jackd_router.runtime.reconciler import Reconciler
from jackd_router.runtime.rules import Rules
from jackd_router.runtime.state_file import StateFile

MOST_EVENT_US = 1000
MOST_GROWTH = 1.25
"""How much dearer a port may be among 4,000 others than alone: what is measured varies by that much."""
FEW = 5
"""Rules that somebody changes before a reload, of all."""
MOST_RELOAD_MS = 150
MOST_BLOCKED_MS = 20
OTHERS = (0, 1000, 4000)


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the tables and give the bounds."""
    del around  # nothing of it is needed here
    here = studio(events=100 if quick else 500)
    return [*_events(here), *_reload(here, rounds=3 if quick else 15)]


def _events(here: Studio) -> list[Bound]:
    """One port that 20 rules match comes and goes, each time under another name."""
    rows, medians = [], {}
    for count in OTHERS:
        matcher = _matcher(here.config, [*here.partners, *here.others[:count]])
        for kind, ports in (("output", here.sources), ("input", here.destinations)):
            came, told, went = _one_by_one(matcher, ports)
            both = [sum(each) for each in zip(came, told, went, strict=True)]
            medians[kind, count] = median(both)
            rows.append(
                [f"{kind}, {count:,} others"]
                + [f"{median(each):.0f}" for each in (came, told, went, both)]
                + [f"{percentile(both, 99):.0f}"]
            )
    print(f"{sum(SHARES.values())} rules, of which 20 match the port that comes and goes, in µs (medians)\n")
    print(table(["", "add_port", "take_changed, decide", "remove_port, take_changed", "all", "p99"], rows))
    worst, slowest = max((found, key) for key, found in medians.items())
    growth = max(medians[kind, OTHERS[-1]] / medians[kind, 0] for kind in ("output", "input"))
    return [
        Bound(f"matching: {worst:.0f} µs for one {slowest[0]} (median at most {MOST_EVENT_US:,})", worst <= MOST_EVENT_US),
        Bound(f"matching: {growth:.2f} × that with {OTHERS[-1]:,} others (at most {MOST_GROWTH})", growth <= MOST_GROWTH),
    ]


def _matcher(config: Config, ports: Sequence[Port]) -> Matcher:
    matcher = Matcher(config, client_name="router")
    for port in ports:
        matcher.add_port(port)
    matcher.take_changed()
    return matcher


def _one_by_one(matcher: Matcher, ports: Sequence[Port]) -> tuple[list[float], list[float], list[float]]:
    """Give how long it takes to add each port, to learn what it changes, and to remove it, in µs."""
    came, told, went = [], [], []

    def decided() -> None:
        changed = matcher.take_changed()
        assert len(changed) == 20, changed
        for connection in changed:
            matcher.decide(connection)

    def gone(port: Port) -> None:
        matcher.remove_port(port.name)
        matcher.take_changed()

    for port in ports:
        came.append(_timed_us(partial(matcher.add_port, port)))
        told.append(_timed_us(decided))
        went.append(_timed_us(partial(gone, port)))
    return came, told, went


def _timed_us(work: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / 1000


# ---- a whole reload


class _Nobody:
    """Nobody listens to this reconciler."""

    def acted(self, action: Action) -> None: ...
    def holds_changed(self) -> None: ...
    def troubled(self, text: str) -> None: ...
    def ledger_changed(self) -> None: ...


@dataclass(slots=True)
class _Times:
    """What each reload took, in µs."""

    planned: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    swapped: list[float] = field(default_factory=list)
    blocked: list[float] = field(default_factory=list)


def _reload(here: Studio, rounds: int) -> list[Bound]:
    """All rules, or a few of them, are other ones than before, over all ports."""
    others = studio(0, seed=501).rules
    few = [*others[:FEW], *here.rules[FEW:]]
    graph = Graph()
    for port in (*here.partners, *here.others):
        graph.add_port(port)
    parsed, scratch = [], []
    all_new, few_new = _Times(), _Times()
    gc.collect()
    gc.freeze()  # as the daemon does when it has begun
    for _ in range(rounds):
        parsed.append(_timed_us(partial(read, here.rules)))
        config = read(here.rules)
        scratch.append(_timed_us(partial(_wanted, config, graph)))
        asyncio.run(_in_slices(graph, read(others), config, all_new))
        asyncio.run(_in_slices(graph, config, read(few), few_new))
    gc.unfreeze()
    print(
        f"\n{sum(SHARES.values())} rules over {len(graph.ports):,} ports, each of which {_matches_each(here):.1f} of them "
        f"match; {_wanted(here.config, graph):,} pairs are wanted; {rounds} rounds, in ms\n"
    )
    rows = [
        ["the text is read and checked (in a thread)", *_summary(parsed)],
        ["from nothing to what is wanted, in one go", *_summary(scratch)],
        *_rows("all rules are other ones: from the configuration to the plan, in slices", all_new),
        *_rows(f"{FEW} of them are", few_new),
    ]
    print(table(["", "median", "first", "slowest"], rows))
    took, blocked = median(all_new.planned) / 1000, max(median(each.blocked) for each in (all_new, few_new)) / 1000
    return [
        Bound(f"matching: {took:.0f} ms for a whole reload (median at most {MOST_RELOAD_MS})", took <= MOST_RELOAD_MS),
        Bound(
            f"matching: {blocked:.0f} ms without a turn for others (median at most {MOST_BLOCKED_MS})", blocked <= MOST_BLOCKED_MS
        ),
    ]


def _rows(what: str, times: _Times) -> list[list[str]]:
    return [
        [what, *_summary(times.planned)],
        ["   CPU time of it", *_summary(times.worked)],
        ["   until it is in force, in one go", *_summary(times.swapped)],
        ["   the loop's longest wait, until the old rules are gone", *_summary(times.blocked)],
    ]


def _wanted(config: Config, graph: Graph) -> int:
    return len(_matcher(config, list(graph.ports.values())).wanted())


def _matches_each(here: Studio) -> float:
    """Give how many rules match a port, on the average."""
    matcher = _matcher(here.config, [*here.partners, *here.others])
    return sum(matcher.ports_matched(rule.name) for rule in matcher.rules) / len([*here.partners, *here.others])


def _summary(values: Sequence[float]) -> list[str]:
    return [ms(median(values)), ms(values[0]), ms(max(values))]


async def _in_slices(graph: Graph, before: Config, config: Config, times: _Times) -> None:
    """Reload once, and see when something else has a turn."""
    turns: list[int] = []
    over = False

    async def others() -> None:
        while not over:
            turns.append(time.perf_counter_ns())
            await asyncio.sleep(0)
        turns.append(time.perf_counter_ns())

    with tempfile.TemporaryDirectory() as folder:
        rules = Rules(graph, Reconciler(graph, _Nobody()), Inhibitors(lambda: None), StateFile(Path(folder)))
        rules.put_in_force(before, rules.matcher(before))
        run_at_once(rules._reconciler.matcher.book.tidy_in_steps())  # as when it has been at rest
        gc.collect()  # what other rounds left
        async with asyncio.TaskGroup() as group:
            group.create_task(others())
            await asyncio.sleep(0)
            began, began_work = time.perf_counter_ns(), time.thread_time_ns()
            prepared = await rules.prepare(config)
            times.planned.append((time.perf_counter_ns() - began) / 1000)
            times.worked.append((time.thread_time_ns() - began_work) / 1000)
            times.swapped.append(_timed_us(partial(rules.put_prepared_in_force, prepared)))
            await asyncio.sleep(0.1)
            over = True
    times.blocked.append(max(after - before for before, after in pairwise(turns)) / 1000)
