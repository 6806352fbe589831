"""GetGraph of 2,000 ports and 4,000 connections, beside that of jackdbus, of one server and over one message bus."""

from __future__ import annotations

import asyncio
import io
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

from dbus_next import MessageType
from dbus_next._private.unmarshaller import Unmarshaller

from benchmarks.figures import Bound, ms, percentile, table
from benchmarks.full_server import longest_call
from benchmarks.surroundings import Surroundings
from jackd_router.dbus_api import names
from jackd_router.dbus_api.message_bus import Connection, Value
from jackd_router.dbus_api.messages import Body
from jackd_router.dbus_api.session_bus import SessionBus
from tests.support.eventually import eventually
from tests.support.jackdbus_server import CONTROLLER, JACKDBUS, JackDbus

CROWDS = 5
PORTS_EACH = 400
CONNECTIONS = CROWDS * (CROWDS - 1) * PORTS_EACH // 2
RULE = """
[daemon]
watch = false

[[rule]]
name = "each crowd to each other"
from = "crowd*:out_*"
to = "crowd*:in_*"
pair = "order"
"""
SPARE = ("system:capture_1", "crowd1:in_1")
"""A connection that no rule speaks of."""
_MOST_UNCHANGED_MS = 5
_MOST_CHANGED_MS = 10
_MOST_RATIO = 3

Named: TypeAlias = tuple[set[str], set[tuple[str, str]]]
"""Ports and connections."""
_SIGNAL = 4


class Caller(Connection):
    """A client that notes when an answer is here, and decodes it when it has time: what decoding takes is not the daemon's."""

    def __init__(self, address: str) -> None:
        super().__init__(address, lambda message: None, lambda: None)
        self._answer: asyncio.Future[tuple[float, bytes]] | None = None

    def _take_frame(self, frame: bytes) -> None:
        if self._answer is None or frame[1] == _SIGNAL:
            super()._take_frame(frame)
        else:
            self._answer.set_result((time.perf_counter(), frame))

    async def asked(self, destination: str, path: str, interface: str, member: str, *arguments: Value) -> tuple[float, bytes]:
        """Call a method with arguments of type t or s, and give how long the answer took, in µs, and what it is, not decoded."""
        self._answer = asyncio.get_running_loop().create_future()
        signature = "".join("s" if isinstance(argument, str) else "t" for argument in arguments)
        began = time.perf_counter()
        self.send_call(destination, path, interface, member, signature, arguments, autostart=False)
        ended, frame = await self._answer
        self._answer = None
        return 1e6 * (ended - began), frame

    async def timed(self, destination: str, path: str, interface: str, member: str, *arguments: Value) -> tuple[float, Body]:
        """Do so, and decode it."""
        took, frame = await self.asked(destination, path, interface, member, *arguments)
        answer = Unmarshaller(io.BytesIO(frame)).unmarshall()
        assert answer is not None
        assert answer.message_type is MessageType.METHOD_RETURN, answer.body
        body: Body = answer.body
        return took, body


@dataclass(slots=True)
class Times:
    """In µs."""

    unchanged: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)


async def _ours(caller: Caller) -> tuple[float, Named]:
    took, (_, _, ports, connections) = await caller.timed(names.BUS_NAME, names.ROOT_PATH, names.GRAPH, "GetGraph", 0)
    return took, ({port[0] for port in ports}, {(source, destination) for source, destination in connections})


async def _of_jackdbus(caller: Caller) -> tuple[float, Named]:
    took, (_, clients, connections) = await caller.timed(JACKDBUS, CONTROLLER, "org.jackaudio.JackPatchbay", "GetGraph", 0)
    ports = {f"{client}:{port[1]}" for _, client, of_client in clients for port in of_client}
    return took, (ports, {(f"{one[1]}:{one[3]}", f"{one[5]}:{one[7]}") for one in connections})


async def _small_of_ours(caller: Caller) -> float:
    interface = f"{names.BUS_NAME}.Server"
    return (await caller.timed(names.BUS_NAME, names.ROOT_PATH, names.PROPERTIES, "Get", interface, "BufferSize"))[0]


async def _small_of_jackdbus(caller: Caller) -> float:
    return (await caller.timed(JACKDBUS, CONTROLLER, "org.jackaudio.JackControl", "GetBufferSize"))[0]


async def _measured(address: str, rounds: int) -> tuple[Times, Times]:
    """Give the times of the router and of jackdbus, in turn; all that they answer is compared."""
    ours, of_jackdbus = Times(), Times()
    async with await SessionBus.open([address]) as bus:
        caller = Caller(address)
        await caller.open()
        for number in range(rounds):
            member = "Disconnect" if number % 2 else "Connect"
            await bus.call(names.BUS_NAME, names.ROOT_PATH, names.GRAPH, member, "ssa{sv}", [*SPARE, {}])
            took, graph = await _ours(caller)
            ours.changed.append(took)
            took, same = await _of_jackdbus(caller)
            of_jackdbus.changed.append(took)
            assert graph == same, "both see one server"
            assert len(graph[1]) == CONNECTIONS + 1 - number % 2
            for times, ask in ((ours, _ours), (of_jackdbus, _of_jackdbus)):
                took, again = await ask(caller)
                times.unchanged.append(took)
                assert again == graph
            for _ in range(20):
                ours.small.append(await _small_of_ours(caller))
                of_jackdbus.small.append(await _small_of_jackdbus(caller))
        caller.close()
    return ours, of_jackdbus


async def _ask_only(address: str) -> None:
    """Let the daemon put the answer together again and again. Nothing is decoded: that would hold up the other caller here."""
    async with await SessionBus.open([address]) as bus:
        caller = Caller(address)
        await caller.open()
        for number in range(100):
            member = "Disconnect" if number % 2 else "Connect"
            await bus.call(names.BUS_NAME, names.ROOT_PATH, names.GRAPH, member, "ssa{sv}", [*SPARE, {}])
            await caller.asked(names.BUS_NAME, names.ROOT_PATH, names.GRAPH, "GetGraph", 0)
        caller.close()


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    with ExitStack() as stack:
        server = stack.enter_context(JackDbus(around.folder, around.bus_address))
        for number in range(1, CROWDS + 1):
            stack.enter_context(around.crowd(PORTS_EACH, server, f"crowd{number}"))
        router = stack.enter_context(around.router(RULE, server))
        remote = around.remote()
        eventually(lambda: remote.read("Graph.ConnectionCount") == CONNECTIONS, timeout=120, what="all is connected")
        address = router.bus_address
        assert address is not None
        calm = longest_call(address, lambda: time.sleep(1))
        waits = longest_call(address, lambda: asyncio.run(_ask_only(address)))
        ours, of_jackdbus = asyncio.run(_measured(address, 10 if quick else 100))
    rows = [_row("router", ours), _row("jackdbus", of_jackdbus)]
    print(f"{CROWDS * PORTS_EACH:,} ports, {CONNECTIONS:,} connections; until the whole answer is here, in ms\n")
    print(table(["who", "unchanged", "p99", "after a change", "p99", "small call", "p99"], rows))
    print(f"\nlongest call of somebody else: {ms(waits)} during 100 changes and GetGraph, {ms(calm)} without (1 s)")
    ratio = median(ours.small) / median(of_jackdbus.small)
    unchanged, changed = median(ours.unchanged), median(ours.changed)
    return [
        Bound(
            f"get-graph: {ms(unchanged)} ms when unchanged (at most {_MOST_UNCHANGED_MS})", unchanged <= 1000 * _MOST_UNCHANGED_MS
        ),
        Bound(f"get-graph: {ms(changed)} ms after a change (at most {_MOST_CHANGED_MS})", changed <= 1000 * _MOST_CHANGED_MS),
        Bound(f"get-graph: a small call takes {ratio:.2f} x that of jackdbus (at most {_MOST_RATIO})", ratio <= _MOST_RATIO),
    ]


def _row(who: str, times: Times) -> list[str]:
    columns = (times.unchanged, times.changed, times.small)
    return [who, *(ms(figure) for column in columns for figure in (median(column), percentile(column, 99)))]
