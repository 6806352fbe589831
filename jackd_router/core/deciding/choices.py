"""Choices: which rules choose which pairs, and as what. Kept by pair, by port, and by what must be complete together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from jackd_router.core.graph import Connection, PortName, PortType

Group = tuple[int, PortType, object, str, str]
"""Pairs of a rule with `complete` that are all made or none: its rank, type, hop, source client, destination client."""


class Choice(NamedTuple):
    """As what a rule chooses a pair."""

    is_rest: bool = False
    """Only the rest of a fan-out, of which more ports of the same client may make something else."""
    is_bypassed: bool = False
    """Decided against: the way leads through a client of `via`."""
    group: Group | None = None


def most_wanted(choices: Iterable[Choice]) -> Choice:
    """Give the choice that counts of several by one rule: wanted rather than decided against, made rather than waited for."""
    return min(choices, key=lambda choice: (choice.is_bypassed, choice.is_rest))


_NOTHING: Mapping[int, Choice] = {}


class Choices:
    """What all rules, by their rank, choose."""

    def __init__(self) -> None:
        self._by_pair: dict[Connection, dict[int, Choice]] = {}
        self._by_port: dict[PortName, set[Connection]] = {}
        self._by_group: dict[Group, set[Connection]] = {}
        self._changed: set[Connection] = set()

    def __iter__(self) -> Iterator[Connection]:
        """Give every pair that is chosen."""
        return iter(self._by_pair)

    def of(self, connection: Connection) -> Mapping[int, Choice]:
        """Give the ranks that choose the pair, each with its choice."""
        return self._by_pair.get(connection, _NOTHING)

    def at(self, port: PortName) -> Collection[Connection]:
        """Give the pairs of a port that are chosen."""
        return self._by_port.get(port, ())

    def group(self, group: Group) -> Collection[Connection]:
        """Give the pairs that are made together or not at all."""
        return self._by_group.get(group, ())

    def choose(self, connection: Connection, rank: int, choice: Choice) -> None:
        """Let a rule choose the pair, as this now."""
        choices = self._by_pair.get(connection)
        if choices is None:
            choices = self._by_pair[connection] = {}
            for end in connection:
                self._by_port.setdefault(end, set()).add(connection)
        before = choices.get(rank)
        if before == choice:
            return
        if before is not None:
            self._forget_group(connection, before)
        choices[rank] = choice
        if choice.group is not None:
            self._by_group.setdefault(choice.group, set()).add(connection)
        self._changed.add(connection)

    def drop(self, connection: Connection, rank: int) -> None:
        """Let a rule choose the pair no longer."""
        ranks = self._by_pair.get(connection)
        if ranks is None or rank not in ranks:
            return
        self._forget_group(connection, ranks.pop(rank))
        self._changed.add(connection)
        if ranks:
            return
        del self._by_pair[connection]
        for end in connection:
            self._by_port[end].discard(connection)
            if not self._by_port[end]:
                del self._by_port[end]

    def _forget_group(self, connection: Connection, choice: Choice) -> None:
        if choice.group is None:
            return
        others = self._by_group[choice.group]
        others.discard(connection)
        self._changed |= others
        if not others:
            del self._by_group[choice.group]

    def touch(self, connections: Collection[Connection]) -> None:
        """Note pairs about which something else than a choice changed."""
        self._changed.update(connections)

    def take_changed(self) -> set[Connection]:
        """Give the pairs that changed since the last call, and those that are made together with one of them."""
        changed, self._changed = self._changed, set()
        for connection in list(changed):
            for choice in self.of(connection).values():
                if choice.group is not None:
                    changed |= self._by_group[choice.group]
        return changed
