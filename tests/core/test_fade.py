"""Fades in dB: where they are at each moment."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackd_router.core.fade import Fade
from jackd_router.core.mix import amplitude

GAINS = st.floats(-144, 20)


@given(start=GAINS, end=GAINS, frames=st.integers(1, 10**7))
def test_factor_leads_from_the_beginning_to_the_end(start: float, end: float, frames: int) -> None:
    fade = Fade(start, end, frames)
    assert fade.ratio * fade.factor**frames == pytest.approx(1, rel=1e-6)
    assert fade.gain_db(frames // 2) == pytest.approx(start - 20 * math.log10(1 / fade.factor) * (frames // 2), abs=1e-5)


@given(start=GAINS, end=GAINS, frames=st.integers(1, 10**7))
def test_it_begins_at_the_beginning_and_stays_at_the_end(start: float, end: float, frames: int) -> None:
    fade = Fade(start, end, frames)
    assert fade.gain_db(0) == fade.gain_db(-5) == start
    assert fade.gain_db(frames) == fade.gain_db(2 * frames) == end
    assert min(start, end) - 1e-9 <= fade.gain_db(frames // 2) <= max(start, end) + 1e-9


def test_silence_stands_at_minus_144_db() -> None:
    fade = Fade(0.0, -144.0, 1000)
    assert amplitude(fade.end_db) == 0
    assert fade.gain_db(500) == -72
    assert fade.ratio == pytest.approx(10**7.2)
