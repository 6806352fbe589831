"""[[rule]]: what a rule may say, and warnings where it can be seen that it never does anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jackd_router.core.config import (
    Action,
    BusConfig,
    ChannelMap,
    Exclusive,
    Manual,
    Pairing,
    Path,
    Profile,
    Rule,
    When,
)
from jackd_router.core.errors import Problem, Severity
from jackd_router.core.graph import PortType
from jackd_router.core.language.follow_cycles import find_cycles
from jackd_router.core.language.parse_selectors import Side, Surroundings, offered, read_each, read_selectors
from jackd_router.core.language.reading import TEXT, Table, found, is_text, unique
from jackd_router.core.language.vocabulary import CONNECT_ONLY
from jackd_router.core.selecting.selectors import BusSelector, Selectors, flow

MAX_PRIORITY = 2**31 - 1
_MOST_REMEMBERED = 2000
"""Rules as they were read before: 8 MB at most, with texts of 2,000 letters each."""

_CHANNEL_MAP = 'a table of endings { FL = "AUX0", FR = ["AUX1", "AUX3"] }'


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may refer to: our client, buses and profiles (all of them, when every file was read)."""

    client_name: str
    buses: Sequence[BusConfig]
    profiles: Sequence[Profile]
    all_read: bool

    def around_selectors(self) -> Surroundings:
        """Give what selectors need of it."""
        return Surroundings(self.client_name, tuple(bus.ports for bus in self.buses), self.all_read)


def read_rules(files: Sequence[Table], problems: list[Problem], known: Known) -> tuple[Rule, ...]:
    """Give the rules of all files, in file order; what is wrong is noted."""
    tables = [table for file in files for table in file.tables("rule")]
    around = known.around_selectors()
    rules = [_read_before.read(table, known, around, problems) for table in tables]
    unique(problems, "rule", ((rule.name, table.origin) for table, rule in zip(tables, rules, strict=True) if rule.name))
    _check_follows(tables, rules)
    return tuple(rules)


class _ReadBefore:
    """Reads rules, but for those that were read before without a mistake: most are the same from one reload to the next."""

    def __init__(self) -> None:
        self._rules: dict[object, Rule] = {}

    def read(self, table: Table, known: Known, around: Surroundings, problems: list[Problem]) -> Rule:
        """Give the rule; what is wrong is noted among the problems."""
        try:
            # All that a rule depends on beside the place where it stands. The text tells 1, 1.0 and true apart.
            says = (repr(table.values), around, tuple(profile.name for profile in known.profiles))
        except ValueError:  # an integer of more digits than Python writes out: a mistake wherever it stands
            return _RuleReader(table, known, around).read()
        rule = self._rules.get(says)
        if rule is not None:
            return replace(rule, origin=table.origin)
        count = len(problems)
        rule = _RuleReader(table, known, around).read()
        if len(problems) == count:
            if len(self._rules) >= _MOST_REMEMBERED:
                self.cache_clear()
            self._rules[says] = rule
        return rule

    def cache_clear(self) -> None:
        """Forget all, as functions do that remember."""
        self._rules.clear()


_read_before = _ReadBefore()


class _RuleReader:
    """Reads one rule."""

    def __init__(self, table: Table, known: Known, around: Surroundings) -> None:
        self._table, self._known, self._around = table, known, around

    def read(self) -> Rule:
        """Give the rule; what is wrong is noted."""
        table = self._table
        table.check_keys("rule")
        if "name" not in table.values:
            table.complain("a rule must have a name")
        sources = self._read_sources()
        from_fallback = self._read_each("from_fallback", frozenset(), Side.OUTPUTS)
        groups = offered(sources, *from_fallback)
        rule = Rule(
            name=table.text("name", ""),
            sources=sources,
            destinations=self._read_required("to", groups, Side.INPUTS),
            origin=table.origin,
            action=table.choice("action", Action.CONNECT),
            follows="follow" in table.values,
            pair=_pairing(table),
            complete=table.flag("complete", default=False),
            exclusive=table.choice("exclusive", Exclusive.BOTH) if "exclusive" in table.values else None,
            fallback=self._read_each("fallback", groups, Side.INPUTS),
            from_fallback=from_fallback,
            via=self._read_each("via", groups, Side.EITHER),
            when=self._read_when(),
            profiles=self._read_profiles(),
            priority=table.integer("priority", 0, -MAX_PRIORITY, MAX_PRIORITY),
            enabled=table.flag("enabled", default=True),
            manual=table.choice("manual", Manual.RESPECT) if "manual" in table.values else None,
            allow_feedback=table.flag("allow_feedback", default=False),
            same_client=table.flag("same_client", default=False),
        )
        _check_action(table, rule)
        _check_groups(table, rule)
        _warn_of_no_effect(table, rule)
        return rule

    def _read_sources(self) -> Selectors:
        """Give what `from`, or `follow` in its place, says."""
        table = self._table
        if "follow" not in table.values:
            return self._read_required("from", frozenset(), Side.OUTPUTS)
        for key in ("from", "from_fallback"):
            if key in table.values:
                table.complain(
                    f"'{key}' cannot stand beside 'follow', which names ports to follow in its place", key, of_key=True
                )
        return read_selectors(table, "follow", self._around, side=Side.INPUTS)

    def _read_required(self, key: str, groups: frozenset[str], side: Side) -> Selectors:
        if key not in self._table.values:
            instead = " (or 'follow')" if key == "from" else ""
            self._table.complain(f"a rule must say '{key}'{instead}")
            return ()
        return read_selectors(self._table, key, self._around, groups, side)

    def _read_each(self, key: str, groups: frozenset[str], side: Side) -> tuple[Selectors, ...]:
        return read_each(self._table, key, self._around, groups, side) if key in self._table.values else ()

    def _read_when(self) -> When:
        if "when" not in self._table.values:
            return When()
        table = self._table.table("when")
        table.check_keys("when")
        if table.values == {} and self._table.values["when"] == {}:
            self._table.wrong("when", {}, "present = [...], absent = [...], or both")
        present, absent = (read_each(table, key, self._around) if key in table.values else () for key in ("present", "absent"))
        return When(present, absent)

    def _read_profiles(self) -> frozenset[str] | None:
        if "profiles" not in self._table.values:
            return None
        names = self._table.names("profiles")
        if self._known.all_read:
            known = [profile.name for profile in self._known.profiles]
            for index, name in enumerate(names):
                self._table.knows(name, known, "profile", "profiles", index)
        return frozenset(names)


def _pairing(table: Table) -> Pairing | ChannelMap:
    value = table.values.get("pair")
    if not isinstance(value, Mapping):
        return table.choice("pair", Pairing.AUTO, also=[_CHANNEL_MAP])
    if not value:
        table.wrong("pair", value, f"{_CHANNEL_MAP}, not empty")
    endings = table.table("pair")
    first: dict[str, str] = {}
    for source in value:
        if first.setdefault(source.casefold(), source) != source:
            text = f"pair: {found(source)} and {found(first[source.casefold()])} are one ending; write it once, with a list"
            endings.complain(text, source, of_key=True)
    return tuple((source, tuple(_endings(endings, source))) for source in value)


def _endings(table: Table, source: str) -> Sequence[str]:
    """Give the endings that one ending is mapped to."""
    if not is_text(source):
        table.complain(f"pair: found the ending {found(source)}; allowed: {TEXT}", source, of_key=True)
    value = table.values[source]
    several: list[tuple[Path, object]] = [((source,), value)]
    if isinstance(value, list) and value:
        several = [((source, index), item) for index, item in enumerate(value)]
    right = []
    for path, ending in several:
        if is_text(ending):
            right.append(ending)
        else:
            table.wrong("pair", ending, "an ending of ports, or a list of endings", *path)
    return right


def _check_action(table: Table, rule: Rule) -> None:
    """Note keys that only a rule that connects has."""
    if rule.action is Action.CONNECT:
        return
    for key in CONNECT_ONLY:
        if key in table.values:
            table.complain(f"'{key}' means nothing in a rule with action = \"{rule.action}\"; leave it out", key, of_key=True)


def _check_groups(table: Table, rule: Rule) -> None:
    """Note groups that are used and that some alternative of `from`, or of what stands in for it, does not have."""
    places = {
        "to": rule.destinations,
        "fallback": tuple(selector for entry in rule.fallback for selector in entry),
        "via": tuple(selector for entry in rule.via for selector in entry),
    }
    origin = "follow" if rule.follows else "from"
    offers = {origin: rule.sources, "from_fallback": tuple(selector for entry in rule.from_fallback for selector in entry)}
    for key, selectors in places.items():
        for group in sorted({group for selector in selectors for group in selector.needs}):
            for offering, sources in offers.items():
                if not all(group in selector.provides for selector in sources):
                    text = f"{{{group}}} is used here, so every alternative of '{offering}' must have that group"
                    table.complain(text, key)


def _check_follows(tables: Sequence[Table], rules: Sequence[Rule]) -> None:
    """Note rules that follow each other in a circle: what comes in there would never go away again."""
    for circle in find_cycles([rule if rule.follows else None for rule in rules]):
        first, *others = circle
        names = [f'"{rules[index].name}" ({rules[index].origin})' for index in others]
        whom = f"its own 'to', by way of {', then '.join(names)}" if others else "its own 'to'"
        tables[first].complain(f"this rule follows {whom}: a connection there would keep itself alive for ever", "follow")


def _warn_of_no_effect(table: Table, rule: Rule) -> None:
    """Warn of a rule that cannot choose a pair, whatever ports there are."""
    if (
        rule.action is Action.CONNECT
        and not (rule.same_client or rule.follows or rule.via or rule.fallback or rule.from_fallback)
        and _only_buses(rule.sources)
        and _only_buses(rule.destinations)
    ):
        text = "both sides are buses, ports of one client: the rule connects nothing unless it says same_client = true"
        table.complain(text, "to", severity=Severity.WARNING)
    if rule.follows and rule.exclusive in (Exclusive.FROM, Exclusive.BOTH):
        text = 'the rule would cut the connections that it follows, for they are of the same source; allowed: "to"'
        table.complain(text, "exclusive", severity=Severity.WARNING)
    sources, destinations = _types(rule.sources), _types(rule.destinations)
    if sources and destinations and not {flow(kind) for kind in sources} & {flow(kind) for kind in destinations}:
        origin = "follow" if rule.follows else "from"
        text = f"'{origin}' means {', '.join(sorted(sources))}, 'to' means {', '.join(sorted(destinations))}: no pair has both"
        table.complain(text, "to", severity=Severity.WARNING)


def _only_buses(selectors: Selectors) -> bool:
    return bool(selectors) and all(isinstance(selector, BusSelector) for selector in selectors)


def _types(selectors: Selectors) -> frozenset[PortType]:
    """Give the types of ports that are meant; none where any type is."""
    types = {selector.type for selector in selectors}
    return frozenset(kind for kind in types if kind is not None) if None not in types else frozenset()
