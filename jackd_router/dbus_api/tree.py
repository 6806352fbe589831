"""The objects that are exported: which interfaces stand at which path, and what implements them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jackd_router.dbus_api.errors import contained
from jackd_router.dbus_api.interface_xml import EmitsChange, Interface, Property, python_name
from jackd_router.dbus_api.message_bus import Value, Variant, variant
from jackd_router.dbus_api.messages import Call


@dataclass(frozen=True, slots=True)
class Exported:
    """An interface and the object that implements it, member by member, under the names that `python_name` gives.

    A method takes the `Call` and the arguments. A property is an attribute; one that has to be asked for, and therefore
    is never announced, is instead an `async def read_<name>()`. A writable one has a `set_<name>(call, value)`.
    """

    interface: Interface
    implementation: object

    def __post_init__(self) -> None:
        """Complain at once where a member of the contract is missing, not when somebody first calls it."""
        missing = [name for name in self._wanted_names() if not _has(self.implementation, name)]
        if missing:
            raise TypeError(f"{type(self.implementation).__name__} lacks {', '.join(missing)} of {self.interface.name}")

    def read(self, declared: Property) -> Variant:
        """Give the value of a property that is an attribute."""
        value: Value = getattr(self.implementation, python_name(declared.name))
        return variant(declared.type, value)

    def must_be_asked(self, declared: Property) -> bool:
        """Tell whether only `ask` gives the value of this property."""
        return _can_be_asked(declared) and _has(self.implementation, f"read_{python_name(declared.name)}")

    async def ask(self, declared: Property) -> Variant:
        """Give the value of a property that has to be asked for."""
        value: Value = await getattr(self.implementation, f"read_{python_name(declared.name)}")()
        return variant(declared.type, value)

    def write(self, call: Call, declared: Property, value: Value) -> object:
        """Set a property; what this gives may have to be awaited."""
        result: object = getattr(self.implementation, f"set_{python_name(declared.name)}")(call, value)
        return result

    def read_all(self) -> dict[str, Variant]:
        """Give all properties that are attributes. One that fails is left out, so that the others are told."""
        values: dict[str, Variant] = {}
        for declared in self.interface.properties.values():
            if declared.readable and not self.must_be_asked(declared):
                with contained(f"property {self.interface.name}.{declared.name}", lambda error: None):
                    values[declared.name] = self.read(declared)
        return values

    def asked_properties(self) -> tuple[Property, ...]:
        """Give the properties that `read_all` leaves out because they have to be asked for."""
        return tuple(declared for declared in self.interface.properties.values() if self.must_be_asked(declared))

    def _wanted_names(self) -> Iterator[str]:
        """Give the attributes that the implementation must have."""
        yield from map(python_name, self.interface.methods)
        for declared in self.interface.properties.values():
            name = python_name(declared.name)
            if declared.readable and not self.must_be_asked(declared):
                yield name
            if declared.writable:
                yield f"set_{name}"


def _has(implementation: object, name: str) -> bool:
    """Tell whether the attribute is there, without reading it: the getter of a property may fail."""
    return inspect.getattr_static(implementation, name, None) is not None


def _can_be_asked(declared: Property) -> bool:
    """Tell whether nobody announces the property: what is announced must be at hand."""
    return declared.readable and declared.emits is EmitsChange.NEVER


class ObjectTree:
    """What stands at which path. Objects below the root come and go; the object manager at the root tells of them."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._objects: dict[str, dict[str, Exported]] = {}

    def add(self, path: str, exported: Mapping[str, Exported]) -> None:
        """Put an object at the path."""
        if path in self._objects:
            raise ValueError(f"there is an object at {path} already")
        self._objects[path] = dict(exported)

    def remove(self, path: str) -> tuple[str, ...]:
        """Take the object away and give the names of its interfaces."""
        return tuple(self._objects.pop(path))

    def at(self, path: str) -> Mapping[str, Exported] | None:
        """Give the interfaces at the path by name, or None where no object is."""
        return self._objects.get(path)

    def children(self, path: str) -> list[str]:
        """Give the names of the elements right below the path, sorted."""
        above = path.rstrip("/") + "/"
        below = (other.removeprefix(above) for other in self._objects if other.startswith(above))
        return sorted({rest.partition("/")[0] for rest in below if rest})

    def below_root(self) -> Iterator[str]:
        """Give the path of each object below the root."""
        return filter(self.is_below_root, self._objects)

    def is_below_root(self, path: str) -> bool:
        """Tell whether the object manager at the root speaks of this path."""
        return path.startswith(f"{self.root}/")
