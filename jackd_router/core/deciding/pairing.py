"""Pairing: which sources of one client meet which destinations of one client."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import assert_never

from jackd_router.core.config import ChannelMap, Pairing
from jackd_router.core.graph import Connection, PortName

Pairs = dict[Connection, bool]
"""The chosen pairs. True: only the rest of a fan-out, of which more ports of the same client may make something else."""

_CHANNEL = re.compile(
    r"(?:^|(?<=[\W_]))(?:"
    r"(?P<FL>fl|l|left)|(?P<FR>fr|r|right)|(?P<FC>fc|c|center)|(?P<LFE>lfe|sub)|(?P<RL>rl|bl)|(?P<RR>rr|br)"
    r"|(?P<SL>sl)|(?P<SR>sr)|(?P<MONO>mono|m)|aux(?P<AUX>[0-9]+)|(?P<NUMBER>[0-9]+))$",
    re.IGNORECASE,
)
_LAYOUT = ("FL", "FR", "FC", "LFE", "RL", "RR", "SL", "SR")
"""The order of the named channels: the first is what a port with the number 1 meets."""


@lru_cache(maxsize=8192)
def channel_of(port: PortName) -> str | None:
    """Give the channel that the end of the short name stands for (`output_FL`, `left`, `L`: FL); None where it names none."""
    # Kept: each of 64 ports that come one by one is paired anew with all, and asked for its channel every time.
    found = _CHANNEL.search(port.partition(":")[2])
    if found is None or found.lastgroup is None:
        return None
    match found.lastgroup:
        case "AUX":
            return f"AUX{found['AUX'].lstrip('0') or '0'}"
        case "NUMBER":
            return found["NUMBER"].lstrip("0") or "0"
        case name:
            return name


def ending_of(port: PortName) -> str | None:
    """Give the end of the short name that stands for a named channel, as it is written; None where there is none."""
    found = _CHANNEL.search(port.partition(":")[2])
    if found is None or found.lastgroup == "NUMBER":
        return None
    return found[0]


def pair(sources: Sequence[PortName], destinations: Sequence[PortName], pairing: Pairing | ChannelMap) -> Pairs:
    """Give the pairs of the sources with the destinations, both in natural order."""
    match pairing:
        case tuple():
            return _mapped(sources, destinations, pairing)
        case Pairing.AUTO:
            if len(sources) == 1 or len(destinations) == 1:
                return _fan_out(sources, destinations)
            named = _by_name(sources, destinations)
            return _in_order(sources, destinations) if named is None else named
        case Pairing.ALL:
            return {Connection(source, destination): False for source in sources for destination in destinations}
        case Pairing.ORDER:
            return _in_order(sources, destinations)
        case Pairing.NAME:
            return _by_channel(_channels(sources), _channels(destinations))
        case _:
            assert_never(pairing)


def is_complete(sources: Sequence[PortName], destinations: Sequence[PortName], pairing: Pairing | ChannelMap) -> bool:
    """Tell whether nobody would stay alone: as many sources as destinations, all paired; of a map, every ending it names."""
    if isinstance(pairing, tuple):
        return all(
            any(_ends(source, ending) for source in sources)
            and all(any(_ends(destination, other) for destination in destinations) for other in others)
            for ending, others in pairing
        )
    pairs = pair(sources, destinations, pairing)
    return len(sources) == len(destinations) == len({pair.source for pair in pairs}) == len({pair.destination for pair in pairs})


def _in_order(sources: Sequence[PortName], destinations: Sequence[PortName]) -> Pairs:
    """Pair first with first; surplus ports stay alone."""
    return {Connection(source, destination): False for source, destination in zip(sources, destinations, strict=False)}


def _fan_out(sources: Sequence[PortName], destinations: Sequence[PortName]) -> Pairs:
    """Pair the one port of one side with all of the other."""
    pairs = (Connection(source, destination) for source in sources for destination in destinations)
    return {connection: index > 0 for index, connection in enumerate(pairs)}


def _by_name(sources: Sequence[PortName], destinations: Sequence[PortName]) -> Pairs | None:
    """Pair equal channels, MONO with all; None where not all of the smaller side, and as many of the other, are named."""
    smaller, larger = sorted((sources, destinations), key=len)
    # Mostly the first port has a number, and the others need not be looked at.
    if not all(map(_is_named, smaller)) or sum(map(_is_named, larger)) < len(smaller):
        return None
    return _by_channel(*(_channels(tuple(filter(_is_named, ports))) for ports in (sources, destinations)))


def _is_named(port: PortName) -> bool:
    channel = channel_of(port)
    return channel is not None and not channel.isdecimal()


def _by_channel(sources: Mapping[PortName, str], destinations: Mapping[PortName, str]) -> Pairs:
    """Pair ports of one channel; MONO with every channel."""
    meant = _numbers_meant(sources, destinations), _numbers_meant(destinations, sources)
    return {
        Connection(source, destination): False
        for source, channel in sources.items()
        for destination, other in destinations.items()
        if "MONO" in (channel, other) or meant[0].get(channel, channel) == meant[1].get(other, other)
    }


def _numbers_meant(ports: Mapping[PortName, str], others: Mapping[PortName, str]) -> dict[str, str]:
    """Give for each plain number of one side what it means to the other: its position there, or else the named channel there."""
    named = sorted({channel for channel in others.values() if not channel.isdecimal() and channel != "MONO"}, key=_layout)
    numbered = set(_positions(others).values())
    return {
        number: named[position] if position not in numbered and position < len(named) else f"#{position}"
        for number, position in _positions(ports).items()
    }


def _positions(ports: Mapping[PortName, str]) -> dict[str, int]:
    """Give the position, from 0, that each plain number stands for: 1 is the first, but 0 where a side counts from there."""
    numbers = {channel for channel in ports.values() if channel.isdecimal()}
    return {number: int(number) - ("0" not in numbers) for number in numbers}


def _layout(channel: str) -> tuple[int, int]:
    if channel in _LAYOUT:
        return _LAYOUT.index(channel), 0
    return len(_LAYOUT), int(channel.removeprefix("AUX"))


def _mapped(sources: Sequence[PortName], destinations: Sequence[PortName], endings: ChannelMap) -> Pairs:
    """Pair the ports whose endings the map leads to each other."""
    return {
        Connection(source, destination): False
        for ending, others in endings
        for source in sources
        if _ends(source, ending)
        for destination in destinations
        if any(_ends(destination, other) for other in others)
    }


def _ends(port: PortName, ending: str) -> bool:
    """Tell whether the short name ends so, all of it or after something that is no letter and no digit."""
    short_name, ending = port.partition(":")[2].casefold(), ending.casefold()
    before = short_name.removesuffix(ending)
    return short_name.endswith(ending) and (not before or not before[-1].isalnum() or not ending[0].isalnum())


def _channels(ports: Sequence[PortName]) -> dict[PortName, str]:
    channels = ((port, channel_of(port)) for port in ports)
    return {port: channel for port, channel in channels if channel is not None}
