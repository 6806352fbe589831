"""The commands `bus`: list the passthrough buses, set gain and mute, show live levels; make and remove buses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from jackd_router.cli import listing
from jackd_router.cli.exits import Exit
from jackd_router.cli.records import BusRecord, LevelRecord, bus
from jackd_router.cli.remote import Daemon, options
from jackd_router.cli.terminal import for_people, show, show_json, show_table, typed, visible
from jackd_router.dbus_api.message_bus import Value, variant
from jackd_router.dbus_api.names import BUS, OBJECT_MANAGER

if TYPE_CHECKING:
    from rich.table import Table

METER_PERIOD_S = 1 / 15


async def buses(
    daemon: Daemon,
    *,
    name: str | None,
    gain: float | None,
    fade: float | None,
    mute: bool | None,
    midi_channels: list[int] | None,
    meters: bool,
    json: bool,
) -> Exit:
    """List the buses or one of them, after setting what is asked for; or show their levels."""
    if name is not None:
        (path,) = await daemon.call("Buses.GetBus", "s", typed(name))
        if mute is not None:
            await daemon.set("Bus.Mute", "b", mute, path=str(path))
        if midi_channels is not None:
            await daemon.set("Bus.MidiChannels", "au", midi_channels, path=str(path))
        if gain is not None and fade is not None:
            # Last, because whatever else is set would cancel it.
            await daemon.call("Bus.FadeTo", "du", gain, round(fade * 1000), path=str(path), takes_s=fade)
        elif gain is not None:
            await daemon.set("Bus.Gain", "d", gain, path=str(path))
        if (gain, mute, midi_channels) != (None, None, None):
            return Exit.DONE
    found = await find_buses(daemon, name)
    if meters:
        await _show_levels(daemon, name, found, json=json)
    elif json:
        show_json([one._asdict() for one in found])
    elif found:
        show_table(listing.buses_table(found))
    return Exit.DONE


async def create(
    daemon: Daemon,
    *,
    name: str,
    channels: list[str] | None,
    outputs: list[str] | None,
    bus_type: str | None,
    gain: float | None,
    channel_gains: list[float] | None,
    mute: bool,
    matrix: list[list[float]] | None,
    fade_ms: float | None,
    midi_channels: list[int] | None,
    json: bool,
) -> Exit:
    """Make a bus, and tell which ports it has."""
    named = {"channels": channels, "outputs": outputs}
    asked: list[tuple[str, str, Value | None]] = [
        *((key, "as", None if names is None else [typed(channel) for channel in names]) for key, names in named.items()),
        ("type", "s", bus_type),
        ("gain", "d", gain),
        ("channel-gains", "ad", channel_gains),
        ("mute", "b", mute or None),
        ("matrix", "aad", matrix),
        ("fade-ms", "d", fade_ms),
        ("midi-channels", "au", midi_channels),
    ]
    given = {key: variant(signature, value) for key, signature, value in asked if value is not None}
    await daemon.call("Buses.CreateBus", "sa{sv}", typed(name), given)
    made = await find_buses(daemon, name)
    if json:
        show_json([one._asdict() for one in made])
        return Exit.DONE
    for one in made:
        show(f"made: {one.name}{'' if one.active else ' (its ports come with a JACK server)'}")
        for port in one.ports:
            show(f"  {port}")
    return Exit.DONE


async def remove(daemon: Daemon, *, name: str) -> Exit:
    """Remove a bus that was made at run time."""
    await daemon.call("Buses.RemoveBus", "s", typed(name))
    show(f"removed: {name}")
    return Exit.DONE


async def find_buses(daemon: Daemon, name: str | None = None) -> list[BusRecord]:
    """Give the bus of this name if there is one, or all of them, in the order of their names."""
    (reply,) = await daemon.call(f"{OBJECT_MANAGER}.GetManagedObjects")
    objects = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", reply)
    found = [bus(interfaces[BUS]) for interfaces in objects.values() if BUS in interfaces]
    return sorted(one for one in found if name is None or one.name == typed(name))


async def _levels(daemon: Daemon, found: list[BusRecord]) -> dict[str, list[LevelRecord]]:
    (reply,) = await daemon.call("Buses.GetLevels", "a{sv}", options())
    levels = cast("Mapping[str, list[tuple[float, float]]]", reply)
    return {
        one.name: [LevelRecord(port, *level) for port, level in zip(one.ports, levels.get(one.name, ()), strict=False)]
        for one in found
    }


async def _show_levels(daemon: Daemon, name: str | None, found: list[BusRecord], *, json: bool) -> None:
    levels = await _levels(daemon, found)
    if json:
        show_json({one: [level._asdict() for level in those] for one, those in levels.items()})
    elif not for_people(sys.stdout):
        show_table(listing.levels_table(levels))
    else:
        await _show_meters(daemon, name)


async def _show_meters(daemon: Daemon, name: str | None) -> None:
    """Draw the levels until Ctrl-C; the daemon keeps the peak since our last call, so none is missed."""
    from rich.live import Live

    # Asked before Live puts itself between: then nobody can tell any more.
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    with Live(auto_refresh=False) as live:
        while True:
            # Read anew each time: a reload can change the buses and their channels at any moment.
            found = await find_buses(daemon, name)
            live.update(_meters(await _levels(daemon, found), ascii_only=ascii_only), refresh=True)
            await asyncio.sleep(METER_PERIOD_S)


def _meters(levels: Mapping[str, list[LevelRecord]], *, ascii_only: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 2))
    for those in levels.values():
        for level in those:
            colour = "red" if level.peak >= -1.0 else "yellow" if level.peak >= -9.0 else "green"
            bar = Text(listing.meter(level, ascii_only=ascii_only), style=colour)
            drawn.add_row(Text(visible(level.port)), bar, Text(f"{level.peak:6.1f} dB"))
    return drawn
