"""Names in object paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.dbus_api.names import bus_path, escape, unescape


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("main", "main"),
        ("FX return", "FX_20return"),
        ("a_b-c", "a_5fb_2dc"),
        ("2nd", "_32nd"),
        ("", "_"),
        ("é", "_c3_a9"),
        ("²", "_c2_b2"),
    ],
)
def test_names_are_escaped_as_systemd_does(name: str, element: str) -> None:
    assert escape(name) == element


@given(st.text())
def test_every_name_has_an_element_of_its_own(name: str) -> None:
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", escape(name))
    assert unescape(escape(name)) == name


def test_the_path_of_a_bus() -> None:
    assert bus_path("talk-back") == "/io/github/jackd_router/Router1/bus/talk_2dback"
