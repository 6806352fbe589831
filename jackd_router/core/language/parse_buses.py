"""[[bus]]: what a bus may be, and what all buses may be together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jackd_router.core.config import ALL_MIDI_CHANNELS, BusConfig, BusType
from jackd_router.core.errors import Problem
from jackd_router.core.language.reading import Table, counted, found, found_many, in_range, limits, unique
from jackd_router.core.language.vocabulary import ONLY_OF_TYPE
from jackd_router.core.names import bus_port

MAX_BUSES = 64
MAX_CHANNELS = 64
MAX_PORTS = 1024
"""Inputs of all buses together; outputs likewise."""
PORT_NAME_BYTES = 254
"""The longest short name of a port (JACK2; measured)."""

MADE = "made at run time"
"""Stands for the place of a bus that no file defines."""

SILENCE_DB = -144.0
MAX_GAIN_DB = 20.0
MAX_FACTOR = 10.0
MAX_FADE_MS = 10_000.0

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NAME_WORDS = "letters (A-Z, a-z), digits, '-' and '_'"


def read_buses(files: Sequence[Table], problems: list[Problem]) -> tuple[BusConfig, ...]:
    """Give the buses of all files; what is wrong is noted."""
    tables = [table for file in files for table in file.tables("bus")]
    buses = [(table, read_bus(table)) for table in tables]
    unique(problems, "bus", ((bus.name, table.origin) for table, bus in buses if bus.name))
    check_together(buses)
    return tuple(bus for _, bus in buses)


def read_bus(table: Table) -> BusConfig:
    """Give the bus of one table; what is wrong with it alone is noted."""
    table.check_keys("bus")
    kind = table.choice("type", BusType.AUDIO)
    for other in BusType:
        for key in ONLY_OF_TYPE[other] if other is not kind else ():
            if key in table.values:
                table.complain(
                    f'{key}: a bus of the type "{kind}" has none; only one of the type "{other}" has', key, of_key=True
                )
    inputs = _channels(table, "channels", ("1", "2"))
    outputs = _channels(table, "outputs", inputs)
    return BusConfig(
        name=_name(table),
        inputs=inputs,
        outputs=outputs,
        origin=table.origin,
        type=kind,
        gain_db=max(table.number("gain", 0.0, float("-inf"), MAX_GAIN_DB, unit="dB"), SILENCE_DB),
        channel_gains_db=_channel_gains(table, inputs),
        mute=table.flag("mute", default=False),
        matrix=_matrix(table, len(outputs), len(inputs)),
        fade_ms=table.number("fade_ms", 20.0, 0.0, MAX_FADE_MS, unit="ms"),
        midi_channels=_midi_channels(table),
    )


def bus_table(bus: BusConfig) -> dict[str, object]:
    """Give the table that `read_bus` makes this bus of, with every default written out."""
    table: dict[str, object] = {"name": bus.name, "type": str(bus.type), "channels": list(bus.inputs), "mute": bus.mute}
    if bus.type is BusType.MIDI:
        return table | {"midi_channels": list(bus.midi_channels)}
    if bus.matrix is not None:
        table["matrix"] = [list(row) for row in bus.matrix]
    return table | {
        "outputs": list(bus.outputs),
        "gain": bus.gain_db,
        "channel_gains": list(bus.channel_gains_db),
        "fade_ms": bus.fade_ms,
    }


def _name(table: Table) -> str:
    if "name" not in table.values:
        table.complain("a bus must have a name")
        return ""
    name = table.text("name", "")
    if name and not _NAME.fullmatch(name):
        table.wrong("name", name, _NAME_WORDS, "name")
        return ""
    return name


def _channels(table: Table, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Give the names of the channels: those that are given, or numbers."""
    value = table.values.get(key)
    match value:
        case None:
            return default
        case bool():
            pass
        case int() if 1 <= value <= MAX_CHANNELS:
            return tuple(str(number) for number in range(1, value + 1))
        case list() if 1 <= len(value) <= MAX_CHANNELS:
            return tuple(_channel_names(table, key, value)) or default
    words = f"a number from 1 to {MAX_CHANNELS}, or a list of as many names"
    table.complain(f"{key}: found {found_many(value, 'name')}; allowed: {words}", key)
    return default


def _channel_names(table: Table, key: str, names: Sequence[object]) -> Iterator[str]:
    """Give the names; one that is wrong is noted and given as its number, so that what is counted later fits."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            table.wrong(key, name, f"names of {_NAME_WORDS}", key, index)
            yield str(index)
            continue
        if name in seen:
            table.complain(f"{key}: the name {found(name)} stands there twice", key, index)
        seen.add(name)
        yield name


def _channel_gains(table: Table, inputs: tuple[str, ...]) -> tuple[float, ...]:
    silent_change = (0.0,) * len(inputs)
    value = table.values.get("channel_gains")
    if value is None:
        return silent_change
    if not isinstance(value, list) or len(value) != len(inputs):
        words = f"a list of {len(inputs)}, one for each input"
        table.complain(f"channel_gains: found {found_many(value, 'number')}; allowed: {words}", "channel_gains")
        return silent_change
    gains = tuple(_numbers(table, "channel_gains", value, float("-inf"), MAX_GAIN_DB, "dB"))
    return tuple(max(gain, SILENCE_DB) for gain in gains)


def _matrix(table: Table, outputs: int, inputs: int) -> tuple[tuple[float, ...], ...] | None:
    value = table.values.get("matrix")
    if value is None:
        return None
    shape = f"{counted(outputs, 'row')} (one for each output) of {counted(inputs, 'number')} (one for each input)"
    if not isinstance(value, list) or len(value) != outputs:
        table.complain(f"matrix: found {found_many(value, 'row')}; allowed: {shape}", "matrix")
        return None
    rows = []
    for index, row in enumerate(value):
        if not isinstance(row, list) or len(row) != inputs:
            count = f"a row of {counted(len(row), 'number')}" if isinstance(row, list) and row else found(row)
            table.complain(f"matrix: found {count}; allowed: {shape}", "matrix", index)
            continue
        rows.append(tuple(_numbers(table, "matrix", row, -MAX_FACTOR, MAX_FACTOR, "", index)))
    return tuple(rows)


def _midi_channels(table: Table) -> tuple[int, ...]:
    value = table.values.get("midi_channels")
    if value is None:
        return ALL_MIDI_CHANNELS
    words = "a number from 1 to 16, or a list of some"
    channels = [value] if isinstance(value, int) else value
    if not isinstance(channels, list) or not channels:
        table.wrong("midi_channels", value, words)
        return ALL_MIDI_CHANNELS
    right = [channel for channel in channels if type(channel) is int and channel in ALL_MIDI_CHANNELS]
    for index, channel in enumerate(channels):
        if type(channel) is not int or channel not in ALL_MIDI_CHANNELS:
            table.wrong("midi_channels", channel, words, "midi_channels", *([index] if channels is value else []))
    return tuple(sorted(set(right))) or ALL_MIDI_CHANNELS


def _numbers(table: Table, key: str, values: Sequence[object], low: float, high: float, unit: str, *path: int) -> Iterator[float]:
    for index, value in enumerate(values):
        number = in_range(value, low, high)
        if number is None:
            table.wrong(key, value, limits(low, high, unit), key, *path, index)
        yield number or 0.0


def check_together(buses: Sequence[tuple[Table, BusConfig]]) -> None:
    """Note what only all buses together get wrong: too many, and ports that would have one name."""
    counts = {"inputs": 0, "outputs": 0}
    owners: dict[str, BusConfig] = {}
    for number, (table, bus) in enumerate(buses, 1):
        if number == MAX_BUSES + 1:
            table.complain(f"found {len(buses)} buses; allowed: {MAX_BUSES}")
        for side, channels in (("inputs", bus.inputs), ("outputs", bus.outputs)):
            before, counts[side] = counts[side], counts[side] + len(channels)
            if before <= MAX_PORTS < counts[side]:
                table.complain(f"with this bus all buses have {counts[side]} {side} together; allowed: {MAX_PORTS}")
        if bus.name:
            _check_port_names(table, bus, owners)


def _check_port_names(table: Table, bus: BusConfig, owners: dict[str, BusConfig]) -> None:
    """Note the first port that is another bus's as well, and the first whose name JACK would refuse."""
    ports = [bus_port(bus.name, channel, is_source=False) for channel in bus.inputs]
    ports += [bus_port(bus.name, channel, is_source=True) for channel in bus.outputs]
    long = next((port for port in ports if len(port) > PORT_NAME_BYTES), None)
    if long:
        table.complain(f"the port {found(long)} would have a name of {len(long)} bytes; allowed: {PORT_NAME_BYTES}", "name")
    taken = next((port for port in ports if owners.get(port, bus).name != bus.name), None)
    if taken:
        other = owners[taken]
        where = other.origin or MADE
        table.complain(f'both this bus and "{other.name}" ({where}) would have the port {found(taken)}', "name")
    for port in ports:
        owners.setdefault(port, bus)
