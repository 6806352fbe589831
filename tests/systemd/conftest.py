"""An installation into a home that exists for the tests only; and which of these tests run where.

Those in `session` are collected inside a user manager of their own only, where test_user_systemd.py runs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
VENV = ".local/share/jackd-router/venv"

collect_ignore = [] if os.environ.get("JACKD_ROUTER_USER_SYSTEMD") else ["session"]


def run(*command: str | Path, env: Mapping[str, str]) -> str:
    """Run a command that must work, and give what it said."""
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the checkout: an installation builds in it."""
    folder = tmp_path_factory.mktemp("checkout") / "jackd_router"
    unwanted = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", "*.so", ".*_cache", ".hypothesis")
    shutil.copytree(CHECKOUT, folder, ignore=unwanted)
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty home, with a space in its name."""
    return tmp_path_factory.mktemp("home of tester")


@pytest.fixture(scope="session")
def env(home: Path) -> Mapping[str, str]:
    """Give the environment of somebody who lives there and has no user manager."""
    # pip would build with the cache of that home, which is empty: minutes for nothing.
    cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True).stdout
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DBUS_"))}
    return {**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "no-user-manager"), "PIP_CACHE_DIR": cache.strip()}


@pytest.fixture(scope="session")
def installed(checkout: Path, home: Path, env: Mapping[str, str]) -> str:
    """Install, and give what the installer said."""
    said = run(checkout / "tools/install", env=env)
    run("cp", "--archive", "--link", home / VENV, home.with_name("kept-venv"), env=env)
    return said


@pytest.fixture(scope="session")
def installed_venv(installed: str, home: Path) -> Path:
    """Give the virtual environment as it was installed, whatever the tests of the installer have done to it since."""
    return home.with_name("kept-venv")
