"""Errors as callers get them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import jackd_router
from jackd_router.core.errors import ConfigInvalid, NoSuchPort, Problem, RouterError, Severity
from jackd_router.dbus_api.errors import ERROR_NAMES, CallError, as_call_error, contained
from jackd_router.dbus_api.names import ERROR_PREFIX


def errors_below(kind: type[RouterError]) -> Iterator[type[RouterError]]:
    """Give the error and everything that is one."""
    yield kind
    for one in kind.__subclasses__():
        yield from errors_below(one)


def test_every_error_of_the_router_has_a_name() -> None:
    for module in pkgutil.walk_packages(jackd_router.__path__, "jackd_router."):
        if module.name.split(".")[1] in ("core", "runtime", "jack_io"):
            importlib.import_module(module.name)
    kinds = {kind for kind in errors_below(RouterError) if kind.__module__.split(".")[1] in ("core", "runtime", "jack_io")}
    assert kinds == set(ERROR_NAMES)


def test_a_text_is_one_line() -> None:
    assert as_call_error(NoSuchPort("no port 'a\n  b'")).text == r"no port 'a\n  b'"
    assert as_call_error(NoSuchPort("no port 'a\u202eb'")).text == r"no port 'a\u202eb'", "what follows is not turned round"
    assert as_call_error(NoSuchPort()).text == "NoSuchPort"


def test_an_error_that_is_a_kind_of_another_bears_its_name() -> None:
    class NoSuchMidiPort(NoSuchPort):
        pass

    assert as_call_error(NoSuchMidiPort("no")).name == f"{ERROR_PREFIX}.NoSuchPort"


def test_the_first_problem_of_a_configuration_is_told() -> None:
    first, second = Problem("a.toml", 3, 1, "unknown key 'form'"), Problem("a.toml", 9, 1, "no name")
    assert as_call_error(ConfigInvalid((first,))).text == "a.toml:3:1: unknown key 'form'"
    assert (
        as_call_error(ConfigInvalid((first, second))).text == "a.toml:3:1: unknown key 'form' (and 1 more, see Config.Problems)"
    )
    warning = Problem("a.toml", 1, 1, "no such bus yet", Severity.WARNING)
    assert as_call_error(ConfigInvalid((warning, second))).text == "a.toml:9:1: no name (and 1 more, see Config.Problems)"


def test_what_ends_the_program_is_not_contained() -> None:
    told: list[CallError] = []
    with pytest.raises(SystemExit), contained("all", told.append):
        raise SystemExit
    assert not told
