"""Whether a bus misses more periods than the least that any client can be, while the daemon or the machine has no rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks import loaded_daemon
from benchmarks.carriers import Carrier, Native, Router, bus
from benchmarks.figures import Bound, percentile, signed_rank, table
from benchmarks.roundtrip import Run, listen, realtime_priority, told
from benchmarks.stopwatch import Stopwatch, stopwatch
from benchmarks.surroundings import Surroundings, hosts_settled
from tests.support.jack_server import JackServer
from tests.support.process import Process
from tests.support.router_process import RouterProcess

CHANNELS = 64
FRAMES = (32, 64)
RATE_HZ = 48_000
LEAST_P = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What goes on meanwhile."""

    name: str
    inside: str = ""
    """What a thread of the daemon does: a word that loaded_daemon knows."""
    beside: tuple[tuple[str, ...], ...] = ()
    """Programs of Python that run besides; {bus} is the address of the message bus."""


_SPIN = ("-c", "while True: pass")
LOADS = (
    Load("D-Bus calls", beside=(("-m", "benchmarks.callers", "{bus}"),)),
    Load("a thread spins in the daemon", inside="spin"),
    Load("garbage collections of 100 ms in the daemon", inside="collect"),
    Load("every CPU is busy", beside=(_SPIN,) * (os.cpu_count() or 1)),
)


@dataclass(slots=True)
class Compared:
    """The blocks of both under a load: pairs, one after the other."""

    load: Load
    frames: int
    runs: dict[str, list[Run]] = field(default_factory=lambda: {Native.name: [], Router.name: []})

    @property
    def p(self) -> float:
        """How likely it is by chance alone that the router misses so much more, or more."""
        return signed_rank([ours.missed / ours.periods - of_c.missed / of_c.periods for of_c, ours in self._pairs()])

    def missed(self, name: str) -> float:
        """Give how many of 100,000 periods were missed."""
        return 1e5 * sum(run.missed for run in self.runs[name]) / sum(run.periods for run in self.runs[name])

    def _pairs(self) -> Iterator[tuple[Run, Run]]:
        return zip(self.runs[Native.name], self.runs[Router.name], strict=True)


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    blocks, seconds, sizes = (5, 2, FRAMES[1:]) if quick else (20, 10, FRAMES)
    print(f"{told(realtime_priority())}; {CHANNELS} channels, {blocks} blocks of {seconds} s of each in turn. Times in µs\n")
    sys.stdout.flush()
    with stopwatch() as watch:
        compared = [one for frames in sizes for one in _measure_at(around, watch, frames, blocks, seconds)]
    print(table(_HEAD, [_row(one, name) for one in compared for name in one.runs]))
    return [
        Bound(
            f"deadlines: {one.missed(Router.name):.0f} of 100,000 periods missed, C {one.missed(Native.name):.0f},"
            f" {one.frames} frames, {one.load.name}: p = {one.p:.3f} (at least {LEAST_P})",
            one.p >= LEAST_P,
        )
        for one in compared
    ]


def _measure_at(around: Surroundings, watch: Stopwatch, frames: int, blocks: int, seconds: float) -> list[Compared]:
    compared = [Compared(load, frames) for load in LOADS]
    server = around.server(period_frames=frames, realtime_priority=realtime_priority())
    with server:
        for number in range(blocks):
            for one in compared:
                # Who is second finds the machine as the other one left it: each is as often the first.
                for carrier in (Native(), Router()) if number % 2 else (Router(), Native()):
                    run = _run(around, server, watch, one.load, carrier, seconds)
                    one.runs[carrier.name].append(run)
            print(f"  {frames} frames: block {number + 1} of {blocks}", file=sys.stderr, flush=True)
    return compared


def _run(around: Surroundings, server: JackServer, watch: Stopwatch, load: Load, carrier: Carrier, seconds: float) -> Run:
    """Give one block. The load is the same for both: beside the native program runs a daemon that has no server."""
    absent = around.server()
    with ExitStack() as stack:
        at = server if isinstance(carrier, Router) else absent
        program = ("benchmarks.loaded_daemon", load.inside) if load.inside else ("jackd_router",)
        daemon = around.router(bus(CHANNELS), at, program=program, environment=watch.environment)
        router = stack.enter_context(daemon)
        host = hosts_settled(router)
        pid = host if at is server else stack.enter_context(carrier.running(around, server, watch, CHANNELS))
        stack.enter_context(_going_on(load, router))
        run = listen(around, server, watch, carrier, pid, channels=CHANNELS, seconds=seconds)
    watch.forget(pid)
    return run


@contextmanager
def _going_on(load: Load, router: RouterProcess) -> Iterator[None]:
    """Begin with a load, and end its programs. None of them may end by itself."""
    programs: list[Process] = []
    try:
        if load.inside:
            os.kill(router.pid, loaded_daemon.BEGIN)
        for number, arguments in enumerate(load.beside):
            command = [sys.executable, *(argument.format(bus=router.bus_address) for argument in arguments)]
            programs.append(Process(command, router.folder / f"beside-{number}.log"))
        yield
        for program in programs:
            assert program.status() is None, f"what should have loaded the machine has ended\n{program.output()}"
    finally:
        for program in programs:
            program.kill()


_HEAD = ("who", "frames", "load", "callback", "p99.9", "longest", "longer than a period", "missed of 100,000", "blocks", "p")


def _row(one: Compared, name: str) -> list[str]:
    runs = one.runs[name]
    took = [took for run in runs for took in run.took_us]
    rates = sorted(1e5 * run.missed / run.periods for run in runs)
    return [
        name,
        str(one.frames),
        one.load.name,
        f"{median(took):.1f}",
        f"{percentile(took, 99.9):.0f}",
        f"{max(took):.0f}",
        str(sum(one_took > one.frames / RATE_HZ * 1e6 for one_took in took)),
        f"{one.missed(name):.0f}",
        f"{rates[0]:.0f}-{median(rates):.0f}-{rates[-1]:.0f}",
        f"{one.p:.3f}" if name == Router.name else "",
    ]
