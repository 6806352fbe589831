"""What holds for every history: the incremental matcher answers as one built anew, and the plan converges."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jackd_router.core.config import Config, Unmatched
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType
from jackd_router.core.matcher import Decision, Matcher, Verdict
from jackd_router.core.plan import Deed, plan
from tests.core.building import config, graph, matcher

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
)
_WITH_GROUPS = (
    (r"'/(\w+):(?P<port>.*)/'", "'{1}'"),
    (r"'/.*:(?P<port>.*)/'", "'*:{port}'"),
    (r"'/.*_(.)/'", r"'/.*{1}/'"),
    (r"'/.*_([LR])/'", "{ bus = 'main', channel = '{1}' }"),
    (r"['/a:(.*)/', '/x(.*)/']", "{ client = 'ab', port = '*{1}' }"),
)

_sides = st.one_of(st.tuples(st.sampled_from(_SELECTORS), st.sampled_from(_SELECTORS)), st.sampled_from(_WITH_GROUPS))


@st.composite
def _rules(draw: st.DrawFn, number: int) -> str:
    sources, destinations = draw(_sides)
    action = draw(st.sampled_from(("connect", "connect", "connect", "forbid", "leave")))
    lines = [f"name = 'r{number}'", f"action = '{action}'", f"from = {sources}", f"to = {destinations}"]
    lines.append(f"priority = {draw(st.integers(-1, 1))}")
    lines.append(f"enabled = {draw(st.sampled_from(('true', 'true', 'false')))}")
    if action == "connect":
        lines.append(f"pair = '{draw(st.sampled_from(('auto', 'order', 'all')))}'")
        lines.append(f"same_client = {draw(st.sampled_from(('false', 'true')))}")
    return "[[rule]]\n" + "\n".join(lines) + "\n"


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Give a configuration with up to five rules."""
    rules = [draw(_rules(number)) for number in range(draw(st.integers(0, 5)))]
    return config("[[bus]]\nname = 'main'\nchannels = ['L', 'R']\n" + "".join(rules))


ports: st.SearchStrategy[Port] = st.builds(
    lambda client, short_name, kind, is_source, flags, aliases, registration: Port(
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
    ),
    st.sampled_from(CLIENTS),
    st.sampled_from(("1", "2", "10", "L", "R")),
    st.sampled_from((PortType.AUDIO, PortType.AUDIO, PortType.MIDI, PortType.CV)),
    st.booleans(),
    st.sampled_from((PortFlags(0), PortFlags.PHYSICAL)),
    st.sampled_from(((), (), ("x1:a",), ("x1:a", "a:1"))),
    st.integers(0, 1),
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
            speakers={pair: asked.speakers(pair) for pair in pairs},
        )


class Histories(RuleBasedStateMachine):
    """Ports come, change and go, rules are switched; a matcher that saw it all is compared with a new one."""

    @initialize(configuration=configs(), client_name=st.sampled_from(("router", "router-01")))
    def begin(self, configuration: Config, client_name: str) -> None:
        self.client_name = client_name
        self.configuration = configuration
        self.matcher = Matcher(configuration, client_name=client_name)
        self.ports: dict[PortName, Port] = {}
        self.switched: dict[str, bool] = {}
        self.decided: dict[Connection, Decision] = {}

    @rule(port=ports)
    def port_appeared_or_changed(self, port: Port) -> None:
        self.matcher.add_port(port)
        self.ports[port.name] = port

    @precondition(lambda self: self.ports)
    @rule(data=st.data())
    def port_went(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.ports)))
        self.matcher.remove_port(name)
        del self.ports[name]

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
        pairs = [Connection(a, b) for a in self.ports for b in self.ports]
        self.decided = {pair: self.matcher.decide(pair) for pair in pairs}

    @invariant()
    def incremental_equals_from_scratch(self) -> None:
        known = list(self.ports.values())
        anew = matcher(self.configuration, reversed(known), client_name=self.client_name)
        for name, enabled in self.switched.items():
            anew.set_rule_enabled(name, enabled)
        assert Answers.of(self.matcher, known) == Answers.of(anew, known)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


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
def _situations(draw: st.DrawFn) -> tuple[Matcher, Graph, dict[Connection, str], set[Connection], set[Connection]]:
    """Give a matcher and a graph with some connections; some of those are owned; some pairs are held or kept."""
    configuration = draw(configs())
    known = draw(st.lists(ports, max_size=10, unique_by=lambda port: port.name))
    asked = matcher(configuration, known)
    possible = [Connection(a.name, b.name) for a in known for b in known if a.is_source and not b.is_source and a.type is b.type]
    some = st.sets(st.sampled_from(possible)) if possible else st.just(set())
    connected = draw(some)
    owned = dict.fromkeys(draw(some) & connected, "r0")
    return asked, graph(known, connected), owned, draw(some), draw(some)


@given(_situations(), st.sampled_from(list(Unmatched)))
def test_the_plan_converges_and_never_cuts_what_it_should_not(
    situation: tuple[Matcher, Graph, dict[Connection, str], set[Connection], set[Connection]], unmatched: Unmatched
) -> None:
    asked, now, owned, held, kept = situation
    before = set(now.connections)
    made = plan(asked, now, owned=owned, held=held, kept=kept, unmatched=unmatched)
    for step in made.steps:
        verdict = asked.decide(step.connection).verdict
        if step.deed is Deed.CONNECT:
            assert verdict is Verdict.WANTED
            assert step.connection not in held
            assert now.connect(step.connection)
            owned[step.connection] = step.owner
        else:
            assert step.connection in before
            assert step.connection not in kept
            assert verdict is Verdict.FORBIDDEN or (
                verdict is Verdict.UNSPOKEN and (step.connection in owned or unmatched is Unmatched.REMOVE)
            )
            assert now.disconnect(step.connection)
            owned.pop(step.connection, None)
    owned = {pair: name for pair, name in owned.items() if pair not in made.released} | dict(made.adopted)
    assert owned == {pair: name for pair, name in owned.items() if asked.wanted()[pair].name == name}
    again = plan(asked, now, owned=owned, held=held, kept=kept, unmatched=unmatched)
    assert (again.steps, again.adopted, again.released) == ((), {}, frozenset())
    assert set(asked.wanted()) - held <= now.connections
