"""What the set-up script says where it cannot go on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "tools/setup"
BASICS = ("sh", "cat", "dirname", "env", "id", "python3", "sort", "tr", "gcc", "pkg-config")


@pytest.fixture
def foreign_path(tmp_path: Path) -> str:
    """Give a PATH as of a distribution without apt-get, and without a JACK server."""
    for name in BASICS:
        found = next(folder / name for folder in (Path("/usr/bin"), Path("/bin")) if (folder / name).exists())
        (tmp_path / name).symlink_to(found)
    return str(tmp_path)


def _setup(path: str, *arguments: str, python: str = "python3") -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "PYTHON": python}
    return subprocess.run(["/bin/sh", SETUP, *arguments], env=env, capture_output=True, text=True, check=False)


def _write_program(path: str, name: str, text: str) -> None:
    program = Path(path, name)
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_names_the_packages_where_there_is_no_apt(foreign_path: str) -> None:
    done = _setup(foreign_path)
    assert done.returncode == 1
    first = done.stderr.splitlines()[0]
    assert first.startswith("setup: missing, by the names of Debian's packages: ")
    assert {"dbus", "dbus-broker", "jackd2", "systemd", "util-linux"} <= set(first.split())
    assert "gcc" not in first.split()


def test_packages_of_another_python_have_its_name(foreign_path: str) -> None:
    first = _setup(foreign_path, python="python3.99").stderr.splitlines()[0]
    assert {"python3.99", "python3.99-dev", "python3.99-venv"} <= set(first.split())


def test_installing_needs_less_than_the_tests(foreign_path: str) -> None:
    _write_program(foreign_path, "pkg-config", "exit 1")
    install, tests = (set(_setup(foreign_path, *argument).stderr.split()) for argument in (("packages",), ()))
    assert "libsystemd-dev" in install
    assert {"libjack-jackd2-dev", "wireplumber"} <= tests - install


def test_tells_what_to_run_as_root_where_there_is_no_sudo(foreign_path: str) -> None:
    _write_program(foreign_path, "apt-get", "exit 1")
    _write_program(foreign_path, "id", "echo 1000")
    done = _setup(foreign_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    told = "setup: not root, and there is no sudo; as root: apt-get install --no-install-recommends "
    assert line.startswith(told)
    assert {"dbus", "jackd2"} <= set(line.removeprefix(told).split())


def test_installs_nothing_for_a_python_that_does_not_run(foreign_path: str) -> None:
    _write_program(foreign_path, "python3.99", "echo 'not switched on' >&2; exit 127")
    done = _setup(foreign_path, python="python3.99")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["not switched on", "setup: python3.99 is there, and does not run"]
