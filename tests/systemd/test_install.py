"""`make install` and `make uninstall`, into a home that exists for the test only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.systemd.conftest import CHECKOUT, run

DROP_INS = CHECKOUT / "systemd/jackd-router.service.d"

# pip builds and installs everything anew here.
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("installed")]


def _files(home: Path) -> set[str]:
    """Give every file of ours outside of the virtual environment; pip itself leaves other things in a home."""
    paths = (path.relative_to(home) for path in home.rglob("*") if not path.is_dir())
    return {str(path) for path in paths if "venv" not in path.parts and "jackd" in str(path)}


def test_installed_program_runs(installed: str, home: Path, env: Mapping[str, str]) -> None:
    assert run(home / ".local/bin/jackd-router", "--version", env=env).startswith("jackd-router ")
    assert "systemctl --user enable --now jackd-router" in installed


def test_everything_is_in_its_place(installed: str, home: Path) -> None:
    assert _files(home) >= {
        ".config/jackd-router/router.toml",
        ".config/systemd/user/jackd-router.service",
        ".local/bin/jackd-router",
        ".local/share/dbus-1/services/io.github.jackd_router.Router1.service",
        ".local/share/man/man1/jackd-router.1",
        ".local/share/man/man5/jackd-router.toml.5",
    }
    assert (home / ".local/state/jackd-router").is_dir()


def test_contract_and_kernel_are_part_of_the_program(installed: str, home: Path) -> None:
    (package,) = (home / ".local/share/jackd-router/venv/lib").glob("python3*/site-packages/jackd_router")
    contract = {path.name for path in (package / "dbus_api/xml").glob("*.xml")}
    assert contract == {path.name for path in (CHECKOUT / "dbus").glob("*.xml")}
    assert (package / "jack_host/_kernel.so").exists()


def test_sample_configuration_is_accepted(installed: str, home: Path, env: Mapping[str, str]) -> None:
    run(home / ".local/bin/jackd-router", "check", home / ".config/jackd-router/router.toml", env=env)


@pytest.mark.parametrize("drop_in", [None, "50-userns.conf", "50-notify-reload.conf"])
def test_systemd_has_nothing_to_say_against_the_unit(installed: str, home: Path, tmp_path: Path, drop_in: str | None) -> None:
    unit = tmp_path / "jackd-router.service"
    shutil.copy(home / ".config/systemd/user/jackd-router.service", unit)
    if drop_in is not None:
        (tmp_path / "jackd-router.service.d").mkdir()
        shutil.copy(DROP_INS / drop_in, tmp_path / "jackd-router.service.d")
    runtime = tmp_path / "runtime"
    runtime.mkdir(0o700)
    command = ["systemd-analyze", "verify", "--user", "--man=no", str(unit)]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    # Not the exit status: it is 0 for a misspelt key.
    said = (done.stdout + done.stderr).strip()
    if drop_in == "50-notify-reload.conf" and _systemd_version() < 253:
        assert said.endswith(":4: Failed to parse service type, ignoring: notify-reload")
    else:
        assert said == ""


def _systemd_version() -> int:
    return int(subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1])


def test_foreign_program_of_that_name_is_left_alone(checkout: Path, tmp_path: Path, env: Mapping[str, str]) -> None:
    theirs = tmp_path / ".local/bin/jackd-router"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("#!/bin/sh\n")
    done = subprocess.run(
        [checkout / "tools/install"], env={**env, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert str(theirs) in done.stderr
    assert _files(tmp_path) == {".local/bin/jackd-router"}


def test_installs_anew_only_what_has_changed(installed: str, checkout: Path, home: Path, env: Mapping[str, str]) -> None:
    mark = home / ".local/share/jackd-router/venv/mark"
    mark.touch()
    assert run(checkout / "tools/install", env=env).splitlines()[-3:] == installed.splitlines()[-3:]
    assert mark.exists()

    with (checkout / "jackd_router/__init__.py").open("a") as source:
        source.write('\n__version__ = "99"\n')
    assert "installed jackd-router 99" in run(checkout / "tools/install", env=env)
    assert not mark.exists()


def test_what_is_the_users_stays(installed: str, checkout: Path, home: Path, env: Mapping[str, str]) -> None:
    configuration, state = home / ".config/jackd-router/router.toml", home / ".local/state/jackd-router/state.json"
    configuration.write_text("# mine\n")
    state.write_text("{}\n")
    assert f"kept your configuration: {configuration}" in run(checkout / "tools/install", env=env)

    said = run(checkout / "tools/uninstall", env=env)
    assert _files(home) == {".config/jackd-router/router.toml", ".local/state/jackd-router/state.json"}
    assert (configuration.read_text(), state.read_text()) == ("# mine\n", "{}\n")
    assert not (home / ".local/share/jackd-router").exists()
    assert f"kept: {configuration.parent}" in said
    assert f"kept: {state.parent}" in said
