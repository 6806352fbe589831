"""That Python and the C compiler mean the same by the shared memory and its numbers."""

from __future__ import annotations

import ctypes as ct
import subprocess
from pathlib import Path

from jackd_router.core import mix
from jackd_router.jack_host import kernel, memory

SOURCE = Path(memory.__file__).with_name("kernel.h")

STRUCTURES: dict[str, type[ct.Structure]] = {
    "record": memory.Record,
    "level": memory.Level,
    "window": memory.Window,
    "cell": memory.Cell,
    "midi": memory.Midi,
    "plan": memory.Plan,
    "bus": memory.Bus,
    "targets": memory.Targets,
    "shared": memory.Shared,
    "libjack": kernel.LibJack,
}
NUMBERS = (
    "MAX_PORTS",
    "MAX_CELLS",
    "MAX_BUSES",
    "METER_WINDOWS",
    "RING_RECORDS",
    "COST_BUCKETS",
    "AT_TARGET",
    "FROM_SILENCE",
)
EVENTS = ("EVENT_PORT", "EVENT_CONNECTION", "EVENT_CLIENT", "EVENT_RENAME", "EVENT_ALIAS", "EVENT_SHUTDOWN", "EVENT_PROPERTY")
IN_C = {(name, long): short for name in ("cell", "midi") for long, short in (("input", "in"), ("output", "out"))}


def fields() -> list[tuple[str, str]]:
    """Give structure and field of everything that both sides know."""
    return [(name, field[0]) for name, structure in STRUCTURES.items() for field in structure._fields_]


def test_structures_and_numbers_are_those_of_the_header(tmp_path: Path) -> None:
    def show(expression: str) -> str:
        return f'    printf("%zu\\n", (size_t)({expression}));'

    lines = ["#include <stdio.h>", f'#include "{SOURCE}"', "int main(void) {"]
    wanted = []
    for name, structure in STRUCTURES.items():
        lines.append(show(f"sizeof(struct {name})"))
        wanted.append((name, ct.sizeof(structure)))
    for name, field in fields():
        place, in_c = getattr(STRUCTURES[name], field), IN_C.get((name, field), field)
        lines += [show(f"offsetof(struct {name}, {in_c})"), show(f"sizeof(((struct {name} *)0)->{in_c})")]
        wanted += [(f"{name}.{field}", place.offset), (f"{name}.{field}", place.size)]
    for number in (*NUMBERS, *EVENTS):
        lines.append(show(number))
        wanted.append((number, getattr(memory, number)))
    program = tmp_path / "layout.c"
    program.write_text("\n".join([*lines, "}"]))
    subprocess.run(["gcc", "-std=gnu11", program, "-o", tmp_path / "layout"], check=True)
    printed = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True).stdout.split()
    assert list(zip((name for name, _ in wanted), map(int, printed), strict=True)) == wanted


def test_core_means_the_same_by_the_start_of_a_cell() -> None:
    assert {start.name: start.value for start in mix.Start} == {
        "AT_TARGET": memory.AT_TARGET,
        "FROM_SILENCE": memory.FROM_SILENCE,
    }
    assert tuple(mix.Cell._fields) == tuple(field[0] for field in memory.Cell._fields_)
