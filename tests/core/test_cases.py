r"""The cases of `cases/*.toml`: rules and a graph, and what the rules make of it. A new case needs no Python.

A case has `name`, `config` (the text of a configuration), `sources` and `destinations` (names, or tables with `name`, `type`,
`physical`, `terminal`, `aliases`, `pretty_name`); if need be `connected`, `owned` ("pair" = "rule"), `held`, `kept`,
`failed`, `profile`, `disabled` (rules), `client_name`; and of what is expected at least one: the whole of `wanted`, `connect`,
`disconnect`, `steps` ("deed pair (rule): reason", in their order), `adopted` ("pair" = "rule"), `released`, `refused`,
`fan_out`, `unmet`, `shadowed`, `left_out` ("followed -> partner"), `matched` (rule = number of ports), or some `forbidden`,
`left`, `bypassed`, `withheld`, `unspoken`, `decided_by`, `explained` ("pair" = words), `told` ("pair" = { rule = words }). Words
that begin with the state of the pair, or with the outcome of the rule, are all that is said; others are a part of it.
Names are written as they are shown: a byte that is not UTF-8 is `\xNN`, a backslash `\\`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from jackd_router.core.config import Config
from jackd_router.core.deciding.explain import Facts, explain
from jackd_router.core.deciding.matcher import Matcher, Verdict
from jackd_router.core.deciding.plan import Deed, Plan, Situation, plan, shadowed, unmet
from jackd_router.core.deciding.speakers import speakers
from jackd_router.core.deciding.words import pair_text
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.names import parse_shown
from jackd_router.core.steps import run_at_once
from tests.core.building import config, graph, matcher, passages
from tests.core.building import connection as connection_as_is

Case = Mapping[str, object]

_GIVEN = {"name", "config", "sources", "destinations", "connected", "owned", "held", "kept"}
_GIVEN |= {"failed", "profile", "disabled", "client_name"}


def _cases() -> Iterator[ParameterSet]:
    for file in sorted(Path(__file__).with_name("cases").glob("*.toml")):
        for case in tomllib.loads(file.read_text())["case"]:
            yield pytest.param(case, id=f"{file.stem}: {case['name']}")


def _texts(case: Case, key: str) -> list[str]:
    value = case.get(key, [])
    assert isinstance(value, list)
    return [str(item) for item in value]


def _table(case: Case, key: str) -> dict[str, object]:
    value = case.get(key, {})
    assert isinstance(value, dict)
    return value


def connection(text: str) -> Connection:
    """Give the pair of names as they are shown."""
    return Connection(*(PortName(parse_shown(name)) for name in connection_as_is(text)))


def _port(written: object, direction: PortFlags) -> Port:
    table: dict[str, Any] = written if isinstance(written, dict) else {"name": written}
    assert not table.keys() - {"name", "type", "physical", "terminal", "aliases", "pretty_name"}, table
    flags = direction
    flags |= PortFlags.PHYSICAL if table.get("physical") else PortFlags(0)
    flags |= PortFlags.TERMINAL if table.get("terminal") else PortFlags(0)
    name = PortName(parse_shown(table["name"]))
    aliases = tuple(table.get("aliases", ()))
    return Port(name, PortType(table.get("type", "audio")), flags, aliases, pretty_name=table.get("pretty_name"))


class _Situation:
    """A case, carried out."""

    def __init__(self, case: Case, *, destinations_first: bool = False) -> None:
        self.config: Config = config(str(case["config"]))
        sources, destinations = case.get("sources", []), case.get("destinations", [])
        assert isinstance(sources, list)
        assert isinstance(destinations, list)
        ports = [_port(port, PortFlags.OUTPUT) for port in sources] + [_port(port, PortFlags.INPUT) for port in destinations]
        self.graph: Graph = graph(ports, map(connection, _texts(case, "connected")))
        ports = ports[::-1] if destinations_first else ports
        client_name = str(case.get("client_name", self.config.client_name))
        self.matcher: Matcher = matcher(self.config, ports, client_name=client_name, graph=self.graph)
        self.profile, self.disabled = str(case.get("profile", "default")), _texts(case, "disabled")
        self.matcher.set_profile(self.profile)
        for name in self.disabled:
            self.matcher.set_rule_enabled(name, False)
        self.situation = Situation(
            self.matcher,
            self.graph,
            owned={connection(pair): str(rule) for pair, rule in _table(case, "owned").items()},
            held={connection(pair) for pair in _texts(case, "held")},
            kept={connection(pair) for pair in _texts(case, "kept")},
            failed={connection(pair) for pair in _texts(case, "failed")},
            unmatched=self.config.unmatched,
            feedback=self.config.feedback,
            passages=passages(self.config, self.matcher, client_name),
        )
        self.plan: Plan = plan(self.situation)
        self.situation.refused = self.plan.refused

    def steps(self, deed: Deed) -> set[object]:
        return {step.connection for step in self.plan.steps if step.deed is deed}

    def have(self, verdict: Verdict, pairs: list[str]) -> None:
        assert {pair: self.matcher.decide(connection(pair)).verdict for pair in pairs} == dict.fromkeys(pairs, verdict)


def _check_plan(now: _Situation, case: Case) -> None:
    adopted = {connection(pair): rule for pair, rule in _table(case, "adopted").items()}
    assert now.plan.adopted == adopted


def _check_deciders(now: _Situation, case: Case) -> None:
    deciders = {pair: now.matcher.decide(connection(pair)).rule for pair in _table(case, "decided_by")}
    assert {pair: rule and rule.name for pair, rule in deciders.items()} == _table(case, "decided_by")


def _check_words(told: str, expected: str) -> None:
    """Hold what begins with the state, or the outcome, to be all of it."""
    state = told.partition(":")[0]
    assert told == expected if expected.startswith(f"{state}: ") else expected in told, told


def _check_explanations(now: _Situation, case: Case) -> None:
    for pair, words in _table(case, "explained").items():
        told = explain(connection(pair), now.situation, Facts(failures=dict.fromkeys(now.situation.failed, "code -1")))
        _check_words(f"{told.state}: {told.summary}", str(words))


def _check_steps(now: _Situation, case: Case) -> None:
    steps = (f"{step.deed} {pair_text(step.connection)} ({step.rule}): {step.reason}" for step in now.plan.steps)
    assert list(steps) == _texts(case, "steps")


def _check_told(now: _Situation, case: Case) -> None:
    for pair, expected in _table(case, "told").items():
        assert isinstance(expected, dict)
        told = explain(connection(pair), now.situation, Facts())
        steps = {step.rule: f"{step.outcome}: {step.reason}" for step in told.steps}
        assert steps.keys() == expected.keys()
        for rule, words in expected.items():
            _check_words(steps[rule], words)


def _pairs(case: Case, key: str) -> set[object]:
    return {connection(pair) for pair in _texts(case, key)}


def _same(found: object, expected: object) -> None:
    assert found == expected


_EXPECTED: dict[str, Callable[[_Situation, Case], None]] = {
    "wanted": lambda now, case: _same(set(now.matcher.wanted()), _pairs(case, "wanted")),
    "connect": lambda now, case: _same(now.steps(Deed.CONNECT), _pairs(case, "connect")),
    "disconnect": lambda now, case: _same(now.steps(Deed.DISCONNECT), _pairs(case, "disconnect")),
    "steps": _check_steps,
    "adopted": _check_plan,
    "released": lambda now, case: _same(set(now.plan.released), _pairs(case, "released")),
    "refused": lambda now, case: _same(set(now.plan.refused), _pairs(case, "refused")),
    "bypassed": lambda now, case: now.have(Verdict.BYPASSED, _texts(case, "bypassed")),
    "withheld": lambda now, case: now.have(Verdict.WITHHELD, _texts(case, "withheld")),
    "explained": lambda now, case: _check_explanations(now, case),
    "told": _check_told,
    "left_out": lambda now, case: _same({Connection(*pair) for _, *pair in now.matcher.circles()}, _pairs(case, "left_out")),
    "fan_out": lambda now, case: _same(set(filter(now.matcher.is_fan_out, now.matcher.wanted())), _pairs(case, "fan_out")),
    "unmet": lambda now, case: _same(list(run_at_once(unmet(now.matcher))), _texts(case, "unmet")),
    "shadowed": lambda now, case: _same(list(run_at_once(shadowed(now.matcher))), _texts(case, "shadowed")),
    "matched": lambda now, case: _same({r: now.matcher.ports_matched(r) for r in _table(case, "matched")}, case["matched"]),
    "forbidden": lambda now, case: now.have(Verdict.FORBIDDEN, _texts(case, "forbidden")),
    "left": lambda now, case: now.have(Verdict.LEFT, _texts(case, "left")),
    "unspoken": lambda now, case: now.have(Verdict.UNSPOKEN, _texts(case, "unspoken")),
    "decided_by": _check_deciders,
}


@pytest.mark.parametrize("case", list(_cases()))
def test_case(case: Case) -> None:
    expected = case.keys() - _GIVEN
    assert expected, "the case expects nothing"
    for now in (_Situation(case), _Situation(case, destinations_first=True)):
        for key in sorted(expected):
            _EXPECTED[key](now, case)


class _Detour:
    """A case in which things come and go: whenever the rules are asked they answer as rules that never saw it otherwise."""

    def __init__(self, case: Case) -> None:
        self.case, self.now = case, _Situation(case)
        self.matcher, self.graph = self.now.matcher, self.now.graph
        off = (rule.name for rule in self.now.config.rules if not rule.enabled)
        self.profile, self.disabled = self.now.profile, {*self.now.disabled, *off}
        self.disabled_at_first = frozenset(self.disabled)
        self.client_name = str(case.get("client_name", self.now.config.client_name))
        self.touched: set[Connection] = set()
        self.matcher.take_changed()
        self.before = self._answers(self.matcher)

    def go(self) -> None:
        """Take every port away and bring it back, then switch every rule, profile and connection there and back.

        What comes back is compared together with what goes next.
        """
        for name, port in sorted(self.graph.ports.items()):
            connections = self.graph.remove_port(name)
            self.matcher.remove_port(name)
            self._compare(connections)
            self.graph.add_port(port)
            self.matcher.add_port(port)
            self._connect(connections)
        for rule in self.matcher.rules:
            for enabled in (rule.name in self.disabled, rule.name not in self.disabled):
                self.disabled ^= {rule.name}
                self.matcher.set_rule_enabled(rule.name, enabled)
                if self.disabled != self.disabled_at_first:
                    self._compare()
        for profile in (*self.now.config.profiles, self.now.profile):
            self.profile = str(getattr(profile, "name", profile))
            self.matcher.set_profile(self.profile)
            self._compare()
        for pair in sorted(self.graph.connections):
            self.graph.disconnect(pair)
            self._compare([pair])
            self._connect([pair])
        self._compare()

    def _connect(self, connections: Iterable[Connection]) -> None:
        for pair in connections:
            self.graph.connect(pair)
            self._touch(pair)

    def _touch(self, pair: Connection) -> None:
        """Tell of a connection that came or went: whoever does knows to look at it."""
        self.matcher.connection_changed(pair)
        self.touched.add(pair)

    def _compare(self, connections: Iterable[Connection] = ()) -> None:
        for pair in connections:
            self._touch(pair)
        anew = matcher(self.now.config, self.graph.ports.values(), client_name=self.client_name, graph=self.graph)
        anew.set_profile(self.profile)
        for rule in self.disabled:
            anew.set_rule_enabled(rule, False)
        for rule in {rule.name for rule in anew.rules} - self.disabled:
            anew.set_rule_enabled(rule, True)
        changed, answers = self.matcher.take_changed(), self._answers(self.matcher)
        assert answers == self._answers(anew)
        for pair in answers["wanted"].keys() | self.before["wanted"].keys() | self.graph.connections - self.touched:
            assert pair in changed or self.before["decisions"].get(pair) == answers["decisions"].get(pair), pair
        self.before = answers
        self.touched.clear()

    def _answers(self, asked: Matcher) -> dict[str, Any]:
        ports = self.graph.ports.values()
        pairs = [Connection(a.name, b.name) for a in ports if a.is_source for b in ports if not b.is_source]
        return {
            "decisions": {pair: asked.decide(pair) for pair in pairs},
            "wanted": {pair: rule.name for pair, rule in asked.wanted().items()},
            "fan_out": set(filter(asked.is_fan_out, pairs)),
            "together": {pair: asked.together(pair) for pair in pairs},
            "chosen_at": {name: asked.chosen_at(name) for name in self.graph.ports},
            "chosen_by": {rule.name: asked.chosen_by(rule.name) for rule in asked.rules},
            "matched": {rule.name: asked.ports_matched(rule.name) for rule in asked.rules},
            "unmet": run_at_once(unmet(asked)),
            "passages": set(asked.via_passages()),
            "circles": asked.circles(),
            "speakers": {pair: speakers(asked, pair) for pair in pairs},
        }


def _is_small(case: Case) -> bool:
    """Tell whether a detour takes little time: it grows with the square of what is there."""
    return sum(len(ports) for ports in (case.get("sources", ()), case.get("destinations", ())) if isinstance(ports, list)) < 9


@pytest.mark.parametrize("case", [each for each in _cases() if _is_small(each.values[0])])  # type: ignore[arg-type]
def test_case_after_a_detour(case: Case) -> None:
    detour = _Detour(case)
    detour.go()
    again = plan(detour.now.situation)
    assert again == detour.now.plan


def test_names_of_cases_are_unique_in_their_file() -> None:
    for file in Path(__file__).with_name("cases").glob("*.toml"):
        names = [case["name"] for case in tomllib.loads(file.read_text())["case"]]
        assert len(names) == len(set(names)), file
