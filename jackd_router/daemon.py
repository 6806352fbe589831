"""The daemon: builds every part and wires them. The only file that knows all of them, and the one TaskGroup."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from jackd_router import __version__
from jackd_router.core.errors import ConfigInvalid, RouterError
from jackd_router.dbus_api.errors import NameTaken
from jackd_router.dbus_api.serve import serve
from jackd_router.runtime.config_files import default_path
from jackd_router.runtime.config_watch import ConfigWatch
from jackd_router.runtime.folder_lock import FolderTaken, lock
from jackd_router.runtime.router import Router
from jackd_router.runtime.state import Listener
from jackd_router.runtime.state_file import state_folder
from jackd_router.service.journal import Event, start_logging
from jackd_router.service.notify import (
    tell_alive,
    tell_ready,
    tell_reloading,
    tell_status,
    tell_stopping,
    watchdog_interval_s,
)

log = logging.getLogger("jackd_router")

EXIT_REFUSED = 1
_SWITCH_S = 0.0005
"""How long a thread that reads a file or compares rules keeps the loop waiting: Python's own 5 ms count each time it rests."""


class Stopped(Exception):  # not an error, it only ends the TaskGroup
    """Somebody asked the daemon to end."""


class Daemon(Listener):
    """One run of the program."""

    def __init__(self, config_path: Path) -> None:
        self._state_folder = state_folder()
        self._router = Router(config_path, self._state_folder, os.environ.get("JACK_DEFAULT_SERVER") or "default")
        self._reload_asked = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._config_watch: ConfigWatch | None = None
        self._started = asyncio.Event()

    async def run(self) -> None:
        """Work until a signal asks to end; raise FolderTaken or NameTaken when another daemon runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)
        await lock(self._state_folder)  # before anything is read there: what is damaged is set aside
        self._router.load()
        self._router.subscribe(self)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve(self._router, tasks, self._attached), name="dbus")
                reloads = tasks.create_task(self._reload_when_asked(), name="reload")
                tasks.create_task(self._stay_alive(), name="watchdog")
                # What is there now lives as long as the program: the collector need not walk it again and again.
                gc.collect()
                gc.freeze()
                self._follow_config()
                await self._stop_asked.wait()
                reloads.cancel()  # nothing but the end is told from here on
                tell_stopping()
                # While our name is ours: the next daemon comes when we have left the server, and all is saved.
                await self._router.stop()
                raise Stopped
        except* Stopped:
            pass
        finally:
            if self._config_watch:
                self._config_watch.close()
            await self._router.stop()  # what calls have changed that were still running

    def _attached(self, attached: bool) -> None:
        """Begin to work: our name on the bus is ours, or there is no bus. Only now, lest a second daemon disturb the first."""
        del attached
        if not self._started.is_set():
            self._started.set()
            self._router.start()
            tell_ready(self._router.status.text)
            log.info("jackd-router %s is ready: %s", __version__, self._router.status.text, extra={"MESSAGE_ID": Event.STARTED})

    def status_changed(self) -> None:
        """Show the status where people look first: `systemctl status`. The log has told what led to it."""
        if self._started.is_set():
            tell_status(self._router.status.text)

    def config_changed(self) -> None:
        """Watch the files, or no longer, as the configuration in force says."""
        self._follow_config()

    def _follow_config(self) -> None:
        if self._router.configuration.in_force.watch and self._config_watch is None:
            try:
                self._config_watch = ConfigWatch(self._router.configuration.path, self._reload_asked.set)
            except OSError as error:  # the user's limit of watches
                log.warning("The configuration cannot be watched, reload it by hand: %s", error)
        elif not self._router.configuration.in_force.watch and self._config_watch is not None:
            self._config_watch.close()
            self._config_watch = None
        elif self._config_watch is not None:
            self._config_watch.renew()

    async def _reload_when_asked(self) -> None:
        """Reload on SIGHUP and after a save; what is wrong is in the log, on D-Bus and in the status."""
        await self._started.wait()  # what is asked for earlier is not forgotten
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            tell_reloading()
            try:
                await self._router.reload()
            except ConfigInvalid:
                log.warning("The configuration was not reloaded; the one in force stays")
            except RouterError as error:
                log.warning("The configuration was not reloaded: %s; the one in force stays", error)
            tell_ready(self._router.status.text)

    async def _stay_alive(self) -> None:
        """Calm systemd's watchdog as long as this loop turns and the rules are applied; only for it there is a timer."""
        interval_s = watchdog_interval_s()
        while interval_s is not None:
            if self._router.stands_still:
                log.error("The rules are not applied any more: this is a fault of the program; systemd starts it anew")
            else:
                tell_alive()
            await asyncio.sleep(interval_s)


def main(config_path: Path | None, *, log_level: str = "info") -> int:
    """Run the daemon in the foreground and give its exit code."""
    _open_standard_streams()
    start_logging(getattr(logging, log_level.upper()), sys.stderr)
    sys.setswitchinterval(_SWITCH_S)
    refused: list[str] = []
    try:
        asyncio.run(_run((config_path or default_path()).absolute()))
    except* (FolderTaken, NameTaken) as errors:
        refused += map(str, errors.exceptions)
    if refused:
        print(f"jackd-router: {refused[0]}", file=sys.stderr)
        # The journal may no longer know of which unit that line was, when a process ends at once.
        tell_status(refused[0])
        return EXIT_REFUSED
    log.info("Stopped", extra={"MESSAGE_ID": Event.STOPPED})
    return 0


def _open_standard_streams() -> None:
    """Open /dev/null for each that whoever started us has closed: a socket of ours would else take its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (for as long as the process runs)


async def _run(config_path: Path) -> None:
    await Daemon(config_path).run()
