"""The cells of all rules of one matcher: what they choose, gathered from rule to rule, and what is still to be paired."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from jackd_router.core.config import Rule
from jackd_router.core.deciding.choices import Choice, Choices
from jackd_router.core.deciding.follow import Follows, Partner
from jackd_router.core.deciding.rule_cells import RuleCells
from jackd_router.core.graph import Connection, PortName


class Cells:
    """What the connect rules choose, by rank."""

    def __init__(self, rules: Sequence[Rule], choices: Choices) -> None:
        """Take the rules by rank, and where choices are noted; a rule counts from `add` on."""
        self._choices = choices
        self.follows = Follows({rank: rule for rank, rule in enumerate(rules) if rule.follows}, choices)
        self._cells: dict[int, RuleCells] = {}
        self._stale: dict[RuleCells, None] = {}
        self.via_version = 0
        """Grows whenever `via_passages` may give something else."""

    def add(self, rank: int, cells: RuleCells) -> None:
        """Take the cells of the rule of this rank, and what they choose already."""
        self._cells[rank] = cells
        cells.join(self, rank)

    def leave(self) -> None:
        """Let go of all rules."""
        for cells in self._cells.values():
            cells.leave(self)
        self._cells.clear()
        self._stale.clear()

    # ---- what rules tell

    def rule_is_stale(self, cells: RuleCells) -> None:
        """Note that a rule may choose something else."""
        self._stale[cells] = None

    def rule_is_settled(self, cells: RuleCells) -> None:
        """Note that what it chooses is known again."""
        del self._stale[cells]

    def way_changed(self) -> None:
        """Note that sound may pass through other clients of `via`."""
        self.via_version += 1

    def followed_changed(self) -> None:
        """Note that whoever feeds what a rule follows may be somebody else to it."""
        self.follows.look_again()

    def choose(self, rank: int, connection: Connection, choice: Choice) -> None:
        """Note that a rule chooses a pair, as this now."""
        self._choices.choose(connection, rank, choice)

    def drop(self, rank: int, connection: Connection) -> None:
        """Note that a rule chooses a pair no longer."""
        self._choices.drop(connection, rank)

    def pair_partner(self, rank: int, connection: Connection, choice: Choice) -> None:
        """Note a followed port and its partner."""
        self.follows.set(Partner(rank, *connection), choice)

    def drop_partner(self, rank: int, connection: Connection) -> None:
        """Note that they are partners no longer."""
        self.follows.remove(Partner(rank, *connection))

    # ---- what is to be paired

    @property
    def is_stale(self) -> bool:
        """Whether there is something to pair anew."""
        return bool(self._stale) or self.follows.is_stale

    def settle_in_steps(self, connections_of: Callable[[PortName], Iterable[Connection]]) -> Generator[None, None, None]:
        """Pair anew what is stale, and pause after each rule: thousands of ports that come at once take their time."""
        while self._stale:
            next(iter(self._stale)).settle()
            yield
        self.follows.settle(connections_of, self._is_outside)

    def _is_outside(self, partner: Partner, source: PortName) -> bool:
        return self._cells[partner.rank].is_outside(partner.followed, source)

    # ---- what there is, as far as it is settled

    def of(self, rank: int) -> RuleCells:
        """Give the cells of one rule."""
        return self._cells[rank]

    def chosen_by(self, rank: int) -> frozenset[Connection]:
        """Give the pairs that a rule chooses to connect, whoever decides them."""
        cells = self._cells.get(rank)
        return frozenset() if cells is None else cells.chosen | self.follows.chosen_by(rank)

    def via_passages(self) -> Iterator[tuple[PortName, PortName]]:
        """Give (input, output) of each client that an active rule leads sound through; of our buses the matrix tells more."""
        for cells in self._cells.values():
            yield from cells.via_passages()
