"""The wheel: one for every Python 3 on one kind of machine, built by either compiler without headers of Python or JACK."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from jackd_router import __version__

ROOT = Path(__file__).parents[2]
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "dbus", "jackd_router", "pyproject.toml", "setup.py")
COMPILERS = {"gcc": "GCC: ", "clang": "clang version "}
"""How each signs what it compiles."""
OLDEST_GLIBC = (2, 17)
"""That of manylinux2014."""

HEADERS = [folder for folder in (sysconfig.get_path("include"), "/usr/include/jack") if Path(folder).is_dir()]
HIDE = 'while [ "$1" != -- ]; do mount -t tmpfs tmpfs "$1"; shift; done; shift; exec "$@"'


def without_headers(command: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the folders with the headers of Python and JACK are empty."""
    hidden = ["unshare", "--mount", "sh", "-c", HIDE, "hide", *HEADERS, "--", *command]
    return subprocess.run(hidden, env=os.environ | environment, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Wheel:
    """A wheel that one compiler built, and where it is unpacked."""

    path: Path
    compiler: str
    unpacked: Path

    @property
    def kernel(self) -> Path:
        """The native part."""
        return self.unpacked / "jackd_router/jack_host/_kernel.so"

    def tell(self, *command: str) -> str:
        """Give what a program of the binutils says of the native part."""
        return subprocess.run([*command, self.kernel], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=COMPILERS)
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """Build a wheel from a copy of the sources: what was compiled before must not get in."""
    compiler: str = request.param
    folder = tmp_path_factory.mktemp(compiler)
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    done = without_headers([*pip, "--wheel-dir", folder, source], CC=compiler)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "unpacked")
    return Wheel(path, compiler, folder / "unpacked")


def test_headers_are_hidden_from_the_build() -> None:
    for header in ("Python.h", "jack/jack.h"):
        include = f"-I{sysconfig.get_path('include')}"
        done = without_headers(["gcc", include, "-include", header, "-fsyntax-only", "-x", "c", "/dev/null"])
        assert f"{header}: No such file" in done.stderr


def test_one_wheel_is_for_every_python(wheel: Wheel) -> None:
    system = sysconfig.get_platform().replace("-", "_")
    assert wheel.path.name == f"jackd_router-{__version__}-py3-none-{system}.whl"


def test_wheel_has_the_whole_program_and_nothing_else(wheel: Wheel) -> None:
    found = {str(path.relative_to(wheel.unpacked)) for path in wheel.unpacked.rglob("*") if path.is_file()}
    program = {name for name in found if not name.startswith(f"jackd_router-{__version__}.dist-info/")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "jackd_router").rglob("*.py")}
    contracts = {f"jackd_router/dbus_api/xml/{path.name}" for path in (ROOT / "dbus").glob("*.xml")}
    assert program == modules | contracts | {"jackd_router/py.typed", "jackd_router/jack_host/_kernel.so"}


def test_native_part_is_of_that_compiler(wheel: Wheel) -> None:
    signatures = wheel.tell("readelf", "--string-dump=.comment")
    assert COMPILERS[wheel.compiler] in signatures


def test_native_part_needs_nothing_but_an_old_libc(wheel: Wheel) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", wheel.tell("readelf", "--dynamic", "--wide"))
    assert set(needed) <= {"libc.so.6", "libpthread.so.0"}
    imported = re.findall(r"^ +[Uw] (\S+)", wheel.tell("nm", "--dynamic", "--undefined-only"), re.MULTILINE)
    assert "memcpy" in {name.partition("@")[0] for name in imported}
    assert not [name for name in imported if re.match(r"_?Py|jack_", name)]
    versions = {tuple(map(int, version.split("."))) for name in imported for version in re.findall(r"@GLIBC_([0-9.]+)", name)}
    assert versions
    assert max(versions) <= OLDEST_GLIBC


def test_wheel_is_named_after_every_system_that_it_runs_on(wheel: Wheel, tmp_path: Path) -> None:
    """As `make wheel` does."""
    tools = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["auditwheel", "repair", "--wheel-dir", str(tmp_path), str(wheel.path)]
    done = subprocess.run(command, env=tools, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (named,) = tmp_path.glob("*.whl")
    systems = named.name.removeprefix(f"jackd_router-{__version__}-py3-none-").removesuffix(".whl").split(".")
    assert all(re.fullmatch(rf"manylinux\w+_{platform.machine()}", system) for system in systems)
    assert {"manylinux2014", "manylinux_2_17"} & {system.removesuffix(f"_{platform.machine()}") for system in systems}
    with zipfile.ZipFile(named) as archive:
        assert archive.read("jackd_router/jack_host/_kernel.so") == wheel.kernel.read_bytes()


WHICH = """
from pathlib import Path
from jackd_router.jack_host.kernel import library

def test_library_is_that_of_the_wheel() -> None:
    assert Path(library._name).is_relative_to(Path(__file__).parents[2])
"""


@pytest.mark.timeout(240)
def test_native_part_does_what_the_kernel_does(wheel: Wheel) -> None:
    """The tests of the kernel once more, beside the wheel's files and with these."""
    shutil.copytree(ROOT / "tests", wheel.unpacked / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", wheel.unpacked)
    tests = wheel.unpacked / "tests/jack_host"
    (tests / "test_which.py").write_text(WHICH)
    chosen = [*tests.glob("test_kernel*.py"), tests / "test_which.py"]
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *map(str, chosen)]
    done = subprocess.run(command, cwd=wheel.unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
