"""What can be set on a bus at run time: what the configuration and the active profile say, and what outlives a change of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from jackd_router.core.config import ALL_MIDI_CHANNELS, BusConfig, BusType, Profile, ProfileBus
from jackd_router.core.errors import UserError
from jackd_router.core.mix import GAIN_MAX_DB, SILENCE_DB, channel_gains_of, matrix_of

_MATRIX_LIMIT = 10.0

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class BusValues:
    """Everything that can be set: gains in dB, one of `channel_gains_db` per input; a row of the matrix per output.

    Of a bus of MIDI only mute and the channels can be; it has neither channel gains nor a matrix.
    """

    gain_db: float
    mute: bool
    channel_gains_db: tuple[float, ...]
    matrix: Matrix
    midi_channels: tuple[int, ...] = ALL_MIDI_CHANNELS

    @property
    def shape(self) -> tuple[int, int]:
        """How many outputs and inputs the values are for."""
        return len(self.matrix), len(self.channel_gains_db)


@dataclass(frozen=True, slots=True)
class KeptValues:
    """What was set on a bus by hand, and what the configuration said then under the profile that was active."""

    live: BusValues
    configured: BusValues


def values_of(bus: BusConfig, profile: Profile) -> BusValues:
    """Give what is configured: what the profile names, and else the bus's own."""
    own = BusValues(
        gain_db=bus.gain_db,
        mute=bus.mute,
        channel_gains_db=channel_gains_of(bus),
        matrix=matrix_of(bus),
        midi_channels=bus.midi_channels,
    )
    named = profile.buses.get(bus.name, ProfileBus())
    return replace(
        own,
        gain_db=own.gain_db if named.gain_db is None or bus.type is BusType.MIDI else named.gain_db,
        mute=own.mute if named.mute is None else named.mute,
    )


def named_by(profile: Profile, bus: str) -> frozenset[str]:
    """Give the fields of `BusValues` that the profile sets on a bus."""
    named = profile.buses.get(bus, ProfileBus())
    return frozenset(name for name in ("gain_db", "mute") if getattr(named, name) is not None)


def carried_over(live: BusValues, before: BusValues, now: BusValues, *, switched: frozenset[str] = frozenset()) -> BusValues:
    """Give what is set after a change from the configured values `before` to `now`.

    What was set by hand stays where the configuration says what it said; `switched` names fields that start anew all the
    same, because the profile that named them has come or gone.
    """
    anew = {
        field.name: getattr(now, field.name)
        for field in fields(BusValues)
        if field.name in switched or getattr(before, field.name) != getattr(now, field.name)
    }
    return replace(live, **anew)


def checked_values(bus: str, values: BusValues) -> BusValues:
    """Give the values within their limits; raise UserError where one cannot be, or where they do not fit together."""
    if any(len(row) != len(values.channel_gains_db) for row in values.matrix):
        raise UserError(f"the matrix of bus {bus!r} has not as many columns as there are channel gains")
    return BusValues(
        gain_db=checked_gain(f"the gain of bus {bus!r}", values.gain_db),
        mute=values.mute,
        channel_gains_db=checked_channel_gains(bus, values.channel_gains_db),
        matrix=checked_matrix(bus, values.matrix),
        midi_channels=checked_midi_channels(bus, values.midi_channels),
    )


def checked_gain(what: str, gain_db: float) -> float:
    """Give a gain that can be; everything below silence is silence. Raise UserError."""
    if math.isnan(gain_db) or gain_db > GAIN_MAX_DB:
        raise UserError(f"{what} cannot be {gain_db:g} dB: from {SILENCE_DB:g} (silence) to {GAIN_MAX_DB:+g}")
    return max(gain_db, SILENCE_DB)


def checked_channel_gains(bus: str, gains_db: Sequence[float]) -> tuple[float, ...]:
    """Give channel gains that can be. Raise UserError."""
    return tuple(checked_gain(f"channel gain {i} of bus {bus!r}", gain) for i, gain in enumerate(gains_db, 1))


def checked_matrix(bus: str, matrix: Sequence[Sequence[float]]) -> Matrix:
    """Give a matrix whose factors can be. Raise UserError."""
    return tuple(tuple(_checked_row(bus, output, row)) for output, row in enumerate(matrix, 1))


def checked_midi_channels(bus: str, channels: Iterable[int]) -> tuple[int, ...]:
    """Give MIDI channels that can be, in order. Raise UserError."""
    found = tuple(sorted(set(channels)))
    if not found:
        raise UserError(f"no MIDI channel of bus {bus!r} would pass: mute it instead")
    if wrong := set(found) - set(ALL_MIDI_CHANNELS):
        raise UserError(f"there is no MIDI channel {min(wrong)} for bus {bus!r}: from 1 to 16")
    return found


def _checked_row(bus: str, output: int, row: Sequence[float]) -> Iterator[float]:
    for position, factor in enumerate(row, 1):
        if not abs(factor) <= _MATRIX_LIMIT:
            raise UserError(f"the factor {factor!r} at output {output}, input {position} of bus {bus!r} is not in -10 ... 10")
        yield factor
