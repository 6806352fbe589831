"""The interfaces of the D-Bus specification itself, over a tree of objects."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from pathlib import Path

from jackd_router.dbus_api.errors import (
    FILE_NOT_FOUND,
    INVALID_ARGS,
    PROPERTY_READ_ONLY,
    UNKNOWN_INTERFACE,
    UNKNOWN_OBJECT,
    UNKNOWN_PROPERTY,
    CallError,
    contained,
)
from jackd_router.dbus_api.interface_xml import INTROSPECTABLE, OBJECT_MANAGER, PEER, PROPERTIES, Property
from jackd_router.dbus_api.message_bus import Variant
from jackd_router.dbus_api.messages import Call
from jackd_router.dbus_api.tree import Exported, ObjectTree

_DOCTYPE = """<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
"""
_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))

ObjectProperties = dict[str, dict[str, Variant]]
"""Interface name → property name → value."""


class StandardInterfaces:
    """Implements them all; each method takes the path from the call."""

    def __init__(self, tree: ObjectTree) -> None:
        self._tree = tree
        everywhere = (PEER, INTROSPECTABLE, PROPERTIES)
        self._of_object = {interface.name: Exported(interface, self) for interface in everywhere}
        self._of_root = self._of_object | {OBJECT_MANAGER.name: Exported(OBJECT_MANAGER, self)}

    def at(self, path: str) -> Mapping[str, Exported]:
        """Give those that the path has. Where no object is that is Peer, and above objects the way down to them."""
        if path == self._tree.root:
            return self._of_root
        if self._tree.at(path) is not None:
            return self._of_object
        with_children = (PEER.name, INTROSPECTABLE.name) if path == "/" or self._tree.children(path) else (PEER.name,)
        return {name: self._of_object[name] for name in with_children}

    def ping(self, call: Call) -> None:
        """Answer Peer.Ping."""

    def get_machine_id(self, call: Call) -> str:
        """Answer Peer.GetMachineId."""
        for file in _MACHINE_ID_FILES:
            if file.exists():
                return file.read_text(encoding="ascii").strip()
        raise CallError(FILE_NOT_FOUND, f"this machine has no id in {' or '.join(map(str, _MACHINE_ID_FILES))}")

    def introspect(self, call: Call) -> str:
        """Answer Introspectable.Introspect with the contract as it was shipped."""
        offered = {**self.at(call.path), **(self._tree.at(call.path) or {})}
        interfaces = "".join(exported.interface.xml for exported in offered.values())
        children = "".join(f'<node name="{name}"/>\n' for name in self._tree.children(call.path))
        return f"{_DOCTYPE}<node>\n{interfaces}{children}</node>\n"

    def get(self, call: Call, interface: str, name: str) -> Variant | Coroutine[None, None, Variant]:
        """Answer Properties.Get."""
        exported, declared = self._find_property(call.path, interface, name)
        if not declared.readable:
            raise CallError(UNKNOWN_PROPERTY, f"property {name} of {interface} can only be written")
        return exported.ask(declared) if exported.must_be_asked(declared) else exported.read(declared)

    def set(self, call: Call, interface: str, name: str, value: Variant) -> object:
        """Answer Properties.Set, when the value is in force."""
        exported, declared = self._find_property(call.path, interface, name)
        if not declared.writable:
            raise CallError(PROPERTY_READ_ONLY, f"property {name} of {interface} cannot be written")
        if value.signature != declared.type:
            raise CallError(INVALID_ARGS, f"property {name} is of type {declared.type!r}, not {value.signature!r}")
        return exported.write(call, declared, value.value)

    def get_all(self, call: Call, interface: str) -> dict[str, Variant] | Coroutine[None, None, dict[str, Variant]]:
        """Answer Properties.GetAll."""
        exported = self._find_interface(call.path, interface)
        return _ask_all(exported) if exported.asked_properties() else exported.read_all()

    def get_managed_objects(self, call: Call) -> dict[str, ObjectProperties]:
        """Answer ObjectManager.GetManagedObjects."""
        return {path: self.properties_at(path) for path in self._tree.below_root()}

    def properties_at(self, path: str) -> ObjectProperties:
        """Give the properties of an object, by interface."""
        return {name: exported.read_all() for name, exported in (self._tree.at(path) or {}).items()}

    def _find_interface(self, path: str, interface: str) -> Exported:
        own = self._tree.at(path)
        if own is None:
            raise CallError(UNKNOWN_OBJECT, f"there is no object at {path}")
        found = own.get(interface) or self.at(path).get(interface)
        if found is None:
            raise CallError(UNKNOWN_INTERFACE, f"there is no interface {interface!r} at {path}")
        return found

    def _find_property(self, path: str, interface: str, name: str) -> tuple[Exported, Property]:
        exported = self._find_interface(path, interface)
        declared = exported.interface.properties.get(name)
        if declared is None:
            raise CallError(UNKNOWN_PROPERTY, f"interface {interface} has no property {name!r}")
        return exported, declared


async def _ask_all(exported: Exported) -> dict[str, Variant]:
    """Give all properties, those that have to be asked for too. One that fails is left out."""
    values = exported.read_all()
    for declared in exported.asked_properties():
        with contained(f"property {exported.interface.name}.{declared.name}", lambda error: None):
            values[declared.name] = await exported.ask(declared)
    return values
