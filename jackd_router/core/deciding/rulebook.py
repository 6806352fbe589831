"""The rulebook: the ports that are there, and rules with what they find among them, for each matcher that has these rules.

There is one matcher, but during a reload: then the one to come reads in the same book. Rules that stay as they are are in it
already and are not matched anew; those that only one of the two has leave the other one as it is.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Protocol

from jackd_router.core.config import Action, Rule
from jackd_router.core.deciding.membership import Membership, Part, Place
from jackd_router.core.deciding.rule_cells import RuleCells
from jackd_router.core.graph import Port, PortName, PortType


class Reader(Protocol):
    """Who reads in the book."""

    def condition_changed(self, slot: int) -> None:
        """Note that `when` of a rule, be it one of the reader's or not, may hold now, or not any more."""

    def port_changed(self, name: PortName) -> None:
        """Note that a port came or goes."""

    def port_moved(self, name: PortName) -> None:
        """Note that a port is another one to selectors with `nth`."""


class Rulebook:
    """Ports, and rules by their slots."""

    def __init__(self, client_name: str, configured_name: str, *, cv_is_named: bool) -> None:
        """Take what our client is called and what the configuration calls it, and whether CV is a type of its own."""
        self.membership = Membership(self)
        self.cv_is_named = cv_is_named
        self._names = (client_name, configured_name)
        self._cells: dict[int, RuleCells] = {}
        self._readers: list[Reader] = []
        self._had_by: dict[int, int] = {}
        """How many readers have each rule."""
        self._unused: list[int] = []
        self._is_being_tidied = False

    def suits(self, client_name: str, configured_name: str, *, cv_is_named: bool) -> bool:
        """Tell whether ports are in it as a reader with these names sees them."""
        return self._names == (client_name, configured_name) and self.cv_is_named is cv_is_named

    def knows(self, ports: Mapping[PortName, Port]) -> bool:
        """Tell whether these are the ports that are in it."""
        members = self.membership.members
        known = ((members[name].port, port) for name, port in ports.items())
        # Nearly always they are the same objects, which is seen at once.
        return members.keys() == ports.keys() and all(ours is port or ours == port for ours, port in known)

    # ---- readers and their rules

    def open(self, reader: Reader) -> None:
        """Tell a reader of what changes."""
        self._readers.append(reader)

    def enrol(self, rule: Rule, *, counts: bool) -> int:
        """Write a rule down for one reader, and give its slot; ports are to be asked by `membership.ask_in_steps`.

        `counts`: whether the rule is switched on, and of the active profile.
        """
        slot = self.membership.enrol(rule)
        self._had_by[slot] = 1
        if rule.action is Action.CONNECT:
            self._cells[slot] = RuleCells(slot, rule, self._names[0], self.membership, counts=counts)
        return slot

    def share(self, slot: int, *, counts: bool) -> bool:
        """Let one reader more have a rule; False where nobody has it any more, or it counts for others and not for this one."""
        cells = self._cells.get(slot)
        if not self._had_by.get(slot) or (cells is not None and cells.counts is not counts):
            return False
        self._had_by[slot] += 1
        return True

    def cells(self, slot: int) -> RuleCells:
        """Give the cells of a rule that connects."""
        return self._cells[slot]

    def close(self, reader: Reader, slots: list[int]) -> None:
        """Let a reader go, with the rules that it had: those that nobody has now are to be swept out."""
        self._readers = [each for each in self._readers if each is not reader]
        for slot in slots:
            self._had_by[slot] -= 1
            if not self._had_by[slot]:
                self._unused.append(slot)
        if not self._readers:
            # The parts know each other, so that only the garbage collector would find them: a stop of 0.1 s with 4,000 ports.
            self.membership.forget_listener()
            self._unused.clear()

    @property
    def is_tidy(self) -> bool:
        """Whether nothing is left for `tidy_in_steps`, or somebody is at it."""
        return self._is_being_tidied or not (self._unused or (self._readers and not self.membership.is_tidy))

    def tidy_in_steps(self) -> Generator[None, None, None]:
        """Forget the rules that nobody has any more, and be quick again about what comes next; with pauses.

        Ends at once where somebody is at it, and as soon as nobody reads in the book any more.
        """
        if self._is_being_tidied:
            return
        self._is_being_tidied = True
        try:
            yield from self._sweep_in_steps()
            for _ in self.membership.tidy_in_steps():
                if not self._readers:
                    return
                yield
            yield from self._sweep_in_steps()
        finally:
            self._is_being_tidied = False

    def _sweep_in_steps(self) -> Generator[None, None, None]:
        while self._unused:
            slot = self._unused.pop()
            del self._had_by[slot]
            self._cells.pop(slot, None)
            self.membership.dismiss(slot)
            yield

    # ---- ports

    def add_port(self, port: Port) -> None:
        """Add the port, or replace what was known under its name."""
        known = self.membership.members.get(port.name)
        if known is not None:
            if known.port == port or replace(known.port, registration=port.registration) == port:
                known.port = port
                return
            self.remove_port(port.name)
        self.membership.add(port, self._seen(port))
        self._tell_of(port.name)

    def remove_port(self, name: PortName) -> None:
        """Remove the port, if it is there."""
        if name in self.membership.members:
            self._tell_of(name)
            self.membership.remove(name)

    def _tell_of(self, name: PortName) -> None:
        for reader in self._readers:
            reader.port_changed(name)

    def name_cv(self, named: bool) -> None:
        """Let CV be a type of its own, or audio."""
        if named is self.cv_is_named:
            return
        self.cv_is_named = named
        for port in [member.port for member in self.membership.members.values() if member.port.type is PortType.CV]:
            self.remove_port(port.name)
            self.add_port(port)

    def _seen(self, port: Port) -> Port:
        """Give the port as selectors see it.

        Our client goes by its configured name, whoever else has that goes by ours; CV is audio while no rule names it.
        """
        if port.type is PortType.CV and not self.cv_is_named:
            port = replace(port, type=PortType.AUDIO)
        ours, configured = self._names
        client = port.client
        if ours == configured or client not in self._names:
            return port
        return replace(port, name=PortName(f"{configured if client == ours else ours}:{port.short_name}"))

    # ---- what the membership tells

    def part_changed(self, part: Part, place: Place, client: str) -> None:
        """Note that a port came to or left a place of a rule."""
        cells = self._cells.get(part.slot)
        if cells is not None:
            cells.part_changed(part, place, client)

    def condition_changed(self, slot: int) -> None:
        """Note that `when` of a rule may hold now, or not any more."""
        cells = self._cells.get(slot)
        if cells is not None:
            cells.condition_changed()
        for reader in self._readers:
            reader.condition_changed(slot)

    def port_moved(self, name: PortName) -> None:
        """Note that a port is another one to selectors with `nth`."""
        for reader in self._readers:
            reader.port_moved(name)
