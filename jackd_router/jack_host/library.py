"""Which libjack there is: JACK2's speaks to jackd only, PipeWire's to PipeWire only, and both call themselves libjack.so.0."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Implementation(StrEnum):
    """Whose libjack, and whose server: the words of `Server.Implementation`."""

    JACK1 = "jack1"
    JACK2 = "jack2"
    PIPEWIRE = "pipewire"
    UNKNOWN = "unknown"


FOLDERS: Mapping[Implementation, tuple[str, ...]] = {
    # Where a distribution puts it is where the loader finds it, unless PipeWire's stands before it (ld.so.conf.d).
    Implementation.JACK2: ("", "/usr/${LIB}"),
    # Where Debian keeps it apart, as pw-jack has it; elsewhere it is the only one there is.
    Implementation.PIPEWIRE: ("/usr/${LIB}/pipewire-0.3/jack:/usr/local/${LIB}/pipewire-0.3/jack",),
}
"""What to set LD_LIBRARY_PATH to, one after the other until it is the right one. The loader itself replaces ${LIB}."""


def implementation(version: str) -> Implementation:
    """Tell from libjack's version text whose it is."""
    if "PipeWire" in version:
        return Implementation.PIPEWIRE
    match version.partition(".")[0]:
        case "0":
            return Implementation.JACK1
        case "1":
            return Implementation.JACK2
        case _:
            return Implementation.UNKNOWN
