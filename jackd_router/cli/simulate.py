"""The command `plan --graph`: what a configuration does to a graph that was saved, without a daemon and without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from jackd_router.cli.change import require, show_problems, show_report
from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.records import Pair, ProblemRecord, RefusedRecord, Report
from jackd_router.cli.terminal import note
from jackd_router.core.config import DEFAULT_PROFILE
from jackd_router.core.errors import ConfigInvalid, UserError
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.names import nearest, parse_shown, shown

if TYPE_CHECKING:
    from jackd_router.core.config import BusConfig, Config
    from jackd_router.runtime.state import PlanReport

Value = TypeVar("Value", str, bool, list[object])

_DIRECTIONS = {"input": PortFlags.INPUT, "output": PortFlags.OUTPUT}
_IN_WORDS: dict[type, str] = {str: "a string", bool: "true or false", list: "an array"}


class Saved(NamedTuple):
    """What `graph --json` has written: the graph, whose its connections are, our name in it, the active profile ("" unknown).

    `made`: the buses that were made at run time.
    """

    graph: Graph
    owned: dict[Connection, str]
    client_name: str
    profile: str
    made: tuple[BusConfig, ...] = ()


def plan(*, file: Path | None, graph: Path, profile: str | None, json: bool) -> Exit:
    """Show what would change if the file were in force on the graph that `jackd-router graph --json` has written."""
    # Imported here: of use to this command only.
    from jackd_router.core.language.made_buses import with_made_buses
    from jackd_router.core.system_names import speak_of_system
    from jackd_router.runtime.config_files import default_path, load_config
    from jackd_router.runtime.preview import blind_spots, simulate

    saved = read_graph(graph)
    path = file or default_path()
    if file:
        require(file)
    try:
        config = with_made_buses(load_config(path), saved.made)
    except ConfigInvalid as invalid:
        show_problems([ProblemRecord.of_problem(problem) for problem in invalid.problems])
        return Exit.REFUSED
    is_known = any(port.pretty_name or port.type is PortType.CV for port in saved.graph.ports.values())
    warnings = config.warnings if is_known else (*config.warnings, *blind_spots(config))
    show_problems([ProblemRecord.of_problem(problem) for problem in warnings])
    if config.system and speak_of_system(config.rules):
        note(f"{path}: `system` under [server] is not asked here: ports have the names that {graph} saved")
    active = _profile(config, path, profile, saved.profile)
    found = simulate(config, saved.graph, saved.owned, client_name=saved.client_name, profile=active)
    show_report(_report(found), json=json, would=True)
    return Exit.DONE


def _profile(config: Config, path: Path, asked: str | None, saved: str) -> str:
    """Give the profile to plan for: the one that was asked for, else the one that was active, as far as the file has it."""
    known = [each.name for each in config.profiles]
    if asked is None:
        if saved and saved not in known:
            note(f"{path}: there is no profile '{saved}', which was active; this is for '{DEFAULT_PROFILE.name}'")
        return saved if saved in known else DEFAULT_PROFILE.name
    if asked not in known:
        near = nearest(asked, known)
        raise CommandFailed(f"{path}: there is no profile '{asked}'" + (f"; did you mean '{near}'?" if near else ""))
    return asked


def _report(found: PlanReport) -> Report:
    def pairs(connections: tuple[Connection, ...]) -> list[Pair]:
        return [Pair(*map(shown, connection)) for connection in connections]

    refused = [RefusedRecord(rule, *Pair(*map(shown, pair)), reason) for rule, pair, reason in found.refused]
    return Report(pairs(found.connect), pairs(found.disconnect), [], list(found.unmet), list(found.shadowed), refused)


def read_graph(path: Path) -> Saved:
    """Give what a file of `graph --json` says; CommandFailed names what is wrong with it."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{path}: not JSON: {error}") from error
    try:
        return _saved(told)
    except UserError as error:
        raise CommandFailed(f"{path}: not what `jackd-router graph --json` writes: {error}") from error


def _saved(told: object) -> Saved:
    graph, owned = Graph(), dict[Connection, str]()
    for number, port in enumerate(_field(told, "ports", list, "graph"), 1):
        graph.add_port(_port(port, f"port {number}", graph))
    for number, connection in enumerate(_field(told, "connections", list, "graph"), 1):
        where = f"connection {number}"
        pair = _connection(connection, where, graph)
        graph.connect(pair)
        rule = _text(connection, "rule", where, "")
        if rule:
            owned[pair] = rule
    made = tuple(_made_bus(bus, number) for number, bus in enumerate(_field(told, "made_buses", list, "graph", []), 1))
    return Saved(graph, owned, _name(told, "client_name", "graph", ""), _text(told, "profile", "graph", ""), made)


def _made_bus(told: object, number: int) -> BusConfig:
    from jackd_router.core.language.made_buses import read_made_bus

    if not isinstance(told, dict):
        raise UserError(f"made bus {number} is not an object")
    try:
        return read_made_bus(told)
    except UserError as error:
        raise UserError(f"made bus {number}: {error}") from error


def _port(told: object, where: str, graph: Graph) -> Port:
    name = _port_name(told, "name", where)
    if name in graph.ports:
        raise UserError(f"{where}: there is another port {shown(name)}")
    flags = _DIRECTIONS[_word(told, "direction", list(_DIRECTIONS), where)]
    for key, flag in (("physical", PortFlags.PHYSICAL), ("terminal", PortFlags.TERMINAL)):
        if _field(told, key, bool, where, False):
            flags |= flag
    port_type = PortType(_word(told, "type", list(PortType), where))
    aliases = tuple(_name({"alias": alias}, "alias", where) for alias in _field(told, "aliases", list, where, []))
    return Port(name, port_type, flags, aliases, pretty_name=_name(told, "pretty_name", where, "") or None)


def _connection(told: object, where: str, graph: Graph) -> Connection:
    connection = Connection(_port_name(told, "source", where), _port_name(told, "destination", where))
    for name, direction in zip(connection, ("output", "input"), strict=True):
        port = graph.ports.get(name)
        if port is None or port.is_source is not (direction == "output"):
            raise UserError(f"{where}: there is no {direction} port {shown(name)}")
    return connection


def _port_name(told: object, key: str, where: str) -> PortName:
    name = _name(told, key, where)
    if ":" not in name:
        raise UserError(f"{where}: {key} '{shown(name)}' is not client:port")
    return name


def _name(told: object, key: str, where: str, default: str | None = None) -> PortName:
    text = _text(told, key, where, default)
    try:
        return parse_shown(text)
    except UserError as error:
        raise UserError(f"{where}: {key} {error}") from error


def _word(told: object, key: str, allowed: list[str], where: str) -> str:
    word = _text(told, key, where)
    if word not in allowed:
        raise UserError(f"{where}: {key} is '{word}', none of {', '.join(allowed)}")
    return word


def _text(told: object, key: str, where: str, default: str | None = None) -> str:
    text = _field(told, key, str, where, default)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(rf"{where}: {key} has half a surrogate pair; a byte that is not UTF-8 is written \xNN") from None
    return text


def _field(told: object, key: str, kind: type[Value], where: str, default: Value | None = None) -> Value:
    """Give what an object says of this key, the default where it says nothing or null; UserError names what is wrong."""
    if not isinstance(told, dict):
        raise UserError(f"{where} is not an object")
    value: object = told.get(key)
    if value is None:
        if default is None:
            raise UserError(f"{where}: {key} is missing")
        return default
    if not isinstance(value, kind):
        raise UserError(f"{where}: {key} is not {_IN_WORDS[kind]}")
    return value
