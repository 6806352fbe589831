"""How long after a program registers a port the port is connected, beside the least that any program can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.contenders import Contender, Floor, Router, others
from benchmarks.figures import Bound, median_range, ms, percentile, table
from benchmarks.surroundings import Surroundings

OTHER_PORTS = (0, 1500)
MOST_RATIO = 1.35
OTHERS_ROUNDS = 25


@dataclass(slots=True)
class Times:
    """What the probe saw of one contender, in microseconds from the registration; a list for each run."""

    registered: list[list[int]] = field(default_factory=list)
    connected: list[list[int]] = field(default_factory=list)
    in_force: list[list[int]] = field(default_factory=list)
    missed: int = 0

    def add(self, lines: Sequence[str]) -> None:
        """Take the lines of one run of the probe."""
        rounds = [tuple(map(int, line.split())) for line in lines]
        made = [one for one in rounds if one[1] >= 0]
        self.missed += len(rounds) - len(made)
        if not made:
            raise RuntimeError("not one connection was made")
        for column, values in zip((self.registered, self.connected, self.in_force), zip(*made, strict=True), strict=True):
            column.append(list(values))

    @staticmethod
    def pooled(runs: list[list[int]]) -> list[int]:
        """Give the values of all runs."""
        return [value for run in runs for value in run]


def measure(around: Surroundings, *, quick: bool) -> list[Bound]:
    """Print the table and give the bounds."""
    runs, rounds = (2, 30) if quick else (8, 50)
    print(
        f"From a program's call of jack_port_register on, in ms; {runs} runs of {rounds} rounds in turn, others {OTHERS_ROUNDS}\n"
    )
    rivals, missing = others()
    rows: list[list[str]] = []
    bounds: list[Bound] = []
    for ports in OTHER_PORTS:
        floor, router = Floor(), Router()
        compared: list[Contender] = [floor, router]
        turns = [(one, rounds) for one in compared * runs] + [(one, OTHERS_ROUNDS) for one in rivals if not quick]
        times = _take_turns(around, turns, ports)
        least = median(Times.pooled(times[floor.name].connected))
        rows += [_row(ports, name, one, least) for name, one in times.items()]
        ratio = median(Times.pooled(times[router.name].connected)) / least
        quietest = _quietest(times[router.name]) / _quietest(times[floor.name])
        told = f"{ratio:.2f} x floor at {ports} other ports (at most {MOST_RATIO}; {quietest:.2f} in the quietest run of each)"
        bounds.append(Bound(f"reaction: {told}", ratio <= MOST_RATIO))
        lost = times[router.name].missed
        bounds.append(Bound(f"reaction: {lost} missed at {ports} other ports (none)", lost == 0))
    head = ["who", "other ports", "connected", "p99", "x floor", "more than floor", "runs", "in force", "registered", "missed"]
    print(table(head, rows))
    for reason in missing:
        print(f"Not compared: {reason}")
    return bounds


def _take_turns(around: Surroundings, turns: Sequence[tuple[Contender, int]], ports: int) -> dict[str, Times]:
    """Run each contender in its turn: what else the machine does then falls on all of them alike."""
    times: dict[str, Times] = {}
    server = around.server()
    with server, around.crowd(ports, server):
        for contender, rounds in turns:
            seen = times.setdefault(contender.name, Times())
            with contender.running(around, server), around.native("probe", str(rounds), server=server) as probe:
                seen.add(probe.rest())
    return times


def _quietest(times: Times) -> float:
    return min(median(run) for run in times.connected)


def _row(ports: int, name: str, times: Times, least: float) -> list[str]:
    connected = Times.pooled(times.connected)
    middle = median(connected)
    return [
        name,
        str(ports),
        ms(middle),
        ms(percentile(connected, 99)),
        f"{middle / least:.2f}",
        ms(middle - least),
        median_range(times.connected),
        ms(median(Times.pooled(times.in_force))),
        ms(median(Times.pooled(times.registered))),
        str(times.missed),
    ]
