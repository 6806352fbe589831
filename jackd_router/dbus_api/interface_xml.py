"""The contract of the API: the XML files, read into values. What they say is what callers get."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jackd_router.dbus_api.names import BUS_NAME

_EMITS_CHANGE = "org.freedesktop.DBus.Property.EmitsChangedSignal"

_STANDARD = """<node>
<interface name="org.freedesktop.DBus.Introspectable">
  <method name="Introspect"><arg name="xml_data" type="s" direction="out"/></method>
</interface>
<interface name="org.freedesktop.DBus.Peer">
  <method name="Ping"/>
  <method name="GetMachineId"><arg name="machine_uuid" type="s" direction="out"/></method>
</interface>
<interface name="org.freedesktop.DBus.Properties">
  <method name="Get">
    <arg name="interface_name" type="s" direction="in"/>
    <arg name="property_name" type="s" direction="in"/>
    <arg name="value" type="v" direction="out"/>
  </method>
  <method name="Set">
    <arg name="interface_name" type="s" direction="in"/>
    <arg name="property_name" type="s" direction="in"/>
    <arg name="value" type="v" direction="in"/>
  </method>
  <method name="GetAll">
    <arg name="interface_name" type="s" direction="in"/>
    <arg name="properties" type="a{sv}" direction="out"/>
  </method>
  <signal name="PropertiesChanged">
    <arg name="interface_name" type="s"/>
    <arg name="changed_properties" type="a{sv}"/>
    <arg name="invalidated_properties" type="as"/>
  </signal>
</interface>
<interface name="org.freedesktop.DBus.ObjectManager">
  <method name="GetManagedObjects">
    <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
  </method>
  <signal name="InterfacesAdded">
    <arg name="object_path" type="o"/>
    <arg name="interfaces_and_properties" type="a{sa{sv}}"/>
  </signal>
  <signal name="InterfacesRemoved">
    <arg name="object_path" type="o"/>
    <arg name="interfaces" type="as"/>
  </signal>
</interface>
</node>"""


class EmitsChange(StrEnum):
    """What PropertiesChanged says of a property: its value, its name only, or nothing."""

    VALUE = "true"
    NAME = "invalidates"
    NEVER = "false"
    CONSTANT = "const"


@dataclass(frozen=True, slots=True)
class Method:
    """A method: signatures of what goes in and out, and how many values come out."""

    name: str
    inputs: str
    outputs: str
    output_count: int


@dataclass(frozen=True, slots=True)
class Property:
    """A property."""

    name: str
    type: str
    readable: bool
    writable: bool
    emits: EmitsChange


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """An interface, a key of mappings. `signals` gives the signature of each; `xml` is for Introspect, without the comments."""

    name: str
    methods: Mapping[str, Method]
    properties: Mapping[str, Property]
    signals: Mapping[str, str]
    xml: str


def parse_interfaces(text: str) -> tuple[Interface, ...]:
    """Give the interfaces that a document describes."""
    return tuple(_parse_interface(element) for element in ET.fromstring(text).iter("interface"))


def read_interface(name: str) -> Interface:
    """Give an interface of the API by the last part of its name, or one that others define by its whole name.

    The files stand in `dbus/` of a checkout, and beside this file where the program is installed.
    """
    beside = Path(__file__).parent / "xml"
    folder = beside if beside.is_dir() else Path(__file__).parents[2] / "dbus"
    file = folder / f"{name if '.' in name else f'{BUS_NAME}.{name}'}.xml"
    (interface,) = parse_interfaces(file.read_text(encoding="utf-8"))
    return interface


def python_name(member: str) -> str:
    """Give the attribute that stands for a member: `GetGraph` is `get_graph`, `StartedUSec` is `started_usec`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", member).lower()


def _parse_interface(element: ET.Element) -> Interface:
    ET.indent(element)
    return Interface(
        name=element.attrib["name"],
        methods={method.name: method for method in map(_parse_method, element.iter("method"))},
        properties={declared.name: declared for declared in map(_parse_property, element.iter("property"))},
        signals={signal.attrib["name"]: "".join(_types(signal)) for signal in element.iter("signal")},
        xml=ET.tostring(element, encoding="unicode").rstrip() + "\n",
    )


def _parse_method(element: ET.Element) -> Method:
    outputs = tuple(_types(element, "out"))
    return Method(element.attrib["name"], "".join(_types(element, "in")), "".join(outputs), len(outputs))


def _types(element: ET.Element, direction: str = "in") -> Iterator[str]:
    """Give the types of the arguments of this direction; those of signals have none."""
    for argument in element.iter("arg"):
        if argument.get("direction", "in") == direction:
            yield argument.attrib["type"]


def _parse_property(element: ET.Element) -> Property:
    access = element.attrib["access"]
    noted = {note.attrib["name"]: note.attrib["value"] for note in element.iter("annotation")}
    return Property(
        name=element.attrib["name"],
        type=element.attrib["type"],
        readable=access in ("read", "readwrite"),
        writable=access in ("write", "readwrite"),
        emits=EmitsChange(noted.get(_EMITS_CHANGE, EmitsChange.VALUE)),
    )


INTROSPECTABLE, PEER, PROPERTIES, OBJECT_MANAGER = parse_interfaces(_STANDARD)
"""The interfaces of the D-Bus specification that every object, and the root, has."""
