"""The names of the API on the message bus, and how the name of a bus becomes part of an object path."""

from __future__ import annotations

import string

BUS_NAME = "io.github.jackd_router.Router1"
ROOT_PATH = "/io/github/jackd_router/Router1"
ERROR_PREFIX = f"{BUS_NAME}.Error"

MANAGER = f"{BUS_NAME}.Manager"
SERVER = f"{BUS_NAME}.Server"
GRAPH = f"{BUS_NAME}.Graph"
RULES = f"{BUS_NAME}.Rules"
PROFILES = f"{BUS_NAME}.Profiles"
SNAPSHOTS = f"{BUS_NAME}.Snapshots"
CONFIG = f"{BUS_NAME}.Config"
BUSES = f"{BUS_NAME}.Buses"
BUS = f"{BUS_NAME}.Bus"

LOG_CONTROL = "org.freedesktop.LogControl1"
LOG_CONTROL_PATH = "/org/freedesktop/LogControl1"

DBUS = "org.freedesktop.DBus"
DBUS_PATH = "/org/freedesktop/DBus"
PROPERTIES = f"{DBUS}.Properties"
OBJECT_MANAGER = f"{DBUS}.ObjectManager"

_PLAIN = frozenset(string.ascii_letters + string.digits)


def bus_path(name: str) -> str:
    """Give the path of the object that stands for this passthrough bus."""
    return f"{ROOT_PATH}/bus/{escape(name)}"


def escape(name: str) -> str:
    """Give an element of an object path that stands for any name, as systemd does: `FX return` is `FX_20return`."""
    if not name:
        return "_"
    octets = enumerate(name.encode("utf-8", "surrogateescape"))
    return "".join(chr(octet) if _stays(octet, position) else f"_{octet:02x}" for position, octet in octets)


def unescape(element: str) -> str:
    """Give the name that an element made by `escape` stands for."""
    if element == "_":
        return ""
    octets = bytearray()
    rest = element
    while rest:
        if rest[0] == "_":
            octets.append(int(rest[1:3], 16))
            rest = rest[3:]
        else:
            octets.append(ord(rest[0]))
            rest = rest[1:]
    return octets.decode("utf-8", "surrogateescape")


def _stays(octet: int, position: int) -> bool:
    """Tell whether the octet needs no escape: a leading digit does, so that elements begin as identifiers do."""
    character = chr(octet)
    return character in _PLAIN and not (position == 0 and character.isdigit())
