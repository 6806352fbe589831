"""The chain of a part of a rule: from which places to which its ports are paired, as things stand.

A plain rule has one hop, from `from` to `to`. Fallbacks choose other ends of it, and each member of `via` that is there
makes one hop more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jackd_router.core.config import Rule
from jackd_router.core.deciding.membership import FROM, TO, Part, Place, Role
from jackd_router.core.graph import PortName

_DESTINATION = Role.DESTINATION


class Hop(NamedTuple):
    """Ports of one place are paired with ports of another; `is_bypassed`: only to decide against these pairs."""

    source: Place
    destination: Place
    is_bypassed: bool = False


class Chain(NamedTuple):
    """The hops, and the clients (or, of our own, the ports) that are neither sources nor destinations."""

    hops: tuple[Hop, ...] = ()
    outside: frozenset[str] = frozenset()

    def clients(self, part: Part, place: Place) -> Iterable[str]:
        """Give the clients that take part in a place."""
        if place.role > _DESTINATION:
            return part.clients(place)
        return (client for client in part.clients(place) if client not in self.outside)

    def ports(self, part: Part, place: Place, client: str) -> Sequence[PortName]:
        """Give the ports of a client that take part in a place, in natural order."""
        ports = part.ports(place, client)
        if place.role > _DESTINATION or not self.outside:
            return ports
        return () if client in self.outside else [port for port in ports if port not in self.outside]


NO_CHAIN = Chain()
"""Of a rule that is not active."""
PLAIN = Chain((Hop(FROM, TO),))


def chain_of(rule: Rule, part: Part, parts: Iterable[Part], outside: frozenset[str]) -> Chain:
    """Give the chain of one part of an active rule; `parts` are all of the rule, `outside` is what `outside_of` gives."""
    if not (rule.via or rule.fallback or rule.from_fallback):
        return PLAIN
    bare = Chain(outside=outside)
    same_type = [other for other in parts if other.type is part.type]
    source = _first(Role.SOURCE, len(rule.from_fallback) + 1, bare, same_type)
    destination = _first(Role.DESTINATION, len(rule.fallback) + 1, bare, [part])
    members = [number for number in range(len(rule.via)) if _is_there(part, number)]
    if not members:
        return Chain((Hop(source, destination),), outside)
    begins = [source, *(Place(Role.VIA_OUT, number) for number in members)]
    ends = [*(Place(Role.VIA_IN, number) for number in members), destination]
    hops = (Hop(begin, end) for begin, end in zip(begins, ends, strict=True))
    return Chain((*hops, Hop(source, destination, is_bypassed=True)), outside)


def outside_of(rule: Rule, parts: Iterable[Part], our_client: str) -> frozenset[str]:
    """Give the clients of `via`, be it of another key or type; of our own client only the ports: each bus stands for itself."""
    if not rule.via:
        return frozenset()
    outside: set[str] = set()
    places = [Place(role, number) for number in range(len(rule.via)) for role in (Role.VIA_IN, Role.VIA_OUT)]
    for part in parts:
        for place in places:
            for client, ports in part.places.get(place, {}).items():
                outside.update(ports if client == our_client else (client,))
    return frozenset(outside)


def _first(role: Role, count: int, chain: Chain, parts: Sequence[Part]) -> Place:
    """Give the first of some entries that has a port; the first of all where none has."""
    for index in range(count):
        place = Place(role, index)
        if any(chain.ports(part, place, client) for part in parts for client in part.clients(place)):
            return place
    return Place(role)


def _is_there(part: Part, number: int) -> bool:
    """Tell whether a member of `via` can be passed through: it has an input and an output of the part's type."""
    return bool(part.places.get(Place(Role.VIA_IN, number))) and bool(part.places.get(Place(Role.VIA_OUT, number)))
