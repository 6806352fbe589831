"""What every test can ask for: a private message bus, a private JACK server, the real daemon, real clients."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.support.jack_client import JackClient, JackClientError, started_clients
from tests.support.jack_server import JackServer
from tests.support.own_shm import make_own_shm
from tests.support.pipewire_server import PipeWireServer, server_env
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

# No test fails because the machine is busy.
settings.register_profile("busy", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
if settings.get_current_profile_name() == "default":
    settings.load_profile("busy")

CANNOT = "this machine cannot"
"""Begins the reason of a test that is skipped because the machine lacks what `tools/setup` cannot install."""


_LOGS = pytest.StashKey[list[Path]]()


class StartRouter(Protocol):
    """How the `start_router` fixture is called."""

    def __call__(self, config: str | bytes | None = "", *, wait_until_ready: bool = True) -> RouterProcess:
        """Start a daemon with this configuration (None: no file at all) on the test's own bus and server."""


class StartClient(Protocol):
    """How the `start_client` fixture is called."""

    def __call__(
        self,
        name: str,
        *,
        outputs: list[str] | None = None,
        inputs: list[str] | None = None,
        midi_outputs: list[str] | None = None,
        midi_inputs: list[str] | None = None,
    ) -> JackClient:
        """Start a client of the test's own server."""


@pytest.fixture
def keep_log(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Give a function that names a file to be printed when the test fails."""
    logs = request.node.stash.setdefault(_LOGS, [])
    append: Callable[[Path], None] = logs.append
    return append


@pytest.fixture
def session_bus(tmp_path: Path, keep_log: Callable[[Path], None]) -> Iterator[SessionBus]:
    """Give a running private session bus."""
    with SessionBus(tmp_path) as bus:
        keep_log(bus.log)
        yield bus


@pytest.fixture
def jack_server(
    request: pytest.FixtureRequest, tmp_path: Path, keep_log: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[JackServer]:
    """Give a JACK server that is not started yet: `start()` it when the test wants it. With --server=pipewire it is PipeWire."""
    is_pipewire = request.config.getoption("--server") == "pipewire"
    server: JackServer = (PipeWireServer if is_pipewire else JackServer)(tmp_path / "server.log")
    keep_log(server.log)
    for name, value in server_env(server.name).items():
        monkeypatch.setenv(name, value)  # for what of the daemon runs in this process
    try:
        yield server
    finally:
        if server.is_running:
            server.terminate()


@pytest.fixture
def running_server(jack_server: JackServer) -> JackServer:
    """Give a running JACK server."""
    jack_server.start()
    return jack_server


@pytest.fixture
def start_router(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    session_bus: SessionBus,
    jack_server: JackServer,
    keep_log: Callable[[Path], None],
) -> Iterator[StartRouter]:
    """Give a function that starts a daemon; each is ended with the test, and must end well."""
    routers: list[RouterProcess] = []

    def start(config: str | bytes | None = "", *, wait_until_ready: bool = True) -> RouterProcess:
        folder = tmp_path / f"router-{len(routers) + 1}"
        folder.mkdir()
        router = RouterProcess(folder, config, bus_address=session_bus.address, server_name=jack_server.name)
        routers.append(router)
        keep_log(router.log)
        router.start(wait_until_ready=wait_until_ready)
        return router

    yield start
    failed = _has_failed(request)
    with ExitStack() as stack:
        for router in routers:
            stack.callback(router.close, check=not failed)


@pytest.fixture
def start_client(jack_server: JackServer) -> Iterator[StartClient]:
    """Give a function that starts a JACK client; each leaves with the test."""
    with ExitStack() as clients:

        def start(
            name: str,
            *,
            outputs: list[str] | None = None,
            inputs: list[str] | None = None,
            midi_outputs: list[str] | None = None,
            midi_inputs: list[str] | None = None,
        ) -> JackClient:
            client = JackClient(
                jack_server.name,
                name,
                outputs=outputs or (),
                inputs=inputs or (),
                midi_outputs=midi_outputs or (),
                midi_inputs=midi_inputs or (),
            )
            return clients.enter_context(client)

        yield start


_FAILED = pytest.StashKey[bool]()


def _has_failed(request: pytest.FixtureRequest) -> bool:
    failed: bool = request.node.stash.get(_FAILED, False)
    return failed


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test with no client."""
    started_clients.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Where a test fails and a client of its has crashed, tell that: whatever the test missed was missing for it."""
    try:
        return (yield)
    except (Exception, pytest.fail.Exception) as error:
        if crashed := [client.name for client in started_clients if client.has_crashed]:
            raise JackClientError(f"crashed in libjack: {', '.join(crashed)}") from error
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the logs that a failed test kept."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
        for log in item.stash.get(_LOGS, []):
            if log.exists():
                report.sections.append((f"{log.parent.name}/{log.name}", log.read_text(errors="replace")))
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Keep processes that run tests side by side (-n 2) apart."""
    if hasattr(config, "workerinput") and os.environ.get("JACKD_ROUTER_ISOLATED"):
        make_own_shm()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that need a JACK server have PipeWire for one."""
    parser.addoption("--server", choices=("jack2", "pipewire"), default="jack2", help="whose JACK the tests run on")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PipeWire run what needs a server, but for what is marked as true of JACK2 only."""
    if config.getoption("--server") == "pipewire":
        chosen = [
            item for item in items if "jack_server" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("jack2")
        ]
        left = set(items) - set(chosen)
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = chosen


def pytest_sessionstart() -> None:
    """Let the processes of the tests hear Ctrl-C: a shell starts what it puts in the background (`make test &`) deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a test was skipped: a skip is a hole that nobody looks into.

    Only a developer's machine need not be able to do everything, where the test says so with CANNOT; `.ci/run` sets CI.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # one of several processes: the first one counts
    stats = {kind: reporter.stats.get(kind, []) for kind in ("skipped", "xfailed", "xpassed")}
    if not os.environ.get("CI"):
        stats["skipped"] = [report for report in stats["skipped"] if CANNOT not in str(report.longrepr)]
    holes = [kind for kind, reports in stats.items() if reports]
    if holes and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"failed: there are {' and '.join(holes)} tests", red=True)
