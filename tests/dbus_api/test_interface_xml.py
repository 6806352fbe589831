"""The contract itself: the XML files of the API."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from dbus_next import introspection

from jackd_router.dbus_api.interface_xml import EmitsChange, parse_interfaces, python_name, read_interface
from jackd_router.dbus_api.names import BUS_NAME

FOLDER = Path(__file__).parents[2] / "dbus"
FILES = sorted(FOLDER.glob("*.xml"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem.removeprefix(f"{BUS_NAME}."))
def file(request: pytest.FixtureRequest) -> Path:
    """Give each file in turn."""
    path: Path = request.param
    return path


def test_there_are_ten() -> None:
    assert len(FILES) == 10


def test_a_file_is_called_like_its_interface(file: Path) -> None:
    (interface,) = parse_interfaces(file.read_text())
    assert file.name == f"{interface.name}.xml"
    assert read_interface(file.stem.removeprefix(f"{BUS_NAME}.")).xml == interface.xml


def test_every_member_is_documented(file: Path) -> None:
    text = file.read_text()
    for element in ET.fromstring(text).iter():
        if element.tag in ("method", "property", "signal"):
            name = element.attrib["name"]
            documented = re.search(rf"<!--\s+{name}:\n\n(.+?)\n\s*-->\s*<{element.tag} name=\"{name}\"", text, re.DOTALL)
            assert documented, f"{name} has no comment right above it"
            assert documented[1].strip().rstrip(".") != name


def test_every_argument_has_a_name(file: Path) -> None:
    for argument in ET.fromstring(file.read_text()).iter("arg"):
        assert re.fullmatch("[a-z_]+", argument.attrib["name"])


def test_methods_that_may_grow_take_options_last(file: Path) -> None:
    for method in ET.fromstring(file.read_text()).iter("method"):
        taken = [argument.attrib["name"] for argument in method.iter("arg") if argument.get("direction") == "in"]
        assert "options" not in taken[:-1]


def test_another_reader_of_such_files_agrees(file: Path) -> None:
    (interface,) = parse_interfaces(file.read_text())
    (other,) = introspection.Node.parse(file.read_text()).interfaces
    assert {method.name: (method.inputs, method.outputs) for method in interface.methods.values()} == {
        method.name: (method.in_signature, method.out_signature) for method in other.methods
    }
    assert {declared.name: declared.type for declared in interface.properties.values()} == {
        declared.name: declared.signature for declared in other.properties
    }
    assert interface.signals == {signal.name: signal.signature for signal in other.signals}


def test_members_in_python() -> None:
    assert [python_name(name) for name in ("GetGraph", "StartedUSec", "Gain", "LastXrunUSec", "ResetXruns")] == [
        "get_graph",
        "started_usec",
        "gain",
        "last_xrun_usec",
        "reset_xruns",
    ]


def test_what_a_property_announces() -> None:
    server = read_interface("Server").properties
    assert server["DspLoad"].emits is EmitsChange.NEVER
    assert server["State"].emits is EmitsChange.VALUE
    assert read_interface("Manager").properties["Version"].emits is EmitsChange.CONSTANT


def test_the_activation_file_names_the_bus_and_the_unit() -> None:
    lines = (FOLDER / f"{BUS_NAME}.service").read_text().splitlines()
    assert f"Name={BUS_NAME}" in lines
    assert "SystemdService=jackd-router.service" in lines
