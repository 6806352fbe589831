"""Commands that only look: status, ports, connections, graph, rules, explain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from jackd_router.cli import listing
from jackd_router.cli.buses import find_buses
from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.records import MetadataRecord, Pair, PeerRecord, PortRecord, RuleRecord, StepRecord, pairs, records
from jackd_router.cli.remote import Daemon, Refusal, options
from jackd_router.cli.terminal import note, show, show_fields, show_json, show_table, typed
from jackd_router.core.names import nearest


async def status(daemon: Daemon, *, json: bool) -> Exit:
    """Show how the daemon and its JACK server are."""
    (reply,) = await daemon.call("Manager.GetStatus")
    told = dict(cast("Mapping[str, object]", reply))
    connected = told.get("server-state") == "connected"
    # Asked for last and alone: a server that has just been frozen keeps this answer back for two seconds.
    told["dsp-load"] = await daemon.get("Server.DspLoad") if connected else 0.0
    if json:
        show_json(listing.with_underscores(told))
    else:
        _show_status(told)
    return Exit.DONE if connected else Exit.NO_SERVER


def _show_status(told: Mapping[str, object]) -> None:
    fields = listing.status_fields(told)
    if not Path(str(told.get("config-path"))).exists():
        fields["File"] += " (no such file)"
    show_fields(fields)


async def ports(daemon: Daemon, *, pattern: str, direction: str | None, port_type: str | None, json: bool) -> Exit:
    """List ports: which of them is the daemon's decision, it knows the pattern language."""
    (names,) = await daemon.call("Graph.ListPorts", "sa{sv}", typed(pattern), options(direction=direction, type=port_type))
    _, known, _ = await _graph(daemon)
    by_name = {port.name: port for port in known}
    found = [by_name[name] for name in cast("list[str]", names) if name in by_name]
    if json:
        show_json([port._asdict() for port in found])
    elif found:
        show_table(listing.ports_table(found))
    return await _exit_of(daemon, found)


async def connections(daemon: Daemon, *, pattern: str, json: bool) -> Exit:
    """List connections that have an end which matches."""
    (reply,) = await daemon.call("Graph.ListConnections", "sa{sv}", typed(pattern), options())
    found = pairs(reply)
    if json:
        show_json([pair._asdict() for pair in found])
    elif found:
        show_table(listing.connections_table(found))
    return await _exit_of(daemon, found)


async def graph(daemon: Daemon, *, json: bool) -> Exit:
    """Show the whole graph."""
    version, known, connected = await _graph(daemon)
    if json:
        pretty_names = await _pretty_names(daemon)
        (owned,) = await daemon.call("Rules.ListOwned")
        owners = {Pair(source, destination): rule for source, destination, rule in cast("list[tuple[str, str, str]]", owned)}
        show_json(
            {
                "version": version,
                "client_name": await daemon.get("Server.ClientName"),
                "profile": await daemon.get("Profiles.ActiveProfile"),
                "ports": [port._asdict() | {"pretty_name": pretty_names.get(port.name)} for port in known],
                "connections": [pair._asdict() | {"rule": owners.get(pair, "")} for pair in connected],
                "made_buses": [bus.as_table() for bus in await find_buses(daemon) if not bus.origin],
            }
        )
    else:
        for line in listing.graph_lines(known, connected):
            show(line)
    return await _exit_of(daemon, known)


async def rules(daemon: Daemon, *, json: bool) -> Exit:
    """List the rules in the order in which they decide."""
    (reply,) = await daemon.call("Rules.ListRules")
    found = records(RuleRecord, reply)
    inactive = await _inactive(daemon, found)
    if json:
        show_json([rule._asdict() | {"inactive_because": inactive.get(rule.name, "")} for rule in found])
        return Exit.DONE
    if found:
        show_table(listing.rules_table(found, inactive))
    if not await daemon.get("Rules.Enabled"):
        note("all rules are switched off (property Rules.Enabled)")
    return Exit.DONE


async def _inactive(daemon: Daemon, rules: Iterable[RuleRecord]) -> dict[str, str]:
    """Give why rules do not count now; a rule that does, or that is gone since it was listed, is not in it."""

    async def why(name: str) -> str:
        try:
            (told,) = await daemon.call("Rules.GetRule", "s", name)
        except Refusal:
            return ""
        return str(cast("Mapping[str, object]", told).get("inactive-because", ""))

    names = [rule.name for rule in rules]
    reasons = await asyncio.gather(*map(why, names))
    return {name: reason for name, reason in zip(names, reasons, strict=True) if reason}


async def explain(daemon: Daemon, *, port: str, other: str | None, json: bool) -> Exit:
    """Tell why two ports are or are not connected, or what the rules say of one port."""
    if other is None:
        return await _explain_port(daemon, typed(port), json=json)
    state, summary, reply = await daemon.call("Rules.Explain", "ss", typed(port), typed(other))
    steps = records(StepRecord, reply)
    if json:
        show_json({"state": state, "summary": summary, "steps": [step._asdict() for step in steps]})
        return Exit.DONE
    show(f"{state}: {summary}")
    if steps:
        show_table(listing.steps_table(steps))
    return Exit.DONE


async def _explain_port(daemon: Daemon, port: str, *, json: bool) -> Exit:
    (reply,) = await daemon.call("Rules.ExplainPort", "s", port)
    peers = records(PeerRecord, reply)
    if json:
        show_json([peer._asdict() for peer in peers])
    elif peers:
        show_table(listing.peers_table(peers))
    else:
        show(f"no rule speaks of {port} and a port that is there now{await _unless_there(daemon, port)}")
    return Exit.DONE


async def _unless_there(daemon: Daemon, port: str) -> str:
    """Give what to add where there is no port of this name: whoever mistypes it must not take the rules for silent."""
    _, known, _ = await _graph(daemon)
    names = [record.name for record in known]
    if port in names:
        return ""
    near = nearest(port, names)
    return "; it is not there itself" + (f", did you mean {near}?" if near else "")


async def _graph(daemon: Daemon) -> tuple[int, list[PortRecord], list[Pair]]:
    version, _, known, connected = await daemon.call("Graph.GetGraph", "t", 0)
    return cast("int", version), records(PortRecord, known), pairs(connected)


async def _pretty_names(daemon: Daemon) -> dict[str, str]:
    """Give the pretty name of each port that has one; while no rule asks for them, none has."""
    (reply,) = await daemon.call("Graph.GetMetadata")
    return {record.port: record.pretty_name for record in records(MetadataRecord, reply) if record.pretty_name}


async def _exit_of(daemon: Daemon, found: list[PortRecord] | list[Pair]) -> Exit:
    """Tell an empty listing from one that is empty because there is no server."""
    if not found and (state := await daemon.get("Server.State")) != "connected":
        raise CommandFailed(f"no JACK server ({state}); see `jackd-router status`", Exit.NO_SERVER)
    return Exit.DONE
