"""The words of explanations: each reason, each standing of a rule and each path of sound in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from jackd_router.core.config import Action, Rule, Unmatched
from jackd_router.core.deciding.feedback import Danger, Feedback
from jackd_router.core.deciding.matcher import Decision, Matcher, Verdict
from jackd_router.core.deciding.membership import Place, Role
from jackd_router.core.deciding.plan import Reason, Situation, Step
from jackd_router.core.deciding.speakers import Speaker, Standing, inactive_rule
from jackd_router.core.graph import Connection, PortName, client_of
from jackd_router.core.names import one_line, shown


def because(
    step: Step, decision: Decision, speaking: tuple[Speaker, ...], now: Situation, failures: Mapping[Connection, str]
) -> str:
    """Give why a pair is, or is not, to be connected."""
    named = f"rule {_quoted(decision.rule)}" if decision.rule else "no rule"
    plain = {
        Reason.WANTED: f"{named} wants it",
        Reason.FORBIDDEN: f"{named} forbids it",
        Reason.LEFT: f"{named} leaves it alone",
        Reason.HELD: f"{named} wants it, but it was cut by hand and is held",
        Reason.EXCLUSIVE: f'no rule wants it, and rule "{step.rule}" has a port of it for its own connections (exclusive)',
    }
    if step.reason in plain:
        return plain[step.reason]
    match step.reason:
        case Reason.KEPT:
            return f"it was connected by hand to stay{f', though {named} {_against(decision)}' if decision.rule else ''}"
        case Reason.BYPASSED:
            speaker = next((speaker for speaker in speaking if speaker.rule is decision.rule), None)
            return f"{named} leads the sound through {_clients_of(speaker.ports if speaker else ())} instead"
        case Reason.WITHHELD:
            blocker = decision.blocker or now.withheld_by(step.connection)
            return f"{named} wants all its pairs or none (complete), and {_why_blocked(blocker, now, failures)}"
        case Reason.REFUSED:
            return f"{named} wants it, but {refusal_text(now.refused[step.connection])}"
        case Reason.NO_LONGER_WANTED:
            return f'rule "{step.rule}" made it, and no rule wants it any more{_near_miss(speaking)}'
        case _:
            policy = ', and unmatched = "remove" lets nothing stay that is so' if now.unmatched is Unmatched.REMOVE else ""
            return f"no rule speaks of it{policy}{_near_miss(speaking)}"


def _against(decision: Decision) -> str:
    return {
        Verdict.FORBIDDEN: "forbids it",
        Verdict.LEFT: "leaves it alone",
        Verdict.BYPASSED: "leads the sound through another client",
        Verdict.WITHHELD: "cannot have all its pairs",
    }.get(decision.verdict, "does not want it")


def _near_miss(speaking: tuple[Speaker, ...]) -> str:
    near = next((speaker for speaker in speaking if speaker.standing is not Standing.SPEAKS), None)
    return f"; rule {_quoted(near.rule)} does not: {not_chosen(near)}" if near else ""


def _why_blocked(blocker: Connection | None, now: Situation, failures: Mapping[Connection, str]) -> str:
    if blocker is None:
        return "one of them cannot be made"
    if blocker in failures:
        return f"JACK did not make {pair_text(blocker)}: {failures[blocker]}"
    if blocker in now.refused:
        return f"{pair_text(blocker)} is refused: {refusal_text(now.refused[blocker])}"
    decision = now.matcher.decide(blocker)
    return (
        f"rule {_quoted(decision.rule)} {_against(decision)}: {pair_text(blocker)}"
        if decision.rule
        else f"{pair_text(blocker)} is not"
    )


def refusal_text(feedback: Feedback) -> str:
    """Give in words why a connection is refused, and what to write where it is wanted."""
    return f"it would make {path_text(feedback)}; where that is meant, write allow_feedback = true into the rule"


def path_text(feedback: Feedback) -> str:
    """Give a path of sound in words."""
    path = " -> ".join(map(shown, feedback.path))
    match feedback.danger:
        case Danger.MICROPHONE:
            return f"a way from a microphone to a loudspeaker ({path})"
        case Danger.LOOP:
            return f"a loop through a bus ({path})"
        case _:
            assert_never(feedback.danger)


def says(speaker: Speaker, decision: Decision | None = None) -> str:
    """Give what a rule says of a pair of which it speaks."""
    match speaker.rule.action:
        case Action.CONNECT if speaker.is_bypassed:
            return f"it leads the sound through {_clients_of(speaker.ports)} instead"
        case Action.CONNECT if speaker.ports:
            return _followed(speaker)
        case Action.CONNECT if decision and decision.blocker:
            return f"it wants all its pairs or none, and cannot have {pair_text(decision.blocker)}"
        case Action.CONNECT:
            return "it wants the connection"
        case Action.FORBID:
            return "it forbids the connection"
        case Action.LEAVE:
            return "it leaves the connection alone"
        case _:
            assert_never(speaker.rule.action)


def _followed(speaker: Speaker) -> str:
    return f"it follows {', '.join(map(shown, speaker.ports))}, which the source feeds"


def inactive_because(matcher: Matcher, rule: Rule) -> str:
    """Give why a rule does not count now; "" where it does."""
    inactive = inactive_rule(matcher, rule)
    return "" if inactive is None else not_chosen(inactive)


def not_chosen(speaker: Speaker) -> str:
    """Give why a rule does not speak of a pair with which it has to do."""
    rule = speaker.rule
    plain = {
        Standing.DISABLED: "it is switched off",
        Standing.SAME_CLIENT: "both ports are of one client, and it does not say same_client = true",
        Standing.VIA_CLIENT: "one of the ports is of a client of its 'via', which is neither source nor destination",
        Standing.FALLBACK: "another entry of its 'from', 'to' or their fallbacks counts now",
        Standing.INCOMPLETE: "it wants all ports of both clients paired or none (complete), and some have no partner",
        Standing.NOT_FOLLOWED: "the source feeds none of the ports that it follows for this destination",
    }
    if speaker.standing in plain:
        return plain[speaker.standing]
    match speaker.standing:
        case Standing.OTHER_PROFILE:
            profiles = sorted(rule.profiles or ())
            return f"it counts only in the {'profile' if len(profiles) == 1 else 'profiles'} {', '.join(profiles)}"
        case Standing.CONDITION:
            return f"its condition does not hold: {', '.join(map(_condition, speaker.conditions))}"
        case Standing.CIRCLE:
            return f"{_followed(speaker)}, but does not let the destination get that: they would follow each other in a circle"
        case _:
            instead = ", ".join(map(pair_text, speaker.instead))
            written = f'"{rule.pair}"' if isinstance(rule.pair, str) else "{ ... }"
            met = _followed(speaker) if speaker.ports else "its selectors match both ports"
            told = f"{met}, but pair = {written} makes {instead or 'no pair of them'}"
            if speaker.endings is None:
                return told
            source, destination = speaker.endings
            return f'{told}: {source} is not {destination}; pair = {{ {source} = "{destination}" }} makes one'


def _condition(place: Place) -> str:
    """Give in words which entry of `when` is not as it should be."""
    what = "matches no port" if place.role is Role.PRESENT else "matches a port"
    return f"entry {place.number + 1} of when.{'present' if place.role is Role.PRESENT else 'absent'} {what}"


def _clients_of(ports: tuple[PortName, ...]) -> str:
    return ", ".join(dict.fromkeys(shown(client_of(port)) for port in ports)) or "another client"


def pair_text(connection: Connection) -> str:
    """Give `source -> destination`."""
    return one_line(f"{shown(connection.source)} -> {shown(connection.destination)}")


def _quoted(rule: Rule) -> str:
    return f'"{rule.name}" ({rule.origin})'
