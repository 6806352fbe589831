"""Tells what a port says of itself from what a killed server left in JACK2's database of metadata under the same id.

JACK2 forgets no metadata when a server is killed. A port of the next server that has such an id would be the wrong port with a
right name, and a rule would connect it.
"""

from __future__ import annotations

from typing import TypeAlias

from jackd_router.core.graph import PortName

Said: TypeAlias = tuple[bytes | None, bytes | None]
"""Pretty name and signal type, as the database has them."""
NOTHING: Said = (None, None)

_REMEMBERED = 4096
"""Of how many names of ports it is known what they said for certain; the ones heard of longest ago are forgotten."""


class LeftOver:
    """What each id said, and of whom, over all generations of such servers.

    What an id says counts unless it said just that of another port before. Then somebody must have set it since, or the port
    must be known to say that: a program that gives its ports their names before we are a client is heard so, whichever ids its
    ports have this time.
    """

    def __init__(self) -> None:
        self._ids: dict[int, tuple[PortName | None, Said | None]] = {}
        """Whose the metadata of an id is, and what it says; None: somebody has set it, and it is not read yet. Nobody's is what
        was set of a port that is still to be told, as JACK2 does when its client becomes active."""
        self._certain: dict[PortName, Said] = {}
        """What ports said that was not left: we were told that it was set, or the port had said another thing at that id."""

    def set(self, number: int, name: PortName | None) -> None:
        """Note that somebody has set or removed what an id says, and whose that is now; None: no port has it."""
        self._ids[number] = name, None

    def rename(self, number: int, name: PortName) -> None:
        """Note that the port is called otherwise, and says what it said."""
        if number in self._ids:
            self._ids[number] = name, self._ids[number][1]

    def end_generation(self) -> None:
        """Note that whom nobody was told of will not come: the next port with that id is another one."""
        for number, (owner, said) in self._ids.items():
            if owner is None:
                self._ids[number] = PortName(""), said

    def is_of_another(self, number: int, name: PortName, said: Said) -> bool:
        """Tell whether an id still says what it said of another port; note it else."""
        owner, before = self._ids.get(number, (name, said))
        if owner in (name, None):
            if before != said:
                self._note_certain(name, said)
        elif before in (None, said) and self._certain.get(name) != said != NOTHING:
            return True
        self._ids[number] = name, said
        return False

    def _note_certain(self, name: PortName, said: Said) -> None:
        self._certain.pop(name, None)
        if said != NOTHING:
            self._certain[name] = said
            if len(self._certain) > _REMEMBERED:
                del self._certain[next(iter(self._certain))]
