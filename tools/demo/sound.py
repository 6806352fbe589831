"""Sound through a bus: two JACK clients, a player and a recorder, that begin at the same frame of the server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.support.jack_client import JackClient, Samples

RATE_HZ = 48_000
_PREPARE_S = 0.3
"""Until both clients know what to do, also on a busy machine."""
_TAIL_FRAMES = 4_096
"""Recorded beyond the length of the block: room for it to be late."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What was sent and what was recorded, both from the same frame on, one array a channel."""

    sent: tuple[Samples, ...]
    recorded: tuple[Samples, ...]


def pass_through(
    player: JackClient, outputs: Sequence[str], recorder: JackClient, inputs: Sequence[str], block: Samples
) -> Passed:
    """Send one block a channel (the rows of `block`) and record it."""
    frames = block.shape[1] + _TAIL_FRAMES
    sent: Mapping[str, Samples] = {port: np.ascontiguousarray(row) for port, row in zip(outputs, block, strict=True)}
    at = recorder.frame_time() + round(_PREPARE_S * RATE_HZ)
    recorder.begin({}, inputs, frames, at=at)
    player.begin(sent, (), frames, at=at)
    recorded = recorder.finish().channels
    player.finish()
    return Passed(tuple(sent.values()), tuple(recorded[port] for port in inputs))


def sine(level_db: float, frames: int = RATE_HZ, hz: int = 960) -> Samples:
    """Give whole periods of a sine whose peak is at this level in dBFS."""
    tone: Samples = (10 ** (level_db / 20) * np.sin(np.arange(frames) * (2 * math.pi * hz / RATE_HZ))).astype(np.float32)
    return tone


def gain_db(before: Samples, after: Samples) -> float:
    """Give by how much one is louder than the other, of equally long pieces of the same sound."""
    return 10 * math.log10(float(np.sum(after.astype(np.float64) ** 2)) / float(np.sum(before.astype(np.float64) ** 2)))
