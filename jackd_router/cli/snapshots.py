"""The commands `snapshot`: list what was saved, show one, save the graph, put it back, delete one."""

from __future__ import annotations

import asyncio
from typing import cast

from jackd_router.cli import listing
from jackd_router.cli.exits import Exit
from jackd_router.cli.records import SnapshotRecord, pairs, restored, snapshot
from jackd_router.cli.remote import Daemon, Refusal, options
from jackd_router.cli.terminal import show, show_json, show_table, typed


async def list_all(daemon: Daemon, *, json: bool) -> Exit:
    """List the snapshots."""
    (reply,) = await daemon.call("Snapshots.List")
    told = await asyncio.gather(*(_told_if_there(daemon, name) for name, *_ in cast("list[tuple[str, int, int]]", reply)))
    found = [one for one in told if one]
    if json:
        show_json([one._asdict() for one in found])
    elif found:
        show_table(listing.snapshots_table(found))
    return Exit.DONE


async def _told_if_there(daemon: Daemon, name: str) -> SnapshotRecord | None:
    """Give what is told of a snapshot; None where it has gone since it was listed."""
    try:
        return await _told(daemon, name)
    except Refusal:
        return None


async def _told(daemon: Daemon, name: str) -> SnapshotRecord:
    (reply,) = await daemon.call("Snapshots.GetSnapshot", "s", name)
    return snapshot(reply)


async def show_one(daemon: Daemon, *, name: str, json: bool) -> Exit:
    """Show the connections of one."""
    (reply,) = await daemon.call("Snapshots.Get", "s", typed(name))
    found = pairs(reply)
    if json:
        told = await _told(daemon, typed(name))
        show_json(told._asdict() | {"connections": [pair._asdict() for pair in found]})
    elif found:
        show_table(listing.connections_table(found))
    return Exit.DONE


async def save(daemon: Daemon, *, name: str, overwrite: bool, description: str | None, json: bool) -> Exit:
    """Save the connections of the graph as they are now."""
    text = None if description is None else typed(description)
    await daemon.call("Snapshots.Save", "sa{sv}", typed(name), options(overwrite=overwrite, description=text))
    told = await _told(daemon, typed(name))
    if json:
        show_json(told._asdict())
    else:
        show(f"saved: {told.name}, {told.connections} connections")
    return Exit.DONE


async def restore(daemon: Daemon, *, name: str, exact: bool, dry_run: bool, json: bool) -> Exit:
    """Connect what is in one; the exit code tells where a part of it failed."""
    (reply,) = await daemon.call("Snapshots.Restore", "sa{sv}", typed(name), options(exact=exact, dry_run=dry_run))
    report = restored(reply)
    if json:
        show_json(report.as_json())
    else:
        for line in listing.restored_lines(report):
            show(line)
        if not (report.connected or report.disconnected):
            show("no connection would change" if dry_run else "no connection changed")
    return Exit.REFUSED if report.failed else Exit.DONE


async def delete(daemon: Daemon, *, name: str, json: bool) -> Exit:
    """Delete one."""
    await daemon.call("Snapshots.Delete", "s", typed(name))
    if json:
        show_json({"deleted": typed(name)})
    else:
        show(f"deleted: {name}")
    return Exit.DONE
