"""Circles of rules that follow: found where the text of the selectors shows them.

Only what is certain counts, for it keeps the configuration from being used: two globs of which one name matches both,
a name that the other's expression matches, equal expressions; a table of endings that leads to one of the next rule's table;
all rules carry the same kind and count at the same time.
Circles that only the ports show are left out when they are paired (`core/deciding/follow.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from jackd_router.core.config import ChannelMap, Pairing, Rule
from jackd_router.core.graph import PortType
from jackd_router.core.selecting.patterns import Form, Pattern
from jackd_router.core.selecting.selectors import BusSelector, PortSelector, Selector, Selectors, flow

_FLOWS = (PortType.AUDIO, PortType.MIDI)


def find_cycles(rules: Sequence[Rule | None]) -> list[list[int]]:
    """Give each circle once, as positions of rules from the first one on; None stands for a rule that does not follow."""
    circles: list[list[int]] = []
    seen: set[int] = set()
    for kind in _FLOWS:
        everywhere = _leads(rules, kind)
        for profile in _profiles(rules):
            leads = _in_profile(everywhere, rules, profile)
            for start in leads:
                circle = None if start in seen else _circle(start, leads)
                if circle and not any(_never_together(rules[one], rules[other]) for one, other in combinations(circle, 2)):
                    circles.append(circle)
                    seen.update(circle)
    return circles


def _profiles(rules: Sequence[Rule | None]) -> list[str | None]:
    """Give the profiles that rules name; None for every other one."""
    named = frozenset[str]().union(*(rule.profiles for rule in rules if rule is not None and rule.profiles is not None))
    return [None, *sorted(named)]


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


def _leads(rules: Sequence[Rule | None], kind: PortType) -> dict[int, list[int]]:
    """Give, for each rule that carries this kind, those that follow what it connects to."""
    following = {index: rule for index, rule in enumerate(rules) if rule is not None}
    followed = {index: selectors for index, rule in following.items() if (selectors := _of_kind(rule.sources, kind))}
    reached = {index: _reached(following[index], kind) for index in followed}

    def leads(one: int, other: int) -> bool:
        return _meet(reached[one], followed[other]) and _endings_meet(following[one].pair, following[other].pair)

    return {one: [other for other in followed if leads(one, other)] for one in followed}


def _in_profile(leads: dict[int, list[int]], rules: Sequence[Rule | None], profile: str | None) -> dict[int, list[int]]:
    """Give of this what counts in the profile."""
    counts = {
        index for index in leads if (rule := rules[index]) is not None and (rule.profiles is None or profile in rule.profiles)
    }
    return {index: [other for other in others if other in counts] for index, others in leads.items() if index in counts}


def _reached(rule: Rule, kind: PortType) -> Selectors:
    """Give what the rule connects to."""
    entries = (rule.destinations, *rule.fallback, *rule.via)
    return _of_kind([selector for entry in entries for selector in entry], kind)


def _of_kind(selectors: Iterable[Selector], kind: PortType) -> Selectors:
    """Give those that may mean ports that carry this kind."""
    return tuple(selector for selector in selectors if _flow(selector) in (None, kind))


def _flow(selector: Selector) -> PortType | None:
    return None if selector.type is None else flow(selector.type)


def _meet(some: Selectors, others: Selectors) -> bool:
    return any(_overlap(one, other) for one in some for other in others)


def _endings_meet(one: Pairing | ChannelMap, other: Pairing | ChannelMap) -> bool:
    """Tell whether a port to which one rule leads can be one for which the other has a partner."""
    if not (isinstance(one, tuple) and isinstance(other, tuple)):
        return True
    reached = {ending.casefold() for _, endings in one for ending in endings}
    return any(ending.casefold() in reached for ending, _ in other)


def _never_together(one: Rule | None, other: Rule | None) -> bool:
    """Tell whether the `when` of one rule keeps it from counting while the other does."""
    return any(
        set(present) <= set(absent)
        for here, there in ((one, other), (other, one))
        if here is not None and there is not None
        for present in here.when.present
        for absent in there.when.absent
    )


def _overlap(one: Selector, other: Selector) -> bool:
    """Tell whether there certainly can be a port that both mean."""
    if isinstance(other, BusSelector):
        one, other = other, one
    if isinstance(one, BusSelector):
        # Ports of a bus are neither physical nor terminal.
        other_kind = isinstance(other, PortSelector) and (other.physical or other.terminal or other.type is PortType.CV)
        return not other_kind and any(_can_be_called(other, name) for name in one.names)
    assert isinstance(other, PortSelector)
    if any(selector.alias or selector.pretty_name or selector.needs for selector in (one, other)):
        return False
    if _differ(one.physical, other.physical) or _differ(one.terminal, other.terminal) or _types_differ(one, other):
        return False
    if one.nth is not None or other.nth is not None:
        # Which ports these are depends on the others that are there.
        same = replace(one, nth=None) == replace(other, nth=None)
        return same and (one.nth is None or other.nth is None or bool(one.nth & other.nth))
    for fixed, ports in ((one, other), (other, one)):
        name = _only_name(fixed)
        if name is not None:
            return _can_be_called(ports, name)
    if one.name is not None or other.name is not None:
        return one.name == other.name
    return _both_match(one.client, other.client) and _both_match(one.port, other.port)


def _differ(one: bool | None, other: bool | None) -> bool:
    return one is not None and other is not None and one is not other


def _types_differ(one: PortSelector, other: PortSelector) -> bool:
    """Tell whether no port has both types. CV is meant only where it is written: without a type any other is."""
    if PortType.CV in (one.type, other.type):
        return one.type is not other.type
    return one.type is not None and other.type is not None and one.type is not other.type


def _only_name(selector: PortSelector) -> str | None:
    """Give the one full name that the selector can mean, if there is but one."""
    if selector.name is not None:
        return _only_text(selector.name)
    client, port = _only_text(selector.client), _only_text(selector.port)
    return None if client is None or port is None else f"{client}:{port}"


def _only_text(pattern: Pattern | None) -> str | None:
    """Give the one text that the pattern matches, if that is plain to see."""
    if pattern is None or pattern.form is Form.REGEX or (pattern.form is Form.GLOB and set("*?") & set(pattern.text)):
        return None
    return pattern.text


def _can_be_called(selector: Selector, name: str) -> bool:
    """Tell whether a port with this full name can be meant."""
    if isinstance(selector, BusSelector):
        return name in selector.names
    if ":" not in name or selector.alias or selector.pretty_name or selector.needs or selector.nth is not None:
        return False
    client, _, port = name.partition(":")
    texts = ((selector.name, name), (selector.client, client), (selector.port, port))
    return all(pattern is None or pattern.catch(text) is not None for pattern, text in texts)


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
    reached = _past_stars({0}, other)
    for token in one:
        if token is None:
            reached = set(range(min(reached, default=len(other) + 1), len(other) + 1))
        else:
            reached = {at if other[at] is None else at + 1 for at in reached if at < len(other) and _agree(token, other[at])}
        reached = _past_stars(reached, other)
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
