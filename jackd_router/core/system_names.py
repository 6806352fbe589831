"""What JACK2 would call the ports of devices, `system:capture_1`, where the server has names of its own: PipeWire.

So that one configuration is right on both. Devices are many there, and JACK2 has one: `server.system` says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jackd_router.core.config import Rule
from jackd_router.core.graph import Port, PortName, PortType
from jackd_router.core.names import shown
from jackd_router.core.selecting.patterns import Pattern
from jackd_router.core.selecting.selectors import PortSelector

_WAYS = {True: "capture", False: "playback"}


@dataclass(frozen=True, slots=True)
class SystemNames:
    """Name of a port -> `system:capture_N` or `system:playback_N`; and, where it cannot be told, who it may be."""

    names: Mapping[PortName, str] = field(default_factory=dict)
    undecided: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """capture or playback -> the clients that have such ports, where they are several."""


def system_names(ports: Iterable[Port], chosen: Pattern | None) -> SystemNames:
    """Give the names for ports in the order of their device.

    They go to the physical audio ports of the client that `chosen` names; of the only client that has some, where it is None.
    """
    devices: dict[bool, dict[str, list[PortName]]] = {True: {}, False: {}}
    for port in ports:
        if port.is_physical and port.type in (PortType.AUDIO, PortType.CV) and not port.is_monitor:
            devices[port.is_source].setdefault(port.client, []).append(port.name)
    names: dict[PortName, str] = {}
    undecided: dict[str, tuple[str, ...]] = {}
    for is_source, way in _WAYS.items():
        clients = [client for client in devices[is_source] if chosen is None or chosen.catch(client)]
        if len(clients) == 1:
            numbered = enumerate(devices[is_source][clients[0]], 1)
            names |= {name: called for at, name in numbered if (called := f"system:{way}_{at}") != name}
        elif clients:
            undecided[way] = tuple(clients)
    return SystemNames(names, undecided)


def speak_of_system(rules: Iterable[Rule]) -> bool:
    """Tell whether a rule names a port as JACK2 would: else nobody needs to know which device is meant."""
    patterns = (
        pattern
        for rule in rules
        for selector in rule.selectors
        if isinstance(selector, PortSelector)
        for pattern in (selector.client, selector.name, selector.alias)
    )
    return any(pattern is not None and "system" in pattern.text for pattern in patterns)


def undecided_text(way: str, clients: Iterable[str]) -> str:
    """Give the words for what may mean several clients."""
    names = " or ".join(map(shown, clients))
    return (
        f"`system:{way}_N` may mean {names}, so it means none: name one of them as `system` under [server] in the configuration"
    )
