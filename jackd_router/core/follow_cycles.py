"""Circles of rules that follow: found where the text of the selectors shows them.

Only what is certain counts, for it keeps the configuration from being used: two globs of which one name matches both,
a name that the other's expression matches, equal expressions. Circles that only the ports show are left out when they
are paired (`core/follow.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jackd_router.core.config import Rule
from jackd_router.core.patterns import Form, Pattern
from jackd_router.core.selectors import BusSelector, PortSelector, Selector, Selectors, flow


def find_cycles(rules: Sequence[Rule | None]) -> list[list[int]]:
    """Give each circle once, as positions of rules from the first one on; None stands for a rule that does not follow."""
    following = [index for index, rule in enumerate(rules) if rule is not None]
    leads = {index: [other for other in following if _leads(rules[index], rules[other])] for index in following}
    circles: list[list[int]] = []
    seen: set[int] = set()
    for start in following:
        circle = None if start in seen else _circle(start, leads)
        if circle:
            circles.append(circle)
            seen.update(circle)
    return circles


def _circle(start: int, leads: dict[int, list[int]]) -> list[int] | None:
    """Give the shortest way from a rule back to itself."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for other in leads[way[-1]]:
            if other == start:
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None


def _leads(rule: Rule | None, other: Rule | None) -> bool:
    """Tell whether what `rule` connects to is followed by `other`."""
    if rule is None or other is None:
        return False
    destinations: Selectors = (*rule.destinations, *(selector for entry in rule.fallback for selector in entry))
    return any(_overlap(one, two) for one in destinations for two in other.sources)


def _overlap(one: Selector, other: Selector) -> bool:
    """Tell whether there certainly can be a port that both mean."""
    if isinstance(one, BusSelector) or isinstance(other, BusSelector):
        if isinstance(one, BusSelector) and isinstance(other, BusSelector):
            return bool(one.names & other.names)
        bus, ports = (one, other) if isinstance(one, BusSelector) else (other, one)
        assert isinstance(bus, BusSelector)
        assert isinstance(ports, PortSelector)
        return any(_can_be_called(ports, name) for name in bus.names)
    if _differ(one.physical, other.physical) or _differ(one.terminal, other.terminal):
        return False
    if one.type is not None and other.type is not None and flow(one.type) is not flow(other.type):
        return False
    if any(selector.alias or selector.pretty_name or selector.needs for selector in (one, other)):
        return False
    if one.name is None and other.name is None:
        return _both_match(one.client, other.client) and _both_match(one.port, other.port)
    return _both_match(_whole(one), _whole(other))


def _differ(one: bool | None, other: bool | None) -> bool:
    return one is not None and other is not None and one is not other


def _can_be_called(selector: PortSelector, name: str) -> bool:
    client, _, port = name.partition(":")
    texts = ((selector.name, name), (selector.client, client), (selector.port, port))
    return not selector.needs and all(pattern is None or pattern.catch(text) is not None for pattern, text in texts)


def _whole(selector: PortSelector) -> Pattern | None:
    """Give one pattern for the whole name; of parts that are no globs, one that matches nothing."""
    if selector.name is not None:
        return selector.name
    client, port = (pattern or Pattern(Form.GLOB, "*") for pattern in (selector.client, selector.port))
    if client.form is Form.GLOB and port.form is Form.GLOB:
        return Pattern(Form.GLOB, f"{client.text}:{port.text}")
    return Pattern(Form.REGEX, "(?!)")


def _both_match(one: Pattern | None, other: Pattern | None) -> bool:
    """Tell whether there certainly is a text that both match; None matches every text."""
    if one is None or other is None or (one.form, one.text) == (other.form, other.text):
        return True
    if Form.REGEX in (one.form, other.form):
        return _matches_only(one, other) or _matches_only(other, one)
    return _globs_meet(_tokens(one), _tokens(other))


def _matches_only(fixed: Pattern, pattern: Pattern) -> bool:
    """Tell whether the first is a single name, and the other pattern matches it."""
    is_name = fixed.form is Form.LITERAL or (fixed.form is Form.GLOB and not set("*?") & set(fixed.text))
    return is_name and pattern.catch(fixed.text) is not None


def _tokens(pattern: Pattern) -> list[str | None]:
    """Give the characters; None for `*`, "" for `?`."""
    if pattern.form is Form.LITERAL:
        return list(pattern.text)
    return [{"*": None, "?": ""}.get(character, character) for character in pattern.text]


def _globs_meet(one: list[str | None], other: list[str | None]) -> bool:
    """Tell whether one text matches both: what can be read so far, of one glob in each step."""
    reached = {0}
    for token in [*one, "\0"]:
        reached = _past_stars(reached, other)
        if token is None:
            reached = set(range(min(reached, default=len(other) + 1), len(other) + 1))
        elif token != "\0":
            reached = {at if other[at] is None else at + 1 for at in reached if at < len(other) and _agree(token, other[at])}
    return len(other) in reached


def _past_stars(reached: set[int], tokens: list[str | None]) -> set[int]:
    found = set(reached)
    for at in sorted(reached):
        while at < len(tokens) and tokens[at] is None:
            at += 1
            found.add(at)
    return found


def _agree(one: str, other: str | None) -> bool:
    return other is None or "" in (one, other) or one == other
