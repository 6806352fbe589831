"""How the values of the program cross the message bus: port names as shown text, times and units as the XML files say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jackd_router.core.errors import Problem
from jackd_router.core.graph import Connection, Port, PortType
from jackd_router.core.names import parse_shown, shown
from jackd_router.dbus_api.errors import TEXT_LIMIT
from jackd_router.dbus_api.message_bus import Variant, variant
from jackd_router.runtime.state import ChangeReport, PlanReport, UndoReport

Pair = tuple[str, str]
PortRecord = tuple[str, int, str, tuple[str, ...]]
MetadataRecord = tuple[str, str, str]
ProblemRecord = tuple[str, str, int, int, str]


def pair_of(connection: Connection) -> Pair:
    """Give the two ends."""
    return shown(connection.source), shown(connection.destination)


def pairs_of(connections: Iterable[Connection]) -> list[Pair]:
    """Give the two ends of each."""
    return [pair_of(connection) for connection in connections]


def parse_pairs(pairs: Iterable[Sequence[str]]) -> list[Connection]:
    """Give the connections that are meant."""
    return [Connection(parse_shown(source), parse_shown(destination)) for source, destination in pairs]


def record_of_port(port: Port) -> PortRecord:
    """Give name, JackPortFlags, type and aliases."""
    return shown(port.name), int(port.flags), str(port.type), tuple(map(shown, port.other_names))


def metadata_of_port(port: Port) -> MetadataRecord:
    """Give name, pretty name and signal type; "" where there is none."""
    return shown(port.name), shown(port.pretty_name or ""), "CV" if port.type is PortType.CV else ""


def records_of_problems(problems: Iterable[Problem]) -> list[ProblemRecord]:
    """Give severity, file, line, column and text of each."""
    return [(problem.severity, shown(problem.file), problem.line, problem.column, shown(problem.text)) for problem in problems]


def report_of(report: PlanReport) -> dict[str, Variant]:
    """Give what was done, or would be."""
    refused = pairs_of([pair for _, pair, _ in report.refused])
    return {
        "connect": variant("a(ss)", pairs_of(report.connect)),
        "disconnect": variant("a(ss)", pairs_of(report.disconnect)),
        "failed": variant("a(ss)", pairs_of(report.failed)),
        "unmet": variant("as", report.unmet),
        "shadowed": variant("as", report.shadowed),
        "refused": variant(
            "a(ssss)", [(rule, *pair, reason) for (rule, _, reason), pair in zip(report.refused, refused, strict=True)]
        ),
    }


def changes_of(report: ChangeReport) -> dict[str, Variant]:
    """Give what was done by hand, or would be; in the keys of `report_of`, so that a client reads both alike."""
    failed = tuple(pair for pair, _ in report.failed)
    return {**report_of(PlanReport(report.connected, report.disconnected, failed)), **reasons_of(report.failed)}


def reasons_of(failed: Iterable[tuple[Connection, str]]) -> dict[str, Variant]:
    """Give why each of them failed."""
    return {"reasons": variant("as", [reason[:TEXT_LIMIT] for _, reason in failed])}


def undone(report: UndoReport) -> tuple[str, dict[str, Variant]]:
    """Give what was taken back, and what became of it."""
    return report.what, {
        "connect": variant("a(ss)", pairs_of(report.connect)),
        "disconnect": variant("a(ss)", pairs_of(report.disconnect)),
        "failed": variant("a(ss)", pairs_of(report.failed)),
        "problems": variant("as", report.problems),
    }
