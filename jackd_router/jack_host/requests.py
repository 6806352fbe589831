"""The request thread: executes what the daemon asks, one after the other, and ends the process."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from jackd_router.jack_host import protocol
from jackd_router.jack_host.kernel import Kernel, keep_deleted
from jackd_router.jack_host.library import implementation
from jackd_router.jack_host.metadata import Metadata

if TYPE_CHECKING:
    from jackd_router.jack_host.adapter import OwnPort

_SETTLE_S = 1.0
"""How long to wait for the realtime thread to take a plan; a server without cycles takes none."""
_LAST_WORDS_S = 0.25
"""How long what sounds behind our MIDI ports may take to end before we leave; a server that is gone runs no cycles."""


class Plan(NamedTuple):
    """All of our ports by their short names, in the order in which they count, and what passes between them.

    `cells` are those of the mix (see memory.Cell); `midi` has input, output, and the numbers of memory.Midi.
    """

    serial: int
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    cells: tuple[tuple[int, ...], ...]
    midi: tuple[tuple[bytes, bytes, int, int, int], ...]

    def without(self, names: Container[bytes]) -> Plan:
        """Give the same without some ports: what is left goes on as it is."""
        inputs, outputs = ([at for at, name in enumerate(group) if name not in names] for group in (self.inputs, self.outputs))
        return Plan(
            _NO_SERIAL,
            tuple(self.inputs[at] for at in inputs),
            tuple(self.outputs[at] for at in outputs),
            tuple(
                (inputs.index(entry), outputs.index(output), *rest)
                for entry, output, *rest in self.cells
                if entry in inputs and output in outputs
            ),
            tuple(pair for pair in self.midi if pair[0] not in names and pair[1] not in names),
        )


_NO_SERIAL = 0
"""Of a plan that runs for a moment: nobody asks for its levels."""
_NO_PLAN = Plan(_NO_SERIAL, (), (), (), ())


class Requests:
    """The requests of one daemon to one server."""

    def __init__(self, control: socket.socket, shared: int, eventfd: int) -> None:
        """Take the socket to the daemon, the address of the shared memory and the daemon's eventfd."""
        self._control = control
        self._shared, self._eventfd = shared, eventfd
        self._operations: dict[str, Callable[..., tuple[Any, ...]]] = {
            protocol.OPEN: self._open,
            protocol.LOOK: self._look,
            protocol.CONNECT: lambda source, destination: (self._client.connect(source, destination),),
            protocol.DISCONNECT: lambda source, destination: (self._client.disconnect(source, destination),),
            protocol.PLAN: self._plan,
            protocol.READ_GRAPH: self._read_graph,
            protocol.READ_METADATA: self._read_metadata,
            protocol.LOAD: lambda: (self._client.load_percent(),),
        }
        self._number = 0
        self._last = _NO_PLAN
        self._metadata = Metadata(control, shared)

    def run(self) -> None:
        """Execute requests until CLOSE, or until the daemon is gone; never return."""
        keep_deleted()
        # Imported here, on the thread that will use it: loading takes 40 ms, and pings are answered meanwhile.
        from jackd_router.jack_host import adapter

        self._adapter = adapter
        adapter.collect_messages()
        self._kernel = Kernel(self._shared, self._eventfd, adapter.functions())
        protocol.send(self._control, (0, protocol.LOADED, adapter.library_version()))
        while (message := protocol.receive(self._control)) and message[1] != protocol.CLOSE:
            self._execute(*message)
        if message is None or message[2]:
            self._leave()
        os._exit(0)

    def _execute(self, number: int, operation: str, *arguments: Any) -> None:
        self._number = number
        try:
            results = self._operations[operation](*arguments)
        except (self._adapter.JackError, MemoryError) as error:
            protocol.send(self._control, (number, protocol.FAILED, str(error)))
        else:
            protocol.send(self._control, (number, protocol.DONE, *results))

    def _open(self, wanted: str, server: str, name: str, plan: tuple[Any, ...]) -> tuple[Any, ...]:
        """Become a client with all ports and sound, then tell the graph: events since the activation complete it."""
        self._become_client(wanted, server, name)
        opened = self._client.describe()
        without_ports = ""
        try:
            self._set_plan(Plan(*plan))
        except (self._adapter.JackError, MemoryError) as error:
            without_ports = str(error)  # the rules of others work all the same
        self._client.activate()
        self._metadata.listen()
        self._tell_graph()
        return (*opened, without_ports)

    def _become_client(self, wanted: str, server: str, name: str) -> None:
        version = self._adapter.library_version()
        if implementation(version) != wanted:
            raise self._adapter.JackError(f"the server is one of {wanted}, and the libjack that was found is not: {version}")
        self._client = self._adapter.JackClient(name, server, self._kernel)

    def _look(self, wanted: str, server: str, name: str, with_metadata: bool) -> tuple[Any, ...]:
        """Read the graph with the eyes of a client that has just come."""
        self._become_client(wanted, server, name)
        numbers = self._tell_graph()
        if with_metadata:
            self._send_parts(protocol.METADATA, filter(None, map(self._client.read_metadata, numbers)))
        return ()

    def _plan(self, plan: tuple[Any, ...]) -> tuple[Any, ...]:
        """Register what is new, let the realtime thread take the plan, and only then unregister what it used before."""
        wanted = Plan(*plan)
        self._take_away_namesakes(wanted)
        self._set_plan(wanted)
        self._settle()
        for port in self._client.ports - set(self._ports(wanted)):
            self._client.unregister(port)
        return ()

    def _take_away_namesakes(self, wanted: Plan) -> None:
        """Take away ports that are to be of another type: no two can have one name."""
        names = {port.short_name for port in set(self._ports(wanted)) - self._client.ports}
        namesakes = [port for port in self._client.ports if port.short_name in names]
        if namesakes:
            self._set_plan(self._last.without(names))
            self._settle()
            for port in namesakes:
                self._client.unregister(port)

    def _settle(self) -> None:
        if not self._is_settled_within(_SETTLE_S):
            raise self._adapter.JackError("the server runs no cycles: the plan for the buses was not taken")

    def _is_settled_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not (settled := self._kernel.settled()) and time.monotonic() < end:
            time.sleep(0.001)
        return settled

    def _ports(self, plan: Plan) -> list[OwnPort]:
        own = self._adapter.OwnPort
        return [
            *(own(name, True) for name in plan.inputs),
            *(own(name, False) for name in plan.outputs),
            *(own(pair[0], True, True) for pair in plan.midi),
            *(own(pair[1], False, True) for pair in plan.midi),
        ]

    def _set_plan(self, plan: Plan) -> None:
        """Register the ports of the plan that are not there, and hand it over."""
        ports = self._ports(plan)
        new = [port for port in ports if port not in self._client.ports]
        for port in new:
            self._client.register(port)
        self._client.make_ready(new)
        there = {port.short_name: self._client.address(port) for port in ports}
        self._kernel.set_plan(
            plan.serial,
            [there[name] for name in plan.inputs],
            [there[name] for name in plan.outputs],
            plan.cells,
            [(there[source], there[destination], *slots) for source, destination, *slots in plan.midi],
        )
        self._last = plan

    def _read_graph(self) -> tuple[Any, ...]:
        self._tell_graph()
        return ()

    def _tell_graph(self) -> list[int]:
        """Tell the graph, and give the ids of its ports."""
        # All before anything is sent: a port may come or go while a reader is slow, its event tells.
        ports = list(self._client.read_ports())
        connections = list(self._client.read_connections())
        self._send_parts(protocol.PORTS, ports)
        self._send_parts(protocol.CONNECTIONS, connections)
        return [number for number, *_ in ports]

    def _read_metadata(self, numbers: tuple[int, ...]) -> tuple[Any, ...]:
        self._metadata.ask(self._client, numbers)
        return ()

    def _send_parts(self, kind: str, rows: Iterable[Any]) -> None:
        iterator = iter(rows)
        while part := tuple(itertools.islice(iterator, protocol.ROWS_PER_PART)):
            protocol.send(self._control, (self._number, kind, part))

    def _leave(self) -> None:
        """Say goodbye to the server, so that it keeps no trace of us (JACK2 leaks a lock per client that just dies)."""
        client = getattr(self, "_client", None)
        if client is None:
            return
        if self._last.midi:
            self._set_plan(_NO_PLAN)  # a synthesizer that we have played would sound on for ever
            self._is_settled_within(_LAST_WORDS_S)
        if self._metadata.stop():
            client.close()
