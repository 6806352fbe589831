"""Takes back what people changed, step by step, in the ways in which it was changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

from jackd_router.core.deciding.words import pair_text
from jackd_router.core.errors import NoSuchProfile, NoSuchRule, NothingToUndo
from jackd_router.core.graph import Connection, Graph
from jackd_router.core.undo import (
    AllRulesSwitched,
    Hold,
    PairChange,
    PairsChanged,
    ProfileSwitched,
    RuleSwitched,
    Standing,
    Step,
    Switch,
    UndoStack,
    sentence,
)
from jackd_router.runtime.by_hand import ByHand
from jackd_router.runtime.state import UndoReport
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ways:
    """How each thing is changed, and what is told of it."""

    require_server: Callable[[], None]
    switch_profile: Callable[[str, Iterable[Connection]], object]
    """Switch to the profile, in which these pairs are held as cut."""
    put_switch: Callable[[str, Switch], None]
    enable_rules: Callable[[bool], None]
    applied: Callable[[], Awaitable[None]]
    steps_changed: Callable[[], None]


class Undo:
    """Remembers what people changed since the daemon started. What it takes back it does not remember: there is no redo."""

    def __init__(self, graph: Graph, by_hand: ByHand, ways: Ways) -> None:
        """Take the mirror's graph, who changes single pairs, and the ways for the rest."""
        self._graph, self._by_hand, self._ways = graph, by_hand, ways
        self._stack = UndoStack()
        self._one_by_one = asyncio.Lock()

    @property
    def steps(self) -> list[tuple[int, str]]:
        """When each step was made (µs since the epoch), and what it was, for people; the newest first."""
        return self._stack.entries()

    def note(self, step: Step) -> None:
        """Remember a step, unless it changed nothing."""
        if self._stack.push(time.time_ns() // 1000, step):
            self._ways.steps_changed()

    async def take_back(self) -> UndoReport:
        """Take the newest step back, as far as that can be done.

        Raise NothingToUndo, and ServerLost for connections while there is no server: then the step stays.
        """
        async with self._one_by_one:
            step = self._stack.last()
            if step is None:
                raise NothingToUndo("there is nothing to undo: nothing was changed through the daemon since it started")
            if isinstance(step, PairsChanged):
                self._ways.require_server()
            before = frozenset(self._graph.connections)
            with self._by_hand.one_burst():
                failed = await self._reverse(step)
                self._stack.drop(step)
                self._ways.steps_changed()
                await self._ways.applied()
            now = self._graph.connections
            log.info("Undone: %s", sentence(step), extra={"MESSAGE_ID": Event.UNDONE})
            return UndoReport(
                what=sentence(step),
                connect=tuple(sorted(now - before)),
                disconnect=tuple(sorted(before - now)),
                failed=tuple(pair for pair, _ in failed if pair is not None),
                problems=tuple(text for _, text in failed),
            )

    async def _reverse(self, step: Step) -> list[tuple[Connection | None, str]]:
        """Do the opposite of a step; give what cannot be done, and why not."""
        match step:
            case PairsChanged(changes):
                return await self._put_back(changes)
            case ProfileSwitched(before, _, held):
                try:
                    self._ways.switch_profile(before, held)
                except NoSuchProfile as error:
                    return [(None, str(error))]
                cut = Standing(connected=False, hold=Hold.CUT)
                return await self._put_back(PairChange(pair, cut, cut) for pair in held if pair in self._graph.connections)
            case RuleSwitched(name, _, switch):
                try:
                    self._ways.put_switch(name, switch)
                except NoSuchRule as error:
                    return [(None, str(error))]
                return []
            case AllRulesSwitched(enabled):
                self._ways.enable_rules(not enabled)
                return []
            case _:
                assert_never(step)

    async def _put_back(self, changes: Iterable[PairChange]) -> list[tuple[Connection | None, str]]:
        failed = await self._by_hand.put_back(changes)
        return [(pair, f"{pair_text(pair)}: {error}") for pair, error in failed]
