"""The contract with its comments: each interface of dbus/*.xml, member by member, in the words of the file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DBUS = Path(__file__).parents[2] / "dbus"
_ORDER = ("Manager", "Server", "Graph", "Rules", "Profiles", "Snapshots", "Buses", "Bus", "Config", "LogControl1")
_EMITS_CHANGE = "org.freedesktop.DBus.Property.EmitsChangedSignal"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a method or a signal."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Member:
    """A method, a property (`type`, `access`, and what `emits` says of its changes) or a signal, with its paragraphs."""

    kind: str
    name: str
    text: tuple[str, ...]
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()
    type: str = ""
    access: str = ""
    emits: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: its whole name, a few words on it, paragraphs, members in the order of the file."""

    name: str
    short: str
    text: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def title(self) -> str:
        """What it is called where it is clear whose it is."""
        return self.name.rpartition(".")[2]

    def of_kind(self, kind: str) -> list[Member]:
        """Give the methods, properties or signals."""
        return [member for member in self.members if member.kind == kind]


class Undocumented(Exception):
    """A member without a comment that bears its name."""


def read_contract(folder: Path = DBUS) -> list[Interface]:
    """Give every interface, in the order in which one reads of them; those that the order does not name come last."""
    read = sorted(map(_read, folder.glob("*.xml")), key=lambda interface: interface.name)
    return sorted(read, key=lambda interface: _ORDER.index(interface.title) if interface.title in _ORDER else len(_ORDER))


def _read(file: Path) -> Interface:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    document = ET.parse(file, parser).getroot()
    ((comment, interface),) = _commented(document, "interface")
    name = interface.attrib["name"]
    heading, *text = _paragraphs(comment, name)
    members = []
    for said, element in _commented(interface, "method", "property", "signal"):
        members.append(_member(element, _paragraphs(said, element.attrib["name"])))
    return Interface(name, heading.removeprefix("@short_description: "), tuple(text), tuple(members))


def _commented(parent: ET.Element, *tags: str) -> Iterator[tuple[str, ET.Element]]:
    """Give each element of these tags with the comment before it, "" where there is none."""
    comment = ""
    for child in parent:
        if child.tag in tags:
            yield comment, child
            comment = ""
        else:  # a comment: nothing else stands beside members
            comment = child.text or ""


def _paragraphs(comment: str, name: str) -> tuple[str, ...]:
    """Give the paragraphs of a comment, whose first line must be the name; a line that ends early ends there on purpose."""
    lines = [line.strip() for line in comment.strip().splitlines()]
    if not lines or lines[0] != f"{name}:":
        raise Undocumented(f"{name} has no comment that begins with `{name}:`")
    blocks = re.split(r"\n\s*\n", "\n".join(lines[1:]).strip())
    return tuple(block for block in blocks if block)


def _member(element: ET.Element, text: tuple[str, ...]) -> Member:
    name, kind = element.attrib["name"], element.tag
    arguments = [
        (argument.get("direction", "in"), Argument(argument.attrib["name"], argument.attrib["type"]))
        for argument in element.iter("arg")
    ]
    noted = {note.attrib["name"]: note.attrib["value"] for note in element.iter("annotation")}
    return Member(
        kind=kind,
        name=name,
        text=text,
        inputs=tuple(argument for direction, argument in arguments if direction == "in"),
        outputs=tuple(argument for direction, argument in arguments if direction == "out"),
        type=element.get("type", ""),
        access=element.get("access", ""),
        emits=noted.get(_EMITS_CHANGE, "true"),
    )
