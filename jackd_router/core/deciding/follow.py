"""Following: whatever feeds a followed port shall feed its partners as well.

Pairing says which partners a followed port has; the connections that there are say which pairs that makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from jackd_router.core.config import Rule
from jackd_router.core.deciding.choices import Choice, Choices, most_wanted
from jackd_router.core.graph import Connection, PortName, client_of


class Partner(NamedTuple):
    """A followed port, and one that shall get whatever the followed one gets, by a rule (its rank)."""

    rank: int
    followed: PortName
    partner: PortName


_Made = tuple[Connection, int]
"""A pair, and the rank of the rule that chooses it."""


class Follows:
    """The partners, and the pairs that they and the present connections make."""

    def __init__(self, rules: Mapping[int, Rule], choices: Choices) -> None:
        """Take the rules that follow, by rank, and where what they choose is noted."""
        self._rules, self._choices = rules, choices
        self._partners: dict[Partner, Choice] = {}
        self._by_followed: dict[PortName, dict[Partner, Choice]] = {}
        self._left_out: frozenset[Partner] = frozenset()
        self._made: dict[PortName, dict[_Made, Choice]] = {}
        self._reasons: dict[_Made, dict[PortName, Choice]] = {}
        self._stale: set[PortName] = set()
        self._changed = False

    @property
    def left_out(self) -> frozenset[Partner]:
        """The partners that would have closed a circle, in which a connection keeps itself alive."""
        return self._left_out

    @property
    def is_stale(self) -> bool:
        """Whether there is something to settle."""
        return self._changed or bool(self._stale)

    def set(self, partner: Partner, choice: Choice) -> None:
        """Note a partner, and as what it is chosen: bypassed is one that shall not get it, as the way leads through `via`."""
        self._partners[partner] = choice
        self._changed = True

    def remove(self, partner: Partner) -> None:
        """Forget a partner."""
        self._partners.pop(partner, None)
        self._changed = True

    def fed(self, port: PortName) -> None:
        """Note that another source feeds a port, or one less."""
        if port in self._by_followed:
            self._stale.add(port)

    def look_again(self) -> None:
        """Note that all connections may be other ones."""
        self._stale.update(self._by_followed)

    def settle(
        self, connections_of: Callable[[PortName], Iterable[Connection]], is_outside: Callable[[Partner, PortName], bool]
    ) -> None:
        """Choose what the partners and the connections make now; `is_outside` tells who is no source for a partner."""
        if self._changed:
            self._changed = False
            self._accept()
        stale, self._stale = self._stale, set()
        for followed in stale:
            self._make(followed, connections_of(followed), is_outside)

    def _accept(self) -> None:
        """Take the partners rule by rule, but for those that close a circle."""
        before = self._by_followed
        self._by_followed, left_out = {}, set()
        for partner, choice in sorted(self._partners.items()):
            if not choice.is_bypassed and self._leads(partner.partner, partner.followed):
                left_out.add(partner)
            else:
                self._by_followed.setdefault(partner.followed, {})[partner] = choice
        self._left_out = frozenset(left_out)
        ports = before.keys() | self._by_followed.keys()
        self._stale |= {port for port in ports if before.get(port) != self._by_followed.get(port)}

    def _leads(self, port: PortName, target: PortName) -> bool:
        """Tell whether what is fed to a port gets to the target by following."""
        waiting, seen = [port], {port}
        while waiting:
            now = waiting.pop()
            if now == target:
                return True
            partners = self._by_followed.get(now, {}).items()
            further = {partner.partner for partner, choice in partners if not choice.is_bypassed} - seen
            seen |= further
            waiting += further
        return False

    def _make(
        self, followed: PortName, connections: Iterable[Connection], is_outside: Callable[[Partner, PortName], bool]
    ) -> None:
        sources = [connection.source for connection in connections if connection.destination == followed]
        made: dict[_Made, Choice] = {
            (Connection(source, partner.partner), partner.rank): choice
            for partner, choice in self._by_followed.get(followed, {}).items()
            for source in sources
            if not (self._is_of_same_client(source, partner) or is_outside(partner, source))
        }
        before = self._made.pop(followed, {})
        if made:
            self._made[followed] = made
        for each in before.keys() - made.keys():
            del self._reasons[each][followed]
            self._choose(*each)
        for each, choice in made.items():
            self._reasons.setdefault(each, {})[followed] = choice
            self._choose(*each)

    def _choose(self, connection: Connection, rank: int) -> None:
        """Choose a pair as the followed ports want it; no longer, where none does."""
        reasons = self._reasons[connection, rank]
        if reasons:
            self._choices.choose(connection, rank, most_wanted(reasons.values()))
        else:
            del self._reasons[connection, rank]
            self._choices.drop(connection, rank)

    def _is_of_same_client(self, source: PortName, partner: Partner) -> bool:
        return _same_client(source, partner.partner) and not self._rules[partner.rank].same_client

    def reasons(self, connection: Connection, rank: int) -> frozenset[PortName]:
        """Give the followed ports because of which a rule chooses the pair."""
        reasons = self._reasons.get((connection, rank), {})
        return frozenset(followed for followed, choice in reasons.items() if not choice.is_bypassed)

    def chosen_by(self, rank: int) -> frozenset[Connection]:
        """Give the pairs that a rule chooses because of what it follows."""
        made = ((pair, reasons) for (pair, other), reasons in self._reasons.items() if other == rank)
        return frozenset(pair for pair, reasons in made if not most_wanted(reasons.values()).is_bypassed)


def _same_client(one: PortName, other: PortName) -> bool:
    return client_of(one) == client_of(other)
