"""The grammar of the command line: which commands there are, and what each takes."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jackd_router import __version__
from jackd_router.cli import buses, change, check, look, profiles, run, simulate, snapshots, watch
from jackd_router.cli.doctor import doctor
from jackd_router.cli.remote import with_daemon
from jackd_router.cli.terminal import PROGRAM

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_CODES = "Exit codes: 0 done, 1 refused, 2 usage, 3 no daemon, 4 no JACK server. See also jackd-router(1)."
_LONGEST_S = 3600
PORT_HELP = "full name, client:port"

_SETTINGS = ("gain", "fade", "mute", "midi_channels")
"""Options that set something on one bus."""
_OF_TWO_WORDS = (["bus", "create"], ["bus", "remove"])
"""Commands that argparse cannot tell from `bus NAME`. A bus that is called so is meant by `bus -- create`."""


def parse(argv: Sequence[str] | None) -> Callable[[], int]:
    """Give the command, ready to be called for its exit code. SystemExit is help given, or the usage explained."""
    top = _parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] in _OF_TWO_WORDS:
        words[:2] = [" ".join(words[:2])]
    options = vars(top.parse_args(words))
    if "meters" in options and options["name"] is None and any(options[key] is not None for key in _SETTINGS):
        top.error("which bus? write: bus NAME --gain DB")
    if options.get("fade") is not None and options["gain"] is None:
        top.error("--fade needs --gain: it says how long the way there takes")
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
    _add_snapshot(commands)
    _add_bus(commands)
    _add_made_buses(commands)
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
    command = _command(commands, "doctor", "look for what goes wrong in practice, and say what to do (needs no daemon)")
    _add_json(command)
    command.set_defaults(local=doctor)


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
    command = _command(commands, "undo", "take back the last change that was made by hand")
    command.add_argument("--list", dest="only_list", action="store_true", help="only list what can be taken back, newest first")
    _add_json(command)
    command.set_defaults(remote=change.undo)
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


def _add_snapshot(commands: Commands) -> None:
    command = _command(commands, "snapshot", "list, save and restore the connections of the graph")
    _add_json(command)
    command.set_defaults(remote=snapshots.list_all)
    words = command.add_subparsers(metavar="[list|show|save|restore|delete]")

    def add(word: str, what: str, remote: Callable[..., object]) -> argparse.ArgumentParser:
        added = words.add_parser(word, allow_abbrev=False, help=what, description=f"{what[0].upper()}{what[1:]}.")
        added.set_defaults(remote=remote)
        # Without a default of its own, which would take back the --json that was given before the word.
        added.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="JSON for programs")
        return added

    add("list", "list the snapshots", snapshots.list_all)
    named = add("show", "show the connections of a snapshot", snapshots.show_one)
    named.add_argument("name", metavar="NAME")
    named = add("save", "save the connections of the graph as they are now", snapshots.save)
    named.add_argument("name", metavar="NAME", help="also that of the file; without / and \\")
    named.add_argument("--overwrite", action="store_true", help="in place of an earlier one; what absent clients had is kept")
    named.add_argument("--description", metavar="TEXT", help="for people; without it: that of the earlier one")
    named = add("restore", "connect what is in a snapshot", snapshots.restore)
    named.add_argument("name", metavar="NAME")
    named.add_argument("--exact", action="store_true", help="also disconnect what is not in it")
    named.add_argument("--dry-run", action="store_true", help="only show what would change")
    named = add("delete", "delete a snapshot", snapshots.delete)
    named.add_argument("name", metavar="NAME")


def _add_bus(commands: Commands) -> None:
    command = _command(commands, "bus", "list the passthrough buses, set gain and mute, show levels")
    command.add_argument("name", nargs="?", metavar="NAME", help="one bus; without it: all")
    command.add_argument("--gain", type=_decibels, metavar="DB", help="-144 (silence) to 20")
    command.add_argument("--fade", type=_seconds, metavar="SECONDS", help="get there in a straight line of dB, and wait for it")
    command.add_argument("--midi-channels", type=_midi_channels, metavar="NUMBERS", help="that pass a bus of MIDI: 1,10")
    mute = command.add_mutually_exclusive_group()
    mute.add_argument("--mute", action="store_const", const=True, help="let no sound pass; the gain is kept")
    mute.add_argument("--unmute", dest="mute", action="store_const", const=False, help="let sound pass again")
    command.add_argument("--meters", action="store_true", help="live levels, until Ctrl-C; once where stdout is no terminal")
    _add_json(command)
    command.set_defaults(remote=buses.buses)


def _add_made_buses(commands: Commands) -> None:
    command = _command(commands, "bus create", "make a passthrough bus at run time; kept over restarts")
    command.add_argument("name", metavar="NAME", help="letters, digits, - and _; not that of another bus")
    command.add_argument("--channels", type=_channels, metavar="NAMES", help="of the inputs: L,R, or how many; without it: 2")
    command.add_argument("--outputs", type=_channels, metavar="NAMES", help="where they differ from the inputs")
    command.add_argument("--type", dest="bus_type", choices=("audio", "midi"), help="what it carries; without it: audio")
    command.add_argument("--gain", type=_decibels, metavar="DB", help="-144 (silence) to 20")
    command.add_argument("--channel-gains", type=_gains, metavar="DB,...", help="one for each input")
    command.add_argument("--mute", action="store_true", help="let no sound pass")
    command.add_argument("--matrix", type=_rows, metavar="ROWS", help="a row of factors for each output: 1,0;0,1")
    command.add_argument("--fade-ms", type=_number, metavar="MS", help="how long a change takes; without it: 20")
    command.add_argument("--midi-channels", type=_midi_channels, metavar="NUMBERS", help="that pass; without it: all")
    _add_json(command)
    command.set_defaults(remote=buses.create)
    command = _command(commands, "bus remove", "remove a passthrough bus that was made at run time")
    command.add_argument("name", metavar="NAME")
    command.set_defaults(remote=buses.remove)


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


def _channels(text: str) -> list[str]:
    """Give the names; a number stands for as many channels that are numbered, as in the configuration."""
    # Imported here: the language costs a tenth of what `connect` takes.
    from jackd_router.core.language.parse_buses import MAX_CHANNELS

    if not text.isdecimal():
        return text.split(",")
    if not 1 <= int(text[:9]) <= MAX_CHANNELS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of channels: 1 to {MAX_CHANNELS}")
    return [str(number) for number in range(1, int(text) + 1)]


def _midi_channels(text: str) -> list[int]:
    """Give the numbers; which there are is the daemon's knowledge, as far as D-Bus can carry them."""
    numbers = text.split(",")
    if not all(number.isdecimal() and len(number) < 10 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of channels: 1 to 16, with commas between")
    return [int(number) for number in numbers]


def _seconds(text: str) -> float:
    seconds = _number(text)
    if not 0 <= seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time for a fade: 0 to {_LONGEST_S} seconds")
    return seconds


def _gains(text: str) -> list[float]:
    return [_decibels(gain) for gain in text.split(",")]


def _rows(text: str) -> list[list[float]]:
    return [[_number(factor) for factor in row.split(",")] for row in text.split(";")]


def _number(text: str) -> float:
    """Give the number; whether it is in range is the daemon's decision."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _decibels(text: str) -> float:
    """Give the gain; whether it is in range is the daemon's decision, that it is a number is grammar."""
    try:
        gain = float(text)
    except ValueError:
        gain = math.nan
    if not math.isfinite(gain):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of dB; -144 is silence")
    return gain
