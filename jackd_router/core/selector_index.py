"""An index of selectors by how the name of a matching client begins: a port is compared only with those that may match."""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

from jackd_router.core.graph import Port
from jackd_router.core.selectors import Beginning, Selectors

Owner = TypeVar("Owner")


class SelectorIndex(Generic[Owner]):
    """Owners of selectors, found by port. Selectors whose beginning is not plain are given for every port."""

    __slots__ = ("_lengths", "_owners")

    def __init__(self) -> None:
        self._owners: dict[Beginning, set[Owner]] = {}
        self._lengths: Counter[int] = Counter()

    def add(self, owner: Owner, selectors: Selectors) -> None:
        """Add the owner of these selectors."""
        for beginning in {selector.beginning() for selector in selectors}:
            owners = self._owners.setdefault(beginning, set())
            if not owners and not beginning.whole:
                self._lengths[len(beginning.text)] += 1
            owners.add(owner)

    def remove(self, owner: Owner, selectors: Selectors) -> None:
        """Remove what was added."""
        for beginning in {selector.beginning() for selector in selectors}:
            owners = self._owners[beginning]
            owners.discard(owner)
            if owners:
                continue
            del self._owners[beginning]
            if not beginning.whole:
                self._lengths[len(beginning.text)] -= 1
                self._lengths += Counter()

    def may_match(self, port: Port) -> set[Owner]:
        """Give the owners of all selectors that may match, and of some that do not."""
        found: set[Owner] = set()
        for client in client_names(port):
            found.update(self._owners.get(Beginning(client, whole=True), ()))
            for length in self._lengths:
                found.update(self._owners.get(Beginning(client[:length], whole=False), ()))
        return found


def client_names(port: Port) -> set[str]:
    """Give the names of clients under which the port may be meant: its own, and those of its aliases."""
    return {name.partition(":")[0] for name in (port.name, *port.aliases)}
