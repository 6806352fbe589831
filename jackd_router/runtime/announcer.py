"""What the reconciler says of its work: a line in the log with its fields, and a word to whoever is told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from jackd_router.core.config import Rule
from jackd_router.core.deciding.feedback import Feedback
from jackd_router.core.deciding.words import refusal_text
from jackd_router.core.graph import Connection, PortName
from jackd_router.core.names import shown
from jackd_router.runtime.ledger import Quarrel, Request
from jackd_router.service.journal import Event

log = logging.getLogger(__name__)

Action = tuple[str, str, PortName, PortName]
"""(rule, "connect" | "disconnect" | "failed" | "contested" | "refused", source, destination)."""


class Audience(Protocol):
    """Who is told what the reconciler did."""

    def acted(self, action: Action) -> None:
        """Take one thing that was done for a rule."""

    def holds_changed(self) -> None:
        """Note that held or contested pairs are other ones than before."""

    def ledger_changed(self) -> None:
        """Note that something is known of pairs that is to be kept."""

    def troubled(self, text: str) -> None:
        """Note that a turn failed ("" when one worked again)."""


class Announcer:
    """Says each thing once."""

    def __init__(self, audience: Audience) -> None:
        """Take who is told."""
        self._audience = audience
        self._circles: frozenset[tuple[str, PortName, PortName]] = frozenset()

    def done(self, connection: Connection, request: Request) -> None:
        """Tell of a request that was carried out."""
        otherwise = "as nobody has asked for it" if request.takes_back else "as no rule wants it"
        why = f"for rule {request.rule!r}" if request.rule else "on request" if request.by_hand else otherwise
        log.info(
            "%s %s -> %s %s",
            "Connected" if request.connect else "Disconnected",
            *map(shown, connection),
            why,
            extra=fields_of(connection, Event.CONNECTED if request.connect else Event.DISCONNECTED, RULE=request.rule),
        )
        if request.rule:
            self._audience.acted((request.rule, "connect" if request.connect else "disconnect", *connection))

    def failed(self, connection: Connection, request: Request, code: int) -> None:
        """Tell of a request that the server did not carry out, with libjack's code."""
        log.warning(
            "JACK did not %s %s -> %s (code %d)",
            "connect" if request.connect else "disconnect",
            *map(shown, connection),
            code,
            extra=fields_of(connection, Event.CONNECT_FAILED, RULE=request.rule),
        )
        self._audience.acted((request.rule, "failed", *connection))

    def mistaken(self, asked: Connection, request: Request, made: Connection) -> None:
        """Tell of a connection that the server has made in place of another one."""
        log.warning(
            "JACK connected %s -> %s instead of %s -> %s, of which a port went meanwhile",
            *map(shown, (*made, *asked)),
            extra=fields_of(asked, Event.CONNECT_FAILED, RULE=request.rule),
        )
        if request.rule:
            self._audience.acted((request.rule, "failed", *asked))

    def held(self, connection: Connection, reason: str) -> None:
        """Tell of a pair that stays as somebody wanted it by hand."""
        log.info("%s -> %s is held: %s", *map(shown, connection), reason, extra=fields_of(connection, Event.HELD, REASON=reason))

    def contested(self, connection: Connection, rule: Rule | None, quarrel: Quarrel, wait_s: float) -> None:
        """Tell of a pair over which another program has its way: aloud once, for it goes on until one of the two gives in."""
        log.log(
            logging.WARNING if quarrel.truces == 1 else logging.DEBUG,
            "Another program keeps undoing what %s does to %s -> %s; it has its way for %g s",
            f"rule {rule.name!r}" if rule else "the policy",
            *map(shown, connection),
            wait_s,
            extra=fields_of(connection, Event.CONTESTED, RULE=rule.name if rule else ""),
        )
        self._audience.acted((rule.name if rule else "", "contested", *connection))

    def refused(self, refusals: Iterable[tuple[str, Connection]], why: Mapping[Connection, Feedback]) -> None:
        """Tell rule by rule what the feedback guard stops."""
        by_rule: dict[str, list[Connection]] = {}
        for name, connection in refusals:
            by_rule.setdefault(name, []).append(connection)
        for name, (first, *others) in by_rule.items():
            reason = refusal_text(why[first])
            log.warning(
                "%s -> %s%s of rule %r is refused: %s",
                *map(shown, first),
                f" (and {len(others)} more)" if others else "",
                name,
                reason,
                extra=fields_of(first, Event.REFUSED, RULE=name, REASON=reason),
            )
            for connection in (first, *others):
                self._audience.acted((name, "refused", *connection))

    def circles(self, now: frozenset[tuple[str, PortName, PortName]]) -> None:
        """Tell of rules that follow their own destinations by way of others: (rule, followed port, partner left out)."""
        for rule, followed, partner in sorted(now - self._circles):
            log.warning(
                "Rule %r does not let %s get what %s gets: they would follow each other in a circle",
                rule,
                shown(partner),
                shown(followed),
                extra={"RULE": rule},
            )
        self._circles = now


def fields_of(connection: Connection, event: Event, **more: str) -> dict[str, str]:
    """Give the fields of a line of the log that is about a pair."""
    names = {"JACK_SOURCE": shown(connection.source), "JACK_DESTINATION": shown(connection.destination)}
    return {"MESSAGE_ID": event, **names, **more}
