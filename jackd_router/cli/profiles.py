"""The command `profile`: list the profiles, switch to one."""

from __future__ import annotations

from jackd_router.cli import listing
from jackd_router.cli.exits import Exit
from jackd_router.cli.records import profiles
from jackd_router.cli.remote import Daemon
from jackd_router.cli.terminal import show, show_json, show_table, typed


async def profile(daemon: Daemon, *, name: str | None, json: bool) -> Exit:
    """Switch to a profile where one is named; else list them."""
    if name is not None:
        await daemon.set("Profiles.ActiveProfile", "s", typed(name))
        if not json:
            show(f"active: {name}")
            return Exit.DONE
    found = profiles(await daemon.get("Profiles.Profiles"), await daemon.get("Profiles.ActiveProfile"))
    if json:
        show_json([one._asdict() for one in found])
    else:
        show_table(listing.profiles_table(found))
    return Exit.DONE
