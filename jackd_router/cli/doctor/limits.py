"""Realtime priority, locked memory and sound cards: what this account may, what the daemon may, and how to get it."""

from __future__ import annotations

import grp
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jackd_router.cli.doctor.findings import Finding, ok, warn
from jackd_router.cli.doctor.session import user_name
from jackd_router.jack_host.library import Implementation

_SYS_NICE, _IPC_LOCK = 23, 14
_ALL_USERS = ["0", "0", "4294967295"]
_MEMLOCK_BYTES = 8 * 1024 * 1024
"""What the daemon needs at most; also the usual default."""
_LIMITS = Path("/etc/security")
_RTKIT = Path("/usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service")
_AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a process may."""

    realtime: str
    """How, in words; "" where it may not."""
    memlock_bytes: int
    """RLIM_INFINITY is without limit."""


def findings(daemon_pid: int | None, running: Implementation | None, *, has_realtime: bool) -> Iterator[Finding]:
    """Look at the limits of the daemon, where it runs, else at those of this shell, which it would inherit.

    `has_realtime`: whether its process thread has the priority, however it came by it.
    """
    here = allowed(os.getpid()) or Allowed("", 0)
    of_daemon = allowed(daemon_pid) if daemon_pid else None
    counts = of_daemon or here
    whose = "the daemon" if of_daemon else "a program of this account"
    user = user_name()
    if has_realtime:
        yield ok("realtime", "the daemon's process thread has realtime priority")
    elif counts.realtime:
        yield ok("realtime", f"{whose} may have realtime priority: {counts.realtime}")
    elif running is Implementation.PIPEWIRE and _RTKIT.exists():
        yield ok("realtime", "rtkit gives realtime priority to PipeWire's clients")
    elif here.realtime:
        yield warn(
            "realtime",
            f"the daemon may not have realtime priority, though this shell may: {here.realtime}",
            f"its systemd is older than the change: loginctl terminate-user {user}, or restart the machine",
        )
    else:
        yield warn(
            "realtime", f"{whose} may not have realtime priority (limit rtprio: 0), so sound may drop out", how_to_get_it(user)
        )
    if counts.memlock_bytes == resource.RLIM_INFINITY or counts.memlock_bytes >= _MEMLOCK_BYTES:
        yield ok("memlock", f"{whose} may lock enough memory: {_memory(counts.memlock_bytes)}")
    else:
        text = f"{whose} may lock {_memory(counts.memlock_bytes)} only: sound may drop out when memory runs short"
        yield warn("memlock", text, how_to_get_it(user))
    yield from _group(user)


def allowed(pid: int) -> Allowed | None:
    """Give what the process may; None where it is gone, or another user's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        own_users = Path(f"/proc/{pid}/uid_map").read_text().split() != _ALL_USERS
        rtprio, _ = resource.prlimit(pid, resource.RLIMIT_RTPRIO)
        memlock, _ = resource.prlimit(pid, resource.RLIMIT_MEMLOCK)
    except OSError:
        return None
    capabilities = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    if own_users:
        capabilities = 0  # what they allow in a user namespace of their own is neither of these
    realtime = ""
    if capabilities >> _SYS_NICE & 1:
        realtime = "it has the capability CAP_SYS_NICE"
    elif rtprio:
        realtime = "limit rtprio: " + ("unlimited" if rtprio == resource.RLIM_INFINITY else str(rtprio))
    return Allowed(realtime, resource.RLIM_INFINITY if capabilities >> _IPC_LOCK & 1 else memlock)


def _memory(count: int) -> str:
    return "without limit" if count == resource.RLIM_INFINITY else f"{count // 1024} KiB"


def how_to_get_it(user: str, folder: Path = _LIMITS) -> str:
    """Give the next step: a limit for a group, the account in that group, or only a new login."""
    domains = domains_with_rtprio(folder)
    groups = [name.removeprefix("@") for name in domains if name.startswith("@") and _exists(name.removeprefix("@"))]
    anew = "log out everywhere and in again (or restart the machine)"
    if {user, "*"} & set(domains) or any(_is_member(user, group) for group in groups):
        return f"the limits are set: {anew}"
    if groups:
        return f"adduser {user} {_AUDIO if _AUDIO in groups else groups[0]}, then {anew}"
    if shutil.which("dpkg-reconfigure") and Path("/var/lib/dpkg/info/jackd2.list").exists():
        return f"dpkg-reconfigure -p high jackd2, adduser {user} {_AUDIO}, then {anew}"
    return (
        f"write `@{_AUDIO} - rtprio 95` and `@{_AUDIO} - memlock unlimited`, a line each, into {folder}/limits.d/audio.conf, "
        f"adduser {user} {_AUDIO}, then {anew}"
    )


def domains_with_rtprio(folder: Path) -> list[str]:
    """Give for whom a limit of realtime priority is set: users, and groups with an @ in front."""
    found: list[str] = []
    for file in (folder / "limits.conf", *sorted(folder.glob("limits.d/*.conf"))):
        with suppress(OSError):
            for line in file.read_text(errors="replace").splitlines():
                words = line.partition("#")[0].split()
                if len(words) == 4 and words[2] == "rtprio" and words[3] not in ("0", "-"):
                    found.append(words[0])
    return found


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True


def _is_member(user: str, group: str) -> bool:
    """Tell whether the account is in the group, which may be so from the next login on only."""
    entry = grp.getgrnam(group)
    return user in entry.gr_mem or entry.gr_gid in (os.getgid(), *os.getgroups())


def _group(user: str) -> Iterator[Finding]:
    """Look whether the sound cards can be opened, by whoever is in the group or sits at the machine."""
    if not _exists(_AUDIO):
        return
    closed = [card for card in Path("/dev/snd").glob("pcm*") if not os.access(card, os.R_OK | os.W_OK)]
    if grp.getgrnam(_AUDIO).gr_gid in (os.getgid(), *os.getgroups()):
        yield ok("audio-group", f"{user} is in the group {_AUDIO}")
    elif _is_member(user, _AUDIO):
        yield warn("audio-group", f"{user} is in the group {_AUDIO}, but was not yet at this login", "log in anew")
    elif closed:
        text = f"{user} is not in the group {_AUDIO}, and does not sit at the machine: {closed[0]} cannot be opened"
        yield warn("audio-group", text, f"adduser {user} {_AUDIO}, then log in anew")
    else:
        yield ok("audio-group", f"{user} is not in the group {_AUDIO}; no sound card here asks for it")
