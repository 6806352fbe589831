"""Pairing: which sources of one client meet which destinations of one client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import assert_never

from jackd_router.core.config import Pairing
from jackd_router.core.graph import Connection, PortName

Pairs = dict[Connection, bool]
"""The chosen pairs. True: only the rest of a fan-out, of which more ports of the same client may make something else."""

_CHANNEL = re.compile(
    r"(?:^|[\W_])(?:"
    r"(?P<FL>fl|l|left)|(?P<FR>fr|r|right)|(?P<FC>fc|c|center)|(?P<LFE>lfe|sub)|(?P<RL>rl|bl)|(?P<RR>rr|br)"
    r"|(?P<SL>sl)|(?P<SR>sr)|(?P<MONO>mono|m)|aux(?P<AUX>[0-9]+))$",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def channel_of(port: PortName) -> str | None:
    """Give the channel that the end of the short name stands for (`output_FL`, `left`, `L`: FL); None where it names none."""
    # Kept: each of 64 ports that come one by one is paired anew with all, and asked for its channel every time.
    found = _CHANNEL.search(port.partition(":")[2])
    if found is None or found.lastgroup is None:
        return None
    return f"AUX{found['AUX'].lstrip('0')}" if found.lastgroup == "AUX" else found.lastgroup


def pair(sources: Sequence[PortName], destinations: Sequence[PortName], pairing: Pairing) -> Pairs:
    """Give the pairs of the sources with the destinations, both in natural order."""
    match pairing:
        case Pairing.ALL:
            return {Connection(source, destination): False for source in sources for destination in destinations}
        case Pairing.ORDER:
            return _in_order(sources, destinations)
        case Pairing.AUTO:
            if len(sources) == 1 or len(destinations) == 1:
                return _fan_out(sources, destinations)
            named = _by_name(sources, destinations)
            return _in_order(sources, destinations) if named is None else named
        case _:
            assert_never(pairing)


def _in_order(sources: Sequence[PortName], destinations: Sequence[PortName]) -> Pairs:
    """Pair first with first; surplus ports stay alone."""
    return {Connection(source, destination): False for source, destination in zip(sources, destinations, strict=False)}


def _fan_out(sources: Sequence[PortName], destinations: Sequence[PortName]) -> Pairs:
    """Pair the one port of one side with all of the other."""
    pairs = (Connection(source, destination) for source in sources for destination in destinations)
    return {connection: index > 0 for index, connection in enumerate(pairs)}


def _by_name(sources: Sequence[PortName], destinations: Sequence[PortName]) -> Pairs | None:
    """Pair equal channels, MONO with all; None where not all of the smaller side, and as many of the other, are named."""
    named_sources, named_destinations = _channels(sources), _channels(destinations)
    smaller = min(len(sources), len(destinations))
    if min(len(named_sources), len(named_destinations)) < smaller:
        return None
    pairs: Pairs = {}
    for source in sources:
        for destination in destinations:
            channels = named_sources.get(source), named_destinations.get(destination)
            if "MONO" in channels or (channels[0] is not None and channels[0] == channels[1]):
                pairs[Connection(source, destination)] = False
    return pairs


def _channels(ports: Sequence[PortName]) -> dict[PortName, str]:
    channels = ((port, channel_of(port)) for port in ports)
    return {port: channel for port, channel in channels if channel is not None}
