"""Figures as they are printed: medians, percentiles, tables, and the bounds that they are compared with."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must be, and whether it is."""

    text: str
    kept: bool

    def __str__(self) -> str:
        """Give one line."""
        return f"{'kept    ' if self.kept else 'EXCEEDED'}  {self.text}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def signed_rank(differences: Sequence[float]) -> float:
    """Give the chance of differences that are as much above 0 as these, or more, where either sign is as likely as the other.

    Wilcoxon's signed-rank test, one-sided and exact: those that are 0 say nothing, equal ones share their ranks.
    """
    sizes = sorted(abs(difference) for difference in differences if difference)
    # Twice the rank, which is whole for shared ranks, too: first place and last place of that size, from 1.
    twice = {size: bisect_left(sizes, size) + 1 + bisect_right(sizes, size) for size in sizes}
    above = sum(twice[difference] for difference in differences if difference > 0)
    ways = {0: 1}
    """How many choices of signs have which sum of ranks above 0."""
    for size in sizes:
        grown = dict(ways)
        for total, count in ways.items():
            grown[total + twice[size]] = grown.get(total + twice[size], 0) + count
        ways = grown
    return float(sum(count for total, count in ways.items() if total >= above) / 2 ** len(sizes))


def median_range(runs: Sequence[Sequence[float]]) -> str:
    """Give the smallest and the largest median of several runs, in ms."""
    medians = [statistics.median(run) for run in runs]
    return f"{ms(min(medians))}-{ms(max(medians))}"


def ms(microseconds: float) -> str:
    """Give microseconds as milliseconds."""
    return f"{microseconds / 1000:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table with the first column to the left and figures to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
