"""Following: whatever feeds a followed port shall feed its partners as well.

Pairing says which partners a followed port has; the connections that there are say which pairs that makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from jackd_router.core.choices import Choice, Choices
from jackd_router.core.config import Rule
from jackd_router.core.graph import Connection, PortName


class Partner(NamedTuple):
    """A followed port, and one that shall get whatever the followed one gets, by a rule (its rank).

    `is_bypassed`: one that shall not, as the way leads through a client of `via`.
    """

    rank: int
    followed: PortName
    partner: PortName
    is_bypassed: bool = False


class _Made(NamedTuple):
    """What a partner and a connection make."""

    connection: Connection
    rank: int
    is_bypassed: bool


class Follows:
    """The partners, and the pairs that they and the present connections make."""

    def __init__(self, rules: Mapping[int, Rule], choices: Choices, is_outside: Callable[[Partner, PortName], bool]) -> None:
        """Take the rules that follow, by rank, where what they choose is noted, and who is no source for a partner."""
        self._rules, self._choices, self._is_outside = rules, choices, is_outside
        self._partners: set[Partner] = set()
        self._by_followed: dict[PortName, set[Partner]] = {}
        self._left_out: frozenset[Partner] = frozenset()
        self._made: dict[PortName, set[_Made]] = {}
        self._reasons: dict[_Made, set[PortName]] = {}
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

    def add(self, partner: Partner) -> None:
        """Note a partner."""
        self._partners.add(partner)
        self._changed = True

    def remove(self, partner: Partner) -> None:
        """Forget a partner."""
        self._partners.discard(partner)
        self._changed = True

    def fed(self, port: PortName) -> None:
        """Note that another source feeds a port, or one less."""
        if port in self._by_followed:
            self._stale.add(port)

    def look_again(self) -> None:
        """Note that all connections may be other ones."""
        self._stale.update(self._by_followed)

    def settle(self, connections_of: Callable[[PortName], Iterable[Connection]]) -> None:
        """Choose what the partners and the connections make now."""
        if self._changed:
            self._changed = False
            self._accept()
        stale, self._stale = self._stale, set()
        for followed in stale:
            self._make(followed, connections_of(followed))

    def _accept(self) -> None:
        """Take the partners rule by rule, but for those that close a circle."""
        before = self._by_followed
        self._by_followed, left_out = {}, set()
        for partner in sorted(self._partners):
            if not partner.is_bypassed and self._leads(partner.partner, partner.followed):
                left_out.add(partner)
            else:
                self._by_followed.setdefault(partner.followed, set()).add(partner)
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
            further = {partner.partner for partner in self._by_followed.get(now, ()) if not partner.is_bypassed} - seen
            seen |= further
            waiting += further
        return False

    def _make(self, followed: PortName, connections: Iterable[Connection]) -> None:
        sources = [connection.source for connection in connections if connection.destination == followed]
        made = {
            _Made(Connection(source, partner.partner), partner.rank, partner.is_bypassed)
            for partner in self._by_followed.get(followed, ())
            for source in sources
            if not self._is_left_out(source, partner)
        }
        before = self._made.pop(followed, set())
        if made:
            self._made[followed] = made
        for each in before - made:
            reasons = self._reasons[each]
            reasons.discard(followed)
            if not reasons:
                del self._reasons[each]
                self._choices.drop(each.connection, each.rank)
        for each in made - before:
            self._reasons.setdefault(each, set()).add(followed)
            self._choices.choose(each.connection, each.rank, Choice(is_bypassed=each.is_bypassed))

    def _is_left_out(self, source: PortName, partner: Partner) -> bool:
        if _same_client(source, partner.partner) and not self._rules[partner.rank].same_client:
            return True
        return self._is_outside(partner, source)

    def reasons(self, connection: Connection, rank: int) -> frozenset[PortName]:
        """Give the followed ports because of which a rule chooses the pair."""
        return frozenset(self._reasons.get(_Made(connection, rank, False), ()))

    def chosen_by(self, rank: int) -> frozenset[Connection]:
        """Give the pairs that a rule chooses because of what it follows."""
        return frozenset(made.connection for made in self._reasons if made.rank == rank and not made.is_bypassed)


def _same_client(one: PortName, other: PortName) -> bool:
    return one.partition(":")[0] == other.partition(":")[0]
