"""From documents to a configuration: the plain settings, then buses, profiles and rules; all problems at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from jackd_router.core.config import Config, Document
from jackd_router.core.errors import ConfigInvalid, Problem, Severity
from jackd_router.core.language.parse_buses import read_buses
from jackd_router.core.language.parse_profiles import read_profiles
from jackd_router.core.language.parse_rules import Known, read_rules
from jackd_router.core.language.parse_selectors import client_pattern
from jackd_router.core.language.reading import Table

NAME_BYTES = 63
"""The longest name of a client and of a server (JACK2; measured)."""


class Library(StrEnum):
    """Which libjack is loaded."""

    AUTO = "auto"
    JACK2 = "jack2"
    PIPEWIRE = "pipewire"


def parse(documents: Sequence[Document], unread: Sequence[Problem] = ()) -> Config:
    """Give the configuration that the documents make together; raises ConfigInvalid with everything that is wrong.

    `unread` are the problems of files that could not be read: they are raised with the others, and a bus or a profile that
    nobody defines is then not one of them, for it may be defined there. All come in the order of the documents: an empty one
    keeps the place of such a file.
    """
    problems = list(unread)
    tables = [Table(document, (), document.data, problems) for document in documents]
    config = Config()
    for table in tables:
        table.check_keys("file")
        config = _read_settings(table, config)
        read_about(table)
    buses = read_buses(tables, problems)
    profiles = read_profiles(tables, problems, buses, all_read=not unread)
    rules = read_rules(tables, problems, Known(config.client_name, buses, profiles, all_read=not unread))
    order = {file: index for index, file in enumerate(dict.fromkeys(document.file for document in documents))}
    problems = sorted(dict.fromkeys(problems), key=lambda found: (order.get(found.file, len(order)), found))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ConfigInvalid(tuple(problems))
    return replace(config, rules=rules, buses=buses, profiles=profiles, warnings=tuple(problems))


def _read_settings(file: Table, before: Config) -> Config:
    """Give the settings with those of one more file: each value there replaces the one before."""
    server, client, daemon, policy = (file.table(name) for name in ("server", "client", "daemon", "policy"))
    for name, table in (("server", server), ("client", client), ("daemon", daemon), ("policy", policy)):
        table.check_keys(name)
    return replace(
        before,
        server_name=_name(server, "/", before.server_name),
        library=server.choice("library", Library(before.library)),
        system=client_pattern(server, "system") or before.system,
        client_name=_name(client, ":*?\\", before.client_name) or before.client_name,
        watch=daemon.flag("watch", before.watch),
        unmatched=policy.choice("unmatched", before.unmatched),
        manual=policy.choice("manual", before.manual),
        feedback=policy.choice("feedback", before.feedback),
    )


def read_about(file: Table) -> tuple[datetime | None, str]:
    """Give what the file says of itself as a snapshot: when it was made, and its description. Nothing depends on it."""
    about = file.table("snapshot")
    about.check_keys("snapshot")
    return about.moment("created"), about.text("description", "")


def _name(table: Table, forbidden: str, default: str | None) -> str | None:
    """Give the name that the table sets for a server or a client."""
    name = table.text("name", "")
    if not name:
        return default
    if len(name.encode()) <= NAME_BYTES and not set(name) & set(forbidden):
        return name
    without = "".join(f" {character}" for character in forbidden)
    table.wrong("name", name, f"at most {NAME_BYTES} bytes, without{without}")
    return default
