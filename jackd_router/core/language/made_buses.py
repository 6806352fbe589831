"""Buses that are made at run time: checked as a [[bus]] is, and put beside those of the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jackd_router.core.config import BusConfig, Config, Document, Origin
from jackd_router.core.errors import Problem, Severity, UserError
from jackd_router.core.language.parse_buses import MADE, check_together, read_bus
from jackd_router.core.language.reading import Table, found, unknown_bus


def read_made_bus(values: Mapping[str, object], beside: Sequence[BusConfig] = ()) -> BusConfig:
    """Give the bus that the keys and values of a [[bus]] describe; raise UserError with all that is wrong with it.

    `beside` are the other buses: together they may have so many ports, and no port twice. Whether one of them has this name is
    not asked.
    """
    problems: list[Problem] = []
    table = _table(values, problems)
    bus = replace(read_bus(table), origin=None)
    check_together([*((table, other) for other in beside), (table, bus)])
    if problems:
        raise UserError("; ".join(problem.text for problem in problems))
    return bus


def with_made_buses(config: Config, made: Sequence[BusConfig]) -> Config:
    """Give what the files say with the buses that were made at run time; rules find those too.

    A bus of the files goes before a made one of its name, and one that does not fit beside the others is left out: warnings
    say so.
    """
    if not made:
        return config
    buses, warnings = list(config.buses), list(config.warnings)
    for bus in made:
        first = next((other for other in config.buses if other.name == bus.name), None)
        if first is not None:
            text = f"this bus takes the place of the bus {found(bus.name)} that was {MADE}"
            warnings.append(_warning(first.origin, text))
        elif why := _misfit(bus, buses):
            last = config.buses[-1].origin if config.buses else None
            warnings.append(_warning(last, f"the bus {found(bus.name)} that was {MADE} is left out: {why}"))
        else:
            buses.append(bus)
    ports = tuple(bus.ports for bus in buses)
    rules = tuple(rule.among(ports) for rule in config.rules)
    # Who names a bus that is there need not be told that no file defines it.
    needless = {unknown_bus(bus.name, [other.name for other in config.buses]) for bus in buses[len(config.buses) :]}
    told = tuple(warning for warning in warnings if warning.text not in needless)
    return replace(config, buses=tuple(buses), rules=rules, warnings=told)


def _misfit(bus: BusConfig, beside: Sequence[BusConfig]) -> str:
    """Tell why a bus that is right alone cannot be beside the others; "" where it can."""
    problems: list[Problem] = []
    table = _table({}, problems)
    check_together([*((table, other) for other in beside), (table, bus)])
    return "; ".join(problem.text for problem in problems)


def _table(values: Mapping[str, object], problems: list[Problem]) -> Table:
    return Table(Document(MADE, values, {}, {}), (), values, problems)


def _warning(origin: Origin | None, text: str) -> Problem:
    place = origin or Origin(MADE, 0, 0)
    return Problem(place.file, place.line, place.column, text, Severity.WARNING)
