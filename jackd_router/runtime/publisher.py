"""Tells listeners what changed, once per burst and never inside of a turn: first the graph, then what rules did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jackd_router.core.graph import PortName
from jackd_router.runtime.burst import Burst
from jackd_router.runtime.mirror import Changes, Mirror
from jackd_router.runtime.state import Listener

_BURST_S = 0.005
"""How long the first change of a burst waits for the others: a client that comes registers its ports one by one."""
ONE_BURST_S = 0.5
"""How long it waits for the end of a call that changes many things."""


class Publisher:
    """Collects until the event loop is about to rest, then tells everybody."""

    def __init__(self, mirror: Mirror) -> None:
        """Take the mirror whose graph and version are announced."""
        self._mirror = mirror
        self._burst = Burst(mirror.version)
        self._actions: list[tuple[str, str, PortName, PortName]] = []
        self._rules: dict[str, None] = {}
        self._graph_changed = self._holds_changed = False
        self._timer: asyncio.TimerHandle | None = None
        self._calls = 0
        """That change many things, and whose end is waited for."""
        self.listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell this one, too; give what ends that."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, what: Callable[[Listener], None]) -> None:
        """Tell everybody something at once, that is neither of the graph nor of what rules do."""
        for listener in tuple(self.listeners):
            what(listener)

    def graph(self, changes: Changes) -> None:
        """Announce changes of the graph."""
        if changes:
            self._burst.add(changes)
            self._graph_changed = True
            self._schedule()

    def action(self, rule: str, verb: str, source: PortName, destination: PortName) -> None:
        """Announce something that was done for a rule."""
        self._actions.append((rule, verb, source, destination))
        self._rules[rule] = None
        self._schedule()

    def rule(self, name: str) -> None:
        """Announce that a rule ("": perhaps every rule) is in another state."""
        self._rules[name] = None
        self._schedule()

    def holds(self) -> None:
        """Announce that other pairs are held or contested than before."""
        self._holds_changed = True
        self._schedule()

    @contextmanager
    def one_burst(self) -> Iterator[None]:
        """Tell at the end what changes meanwhile, as one burst; what takes long is told by the way, or with what others do."""
        self.flush()
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self.flush()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ONE_BURST_S if self._calls else _BURST_S, self.flush)

    def flush(self) -> None:
        """Tell everything that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._graph_changed:
            self._graph_changed = False
            diff = self._burst.take(self._mirror.graph, self._mirror.version)
            for listener in tuple(self.listeners):
                listener.graph_changed(diff)
        actions, self._actions = self._actions, []
        rules, self._rules = list(self._rules), {}
        holds, self._holds_changed = self._holds_changed, False
        for listener in tuple(self.listeners):
            if actions:
                listener.applied(actions)
            if rules:
                listener.rules_changed([] if "" in rules else rules)
            if holds:
                listener.holds_changed()
