"""The command `doctor`: with nothing there, with everything there, and with each thing that goes wrong in practice."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from jackd_router import __version__
from jackd_router.cli.doctor.daemon import Seen, findings
from jackd_router.cli.doctor.findings import Finding, Grade
from jackd_router.cli.doctor.limits import domains_with_rtprio, how_to_get_it
from jackd_router.cli.doctor.server import Library, fit, loaded_from
from jackd_router.jack_io.presence import ServerSocket, jack2_socket, pipewire_socket
from tests.cli.conftest import Run
from tests.conftest import StartClient, StartRouter
from tests.daemon.rival import Rival
from tests.support.eventually import eventually
from tests.support.jack_server import JackServer
from tests.support.pipewire_server import PipeWireServer, server_env
from tests.support.process import Process
from tests.support.router_process import RouterProcess
from tests.support.session_bus import SessionBus

RULE = '[[rule]]\nname = "synth to speakers"\nfrom = "synth:*"\nto = "system:playback_*"\n'
LEFT = ("synth:left", "system:playback_1")


class Told(NamedTuple):
    """What the doctor said: its exit code, and the findings by what was looked at."""

    code: int
    by_check: dict[str, list[Finding]]

    def one(self, check: str) -> Finding:
        """Give the only finding of this check."""
        (finding,) = self.by_check[check]
        return finding

    def failed(self) -> set[str]:
        """Give what is bad."""
        return {check for check, found in self.by_check.items() if any(one.grade is Grade.FAIL for one in found)}


def read(done: subprocess.CompletedProcess[str]) -> Told:
    """Read the JSON of the command."""
    assert done.stderr == ""
    found: dict[str, list[Finding]] = {}
    for record in json.loads(done.stdout):
        finding = Finding(**record | {"grade": Grade(record["grade"])})
        found.setdefault(finding.check, []).append(finding)
    return Told(done.returncode, found)


Ask = Callable[[], Told]


@pytest.fixture
def ask(run: Run) -> Ask:
    """Give a function that asks where nothing is there."""
    return lambda: read(run("doctor", "--json"))


def of(router: RouterProcess) -> Told:
    """Ask beside a daemon."""
    return read(router.cli("doctor", "--json"))


def test_each_line_says_what_to_do(run: Run) -> None:
    done = run("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    forms = ("ok    [a-z-]+ +[^ ].*", "(warn|FAIL)  [a-z-]+ +[^ ].*  -> .+")
    assert [line for line in lines if not any(re.fullmatch(form, line) for form in forms)] == []
    assert len({line.index(line[6:].split()[0], 6) for line in lines}) == 1
    assert [line for line in lines if line.startswith("FAIL  server ")]


def test_where_there_is_nothing(ask: Ask) -> None:
    told = ask()
    assert (told.code, told.failed()) == (1, {"session-bus", "daemon", "server"})
    assert told.one("session-bus").text.startswith("there is no message bus (unix:path=")
    assert told.one("runtime-dir").grade is Grade.WARN
    assert told.one("daemon").advice == "systemctl --user start jackd-router, or: jackd-router run"
    assert "so there are no rules" in told.one("configuration").text
    assert told.one("state").grade is Grade.OK
    first, second = told.by_check["libjack"]
    assert re.match(r"for JACK server 'default': libjack \d+\.\d+.*, /.*/libjack\S+", first.text)
    assert re.match(r"for PipeWire: libjack .*using PipeWire.*, /.*/libjack\S+", second.text)


@pytest.mark.jack2("of the names of JACK2 servers")
def test_where_all_is_well(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter, tmp_path: Path
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    router = start_router(RULE)
    eventually(lambda: LEFT in synth.connections())
    # Hints need a second look of the daemon.
    told = eventually(lambda: told if "sound" in (told := of(router)).by_check else None)
    assert told is not None
    assert (told.code, told.failed()) == (0, set())
    for check in ("runtime-dir", "session-bus", "daemon", "version", "server", "libjack", "configuration", "state"):
        assert told.one(check).grade is Grade.OK, told.one(check)
    assert f"process {router.pid}" in told.one("daemon").text
    assert told.one("server").text == f"JACK server {running_server.name!r} runs: {running_server.socket_path}"
    assert told.one("configuration").text == f"{router.config_path} is valid: 1 rule, 0 buses"
    # A message bus without systemd.
    assert told.one("unit").advice == "start the daemon by hand: jackd-router run"
    # jackd -r.
    assert "without realtime priority" in told.by_check["sound"][0].text
    assert "contested" not in told.by_check


def test_asking_does_not_start_the_daemon(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    services, started = tmp_path / "services", tmp_path / "started"
    services.mkdir()
    for name in ("io.github.jackd_router.Router1", "org.freedesktop.systemd1"):
        (services / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec=/usr/bin/touch {started}\n")
    with SessionBus(tmp_path, services=services) as bus:
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus.address
        told = read(run("doctor", "--json"))
    assert told.failed() == {"daemon", "server"}
    assert not started.exists()


def test_a_daemon_that_does_not_answer(start_router: StartRouter) -> None:
    router = start_router(RULE)
    os.kill(router.pid, signal.SIGSTOP)
    try:
        told = of(router)
    finally:
        os.kill(router.pid, signal.SIGCONT)
    assert told.failed() == {"daemon", "server"}
    assert "does not answer" in told.one("daemon").text
    assert "restart" in told.one("daemon").advice


def test_a_daemon_of_another_version() -> None:
    status = {"status": "ok", "status-text": "connected", "version": "0.0"}
    (version,) = (one for one in findings(Seen(1, status, (), "")) if one.check == "version")
    assert version == Finding(
        Grade.WARN,
        "version",
        f"the running daemon is 0.0, this command {__version__}",
        "systemctl --user restart jackd-router",
    )


def test_another_program_that_undoes_a_connection(
    running_server: JackServer, start_client: StartClient, start_router: StartRouter
) -> None:
    synth = start_client("synth", outputs=["left", "right"])
    router = start_router(RULE + 'manual = "enforce"\n')
    eventually(lambda: LEFT in synth.connections())
    with Rival(running_server.name, LEFT, wants_it=False):
        told = eventually(lambda: told if "contested" in (told := of(router)).by_check else None, timeout=20)
    assert told is not None
    assert told.one("contested").text == "another program undoes what the rules do: synth:left -> system:playback_1"
    assert (told.one("daemon").grade, told.code) == (Grade.WARN, 0)


@pytest.fixture
def start_patchbay(tmp_path: Path) -> Iterator[Callable[[list[str]], Process]]:
    """Give a function that starts a program under a name; each ends with the test."""
    with ExitStack() as ends:

        def start(argv: list[str]) -> Process:
            process = Process(argv, tmp_path / "patchbay.log")
            ends.callback(process.kill)
            return process

        yield start


def test_other_patchbays(ask: Ask, start_patchbay: Callable[[list[str]], Process], tmp_path: Path) -> None:
    native, script, other = tmp_path / "qjackctl", tmp_path / "jack-matchmaker", tmp_path / "jack-plumbing"
    sleep = shutil.which("sleep")
    assert sleep
    native.symlink_to(sleep)
    script.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    script.chmod(0o755)
    other.write_text("only a file\n")
    started = [start_patchbay([str(native), "600"]), start_patchbay([str(script)])]
    start_patchbay(["tail", "-f", str(other)])
    eventually(lambda: "python" in Path(f"/proc/{started[1].pid}/cmdline").read_text())
    found = ask().by_check["patchbays"]
    assert [(one.grade, one.text) for one in found] == [
        (Grade.WARN, f"jack-matchmaker runs (process {started[1].pid}): it may undo what rules do"),
        (Grade.WARN, f"qjackctl runs (process {started[0].pid}): it may undo what rules do"),
    ]


def test_a_session_manager_is_no_mistake(ask: Ask, start_patchbay: Callable[[list[str]], Process], tmp_path: Path) -> None:
    program, sleep = tmp_path / "wireplumber", shutil.which("sleep")
    assert sleep
    program.symlink_to(sleep)
    process = start_patchbay([str(program), "600"])
    finding = ask().one("patchbays")
    assert finding.grade is Grade.OK
    assert finding.text.startswith(f"wireplumber runs (process {process.pid})")
    assert 'action = "forbid"' in finding.advice


@pytest.mark.jack2("of the names of JACK2 servers")
def test_a_server_of_another_name_is_named(ask: Ask, running_server: JackServer) -> None:
    server = ask().one("server")
    assert server.text == "there is no JACK server 'default' and no PipeWire"
    assert f'name = "{running_server.name}"' in server.advice


@pytest.mark.jack2("of the names of JACK2 servers")
def test_the_server_that_the_configuration_names(ask: Ask, environment: dict[str, str], running_server: JackServer) -> None:
    folder = Path(environment["HOME"], ".config/jackd-router")
    folder.mkdir(parents=True)
    (folder / "router.toml").write_text(f'[server]\nname = "{running_server.name}"\n{RULE}')
    assert ask().one("server").grade is Grade.OK


def test_pipewires_socket_is_looked_at_and_not_touched(ask: Ask, environment: dict[str, str]) -> None:
    runtime = Path(environment["XDG_RUNTIME_DIR"])
    runtime.mkdir()
    # As systemd does, which starts PipeWire for whoever connects.
    with socket.create_server(str(runtime / "pipewire-0"), family=socket.AF_UNIX) as listener:
        listener.setblocking(False)
        assert ask().one("server").grade is Grade.FAIL
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_pipewire_runs(ask: Ask, environment: dict[str, str], tmp_path: Path) -> None:
    with PipeWireServer(tmp_path / "pipewire.log") as server:
        environment |= server_env(server.name)
        told = ask()
    assert told.one("server").text == f"PipeWire runs: {server.socket_path}"
    assert told.one("libjack").grade is Grade.OK
    assert "using PipeWire" in told.one("libjack").text


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("1.9.21", jack2_socket("default"), True),
        ("3.0.0.0 (using PipeWire 0.3.65)", pipewire_socket(), True),
        ("1.9.21", pipewire_socket(), False),
        ("3.0.0.0 (using PipeWire 0.3.65)", jack2_socket("default"), False),
    ],
)
def test_a_library_that_does_not_fit_the_server(version: str, wanted: ServerSocket, fits: bool) -> None:
    finding = fit(wanted, Library(version, "/usr/lib/libjack.so.0"))
    assert (finding.grade, bool(finding.advice)) == ((Grade.OK, False) if fits else (Grade.FAIL, True))


def test_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "libjack.so.0").write_text("no library\n")
    library = loaded_from(str(tmp_path))
    assert str(tmp_path / "libjack.so.0") in library.trouble
    assert fit(jack2_socket("default"), library).grade is Grade.FAIL


def ask_without_capabilities(environment: dict[str, str], *wrapper: str) -> Told:
    """Ask as an ordinary account: root loses with its capabilities what others never had."""
    without = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*wrapper, *without, sys.executable, "-m", "jackd_router", "doctor", "--json"]
    return read(subprocess.run(command, env=environment, capture_output=True, text=True, check=False))


def test_limits_of_an_ordinary_account(environment: dict[str, str]) -> None:
    told = ask_without_capabilities(environment, "prlimit", "--rtprio=0:0", "--memlock=65536:65536")
    assert "realtime priority (limit rtprio: 0)" in told.one("realtime").text
    assert "may lock 64 KiB only" in told.one("memlock").text
    for check in ("realtime", "memlock"):
        assert told.one(check).grade is Grade.WARN
        assert "log out everywhere and in again" in told.one(check).advice


LINES = "# a comment\n@nogroup - rtprio 95\n@nogroup - memlock unlimited\n@no-such-group - rtprio 95\n*  hard  core  0\n"


def test_how_to_get_realtime_priority(tmp_path: Path) -> None:
    # Nothing is set up.
    assert re.search(r"rtprio 95|dpkg-reconfigure", how_to_get_it("somebody", tmp_path))
    # A group has it, and the account is not in there.
    (tmp_path / "limits.d").mkdir()
    (tmp_path / "limits.d/audio.conf").write_text(LINES)
    assert domains_with_rtprio(tmp_path) == ["@nogroup", "@no-such-group"]
    assert how_to_get_it("somebody", tmp_path).startswith("adduser somebody nogroup, then log out")
    # What Debian's jackd2 leaves where nobody said yes is no file of limits.
    (tmp_path / "limits.d/audio.conf").rename(tmp_path / "limits.d/audio.conf.disabled")
    assert domains_with_rtprio(tmp_path) == []
    # The account has it, from the next login on.
    (tmp_path / "limits.conf").write_text("somebody - rtprio 95\n")
    assert how_to_get_it("somebody", tmp_path).startswith("the limits are set: log out")


def test_every_mistake_in_the_configuration(ask: Ask, environment: dict[str, str]) -> None:
    path = Path(environment["HOME"], ".config/jackd-router/router.toml")
    path.parent.mkdir(parents=True)
    path.write_text('[server]\nnmae = "x"\n[[rule]]\nname = "one"\n')
    told = ask()
    places = [finding.text.partition(": ")[0] for finding in told.by_check["configuration"]]
    assert "configuration" in told.failed()
    assert f"{path}:2:1" in places
    assert len(places) >= 2


def test_a_state_that_cannot_be_kept(ask: Ask, environment: dict[str, str]) -> None:
    folder = Path(environment["HOME"], ".local/state/jackd-router")
    folder.mkdir(parents=True)
    assert ask().one("state").text == f"{folder} can be written"
    (folder / "state.json").write_text("{")
    damaged, writable = ask().by_check["state"]
    assert (damaged.grade, writable.grade) == (Grade.WARN, Grade.OK)
    (folder / "state.json").unlink()
    os.mkfifo(folder / "state.json")
    damaged, writable = ask().by_check["state"]
    assert "cannot be read: it is no regular file" in damaged.text
    shutil.rmtree(folder)
    folder.write_text("no folder")
    told = ask()
    assert "state" in told.failed()
    assert "Not a directory" in told.by_check["state"][-1].text
    assert folder.read_text() == "no folder"


def test_a_home_that_may_not_be_entered(environment: dict[str, str]) -> None:
    home = Path(environment["HOME"])
    home.chmod(0)
    try:
        told = ask_without_capabilities(environment)
    finally:
        home.chmod(0o700)
    assert {"configuration", "state"} <= told.failed()
    assert "Permission denied" in told.by_check["state"][-1].text


@pytest.mark.parametrize("value", ["", "/nowhere"])
def test_a_session_without_a_run_time_directory(ask: Ask, environment: dict[str, str], value: str) -> None:
    environment["XDG_RUNTIME_DIR"] = value
    assert ask().one("runtime-dir").grade is Grade.WARN


def test_a_run_time_directory_that_may_not_be_entered(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0)
    environment["XDG_RUNTIME_DIR"] = str(folder)
    finding = ask_without_capabilities(environment).one("runtime-dir")
    assert (finding.grade, finding.advice) == (Grade.WARN, f"chmod 700 {folder}")
