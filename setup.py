"""What setuptools cannot be told in pyproject.toml: how the kernel is compiled, and where the D-Bus contract goes."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HOST = Path("jackd_router/jack_host")
KERNEL = Extension(
    "jackd_router.jack_host._kernel",
    sorted(map(str, HOST.glob("*.c"))),
    depends=sorted(map(str, HOST.glob("*.h"))),
    # No contraction of a * b + c: the same sound on every processor, and what the tests compare bit for bit.
    extra_compile_args=["-O3", "-std=gnu11", "-fopenmp-simd", "-ffp-contract=off", "-Wall", "-Wextra"],
)


class PlainLibrary(build_ext):
    """Builds a plain shared library: it knows nothing of Python, so one build serves every version."""

    def get_ext_filename(self, fullname: str) -> str:
        """Give the file name, without the mark of a Python version."""
        return fullname.replace(".", "/") + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Give what is exported: what the source says, and no PyInit function."""
        return ext.export_symbols or []


class AnyPython3(bdist_wheel):
    """Names the wheel after the machine only."""

    def get_tag(self) -> tuple[str, str, str]:
        """Give the tag: any Python 3, no ABI, this platform."""
        return "py3", "none", super().get_tag()[2]


class WithContract(build_py):
    """Puts dbus/*.xml, which stands at the top where people look for it, beside the code that reads it."""

    def run(self) -> None:
        """Build, then copy. A checkout (editable) reads dbus/ itself."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "jackd_router", "dbus_api", "xml")
            target.mkdir(parents=True, exist_ok=True)
            for contract in Path("dbus").glob("*.xml"):
                shutil.copy(contract, target)


setup(
    cmdclass={"build_ext": PlainLibrary, "bdist_wheel": AnyPython3, "build_py": WithContract},
    ext_modules=[KERNEL],
)
