"""The kernel under fire from all its threads at once: as it is shipped, and under the sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jackd_router.jack_host import memory

HOST = Path(memory.__file__).parent
SOURCES = [*HOST.glob("*.c"), Path(__file__).with_name("stress.c")]
COMMON = ["-std=gnu11", "-fopenmp-simd", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-pthread", "-g"]

BUILDS = {
    "shipped": ["-O3"],
    "addresses": ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    # It crashes in the code that picks a clone, and does not see a memcpy that the compiler made into moves.
    "threads": ["-O1", "-fsanitize=thread", "-DNO_CLONES", "-fno-builtin"],
}


@pytest.mark.parametrize("build", BUILDS)
def test_all_threads_at_once(build: str, tmp_path: Path) -> None:
    program = tmp_path / "stress"
    subprocess.run(["gcc", *COMMON, *BUILDS[build], f"-I{HOST}", *SOURCES, "-o", program], check=True)
    # The thread sanitizer of gcc < 14 finds no room where the kernel scatters addresses widely.
    done = subprocess.run(["setarch", "-R", program], capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("cycles")
