"""The soak in small; `make soak` is the long one, and measures what depends on how busy the machine is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from benchmarks.figures import Bound
from benchmarks.surroundings import Surroundings, surroundings
from soak import deaths, frozen, mirror
from soak.lag import Clocks, clocks
from soak.servers import Jack2, Kind, PipeWire
from soak.studio import NATIVE

DEATHS = 40


@pytest.fixture
def around() -> Iterator[Surroundings]:
    """Give where the soak runs."""
    with surroundings(NATIVE) as around:
        yield around


@pytest.fixture
def files(around: Surroundings) -> Iterator[Clocks]:
    """Give where the daemon counts."""
    with clocks(around) as files:
        yield files


def broken(facts: list[Bound]) -> list[str]:
    """Give what is not as it must be."""
    return [str(fact) for fact in facts if not fact.kept]


@pytest.mark.timeout(60 + 3 * DEATHS)
def test_everything_is_back_after_each_death(around: Surroundings, files: Clocks) -> None:
    assert broken(deaths.run(around, files, DEATHS, seed=1).facts()) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Jack2, partial(PipeWire, is_managed=False)], ids=["jackd", "pipewire"])
def test_a_frozen_server_is_told_of_and_waited_for(
    around: Surroundings, files: Clocks, kind: Callable[[Surroundings], Kind]
) -> None:
    assert broken(frozen.run(around, files, kind(around), seconds=5).facts()) == []


def test_the_mirror_is_right_after_each_round(around: Surroundings, files: Clocks) -> None:
    assert broken(mirror.run(around, files, around.server(), rounds=10).facts()) == []
