"""Speakers: every rule that has something to do with a pair, and how it stands to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from jackd_router.core.config import Action, Pairing, Rule
from jackd_router.core.deciding.follow import Partner
from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.membership import FROM, Member, Part, Place, Role
from jackd_router.core.deciding.pairing import ending_of
from jackd_router.core.deciding.rule_cells import Cell
from jackd_router.core.graph import Connection, PortName, PortType, client_of
from jackd_router.core.selecting.selectors import flow


class Standing(StrEnum):
    """How a rule stands to a pair."""

    SPEAKS = "speaks"
    DISABLED = "disabled"
    OTHER_PROFILE = "other-profile"
    CONDITION = "condition"  # its `when` does not hold
    SAME_CLIENT = "same-client"
    VIA_CLIENT = "via-client"
    FALLBACK = "fallback"  # another entry of `from`, `to` and their fallbacks counts now
    INCOMPLETE = "incomplete"
    NOT_FOLLOWED = "not-followed"
    CIRCLE = "circle"
    NOT_PAIRED = "not-paired"


@dataclass(frozen=True, slots=True)
class Speaker:
    """A rule, and its standing to a pair.

    `instead`: what it pairs the two ports with; `ports`: which of those that it follows the source feeds, or, where
    `is_bypassed`, through which it leads the sound in its place. `endings`: what the two ports call their channels, where it
    pairs neither of them because these are not the same.
    """

    rule: Rule
    standing: Standing
    instead: tuple[Connection, ...] = ()
    ports: tuple[PortName, ...] = ()
    conditions: tuple[Place, ...] = ()
    is_bypassed: bool = False
    endings: tuple[str, str] | None = None


def speakers(matcher: Matcher, connection: Connection) -> tuple[Speaker, ...]:
    """Give every rule whose selectors cover the pair, be it by way of `via` or `follow`, in deciding order."""
    matcher.settle()
    ends = matcher.ends(connection)
    if ends is None:
        return ()
    source, destination = ends
    ranks = set(matcher.choices.of(connection))
    for slot in source.keys | source.between | destination.keys | destination.between:
        rank = matcher.rank_of(slot)
        if rank is not None and (
            matcher.membership.covers(slot, source, destination)
            or (matcher.rules[rank].follows and _is_partner(slot, destination))
            or (matcher.rules[rank].via and _cells_with(matcher, rank, connection, ends))
        ):
            ranks.add(rank)
    return tuple(_speaker(matcher, rank, connection, ends) for rank in sorted(ranks))


def _is_partner(slot: int, destination: Member) -> bool:
    return any(asker.slot == slot and asker.place.role is Role.DESTINATION for asker in destination.spots)


def _speaker(matcher: Matcher, rank: int, connection: Connection, ends: tuple[Member, Member]) -> Speaker:
    rule = matcher.rules[rank]
    if (inactive := inactive_rule(matcher, rule)) is not None:
        return inactive
    if rule.action is not Action.CONNECT or rank in matcher.choices.of(connection):
        return _speaks(matcher, rank, connection, ends)
    found = _cells_with(matcher, rank, connection, ends)
    may_be_one_client = rule.same_client or any(map(matcher.cells.of(rank).is_link, found))
    if _same_client(connection) and not may_be_one_client and (rule.follows or not all(map(_is_of_device, ends))):
        return Speaker(rule, Standing.SAME_CLIENT)
    if rule.follows and not found:
        return _not_followed(matcher, rank, connection, ends)
    return _not_chosen(matcher, rank, connection, ends)


def inactive_rule(matcher: Matcher, rule: Rule) -> Speaker | None:
    """Give why a rule does not count now, whatever the pair; None where it does."""
    if not matcher.is_enabled(rule.name):
        return Speaker(rule, Standing.DISABLED)
    if not matcher.is_in_profile(rule):
        return Speaker(rule, Standing.OTHER_PROFILE)
    unmet = tuple(matcher.membership.unmet_conditions(matcher.slot(matcher.rank(rule))))
    if unmet:
        return Speaker(rule, Standing.CONDITION, conditions=unmet)
    return None


def _speaks(matcher: Matcher, rank: int, connection: Connection, ends: tuple[Member, Member]) -> Speaker:
    rule, choice = matcher.rules[rank], matcher.choices.of(connection).get(rank)
    if choice is None or not choice.is_bypassed:
        return Speaker(rule, Standing.SPEAKS, ports=tuple(sorted(matcher.cells.follows.reasons(connection, rank))))
    # What feeds a followed port is no port of the rule: then the destination knows the way.
    slot = matcher.slot(rank)
    parts = _parts(slot, ends[0]) or _parts(slot, ends[1])
    members = {
        (hop.destination.number, name)
        for part in parts
        for hop in matcher.cells.of(rank).chain(part).hops
        if hop.destination.role is Role.VIA_IN
        for names in part.places.get(hop.destination, {}).values()
        for name in names
    }
    return Speaker(rule, Standing.SPEAKS, ports=tuple(name for _, name in sorted(members)), is_bypassed=True)


def _not_followed(matcher: Matcher, rank: int, connection: Connection, ends: tuple[Member, Member]) -> Speaker:
    """Give why a destination does not get what the source feeds."""
    rule, cells = matcher.rules[rank], matcher.cells
    source, destination = connection
    fed = matcher.fed_by(source)
    places = (part.places.get(FROM, {}).values() for part in _parts(matcher.slot(rank), ends[1]))
    followed = sorted({port for clients in places for ports in clients for port in fed.intersection(ports)})
    if not followed:
        return Speaker(rule, Standing.NOT_FOLLOWED)
    if cells.of(rank).is_outside(followed[0], source):
        return Speaker(rule, Standing.VIA_CLIENT)
    circles = tuple(port for port in followed if Partner(rank, port, destination) in cells.follows.left_out)
    if circles:
        return Speaker(rule, Standing.CIRCLE, ports=circles)
    # A followed port is paired as if it were the source.
    port = followed[0]
    told = _not_chosen(matcher, rank, Connection(port, destination), (matcher.membership.members[port], ends[1]))
    return replace(told, ports=(port,))


def _not_chosen(matcher: Matcher, rank: int, connection: Connection, ends: tuple[Member, Member]) -> Speaker:
    rule, cells = matcher.rules[rank], matcher.cells.of(rank)
    found = _cells_with(matcher, rank, connection, ends)
    if not found:
        parts = _common_parts(matcher.slot(rank), ends)
        is_outside = any({*connection, *_clients(connection)} & cells.chain(part).outside for part in parts)
        return Speaker(rule, Standing.VIA_CLIENT if is_outside else Standing.FALLBACK)
    if rule.complete and not all(map(cells.is_complete, found)):
        return Speaker(rule, Standing.INCOMPLETE)
    instead = {other for cell in found for other in cells.chosen_in(cell) if not set(connection).isdisjoint(other)}
    endings = None if instead or rule.pair not in (Pairing.AUTO, Pairing.NAME) else _endings(connection)
    return Speaker(rule, Standing.NOT_PAIRED, tuple(sorted(instead)), endings=endings)


def _endings(connection: Connection) -> tuple[str, str] | None:
    source, destination = map(ending_of, connection)
    return None if source is None or destination is None else (source, destination)


def _cells_with(matcher: Matcher, rank: int, connection: Connection, ends: tuple[Member, Member]) -> list[Cell]:
    """Give the cells of a rule in which the pair is, be it chosen or not, or would be if the rule were active."""
    source, destination = connection
    clients = client_of(source), client_of(destination)
    found = []
    for part in _common_parts(matcher.slot(rank), ends):
        chain = matcher.cells.of(rank).chain_if_active(part)
        for hop in chain.hops:
            sources, destinations = chain.ports(part, hop.source, clients[0]), chain.ports(part, hop.destination, clients[1])
            if source in sources and destination in destinations:
                found.append(Cell(part, hop.source, hop.destination, *clients))
    return found


def _common_parts(slot: int, ends: tuple[Member, Member]) -> list[Part]:
    parts = _parts(slot, ends[1])
    return [part for part in _parts(slot, ends[0]) if part in parts]


def _parts(slot: int, end: Member) -> list[Part]:
    return [part for asker, part in end.spots.items() if asker.slot == slot and part is not None]


def _clients(connection: Connection) -> set[str]:
    return set(map(client_of, connection))


def _is_of_device(end: Member) -> bool:
    return end.port.is_physical and flow(end.port.type) is PortType.AUDIO


def _same_client(connection: Connection) -> bool:
    return len(_clients(connection)) == 1
