"""Previews: what rules would do to a graph, as the report that D-Bus and the command line give."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import replace

from jackd_router.core.config import DEFAULT_PROFILE, Config
from jackd_router.core.deciding.matcher import Matcher
from jackd_router.core.deciding.plan import Deed, Plan, Situation, plan_in_steps, shadowed, unmet
from jackd_router.core.deciding.sound_paths import Passages
from jackd_router.core.deciding.words import refusal_text
from jackd_router.core.errors import Problem, Severity
from jackd_router.core.graph import Connection, Graph, Port, PortFlags, PortName, PortType, client_of
from jackd_router.core.mix import bus_passages, strip_of
from jackd_router.core.selecting.selectors import PortSelector
from jackd_router.core.steps import run_at_once
from jackd_router.runtime.state import PlanReport


def simulate(
    config: Config,
    graph: Graph,
    owned: Mapping[Connection, str] | None = None,
    *,
    client_name: str = "",
    profile: str = DEFAULT_PROFILE.name,
) -> PlanReport:
    """Give what a configuration would do to a graph that nobody has to have.

    `owned`: whose connections are, as far as that is known; `client_name`: ours there.
    """
    client_name = client_name or config.client_name
    graph, dropped = with_its_buses(graph, config, client_name)
    matcher = Matcher(config, client_name=client_name, graph=graph, profile=profile)
    for port in graph.ports.values():
        matcher.add_port(port)
    now = situation(config, matcher, graph, client_name)
    report = preview(replace(now, owned={pair: rule for pair, rule in (owned or {}).items() if pair in graph.connections}))
    return replace(report, disconnect=(*dropped, *report.disconnect))


def blind_spots(config: Config) -> tuple[Problem, ...]:
    """Give a warning for each rule that asks for metadata: of use where none was read, for then it seems to find nothing."""
    return tuple(
        Problem(
            rule.origin.file,
            rule.origin.line,
            rule.origin.column,
            f'rule "{rule.name}" asks for pretty names or CV, which nobody has read yet: this plan does not know them',
            Severity.WARNING,
        )
        for rule in config.rules
        if rule.enabled and any(isinstance(each, PortSelector) and each.asks_for_metadata for each in rule.selectors)
    )


def with_its_buses(graph: Graph, config: Config, client_name: str) -> tuple[Graph, tuple[Connection, ...]]:
    """Give the graph as it is once our client has the buses of this configuration, and what goes with ports of older ones."""
    after = graph.copy()
    wanted = {port.name: port for port in _bus_ports(config, client_name)}
    gone = [name for name in graph.ports if client_of(name) == client_name and name not in wanted]
    dropped = {connection for name in gone for connection in after.remove_port(name)}
    for name, port in wanted.items():
        if name not in after.ports:
            after.add_port(port)
    return after, tuple(sorted(dropped))


def _bus_ports(config: Config, client_name: str) -> Iterator[Port]:
    for strip in map(strip_of, config.buses):
        for names, flag in ((strip.input_ports(), PortFlags.INPUT), (strip.output_ports(), PortFlags.OUTPUT)):
            kind = PortType.MIDI if strip.is_midi else PortType.AUDIO
            yield from (Port(PortName(f"{client_name}:{name}"), kind, flag) for name in names)


def situation(config: Config, matcher: Matcher, graph: Graph, client_name: str) -> Situation:
    """Give how it stands where nothing is known but the graph."""
    buses = bus_passages(map(strip_of, config.buses), client_name)
    return Situation(
        matcher,
        graph,
        unmatched=config.unmatched,
        feedback=config.feedback,
        passages=Passages.of(buses, matcher.via_passages()),
    )


def preview(now: Situation) -> PlanReport:
    """Give what is to be done, and what the rules are worth on this graph."""
    report, _ = run_at_once(preview_in_steps(now))
    return report


def preview_in_steps(now: Situation) -> Generator[None, None, tuple[PlanReport, Plan]]:
    """Give the same with the plan itself, and pause now and then."""
    made = yield from plan_in_steps(now)
    yield
    without_partners, never_decide = yield from worth_in_steps(now.matcher, made.deciding)
    report = PlanReport(
        connect=made.pairs_to(Deed.CONNECT),
        disconnect=made.pairs_to(Deed.DISCONNECT),
        unmet=without_partners,
        shadowed=never_decide,
        refused=refusals_of(replace(now, refused=made.refused)),
    )
    return report, made


def worth_in_steps(
    matcher: Matcher, deciding: Collection[str] = ()
) -> Generator[None, None, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Find which rules find nothing to speak of, and which earlier ones leave nothing to decide; with pauses.

    `deciding`: rules of which it is known that they decide something.
    """
    without_partners = yield from unmet(matcher)
    never_decide = yield from shadowed(matcher, deciding)
    return without_partners, never_decide


def refusals_of(now: Situation) -> tuple[tuple[str, Connection, str], ...]:
    """Give rule, pair and reason of what the feedback guard stops."""
    deciders = ((now.matcher.decide(pair).rule, pair, feedback) for pair, feedback in sorted(now.refused.items()))
    return tuple((rule.name, pair, refusal_text(feedback)) for rule, pair, feedback in deciders if rule)
