"""The command `plan --graph`: what a configuration does to a graph that was saved, without a daemon and without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jackd_router.cli.change import show_problems, show_report
from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.records import Pair, ProblemRecord, RefusedRecord, Report
from jackd_router.core.errors import ConfigInvalid, RouterError
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.names import nearest, parse_shown, shown

if TYPE_CHECKING:
    from jackd_router.runtime.state import PlanReport


def plan(*, file: Path | None, graph: Path, profile: str | None, json: bool) -> Exit:
    """Show what would change if the file were in force on the graph that `jackd-router graph --json` has written."""
    # Imported here: of use to this command only.
    from jackd_router.runtime.config_files import default_path, load_config
    from jackd_router.runtime.preview import simulate

    told, saved = read_graph(graph)
    path = file or default_path()
    if file and not file.exists():
        raise CommandFailed(f"{file}: no such file")
    try:
        config = load_config(path)
    except ConfigInvalid as invalid:
        show_problems([ProblemRecord.of_problem(problem) for problem in invalid.problems])
        return Exit.REFUSED
    show_problems([ProblemRecord.of_problem(problem) for problem in config.warnings])
    profile = profile or str(told.get("profile") or "default")
    known = [each.name for each in config.profiles]
    if profile not in known:
        near = nearest(profile, known)
        raise CommandFailed(f"{path}: there is no profile '{profile}'" + (f"; did you mean '{near}'?" if near else ""))
    client_name = str(told.get("client_name") or "")
    show_report(_report(simulate(config, saved, client_name=client_name, profile=profile)), json=json, would=True)
    return Exit.DONE


def _report(found: PlanReport) -> Report:
    def pairs(connections: tuple[Connection, ...]) -> list[Pair]:
        return [Pair(*map(shown, connection)) for connection in connections]

    refused = [RefusedRecord(rule, *Pair(*map(shown, pair)), reason) for rule, pair, reason in found.refused]
    return Report(pairs(found.connect), pairs(found.disconnect), [], list(found.unmet), list(found.shadowed), refused)


def read_graph(path: Path) -> tuple[Mapping[str, Any], Graph]:
    """Give what a file of `graph --json` says, and its graph; CommandFailed names what is wrong with it."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{path}: not JSON: {error}") from error
    graph = Graph()
    try:
        for number, port in enumerate(told["ports"], 1):
            graph.add_port(_port(port, f"port {number}"))
        for number, pair in enumerate(told["connections"], 1):
            connection = Connection(parse_shown(pair["source"]), parse_shown(pair["destination"]))
            if not graph.connect(connection):
                raise CommandFailed(f"{path}: connection {number} names a port that is not among the ports")
    except (LookupError, TypeError, ValueError, AttributeError, RouterError) as error:
        if isinstance(error, CommandFailed):
            raise
        raise CommandFailed(f"{path}: not what `jackd-router graph --json` writes: {_why(error)}") from error
    return told, graph


def _port(told: Mapping[str, Any], where: str) -> Port:
    directions = {"input": PortFlags.INPUT, "output": PortFlags.OUTPUT}
    if told["direction"] not in directions:
        raise ValueError(f'the direction of {where} is neither "input" nor "output"')
    flags = directions[told["direction"]]
    flags |= PortFlags.PHYSICAL if told.get("physical") else PortFlags(0)
    flags |= PortFlags.TERMINAL if told.get("terminal") else PortFlags(0)
    name, kind = parse_shown(told["name"]), PortType(told["type"])
    aliases = tuple(str(parse_shown(alias)) for alias in told.get("aliases", ()))
    pretty_name = told.get("pretty_name")
    return Port(PortName(name), kind, flags, aliases, pretty_name=None if pretty_name is None else str(pretty_name))


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
