"""Positions: which port is the nth of those that a selector matches, in natural order over all clients."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Protocol

from jackd_router.core.graph import Port, PortName, PortType
from jackd_router.core.names import NaturalKey
from jackd_router.core.selecting.selectors import PortSelector, Selector, flow, match


class Known(Protocol):
    """A port that is there: as it is, as selectors see it, and what it is sorted by."""

    @property
    def port(self) -> Port:
        """The port."""

    @property
    def seen(self) -> Port:
        """The port under the name by which selectors know it."""

    @property
    def order(self) -> NaturalKey:
        """Its place in natural order."""


class _Line(NamedTuple):
    """Who is counted together: matches of a selector of one direction and type."""

    selector: PortSelector
    is_source: bool
    type: PortType


class Positions:
    """Lines of ports, one for each selector with `nth`, direction and type. Falsy while no selector counts."""

    def __init__(self) -> None:
        self._users: dict[PortSelector, int] = {}
        self._lines: dict[_Line, list[tuple[NaturalKey, PortName]]] = {}

    def __bool__(self) -> bool:
        """Whether any selector counts."""
        return bool(self._users)

    def begin(self, selector: PortSelector, known: Iterable[Known]) -> None:
        """Count for one more selector of this text; the ports that are there are counted."""
        self._users[selector] = self._users.get(selector, 0) + 1
        if self._users[selector] == 1:
            for each in known:
                self._add_to(selector, each.port.name, each.seen, each.order)

    def end(self, selector: PortSelector) -> None:
        """Count for one selector of this text less."""
        self._users[selector] -= 1
        if not self._users[selector]:
            del self._users[selector]
            self._lines = {line: ports for line, ports in self._lines.items() if line.selector != selector}

    def add(self, name: PortName, seen: Port, order: NaturalKey) -> set[PortName]:
        """Count a port; give the others that are now chosen, or not, unlike before."""
        moved = [self._add_to(selector, name, seen, order) for selector in self._users]
        return set().union(*moved)

    def remove(self, name: PortName, seen: Port, order: NaturalKey) -> set[PortName]:
        """Count a port no longer; give the others that are now chosen, or not, unlike before."""
        moved: set[PortName] = set()
        for selector in self._users:
            ports = self._lines.get(_Line(selector, seen.is_source, flow(seen.type)), [])
            at = bisect_left(ports, (order, name))
            if at < len(ports) and ports[at] == (order, name):
                del ports[at]
                moved |= _moved(selector, ports, at, -1)
        return moved

    def counts(self, selector: Selector, name: PortName, seen: Port, order: NaturalKey) -> bool:
        """Tell whether a port that matches the rest of the selector stands at one of its positions."""
        if not isinstance(selector, PortSelector) or selector.nth is None:
            return True
        ports = self._lines.get(_Line(selector, seen.is_source, flow(seen.type)), [])
        at = bisect_left(ports, (order, name))
        return at < len(ports) and ports[at] == (order, name) and at + 1 in selector.nth

    def _add_to(self, selector: PortSelector, name: PortName, seen: Port, order: NaturalKey) -> set[PortName]:
        if seen.type is PortType.CV and selector.type is not PortType.CV:
            return set()
        if match((replace(selector, nth=None),), seen) is None:
            return set()
        ports = self._lines.setdefault(_Line(selector, seen.is_source, flow(seen.type)), [])
        insort(ports, (order, name))
        return _moved(selector, ports, bisect_left(ports, (order, name)) + 1, 1)


def _moved(selector: PortSelector, ports: list[tuple[NaturalKey, PortName]], begin: int, shift: int) -> set[PortName]:
    """Give the ports from `begin` on whose being chosen changed as they moved by one position."""
    assert selector.nth is not None
    numbers = range(begin + 1, len(ports) + 1)
    return {ports[now - 1][1] for now in numbers if (now in selector.nth) is not (now - shift in selector.nth)}
