"""Where the session bus is looked for."""

from __future__ import annotations

import os

from jackd_router.dbus_api.addresses import session_addresses


def test_the_environment_says_where() -> None:
    assert session_addresses({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a,guid=1;unix:abstract=b"}) == (
        "unix:path=/a,guid=1",
        "unix:abstract=b",
    )


def test_else_it_is_in_the_runtime_directory() -> None:
    assert session_addresses({"XDG_RUNTIME_DIR": "/run/my user"}) == ("unix:path=/run/my%20user/bus",)
    assert session_addresses({}) == (f"unix:path=/run/user/{os.getuid()}/bus",)


def test_an_empty_address_is_none() -> None:
    assert session_addresses({"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": "/run/1"}) == ("unix:path=/run/1/bus",)


def test_runtime_yes_is_what_systemd_means() -> None:
    environment = {"DBUS_SESSION_BUS_ADDRESS": "unix:runtime=yes;unix:path=/a", "XDG_RUNTIME_DIR": "/run/1"}
    assert session_addresses(environment) == ("unix:path=/run/1/bus", "unix:path=/a")
