"""A fade of a gain over a given time, linear in dB."""

from __future__ import annotations

from dataclasses import dataclass

from jackd_router.core.mix import SILENCE_DB


@dataclass(frozen=True, slots=True)
class Fade:
    """From one gain in dB to another, over so many frames; silence stands at -144 dB."""

    start_db: float
    end_db: float
    frames: int

    @property
    def ratio(self) -> float:
        """The amplitude at the beginning, as a multiple of that at the end."""
        return float(10.0 ** ((max(self.start_db, SILENCE_DB) - max(self.end_db, SILENCE_DB)) / 20.0))

    @property
    def factor(self) -> float:
        """By what each frame multiplies the amplitude."""
        return float(self.ratio ** (-1.0 / self.frames))

    def gain_db(self, frames: int) -> float:
        """Give the gain after so many frames."""
        share = min(max(frames / self.frames, 0.0), 1.0)
        return self.end_db if share == 1.0 else self.start_db + (self.end_db - self.start_db) * share
