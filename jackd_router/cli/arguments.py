"""The grammar of the command line: which commands there are, and what each takes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jackd_router import __version__
from jackd_router.cli import buses, change, check, look, profiles, run, simulate, watch
from jackd_router.cli.remote import with_daemon
from jackd_router.cli.terminal import PROGRAM

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_CODES = "Exit codes: 0 done, 1 refused, 2 usage, 3 no daemon, 4 no JACK server. See also jackd-router(1)."
PORT_HELP = "full name, client:port"


def parse(argv: Sequence[str] | None) -> Callable[[], int]:
    """Give the command, ready to be called for its exit code. SystemExit is help given, or the usage explained."""
    top = _parser()
    options = vars(top.parse_args(argv))
    if "gain" in options and options["name"] is None and (options["gain"], options["mute"]) != (None, None):
        top.error("which bus? write: bus NAME --gain DB")
    if local := _offline(top, options) or options.pop("local", None):
        return partial(local, **options)
    return partial(with_daemon, options.pop("remote"), options)


def _offline(top: argparse.ArgumentParser, options: dict[str, Any]) -> Callable[..., int] | None:
    """Give the command that takes the place of one that asks the daemon, where a saved graph is named."""
    offline: Callable[..., int] | None = options.pop("local_with_graph", None)
    if offline is None:
        return None
    if options["graph"] is not None:
        del options["remote"]
        return offline
    if options["profile"] is not None:
        top.error("--profile needs --graph: the daemon plans for the profile that is active")
    del options["graph"], options["profile"]
    return None


def _parser() -> argparse.ArgumentParser:
    """Give the parser; each command leaves its function as `local` (it needs no daemon) or `remote`."""
    top = argparse.ArgumentParser(prog=PROGRAM, description="Keep the JACK graph as the rules ask for it.", epilog=EXIT_CODES)
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_local(commands)
    _add_looking(commands)
    _add_changing(commands)
    _add_rules(commands)
    _add_profile(commands)
    _add_bus(commands)
    return top


def _add_local(commands: Commands) -> None:
    command = _command(commands, "run", "run the daemon in the foreground")
    command.add_argument("--config", type=Path, metavar="FILE", help="instead of ~/.config/jackd-router/router.toml")
    command.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    command.set_defaults(local=run.run)
    command = _command(commands, "check", "print everything that is wrong with a configuration file (needs no daemon)")
    command.add_argument("file", nargs="?", type=Path, metavar="FILE", help="instead of ~/.config/jackd-router/router.toml")
    _add_json(command)
    command.set_defaults(local=check.check)


def _add_looking(commands: Commands) -> None:
    command = _command(commands, "status", "show how the daemon and its JACK server are")
    _add_json(command)
    command.set_defaults(remote=look.status)
    command = _command(commands, "ports", "list ports")
    _add_pattern(command)
    direction = command.add_mutually_exclusive_group()
    direction.add_argument("--input", dest="direction", action="store_const", const="input", help="input ports only")
    direction.add_argument("--output", dest="direction", action="store_const", const="output", help="output ports only")
    command.add_argument("--type", dest="port_type", choices=("audio", "midi", "cv", "other"), help="ports of this type only")
    _add_json(command)
    command.set_defaults(remote=look.ports)
    command = _command(commands, "connections", "list connections")
    _add_pattern(command)
    _add_json(command)
    command.set_defaults(remote=look.connections)
    command = _command(commands, "graph", "show all ports with their connections")
    _add_json(command)
    command.set_defaults(remote=look.graph)
    command = _command(commands, "explain", "tell why two ports are or are not connected")
    command.add_argument("port", metavar="PORT", help=PORT_HELP)
    command.add_argument("other", nargs="?", metavar="PORT", help="destination; without it: all that rules say of the first")
    _add_json(command)
    command.set_defaults(remote=look.explain)
    command = _command(commands, "watch", "show what happens, until Ctrl-C")
    _add_json(command, "one JSON object per line")
    command.set_defaults(remote=watch.watch)


def _add_changing(commands: Commands) -> None:
    command = _command(commands, "connect", "connect two ports")
    _add_pair(command)
    command.add_argument("--hold", action="store_true", help="even against the rules, until one of the ports goes")
    command.set_defaults(remote=change.connect)
    command = _command(commands, "disconnect", "disconnect two ports")
    _add_pair(command)
    command.add_argument("--hold", action="store_true", help="even against the rules, until one of the ports goes")
    command.set_defaults(remote=change.disconnect)
    command = _command(commands, "release", "let the rules decide again about a connection that was cut by hand")
    _add_pair(command)
    command.set_defaults(remote=change.release)
    command = _command(commands, "reapply", "release all connections held by hand and let the rules decide anew")
    _add_dry_run(command)
    command.set_defaults(remote=change.reapply)
    command = _command(commands, "reload", "read the configuration again")
    _add_dry_run(command)
    command.set_defaults(remote=change.reload)
    command = _command(commands, "plan", "show what would change if a configuration file were in force")
    # The daemon reads it, and its working directory is not ours.
    command.add_argument(
        "file", nargs="?", type=lambda text: Path(text).absolute(), metavar="FILE", help="instead of the daemon's own"
    )
    command.add_argument("--graph", type=Path, metavar="GRAPH", help="on this graph, saved by `graph --json`; needs no daemon")
    command.add_argument("--profile", metavar="NAME", help="with --graph: in this profile, not the one that was active")
    _add_json(command)
    command.set_defaults(remote=change.plan, local_with_graph=simulate.plan)


def _add_rules(commands: Commands) -> None:
    command = _command(commands, "rules", "list the rules, switch them on and off")
    _add_json(command)
    command.set_defaults(remote=look.rules)
    switches = command.add_subparsers(metavar="[enable|disable]")
    for word, enabled in (("enable", True), ("disable", False)):
        switch = switches.add_parser(word, allow_abbrev=False, help=f"{word} rules; kept over restarts")
        switch.add_argument("names", nargs="+", metavar="NAME")
        switch.set_defaults(remote=change.switch_rules, enabled=enabled)


def _add_profile(commands: Commands) -> None:
    command = _command(commands, "profile", "list the profiles, or switch to one")
    command.add_argument("name", nargs="?", metavar="NAME", help="the profile to switch to; kept over restarts")
    _add_json(command)
    command.set_defaults(remote=profiles.profile)


def _add_bus(commands: Commands) -> None:
    command = _command(commands, "bus", "list the passthrough buses, set gain and mute, show levels")
    command.add_argument("name", nargs="?", metavar="NAME", help="one bus; without it: all")
    command.add_argument("--gain", type=_decibels, metavar="DB", help="-144 (silence) to 20")
    mute = command.add_mutually_exclusive_group()
    mute.add_argument("--mute", action="store_const", const=True, help="let no sound pass; the gain is kept")
    mute.add_argument("--unmute", dest="mute", action="store_const", const=False, help="let sound pass again")
    command.add_argument("--meters", action="store_true", help="live levels, until Ctrl-C; once where stdout is no terminal")
    _add_json(command)
    command.set_defaults(remote=buses.buses)


def _command(commands: Commands, name: str, what: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", allow_abbrev=False, epilog=EXIT_CODES
    )


def _add_json(command: argparse.ArgumentParser, what: str = "JSON for programs") -> None:
    command.add_argument("--json", action="store_true", help=what)


def _add_dry_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="only show what would change")
    _add_json(command)


def _add_pattern(command: argparse.ArgumentParser) -> None:
    command.add_argument("pattern", nargs="?", default="", metavar="PATTERN", help="as in a rule: only * and ? are special")


def _add_pair(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help=f"output port: {PORT_HELP}")
    command.add_argument("destination", metavar="DESTINATION", help=f"input port: {PORT_HELP}")


def _decibels(text: str) -> float:
    """Give the gain; whether it is in range is the daemon's decision, that it is a number is grammar."""
    try:
        gain = float(text)
    except ValueError:
        gain = math.nan
    if not math.isfinite(gain):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of dB; -144 is silence")
    return gain
