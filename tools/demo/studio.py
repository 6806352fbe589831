"""The private world of the demo: a folder, a session bus, a JACK server, the daemon, clients; all of it goes as it came."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from tests.support.eventually import eventually
from tests.support.jack_client import JackClient
from tests.support.jack_server import JackServer
from tests.support.process import Process
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus
from tools.demo.sound import RATE_HZ
from tools.demo.terminal import DemoFailed, check, command, output

SAMPLE = Path(__file__).parents[2] / "config/router.toml"

Pairs = frozenset[tuple[str, str]]


class Studio:
    """Everything that the steps work with. Synchronous: the server waits for its clients, so that no sound is lost."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["XDG_RUNTIME_DIR"]) / f"demo-{os.getpid()}"
        self._exit = ExitStack()
        self.server = JackServer(self.folder / "jackd.log", name=f"demo-{os.getpid()}", rate_hz=RATE_HZ, synchronous=True)
        self.clients: dict[str, JackClient] = {}
        self.router: RouterProcess

    def __enter__(self) -> Studio:
        """Start the server, the bus and the daemon."""
        try:
            # First what ends a thing, then the thing: Ctrl-C may come between any two lines.
            self._exit.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.mkdir(mode=0o700)
            self._exit.callback(self._end_server)
            self.server.start()
            self._exit.callback(self._end_clients)
            bus = self._exit.enter_context(SessionBus(self.folder))
            self.router = RouterProcess(self.folder, SAMPLE.read_bytes(), bus_address=bus.address, server_name=self.server.name)
            self._exit.callback(self.router.close, check=False)
            self.router.start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End whatever still runs, and remove the folder."""
        if isinstance(error, Exception):
            self._show_log()
        self._exit.close()

    def jackd_router(self, *arguments: str, code: int = 0, show: bool = True) -> str:
        """Run a command as a user would type it, show it with what it says, and give its stdout."""
        if show:
            command(f"jackd-router {shlex.join(arguments)}")
        done = self.router.cli(*arguments)
        if show:
            output((done.stdout + done.stderr).splitlines())
        if done.returncode != code:
            raise DemoFailed(f"`jackd-router {shlex.join(arguments)}` ended with {done.returncode}, not {code}: {done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def told(self, *arguments: str) -> list[dict[str, object]]:
        """Give the JSON of a listing, without showing the command."""
        listing: list[dict[str, object]] = json.loads(self.jackd_router(*arguments, "--json", show=False))
        return listing

    def status(self) -> dict[str, object]:
        """Give how the daemon is."""
        status: dict[str, object] = json.loads(self.router.cli("status", "--json").stdout)
        return status

    def join(self, name: str, *, outputs: tuple[str, ...] = (), inputs: tuple[str, ...] = ()) -> JackClient:
        """Start a JACK client."""
        self.clients[name] = JackClient(self.server.name, name, outputs=outputs, inputs=inputs)
        return self.clients[name]

    def leave(self, name: str) -> None:
        """End a JACK client, if there is one of this name."""
        if client := self.clients.pop(name, None):
            client.close()

    def wait_for(self, pairs: Pairs, seen_by: str) -> None:
        """Wait until these connections are there, as another client sees them: JACK's own word, not the daemon's."""
        client = self.clients[seen_by]
        try:
            eventually(lambda: pairs <= client.connections())
        except AssertionError:
            missing = ", ".join(f"{source} -> {destination}" for source, destination in sorted(pairs - client.connections()))
            raise DemoFailed(f"not connected within 10 s: {missing}") from None

    def lose_server(self) -> None:
        """Kill the server as a crash would; what its clients do without it is their business: they end."""
        self.server.kill()
        for client in self.clients.values():
            client.kill()
        self.clients.clear()

    def save(self, text: str) -> None:
        """Save the configuration file, as an editor does."""
        self.router.write_config(text)

    def stop_daemon(self) -> int:
        """Ask the daemon to end and give its exit status."""
        return self.router.stop()

    def _end_clients(self) -> None:
        while self.clients:
            _, client = self.clients.popitem()
            client.close()

    def _end_server(self) -> None:
        if self.server.is_running:
            self.server.terminate()

    def _show_log(self) -> None:
        with suppress(OSError):
            log = self.router.output() if hasattr(self, "router") else self.server.log.read_text()
            sys.stderr.write("".join(f"   log: {line}\n" for line in log.splitlines()[-30:]))


class Watch:
    """`jackd-router watch` beside the steps: what happened, and when."""

    def __init__(self, studio: Studio) -> None:
        argv = [sys.executable, "-m", "jackd_router", "watch", "--json"]
        self._process = Process(argv, studio.folder / "watch.log", studio.router.env())
        eventually(self.events, what="jackd-router watch says something")

    def __enter__(self) -> Watch:
        """Give itself, watching."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Watch no more."""
        self._process.kill()

    def events(self) -> list[dict[str, str]]:
        """Give everything seen so far, one mapping an event."""
        return [json.loads(line) for line in self._process.output().splitlines(keepends=True) if line.endswith("\n")]

    def connected_at(self, pairs: Pairs, since: float) -> float:
        """Wait until all of these were connected after a moment (seconds since the epoch); give when the last one was."""

        def last() -> float | None:
            seen = {
                (event["source"], event["destination"]): moment
                for event in self.events()
                if event["event"] == "connected" and (moment := datetime.fromisoformat(event["time"]).timestamp()) >= since
            }
            return max(seen[pair] for pair in pairs) if pairs <= seen.keys() else None

        moment = eventually(last, what="`jackd-router watch` tells of the connections")
        check(moment is not None, "the connections were seen")
        assert moment is not None
        return moment


def now() -> float:
    """Give seconds since the epoch, as the events of `watch` are dated."""
    return time.time()
