"""What holds for every reload: rules that are taken over from the matcher before answer as if all were built anew."""

from __future__ import annotations

import re
from collections.abc import Generator

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from jackd_router.core.config import Config
from jackd_router.core.deciding.explain import Facts, explain
from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.plan import Plan, Situation, plan
from jackd_router.core.graph import Connection, Graph, Port, PortName
from jackd_router.core.steps import run_at_once
from tests.core import random_configs
from tests.core.building import config, matcher, passages
from tests.core.test_properties import HEADER, Answers, ChangingGraph, ports, rules

_CLIENT_NAMES = st.sampled_from(("router", "router-01"))
_EDITS = (
    lambda text: text,
    lambda text: text,
    lambda text: re.sub(r"priority = -?\d", "priority = 2", text),
    lambda text: re.sub("enabled = .*", "enabled = false", text),
    lambda text: re.sub("enabled = .*", "enabled = true", text),
    lambda text: f"{text}profiles = ['live']\n" if "profiles" not in text else re.sub("profiles = .*\n", "", text),
    lambda text: re.sub("name = 'r", "name = 'renamed ", text),
    lambda text: re.sub("pair = .*\n", "", text),
    lambda text: f"\n# moved\n{text}",
)
"""What somebody does to a rule before a reload; most are left as they are."""


@st.composite
def _edited(draw: st.DrawFn, before: list[str]) -> list[str]:
    """Give rules in another order, some of them edited, some gone, and perhaps new ones."""
    kept = draw(st.permutations(before))[: draw(st.integers(max(0, len(before) - 2), len(before)))]
    edited = [draw(st.sampled_from(_EDITS))(text) for text in kept]
    there = {int(number) for number in re.findall(r"^name = '\D*(\d+)'", "".join(edited), re.MULTILINE)}
    numbers = draw(st.sets(st.sampled_from([number for number in range(100, 200) if number not in there]), max_size=2))
    return edited + [draw(rules(number)) for number in sorted(numbers)]


def _config(texts: list[str], buses: str = "") -> Config:
    return config(HEADER + buses + "".join(texts))


def _situation(asked: Matcher, configuration: Config, now: Graph, owned: dict[Connection, str]) -> Situation:
    return Situation(asked, now, owned=owned, passages=passages(configuration, asked, "router"))


def _told(asked: Matcher, configuration: Config, now: Graph, owned: dict[Connection, str]) -> tuple[Answers, Plan, list[str]]:
    """Give all that a matcher says of a graph: its answers, the plan, and why any two ports are or are not connected."""
    known = list(now.ports.values())
    situation = _situation(asked, configuration, now, owned)
    made = plan(situation)
    situation.refused = made.refused
    pairs = [Connection(a.name, b.name) for a in known for b in known if a.is_source and not b.is_source]
    pairs += [Connection(PortName("a:out_7"), name) for name in now.ports]
    return Answers.of(asked, known), made, [explain(pair, situation, Facts()).summary for pair in pairs]


class Reloads(ChangingGraph):
    """Beside a matcher another one is built, step by step, while ports come and go; it takes over, or is let go of."""

    @initialize(data=st.data(), client_name=_CLIENT_NAMES)
    def begin(self, data: st.DataObject, client_name: str) -> None:
        self.client_name = client_name
        self.texts = [data.draw(rules(number)) for number in range(data.draw(st.integers(1, 5)))]
        self.configuration = _config(self.texts)
        self.graph = Graph()
        self.switched: dict[str, bool] = {}
        self.matcher = Matcher(self.configuration, client_name=client_name, graph=self.graph)
        self.coming: Matcher | None = None

    # ---- what happens meanwhile

    @rule()
    def changes_are_taken(self) -> None:
        self.matcher.take_changed()

    # ---- a reload

    @precondition(lambda self: self.coming is None)
    @rule(data=st.data())
    def reload_begins(self, data: st.DataObject) -> None:
        self.is_outdated = False
        self.texts_then = data.draw(_edited(self.texts))
        bus = data.draw(st.sampled_from(("", "", "[[bus]]\nname = 'second'\nchannels = ['L']\n")))
        self.configuration_then = _config(self.texts_then, bus)
        names = {each.name for each in self.configuration_then.rules}
        self.switched_then = {name: enabled for name, enabled in self.switched.items() if name in names}
        self.coming = Matcher(
            self.configuration_then,
            client_name=self.client_name,
            graph=self.graph,
            profile=self.matcher.profile,
            switched=self.switched_then,
            beside=self.matcher,
        )
        self.steps: Generator[None, None, None] = iter(())  # type: ignore[assignment]
        if self.coming.book is self.matcher.book:
            self.steps = self.coming.enrol_in_steps()

    @precondition(lambda self: self.coming is not None)
    @rule(count=st.integers(1, 5))
    def reload_goes_on(self, count: int) -> None:
        for _ in zip(range(count), self.steps, strict=False):
            pass

    @precondition(lambda self: self.coming is not None)
    @rule()
    def reload_is_refused(self) -> None:
        assert self.coming is not None
        self.coming.retire()
        self.coming = None

    @precondition(lambda self: self.coming is not None and not self.is_outdated)
    @rule(data=st.data(), is_settled=st.booleans())
    def reload_is_put_in_force(self, data: st.DataObject, is_settled: bool) -> None:
        assert self.coming is not None
        run_at_once(self.steps)
        if self.coming.book is not self.matcher.book:
            for port in self.graph.ports.values():
                self.coming.add_port(port)
        if is_settled:
            self.coming.settle()
        self.coming.all_connections_changed()
        owners = st.sampled_from([each.name for each in self.configuration.rules] or [""])
        owned = {pair: data.draw(owners) for pair in sorted(self.graph.connections)}
        told = _told(self.coming, self.configuration_then, self.graph, owned)
        assert told == _told(self._anew(self.configuration_then, self.switched_then), self.configuration_then, self.graph, owned)
        self.matcher.retire()
        self.matcher, self.coming = self.coming, None
        self.texts, self.configuration, self.switched = self.texts_then, self.configuration_then, self.switched_then

    @rule(data=st.data(), enabled=st.booleans())
    def rule_switched(self, data: st.DataObject, enabled: bool) -> None:
        """What is prepared is of no use then, and is not put in force; but nobody stops it at once."""
        names = [each.name for each in self.configuration.rules]
        if names:
            name = data.draw(st.sampled_from(names))
            self.matcher.set_rule_enabled(name, enabled)
            self.switched[name] = enabled
            self.is_outdated = True

    @rule(name=st.sampled_from(("default", "live")))
    def profile_switched(self, name: str) -> None:
        self.matcher.set_profile(name)
        self.is_outdated = True

    @rule(count=st.integers(1, 5))
    def what_nobody_has_is_swept_out(self, count: int) -> None:
        for _ in zip(range(count), self.matcher.book.tidy_in_steps(), strict=False):
            pass

    # ---- what holds

    def _anew(self, configuration: Config, switched: dict[str, bool]) -> Matcher:
        anew = matcher(configuration, reversed(self.graph.ports.values()), client_name=self.client_name, graph=self.graph)
        anew.set_profile(self.matcher.profile)
        for name, enabled in switched.items():
            anew.set_rule_enabled(name, enabled)
        return anew

    @invariant()
    def equals_from_scratch(self) -> None:
        known = list(self.graph.ports.values())
        assert Answers.of(self.matcher, known) == Answers.of(self._anew(self.configuration, self.switched), known)

    def teardown(self) -> None:
        """Once all is swept out and all ports are gone, nothing of the other rules is left."""
        if not hasattr(self, "matcher"):
            return
        if self.coming is not None:
            self.coming.retire()
        run_at_once(self.matcher.book.tidy_in_steps())
        for name in list(self.graph.ports):
            member = self.matcher.membership.members[name]
            assert {asker.slot for asker in member.spots} | member.keys.keys() | member.between.keys() <= {
                self.matcher.slot(rank) for rank in range(len(self.matcher.rules))
            }
            self.matcher.remove_port(name)
        self.matcher.settle()
        assert not self.matcher.chosen()


_EXAMPLES = min(60, settings().max_examples)
TestReloads = Reloads.TestCase
TestReloads.settings = settings(max_examples=_EXAMPLES, stateful_step_count=30, deadline=None)


@given(random_configs.configs(), random_configs.configs(), st.lists(ports, max_size=10, unique_by=lambda port: port.name))
def test_any_configuration_may_follow_any_other(before: Config, after: Config, known: list[Port]) -> None:
    first = matcher(before, known, client_name="router")
    first.wanted()
    second = Matcher(after, client_name="router", beside=first)
    if second.book is first.book:
        run_at_once(second.enrol_in_steps())
    else:
        for port in known:
            second.add_port(port)
    assert Answers.of(second, known) == Answers.of(matcher(after, known, client_name="router"), known)
    assert Answers.of(first, known) == Answers.of(matcher(before, known, client_name="router"), known)
