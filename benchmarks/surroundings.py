"""Where the benchmarks run: a folder, a session bus, JACK servers, daemons and native programs, all of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.process import children
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

_SOURCES = Path(__file__).with_name("native")
_END_TIMEOUT_S = 10


class NativeProgram:
    """One of the C programs in `native/`, while it runs."""

    def __init__(self, program: Path, arguments: Sequence[str], server_name: str) -> None:
        self._name = program.name
        self._popen = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"JACK_DEFAULT_SERVER": server_name},
        )

    @property
    def stdin(self) -> IO[str]:
        """What the program reads."""
        assert self._popen.stdin is not None
        return self._popen.stdin

    def tell(self, text: str) -> None:
        """Write to the program."""
        self.stdin.write(text)
        self.stdin.flush()

    def line(self) -> str:
        """Give the next line that the program writes; it must write one."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with status {self._popen.wait(_END_TIMEOUT_S)}")
        return line.strip()

    def rest(self) -> list[str]:
        """Give every line until the program ends, which it must do well."""
        assert self._popen.stdout is not None
        lines = [line.strip() for line in self._popen.stdout]
        if status := self._popen.wait(_END_TIMEOUT_S):
            raise RuntimeError(f"{self._name} ended with status {status}")
        return lines

    def close(self) -> None:
        """End the program: some leave when their input ends, the others are killed."""
        self.stdin.close()
        try:
            self._popen.wait(1)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(_END_TIMEOUT_S)


class Surroundings:
    """Starts what a benchmark needs; all of it ends with the surroundings."""

    def __init__(self, folder: Path, bus: SessionBus, ends: ExitStack) -> None:
        self.folder = folder
        self._bus = bus
        self._ends = ends
        self._serial = 0

    def _fresh(self, name: str) -> Path:
        self._serial += 1
        return self.folder / f"{name}-{self._serial}"

    def server(self, *, captures: int = 2, playbacks: int = 2, period_frames: int = 256, port_max: int = 2048) -> JackServer:
        """Give a server at 48 kHz that is not started yet."""
        log = self._fresh("jackd")
        server = JackServer(log, captures=captures, playbacks=playbacks, period_frames=period_frames, port_max=port_max)
        self._ends.callback(lambda: server.terminate() if server.is_running else None)
        return server

    @contextmanager
    def router(self, config: str, server: JackServer) -> Iterator[RouterProcess]:
        """Run the daemon, connected to the server if that runs."""
        folder = self._fresh("router")
        folder.mkdir()
        with RouterProcess(folder, config, bus_address=self._bus.address, server_name=server.name) as router:
            try:
                if server.is_running:
                    eventually(lambda: router.cli("status").returncode == 0, what="the daemon has the server")
                yield router
            except Exception:
                print("The daemon's last words:", *router.output().splitlines()[-20:], sep="\n  ", file=sys.stderr)
                raise

    @contextmanager
    def native(self, name: str, *arguments: str, server: JackServer) -> Iterator[NativeProgram]:
        """Run one of the C programs."""
        program = NativeProgram(self._built(name), arguments, server.name)
        try:
            yield program
        finally:
            program.close()

    @contextmanager
    def crowd(self, ports: int, server: JackServer, name: str = "crowd") -> Iterator[None]:
        """Put that many ports of somebody else on the server; none for 0."""
        if not ports:
            yield
            return
        with self.native("crowd", str(ports), name, server=server) as crowd:
            assert crowd.line() == "ready"
            yield

    def _built(self, name: str) -> Path:
        program = self.folder / name
        if not program.exists():
            flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
            subprocess.run(["gcc", *flags, str(_SOURCES / f"{name}.c"), "-o", str(program), "-ljack", "-lpthread"], check=True)
        return program


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Give surroundings, and end everything that was started in them."""
    with TemporaryDirectory(prefix="jackd-router-bench-") as name, SessionBus(Path(name)) as bus, ExitStack() as ends:
        yield Surroundings(Path(name), bus, ends)


def hosts_settled(router: RouterProcess) -> int:
    """Wait until the daemon has one JACK host, that of now, and give its process."""
    return eventually(lambda: len(found := children(router.pid)) == 1 and found[0], what="one JACK host is left")
