"""The JACK server: is there one, and is there a libjack that fits it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jackd_router.cli.doctor.findings import Finding, Grade, fail, ok
from jackd_router.jack_host.library import FOLDERS, Implementation, implementation
from jackd_router.jack_io.presence import JACK2_FOLDER, ServerSocket, lock_holder

_LIBRARY_DEADLINE_S = 10
_PACKAGES = {Implementation.JACK2: "libjack-jackd2-0", Implementation.PIPEWIRE: "pipewire-jack"}


def find(sockets: Sequence[ServerSocket]) -> ServerSocket | None:
    """Give the first of the servers that runs, which the daemon follows."""
    return next((server for server in sockets if _runs(server)), None)


def _runs(server: ServerSocket) -> bool:
    # Where there is a lock nobody connects: systemd would start a server for us.
    return lock_holder(server.lock) is not None if server.lock else _accepts(server.path)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        attempt.settimeout(1)
        try:
            attempt.connect(str(path))
        except OSError:
            return False
    return True


def findings(sockets: Sequence[ServerSocket], running: ServerSocket | None) -> Iterator[Finding]:
    """Tell whether there is a server."""
    if running:
        yield ok("server", f"{running.title} runs: {running.path}")
    else:
        yield fail("server", f"there is no {' and no '.join(server.title for server in sockets)}", _what_instead(sockets))


def _what_instead(sockets: Sequence[ServerSocket]) -> str:
    """Give what to do, which depends on whether somebody runs a server that is not looked for."""
    wanted = {server.path for server in sockets}
    for path in sorted(JACK2_FOLDER.glob("jack_*_0")):
        name, _, owner = path.name.removeprefix("jack_").removesuffix("_0").rpartition("_")
        if name and owner.isdecimal() and path not in wanted and _accepts(path):
            if int(owner) == os.getuid():
                return f'JACK server {name!r} runs: write name = "{name}" under [server] in the configuration if that is meant'
            return f"JACK server {name!r} of uid {owner} runs: server and clients must be of one user"
    return "start one: QjackCtl, `jackd -R -d alsa`, or PipeWire"


class Library(NamedTuple):
    """A libjack that can be loaded, or why not."""

    version: str
    path: str
    trouble: str = ""

    @property
    def implementation(self) -> Implementation:
        """Whose it is."""
        return implementation(self.version)


def libraries(sockets: Sequence[ServerSocket], running: ServerSocket | None) -> Iterator[Finding]:
    """Tell which libjack there is for the server that runs, or for those that may come: one of them is enough."""
    found = [fit(server, load(server.implementation)) for server in ([running] if running else sockets)]
    yield from [finding for finding in found if finding.grade is Grade.OK] or found


def load(wanted: Implementation) -> Library:
    """Give the libjack that the JACK host would load for such a server: the first that is that one's, else the last seen."""
    found = Library("", "", "it is looked for nowhere")
    for folder in FOLDERS[wanted]:
        found = loaded_from(folder)
        if found.implementation is wanted:
            break
    return found


def loaded_from(folder: str) -> Library:
    """Give the libjack that the loader finds, by way of the folder; a process of its own loads it, which may crash."""
    command = [sys.executable, "-m", "jackd_router.jack_host.loaded"]
    path = ":".join(filter(None, (folder, os.environ.get("LD_LIBRARY_PATH"))))
    environment = {**os.environ, "LD_LIBRARY_PATH": path} if path else dict(os.environ)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_LIBRARY_DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        return Library("", "", "it does not end")
    if done.returncode:
        return Library("", "", done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}")
    version, path = done.stdout.splitlines()
    return Library(version, path)


def fit(wanted: ServerSocket, library: Library) -> Finding:
    """Tell whether this libjack can talk to the server."""
    if library.implementation is wanted.implementation:
        return ok("libjack", f"for {wanted.title}: libjack {library.version}, {library.path}")
    what = f"cannot be loaded: {library.trouble}" if library.trouble else f"is missing: {library.path} is {library.version}"
    return fail("libjack", f"the libjack for {wanted.title} {what}", f"install it (Debian: {_PACKAGES[wanted.implementation]})")
