"""The request thread: executes what the daemon asks, one after the other, and ends the process."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jackd_router.jack_host import protocol
from jackd_router.jack_host.kernel import Kernel
from jackd_router.jack_host.metadata import Metadata

_SETTLE_S = 1.0
"""How long to wait for the realtime thread to take a plan; a server without cycles takes none."""


Ports = tuple[tuple[bytes, bool], ...]
"""Short name of each port of ours, and whether it is an input."""


class Plan(NamedTuple):
    """The ports that pass sound, by their short names, and the cells of the mix (see memory.Cell)."""

    serial: int
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    cells: tuple[tuple[int, ...], ...]


class Requests:
    """The requests of one daemon to one server."""

    def __init__(self, control: socket.socket, shared: int, eventfd: int) -> None:
        """Take the socket to the daemon, the address of the shared memory and the daemon's eventfd."""
        self._control = control
        self._shared, self._eventfd = shared, eventfd
        self._operations: dict[str, Callable[..., tuple[Any, ...]]] = {
            protocol.OPEN: self._open,
            protocol.CONNECT: lambda source, destination: (self._client.connect(source, destination),),
            protocol.DISCONNECT: lambda source, destination: (self._client.disconnect(source, destination),),
            protocol.PLAN: self._plan,
            protocol.READ_GRAPH: self._read_graph,
            protocol.READ_METADATA: self._read_metadata,
            protocol.LOAD: lambda: (self._client.load_percent(),),
        }
        self._number = 0
        self._metadata = Metadata(control, shared)

    def run(self) -> None:
        """Execute requests until CLOSE, or until the daemon is gone; never return."""
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

    def _open(self, server: str | None, name: str, ports: Ports, plan: tuple[Any, ...]) -> tuple[Any, ...]:
        """Become a client with all ports and sound, then tell the graph: events since the activation complete it."""
        self._client = self._adapter.JackClient(name, server, self._kernel)
        opened = self._client.describe()
        without_ports = ""
        try:
            self._register(ports)
            self._set_plan(Plan(*plan))
        except self._adapter.JackError as error:
            without_ports = str(error)  # the rules of others work all the same
        self._client.activate()
        self._read_graph()
        return (*opened, without_ports)

    def _plan(self, ports: Ports, plan: tuple[Any, ...]) -> tuple[Any, ...]:
        """Register what is new, let the realtime thread take the plan, and only then unregister what it used before."""
        self._register(ports)
        self._set_plan(Plan(*plan))
        end = time.monotonic() + _SETTLE_S
        while not self._kernel.settled():
            if time.monotonic() > end:
                raise self._adapter.JackError("the server runs no cycles: the plan for the buses was not taken")
            time.sleep(0.001)
        for short_name in self._client.ports - {short_name for short_name, _ in ports}:
            self._client.unregister(short_name)
        return ()

    def _register(self, ports: Ports) -> None:
        for short_name, is_input in ports:
            if short_name not in self._client.ports:
                self._client.register(short_name, is_input)

    def _set_plan(self, plan: Plan) -> None:
        inputs, outputs = ([self._client.address(name) for name in names] for names in (plan.inputs, plan.outputs))
        self._kernel.set_plan(plan.serial, inputs, outputs, plan.cells)

    def _read_graph(self) -> tuple[Any, ...]:
        # All before anything is sent: a port may come or go while a reader is slow, its event tells.
        ports = list(self._client.read_ports())
        connections = list(self._client.read_connections())
        self._send_parts(protocol.PORTS, ports)
        self._send_parts(protocol.CONNECTIONS, connections)
        return ()

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
        if client is not None and self._metadata.stop():
            client.close()
