"""Commands that change something: connect, disconnect, release, undo, reapply, reload, rules; and plan, which would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from jackd_router.cli import listing
from jackd_router.cli.exits import CommandFailed, Exit
from jackd_router.cli.records import Pair, ProblemRecord, Report, UndoRecord, records, report
from jackd_router.cli.remote import Daemon, Refusal, options
from jackd_router.cli.terminal import complain, note, show, show_json, show_table, typed


async def connect(daemon: Daemon, *, source: str, destination: str, hold: bool) -> Exit:
    """Connect two ports."""
    return await _ask_about(daemon, "Graph.Connect", Pair(source, destination), hold=hold)


async def disconnect(daemon: Daemon, *, source: str, destination: str, hold: bool) -> Exit:
    """Disconnect two ports."""
    return await _ask_about(daemon, "Graph.Disconnect", Pair(source, destination), hold=hold)


async def release(daemon: Daemon, *, source: str, destination: str) -> Exit:
    """Let the rules decide again about a connection that was cut by hand."""
    return await _ask_about(daemon, "Rules.ReleaseHold", Pair(source, destination))


async def _ask_about(daemon: Daemon, member: str, pair: Pair, *, hold: bool = False) -> Exit:
    asked = Pair(*map(typed, pair))
    (result,) = await daemon.call(member, "ssa{sv}", *asked, options(hold=hold))
    show(f"{result}: {asked}")
    return Exit.DONE


async def switch_rules(daemon: Daemon, *, names: list[str], enabled: bool, json: bool) -> Exit:
    """Switch rules on or off, all of them or none; kept over restarts of the daemon."""
    for name in names:
        await daemon.call("Rules.GetRule", "s", typed(name))  # refused, with the nearest name, where there is no such rule
    for name in names:
        await daemon.call("Rules.SetRuleEnabled", "sba{sv}", typed(name), enabled, options())
        if not json:
            show(f"{'enabled' if enabled else 'disabled'}: {name}")
    if json:
        show_json([{"name": name, "enabled": enabled} for name in names])
    return Exit.DONE


async def reapply(daemon: Daemon, *, dry_run: bool, json: bool) -> Exit:
    """Release all holds and let all rules decide anew."""
    (reply,) = await daemon.call("Rules.Reapply", "a{sv}", options(dry_run=dry_run))
    show_report(report(reply), json=json, would=dry_run)
    return Exit.DONE


async def undo(daemon: Daemon, *, only_list: bool, json: bool) -> Exit:
    """Take back the last change that was made by hand, or list what can be taken back."""
    if only_list:
        steps = records(UndoRecord, await daemon.get("Manager.UndoSteps"))
        if json:
            show_json([step._asdict() for step in steps])
        else:
            show_table(listing.undo_table(steps))
        return Exit.DONE
    what, reply = await daemon.call("Manager.Undo", "a{sv}", options())
    changes, problems = report(reply), cast("Mapping[str, list[str]]", reply).get("problems", [])
    if json:
        pairs = {key: value for key, value in changes.as_json().items() if key in ("connect", "disconnect", "failed")}
        show_json({"what": what, **pairs, "problems": problems})
    else:
        show(f"undone: {what}")
        for line in listing.report_lines(changes):
            show(line)
    for problem in problems:
        note(problem)
    return Exit.REFUSED if problems else Exit.DONE


async def reload(daemon: Daemon, *, dry_run: bool, json: bool) -> Exit:
    """Read the configuration again: all of it is put in force, or nothing."""
    if dry_run:
        return await _plan(daemon, "", json=json)
    try:
        (reply,) = await daemon.call("Config.Reload", "a{sv}", options())
    except Refusal as refusal:
        if refusal.name != "InvalidConfig":
            raise
        # The text of the error is cut at 500 characters and may name the first problem only.
        show_problems(records(ProblemRecord, await daemon.get("Config.Problems")))
        note("not reloaded: the configuration that was in force stays")
        return Exit.REFUSED
    show_problems(records(ProblemRecord, await daemon.get("Config.Problems")))
    show_report(report(reply), json=json, would=False)
    return Exit.DONE


async def plan(daemon: Daemon, *, file: Path | None, json: bool) -> Exit:
    """Show what would change if the file were in force."""
    if file:
        require(file)
    return await _plan(daemon, typed(str(file)) if file else "", json=json)


def require(file: Path) -> None:
    """Raise CommandFailed where a file that was named is not there: to read it as one without rules would hide the typo."""
    if not file.exists():
        raise CommandFailed(f"{file}: no such file")


async def _plan(daemon: Daemon, path: str, *, json: bool) -> Exit:
    valid, problems, reply = await daemon.call("Config.Plan", "sa{sv}", path, options())
    show_problems(records(ProblemRecord, problems))
    if not valid:
        return Exit.REFUSED
    show_report(report(reply), json=json, would=True)
    return Exit.DONE


def show_report(changes: Report, *, json: bool, would: bool) -> None:
    """Show what was changed, or would be."""
    if json:
        show_json(changes.as_json())
        return
    for line in listing.report_lines(changes):
        show(line)
    if not (changes.connect or changes.disconnect or changes.failed):
        show("no connection would change" if would else "no connection changed")


def show_problems(problems: list[ProblemRecord]) -> None:
    """Write what is wrong with a configuration to stderr."""
    for problem in problems:
        complain(str(problem))
