"""Plans that change while a bus sounds: 10,000 of the JACK host, 10,000 of the whole daemon, and every sample compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from statistics import median

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.surroundings import Surroundings
from jackd_router.dbus_api.names import bus_path
from jackd_router.jack_host import protocol
from jackd_router.jack_io.shared_memory import bus_targets
from tests.daemon.remote import NO_OPTIONS, Remote
from tests.jack_io.conversation import Conversation
from tests.jack_io.replans import ChangingMix, replan
from tests.support.eventually import eventually
from tests.support.jack_client import Comparison, JackClient, noise, play_and_compare
from tests.support.jack_server import JackServer
from tests.support.router_process import RouterProcess
from tests.support.samples import random_bits

BLOCK_FRAMES = 20_011
PERIOD_FRAMES = 64
CELLS = 16 * 16
_TAIL_FRAMES = 4_800


@dataclass(slots=True)
class Run:
    """What was done, how long each took (µs), and what was heard of the bystander meanwhile."""

    name: str
    changed: dict[str, int]
    took_us: list[float] = field(default_factory=list)
    heard: Comparison = field(default_factory=lambda: Comparison(0, 0, None))

    def take(self, kind: str, change: Callable[[], object]) -> None:
        """Change something, and note how long that took."""
        began = time.perf_counter_ns()
        change()
        self.took_us.append((time.perf_counter_ns() - began) / 1000)
        self.changed[kind] = self.changed.get(kind, 0) + 1

    @property
    def plans(self) -> int:
        """How many plans there were."""
        return sum(self.changed.values())


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the figures and give the bounds."""
    plans = 500 if quick else 10_000
    runs = [_of_the_host(around, plans), _of_the_daemon(around, plans)]
    print(f"A bus beside plans that change, periods of {PERIOD_FRAMES} frames; random bits, compared sample by sample\n")
    rows = [
        [
            run.name,
            ", ".join(f"{count:,} {kind}" for kind, count in sorted(run.changed.items())),
            f"{sum(run.took_us) / 1e6:.0f} s",
            ms(median(run.took_us)),
            ms(percentile(run.took_us, 99)),
            f"{run.heard.frames:,}",
            f"{run.heard.differing:,}",
        ]
        for run in runs
    ]
    print(table(["plans of", "changed", "all", "median ms", "p99", "samples", "differ"], rows))
    return [
        Bound(
            f"replans: {run.heard.differing:,} of {run.heard.frames:,} samples differ, {run.plans:,} plans of {run.name} (none)",
            run.heard.differing == 0 and run.plans >= plans,
        )
        for run in runs
    ]


@contextmanager
def _clients(server: JackServer) -> Iterator[tuple[JackClient, JackClient]]:
    with (
        server,
        JackClient(server.name, "mouth", outputs=["out", "noise"]) as mouth,
        JackClient(server.name, "ears", inputs=["in", "desk"]) as ears,
    ):
        yield mouth, ears


def _listen(mouth: JackClient, ears: JackClient) -> None:
    block = random_bits(BLOCK_FRAMES, seed=1)
    play_and_compare(mouth, {"out": block, "noise": noise(BLOCK_FRAMES)}, ears, {"in": block})
    eventually(ears.passed)


def _heard(ears: JackClient) -> Comparison:
    end = ears.passed() + _TAIL_FRAMES
    eventually(lambda: ears.passed() >= end)
    return ears.compared()


# ---- of the host


def _of_the_host(around: Surroundings, plans: int) -> Run:
    run = Run("the host", {})
    with _clients(around.server(period_frames=PERIOD_FRAMES, synchronous=True)) as (mouth, ears):
        asyncio.run(_replan(run, mouth, ears, plans))
    return run


async def _replan(run: Run, mouth: JackClient, ears: JackClient, plans: int) -> None:
    host, mix = Conversation(), ChangingMix(seed=1)
    host.host.memory.publish_targets(mix.targets(), bus_targets())
    await host.open(mouth.server_name, plan=mix.plan())
    for pair in (("mouth:out", "router:main_in_1"), ("router:main_out_1", "ears:in"), ("mouth:noise", "router:desk_in_1")):
        await host.ask(protocol.CONNECT, *(port.encode() for port in pair))
    _listen(mouth, ears)
    for _ in range(plans):
        began = time.perf_counter_ns()
        for kind, count in (await replan(host, mix, 1)).items():
            run.changed[kind] = run.changed.get(kind, 0) + count
        run.took_us.append((time.perf_counter_ns() - began) / 1000)
    run.heard = _heard(ears)
    await host.end()


# ---- of the daemon

_RULES = """
[daemon]
watch = false

[[rule]]
name = "into main"
from = "mouth:out"
to = { bus = "main" }

[[rule]]
name = "out of main"
from = { bus = "main" }
to = "ears:in"

[[rule]]
name = "into desk"
from = "mouth:noise"
to = { bus = "desk" }

[[rule]]
name = "out of desk"
from = { bus = "desk", channel = "1" }
to = "ears:desk"
"""
_NOTHING = [[0.0] * 16 for _ in range(16)]


def _buses(*others: str) -> str:
    desk = f'[[bus]]\nname = "desk"\nchannels = 16\nmatrix = {_NOTHING}\n'
    return _RULES + "".join(others) + desk + '[[bus]]\nname = "main"\nchannels = 1\n'


def _of_the_daemon(around: Surroundings, plans: int) -> Run:
    """Fill the matrix of desk cell by cell; then a reload without desk and one with it, which is empty again."""
    run = Run("the daemon", {"bus": 0, "cell": 0, "port": 0})
    server, remote = around.server(period_frames=PERIOD_FRAMES, synchronous=True), around.remote()
    with _clients(server) as (mouth, ears), around.router(_buses(), server) as router:
        eventually(lambda: ("router:main_out_1", "ears:in") in ears.connections())
        _listen(mouth, ears)
        random = Random(1)
        while run.plans < plans:
            _fill(run, remote, random)
            _reload_with_others(run, remote, router)
        run.heard = _heard(ears)
    return run


def _fill(run: Run, remote: Remote, random: Random) -> None:
    matrix = [row.copy() for row in _NOTHING]
    for cell in random.sample(range(CELLS), CELLS):
        matrix[cell // 16][cell % 16] = random.uniform(-1, 1)
        run.take("cell", lambda: _set_matrix(remote, matrix))


def _set_matrix(remote: Remote, matrix: list[list[float]]) -> None:
    remote.write("Bus.Matrix", "aad", matrix, path=bus_path("desk"))
    remote.read("Server.DspLoad")  # which the host tells when it has taken the plan


def _reload_with_others(run: Run, remote: Remote, router: RouterProcess) -> None:
    fx = '[[bus]]\nname = "fx"\nchannels = '
    changes = (
        ("bus", _buses(f"{fx}2\n")),
        ("port", _buses(f"{fx}3\n")),
        ("port", _buses(f"{fx}1\n")),
        ("bus", _buses(f"{fx}1\n").replace('"fx"', '"reverb"')),
        ("bus", _buses()),
        ("bus", _buses().replace('"desk"', '"table"')),
        ("bus", _buses()),
    )
    for kind, config in changes:
        router.write_config(config)
        run.take(kind, lambda: remote.call("Config.Reload", "a{sv}", NO_OPTIONS))
