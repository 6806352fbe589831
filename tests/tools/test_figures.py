"""The statistics of the benchmarks, where they decide whether a bound is kept."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import signed_rank


@pytest.mark.parametrize(
    ("differences", "chance"),
    [
        ([], 1),
        ([0, 0], 1),  # nothing that differs
        ([1, 2, 3, 4, 5], 1 / 32),  # all above: one choice of signs of 2 ** 5
        ([-1, -2, -3, -4, -5], 1),
        ([1, 2, 3, 4, -5], 10 / 32),
        ([1, 1, 1, -1], 5 / 16),  # equal sizes share the rank 2.5: how many are above is all that counts
        ([0, 3, 0, 1, 2], 1 / 8),
        ([1, 2, 2, -1, 0, 3, -2, 4, 4, 0, 1, -1], 0.0546875),  # scipy.stats.wilcoxon says the same
    ],
)
def test_signed_rank(differences: list[float], chance: float) -> None:
    assert signed_rank(differences) == pytest.approx(chance)


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_signed_rank_counts_every_choice_of_signs(differences: list[int]) -> None:
    sizes = [abs(difference) for difference in differences if difference]
    ranks = [sum(other < size for other in sizes) + (sizes.count(size) + 1) / 2 for size in sizes]
    above = sum(rank for rank, difference in zip(ranks, filter(None, differences), strict=True) if difference > 0)
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in product((0, 1), repeat=len(sizes))]
    assert signed_rank(differences) == pytest.approx(sum(total >= above for total in sums) / len(sums))
