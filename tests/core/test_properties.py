"""What holds for every history: the incremental matcher answers as one built anew, and the plan converges."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jackd_router.core.config import Config, Feedback, Unmatched
from jackd_router.core.deciding.explain import Facts, Outcome, explain
from jackd_router.core.deciding.feedback import Guard
from jackd_router.core.deciding.matcher import Decision, Matcher, Verdict
from jackd_router.core.deciding.plan import Deed, Plan, Situation, plan
from jackd_router.core.deciding.speakers import speakers
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from tests.core.building import config, graph, matcher, passages

# Few names and many ways to mean them: what matters is that rules and ports meet often.
CLIENTS = ("a", "ab", "router", "router-01")
_SELECTORS = (
    "'*'",
    "'a'",
    "'a*:*1'",
    "'*:main_*'",
    "'router'",
    "'/a.*/'",
    r"'/(a|ab):.*/'",
    "{ port = '*_L' }",
    "{ type = 'midi' }",
    "{ physical = true }",
    "{ alias = 'x*' }",
    "{ bus = 'main' }",
    "['a:*', '/.*_R/']",
    "{ pretty_name = 'p*' }",
    "{ client = 'a*', nth = 2 }",
    "{ port = '*', nth = [1, 3] }",
    "{ type = 'cv' }",
)
_WITH_GROUPS = (
    (r"'/(\w+):(?P<port>.*)/'", "'{1}'"),
    (r"'/.*:(?P<port>.*)/'", "'*:{port}'"),
    (r"'/.*_(.)/'", r"'/.*{1}/'"),
    (r"'/.*_([LR])/'", "{ bus = 'main', channel = '{1}' }"),
    (r"['/a:(.*)/', '/x(.*)/']", "{ client = 'ab', port = '*{1}' }"),
    (r"{ client = '/(a).*/', nth = [1, 2] }", "{ port = '*_?', client = '{1}*', nth = 2 }"),
    (r"'/(\w+):.*/'", "['{1}:*_1', '*:*_2']"),
)
# What can stand in for, or lie between, the sides of a rule with groups: each of them has the group 1.
_STAND_INS = ("'*:*_10'", "'{1}*:*'", "['{1}:*_L', { port = '*_R', nth = 1 }]", "['*_{1}', 'ab']")
_FROM_STAND_INS = (r"'/(?P<port>\w+):.*_10/'", r"'/.*_(?P<port>.)/'")

_sides = st.one_of(st.tuples(st.sampled_from(_SELECTORS), st.sampled_from(_SELECTORS)), st.sampled_from(_WITH_GROUPS))


_PAIRS = ("'auto'", "'order'", "'all'", "'name'", "{ L = 'R', 1 = ['1', '2'] }")
_FLAGS = st.sampled_from(("false", "true"))
_one = st.sampled_from(_SELECTORS)
_some = st.lists(_one, min_size=1, max_size=2).map(lambda chosen: f"[{', '.join(chosen)}]")
_KEYS = {
    "pair": st.sampled_from(_PAIRS),
    "same_client": _FLAGS,
    "complete": _FLAGS,
    "exclusive": st.sampled_from(("'from'", "'to'", "'both'")),
    "fallback": _some,
    "via": _some,
    "allow_feedback": _FLAGS,
}
_KEYS_OF_ALL = {
    "when": st.builds("{{ {} = {} }}".format, st.sampled_from(("present", "absent")), _some),
    "profiles": st.sampled_from(("['live']", "['default', 'live']", "['default']")),
}


@st.composite
def rules(draw: st.DrawFn, number: int) -> str:
    """Give the text of one rule, whose name has this number."""
    sources, destinations = draw(_sides)
    action = draw(st.sampled_from(("connect", "connect", "connect", "forbid", "leave")))
    possible = _KEYS_OF_ALL
    if action == "connect":
        # A circle of rules that follow is an error: what is followed and what follows are told apart by their names.
        possible = possible | _KEYS
        if draw(st.integers(0, 5)) == 0:
            lines = [f"name = 'r{number}'", "follow = '*:in_1'", "to = ['*:in_2', 'ab:in_10']"]
            led = st.sampled_from(("'ab:*_10'", "['a:*_L', 'ab:*_10']", "['*:*_R', { port = '*_L' }]"))
            kept = ("pair", "same_client", "when", "profiles", "complete", "exclusive", "allow_feedback")
            return _written(draw, lines, {key: possible[key] for key in kept} | {"via": led})
        if (sources, destinations) in _WITH_GROUPS:
            stand_ins = st.sampled_from(_STAND_INS)
            possible = possible | {"fallback": stand_ins, "via": stand_ins, "from_fallback": st.sampled_from(_FROM_STAND_INS)}
        else:
            possible = possible | {"from_fallback": _some}
    lines = [f"name = 'r{number}'", f"action = '{action}'", f"from = {sources}", f"to = {destinations}"]
    lines.append(f"priority = {draw(st.integers(-1, 1))}")
    lines.append(f"enabled = {draw(st.sampled_from(('true', 'true', 'false')))}")
    return _written(draw, lines, possible)


def _written(draw: st.DrawFn, lines: list[str], possible: dict[str, st.SearchStrategy[str]]) -> str:
    keys = draw(st.sets(st.sampled_from(sorted(possible)), max_size=4))
    return "\n".join(("[[rule]]", *lines, *(f"{key} = {draw(possible[key])}" for key in sorted(keys)), ""))


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Give a configuration with up to five rules."""
    texts = [draw(rules(number)) for number in range(draw(st.integers(0, 5)))]
    return config(HEADER + "".join(texts))


HEADER = "[[profile]]\nname = 'live'\n[[bus]]\nname = 'main'\nchannels = ['L', 'R']\n"


ports: st.SearchStrategy[Port] = st.builds(
    lambda client, short_name, kind, is_source, flags, aliases, registration, pretty_name, system_name: Port(
        # One name is never an output now and an input then: JACK knows a port by its name.
        PortName(
            f"{client}:{'out' if is_source else 'in'}_{short_name}"
            if client[0] == "a"
            else f"{client}:{_bus(short_name, is_source)}"
        ),
        kind,
        flags | (PortFlags.OUTPUT if is_source else PortFlags.INPUT),
        aliases,
        registration,
        pretty_name,
        system_name,
    ),
    st.sampled_from(CLIENTS),
    st.sampled_from(("1", "2", "10", "L", "R")),
    st.sampled_from((PortType.AUDIO, PortType.AUDIO, PortType.MIDI, PortType.CV)),
    st.booleans(),
    st.sampled_from((PortFlags(0), PortFlags.PHYSICAL)),
    st.sampled_from(((), (), ("x1:a",), ("x1:a", "a:1"))),
    st.integers(0, 1),
    st.sampled_from((None, None, "piano", "organ")),
    # Also that of another port, which is there: on PipeWire it is so while a device is made anew.
    st.sampled_from((None, None, "system:playback_1", "ab:in_2", "a:out_L")),
)


def _bus(short_name: str, is_source: bool) -> str:
    return f"main_{'out' if is_source else 'in'}_{short_name}"


@dataclass(frozen=True)
class Answers:
    """Everything that a matcher can be asked about these ports."""

    wanted: dict[Connection, str]
    fan_out: frozenset[Connection]
    decisions: dict[Connection, Decision]
    chosen: dict[str, frozenset[Connection]]
    matched: dict[str, int]
    speakers: dict[Connection, object]
    passages: frozenset[tuple[PortName, PortName]]
    circles: frozenset[object]

    @staticmethod
    def of(asked: Matcher, known: list[Port]) -> Answers:
        """Ask it."""
        pairs = [Connection(a.name, b.name) for a in known for b in known]
        names = [each.name for each in asked.rules]
        return Answers(
            wanted={pair: decider.name for pair, decider in asked.wanted().items()},
            fan_out=frozenset(filter(asked.is_fan_out, pairs)),
            decisions={pair: asked.decide(pair) for pair in pairs},
            chosen={name: asked.chosen_by(name) for name in names},
            matched={name: asked.ports_matched(name) for name in names},
            speakers={pair: speakers(asked, pair) for pair in pairs},
            passages=frozenset(asked.via_passages()),
            circles=asked.circles(),
        )


class ChangingGraph(RuleBasedStateMachine):
    """Ports come, change and go, and are connected, while a matcher is told; who derives from it makes both."""

    graph: Graph
    matcher: Matcher

    @rule(port=ports)
    def port_appeared_or_changed(self, port: Port) -> None:
        self.graph.add_port(port)
        self.matcher.add_port(port)

    @precondition(lambda self: self.graph.ports)
    @rule(data=st.data())
    def port_went(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.graph.ports)))
        dropped = self.graph.remove_port(name)
        self.matcher.remove_port(name)
        for pair in dropped:
            self.matcher.connection_changed(pair)

    @precondition(lambda self: self.graph.ports)
    @rule(data=st.data(), connected=st.booleans())
    def connection_changed(self, data: st.DataObject, connected: bool) -> None:
        known = self.graph.ports.values()
        possible = [Connection(a.name, b.name) for a in known for b in known if a.is_source and not b.is_source]
        if possible:
            pair = data.draw(st.sampled_from(possible))
            (self.graph.connect if connected else self.graph.disconnect)(pair)
            self.matcher.connection_changed(pair)

    @rule(port=ports)
    def port_was_imagined(self, port: Port) -> None:
        with self.matcher.imagined([port]):
            self.matcher.wanted()


class Histories(ChangingGraph):
    """Ports come, change and go, rules are switched; a matcher that saw it all is compared with a new one."""

    @initialize(configuration=configs(), client_name=st.sampled_from(("router", "router-01")))
    def begin(self, configuration: Config, client_name: str) -> None:
        self.client_name = client_name
        self.configuration = configuration
        self.graph = Graph()
        self.matcher = Matcher(configuration, client_name=client_name, graph=self.graph)
        self.switched: dict[str, bool] = {}
        self.decided: dict[Connection, Decision] = {}

    @rule(name=st.sampled_from(("default", "live")))
    def profile_switched(self, name: str) -> None:
        self.matcher.set_profile(name)

    @precondition(lambda self: self.configuration.rules)
    @rule(data=st.data(), enabled=st.booleans())
    def rule_switched(self, data: st.DataObject, enabled: bool) -> None:
        name = data.draw(st.sampled_from([each.name for each in self.configuration.rules]))
        self.matcher.set_rule_enabled(name, enabled)
        self.switched[name] = enabled

    @rule()
    def port_that_is_not_there_went(self) -> None:
        self.matcher.remove_port(PortName("nobody:nothing"))

    @rule()
    def changes_are_taken(self) -> None:
        """No decision about a pair that is or was wanted changed without being told."""
        changed = self.matcher.take_changed()
        now = self.matcher.wanted()
        for pair in now.keys() | {pair for pair, before in self.decided.items() if before.verdict is Verdict.WANTED}:
            if pair not in changed:
                assert self.matcher.decide(pair) == self.decided.get(pair)
        pairs = [Connection(a, b) for a in self.graph.ports for b in self.graph.ports]
        self.decided = {pair: self.matcher.decide(pair) for pair in pairs}

    @invariant()
    def incremental_equals_from_scratch(self) -> None:
        known = list(self.graph.ports.values())
        anew = matcher(self.configuration, reversed(known), client_name=self.client_name, graph=self.graph)
        anew.set_profile(self.matcher.profile)
        for name, enabled in self.switched.items():
            anew.set_rule_enabled(name, enabled)
        assert Answers.of(self.matcher, known) == Answers.of(anew, known)


_EXAMPLES = min(60, settings().max_examples)
TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=_EXAMPLES, stateful_step_count=30, deadline=None)


@given(configs(), st.lists(ports, max_size=10, unique_by=lambda port: port.name), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(configuration: Config, known: list[Port], random: object) -> None:
    shuffled = list(known)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Answers.of(matcher(configuration, known), known) == Answers.of(matcher(configuration, shuffled), known)


@given(configs(), st.lists(ports, max_size=10, unique_by=lambda port: port.name))
def test_when_all_ports_are_gone_nothing_is_left(configuration: Config, known: list[Port]) -> None:
    asked = matcher(configuration, known)
    asked.wanted()
    for port in known:
        asked.remove_port(port.name)
    assert asked.wanted() == {}
    assert all(not asked.chosen_by(each.name) and not asked.ports_matched(each.name) for each in configuration.rules)


@st.composite
def _situations(draw: st.DrawFn) -> Situation:
    """Give rules and a graph with some connections; some of those are owned; some pairs are held, kept or failed."""
    configuration = draw(configs())
    known = draw(st.lists(ports, max_size=10, unique_by=lambda port: port.name))
    possible = [Connection(a.name, b.name) for a in known for b in known if a.is_source and not b.is_source and a.type is b.type]
    some = st.sets(st.sampled_from(possible)) if possible else st.just(set())
    now = graph(known, draw(some))
    asked = matcher(configuration, known, graph=now)
    return Situation(
        asked,
        now,
        owned=dict.fromkeys(draw(some) & now.connections, "r0"),
        held=draw(some),
        kept=draw(some),
        failed=draw(some),
        unmatched=draw(st.sampled_from(list(Unmatched))),
        feedback=draw(st.sampled_from(list(Feedback))),
        passages=passages(configuration, asked, "router"),
    )


def _carried_out(now: Situation, made: Plan) -> Situation:
    """Give the situation after a plan."""
    owned = {pair: name for pair, name in now.owned.items() if pair not in made.released} | dict(made.adopted)
    for step in made.steps:
        if step.deed is Deed.CONNECT:
            assert now.graph.connect(step.connection)
            owned[step.connection] = step.owner
        else:
            assert now.graph.disconnect(step.connection)
            owned.pop(step.connection, None)
        now.matcher.connection_changed(step.connection)
    return replace(now, owned=owned)


@given(_situations())
def test_the_plan_converges(before: Situation) -> None:
    now = _carried_out(before, plan(before))
    again = plan(now)
    assert (again.steps, again.adopted, again.released) == ((), {}, frozenset())
    assert now.owned.keys() <= now.graph.connections


@given(_situations())
def test_only_what_may_be_cut_is_cut(now: Situation) -> None:
    before = set(now.graph.connections)
    made = plan(now)
    after = _carried_out(now, made)
    for step in made.steps:
        if step.deed is Deed.CONNECT:
            assert step.connection not in before | set(now.held)
            continue
        assert step.connection in before
        assert step.connection not in now.kept
        verdict = after.matcher.decide(step.connection).verdict
        owned = step.connection in now.owned
        exclusive = any(each.exclusive for each in after.matcher.rules)
        assert (
            verdict in (Verdict.FORBIDDEN, Verdict.BYPASSED)
            or (verdict is Verdict.UNSPOKEN and (owned or exclusive or now.unmatched is Unmatched.REMOVE))
            or (verdict in (Verdict.WITHHELD, Verdict.WANTED) and (owned or exclusive))
        )


@given(_situations())
def test_what_is_wanted_is_there_but_for_what_is_held_refused_or_withheld(before: Situation) -> None:
    made = plan(before)
    now = replace(_carried_out(before, made), refused=made.refused)
    missing = now.matcher.wanted().keys() - now.graph.connections - set(now.held) - made.refused.keys()
    assert all(now.withheld_by(pair) is not None for pair in missing)
    assert all(not any(now.matcher.decide(pair).rule is None for pair in made.refused) for _ in (0,))


@given(_situations())
def test_the_guard_makes_no_path_from_a_microphone_to_a_loudspeaker(before: Situation) -> None:
    before = replace(before, feedback=Feedback.REFUSE)
    was = set(before.graph.connections)
    now = _carried_out(before, plan(before))
    guard = Guard(now.graph, now.passages)
    for pair in now.graph.connections - was:
        rule_of = now.matcher.decide(pair).rule
        closed = guard.closes(pair)
        path = set() if closed is None else set(itertools.pairwise(closed.path))
        allowed = any((decider := now.matcher.decide(Connection(*piece)).rule) and decider.allow_feedback for piece in path - was)
        assert closed is None or allowed or (rule_of is not None and rule_of.allow_feedback)


@given(_situations(), st.data())
def test_any_two_names_are_explained(now: Situation, data: st.DataObject) -> None:
    now.refused = plan(now).refused
    names = st.sampled_from([*now.graph.ports, PortName("nobody:here"), PortName("a:out_7"), PortName("")])
    told = explain(Connection(data.draw(names), data.draw(names)), now, Facts())
    assert told.summary
    assert sum(step.outcome is Outcome.DECIDES for step in told.steps) <= 1
