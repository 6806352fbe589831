"""Where the benchmarks run: a folder, a session bus, JACK servers, daemons and native programs, all of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tests.daemon.remote import Remote
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer, forget_metadata
from tests.support.pipewire_server import PipeWireServer, client_env
from tests.support.process import children
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

NATIVE = Path(__file__).with_name("native")
_END_TIMEOUT_S = 10


class NativeProgram:
    """One of the C programs in `native/`, while it runs."""

    def __init__(self, program: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = program.name
        self._popen = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    @property
    def pid(self) -> int:
        """The process id of the program."""
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        """Whether the program is over."""
        return self._popen.poll() is not None

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

    def kill(self) -> None:
        """End the program as it stands."""
        self._popen.kill()

    def close(self) -> None:
        """End the program: some leave when their input ends, the others are killed."""
        with self._popen:  # closes the pipes, too
            self.stdin.close()
            try:
                self._popen.wait(1)
            except subprocess.TimeoutExpired:
                self._popen.kill()


class Surroundings:
    """Starts what a benchmark needs; all of it ends with the surroundings."""

    def __init__(self, folder: Path, bus: SessionBus, ends: ExitStack, sources: Path) -> None:
        self.folder = folder
        self._sources = sources
        self._bus = bus
        self._ends = ends
        self._serial = 0

    def _fresh(self, name: str) -> Path:
        self._serial += 1
        return self.folder / f"{name}-{self._serial}"

    def fresh_folder(self, name: str) -> Path:
        """Make a folder that nobody else uses."""
        folder = self._fresh(name)
        folder.mkdir()
        return folder

    def server(
        self,
        *,
        captures: int = 2,
        playbacks: int = 2,
        period_frames: int = 256,
        port_max: int = 2048,
        synchronous: bool = False,
        realtime_priority: int | None = None,
    ) -> JackServer:
        """Give a server at 48 kHz that is not started yet; a synchronous one waits in each period for all its clients."""
        server = JackServer(
            self._fresh("jackd"),
            captures=captures,
            playbacks=playbacks,
            period_frames=period_frames,
            port_max=port_max,
            synchronous=synchronous,
            realtime_priority=realtime_priority,
        )
        self._ends.callback(lambda: server.terminate() if server.is_running else None)
        return server

    def pipewire(self, *, captures: int = 2, playbacks: int = 2) -> PipeWireServer:
        """Give a PipeWire that is not started yet."""
        server = PipeWireServer(self._fresh("pipewire"), captures=captures, playbacks=playbacks)
        self._ends.callback(lambda: server.terminate() if server.is_running else None)
        return server

    @property
    def bus_address(self) -> str:
        """Where the message bus of the daemons is."""
        return self._bus.address

    def remote(self) -> Remote:
        """Connect to the message bus of the daemons."""
        remote = Remote(self._bus.address)
        self._ends.callback(remote.close)
        return remote

    @contextmanager
    def router(
        self,
        config: str,
        server: JackServer,
        *,
        program: Sequence[str] = ("jackd_router",),
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[RouterProcess]:
        """Run the daemon, connected to the server if that runs; `program` is a module that runs it, and its arguments."""
        folder = self.fresh_folder("router")
        router = RouterProcess(folder, config, bus_address=self._bus.address, server_name=server.name)
        router.program = program
        router.extra_env |= environment or {}
        with router:
            try:
                if server.is_running:
                    eventually(lambda: router.cli("status").returncode == 0, what="the daemon has the server")
                yield router
            except Exception:
                for who, told in (("daemon", router.output()), ("server", server.log.read_text(errors="replace"))):
                    print(f"The {who}'s last words:", *told.splitlines()[-20:], sep="\n  ", file=sys.stderr)
                raise

    @contextmanager
    def native(
        self, name: str, *arguments: str, server: JackServer | None = None, environment: Mapping[str, str] | None = None
    ) -> Iterator[NativeProgram]:
        """Run one of the C programs."""
        environment = {**(client_env(server.name) if server else {}), **(environment or {})}
        program = NativeProgram(self._built(name), arguments, environment)
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
            compile_native(self._sources / f"{name}.c", program, "-ljack", "-lpthread", "-lm")
        return program


def compile_native(source: Path, into: Path, *arguments: str) -> None:
    """Build a C source; it may include the headers in `native/`."""
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(into), *arguments], check=True)


@contextmanager
def surroundings(sources: Path = NATIVE) -> Iterator[Surroundings]:
    """Give surroundings, and end everything that was started in them; `sources` is where the native programs are.

    No JACK server of others must run: what earlier ones left behind is cleared away.
    """
    forget_metadata()
    with TemporaryDirectory(prefix="jackd-router-bench-") as name, SessionBus(Path(name)) as bus, ExitStack() as ends:
        yield Surroundings(Path(name), bus, ends, sources)


def hosts_settled(router: RouterProcess) -> int:
    """Wait until the daemon has one JACK host, that of now, and give its process."""
    return eventually(lambda: len(found := children(router.pid)) == 1 and found[0], what="one JACK host is left")
