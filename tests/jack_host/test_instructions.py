"""What a cycle costs, in instructions: callgrind counts them, and no other program of the machine can change the number.

The cycle is the one that most buses have nearly always: unity, no gain on its way, all inputs and outputs metered. What
callgrind cannot see, cache misses above all, `make bench BENCH=passthrough` measures on a real server.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from jackd_router.jack_host import memory

_HOST = Path(memory.__file__).parent
_PROGRAM = Path(__file__).with_name("instructions.c")
_FLAGS = ["-std=gnu11", "-O3", "-fopenmp-simd", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
"""Those of setup.py."""

_FRAMES = 64
_CYCLES = 800
"""100 meter windows."""

_MOST_A_CYCLE = 300
_MOST_A_CHANNEL = {"avx2": 270, "default": 390}
"""By the clone of the kernel's loops that the loader picks. Valgrind is a CPU without AVX-512, whatever it runs on."""

# gcc's clones on x86, and what every other machine has, which is the same code for SSE2 here.
BUILDS = {"shipped": [], "without clones": ["-DNO_CLONES"]}


@pytest.fixture(params=BUILDS)
def build(request: pytest.FixtureRequest) -> str:
    """Give the name of a build."""
    return str(request.param)


@pytest.fixture
def program(build: str, tmp_path: Path) -> Path:
    """Build the kernel and what drives it."""
    built = tmp_path / "instructions"
    flags = [*_FLAGS, *BUILDS[build], f"-I{_HOST}"]
    subprocess.run(["gcc", *flags, *_HOST.glob("*.c"), _PROGRAM, "-o", built], check=True)
    return built


@pytest.mark.parametrize("channels", [2, 8, 32, 64])
def test_instructions_of_a_cycle(build: str, program: Path, channels: int) -> None:
    counted, clone = _count(program, channels)
    has_avx2 = re.search(r"^flags\b.*\bavx2\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    assert clone == ("avx2" if has_avx2 and build == "shipped" else "default")
    most = _MOST_A_CYCLE + _MOST_A_CHANNEL[clone] * channels
    assert counted <= most, f"{counted:.0f} instructions a cycle of {_FRAMES} frames ({clone}), {most} at most"


def _count(program: Path, channels: int) -> tuple[float, str]:
    """Give the instructions of a cycle, and which clone ran."""
    counts = program.with_name("counts")
    valgrind = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={counts}"]
    what = [str(program), str(channels), str(_FRAMES), str(_CYCLES)]
    done = subprocess.run([*valgrind, *what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = counts.read_text()
    total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
    assert total, text
    clone = re.search(r"^c?fn=\(\d+\) sound_copy\.(\w+)", text, re.MULTILINE)
    return int(total[1]) / _CYCLES, clone[1] if clone else "default"
