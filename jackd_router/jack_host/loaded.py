"""Which libjack is loaded: `python -m jackd_router.jack_host.loaded` prints its version, and its file.

To be asked in a process of its own, as everything of libjack: what is wrong with a library may end whoever loads it.
"""

from __future__ import annotations

from pathlib import Path

from jackd_router.jack_host import adapter


def main() -> None:
    """Print them, one a line."""
    print(adapter.library_version())
    print(_file())


def _file() -> str:
    """Give the file, which the loader has found by its own rules."""
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("libjack"):
            return f"/{path}"
    return "(no file)"


if __name__ == "__main__":
    main()
