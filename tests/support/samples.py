"""Samples as bits: what arithmetic would change, or could not even compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

PATTERNS = np.array(
    [
        *(0x00000000, 0x80000000, 0x3F800000, 0xBF800000),  # zeros and ones
        *(0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF),  # denormals
        *(0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000),  # smallest, largest, infinite
        *(0x7FC00000, 0xFFC00000, 0x7FC12345, 0x7FFFFFFF, 0x7F800001, 0xFF812345),  # NaNs: quiet, signalling, with payloads
    ],
    np.uint32,
)


def bits(samples: Samples) -> list[int]:
    """Give samples as their bit patterns, which compare also where they are NaN."""
    return [int(pattern) for pattern in samples.view(np.uint32).ravel()]


def random_bits(frames: int, seed: int) -> Samples:
    """Give samples of any bit pattern: one in 256 is a NaN, about as many are denormal."""
    return np.random.default_rng(seed).integers(0, 2**32, frames, dtype=np.uint32).view(np.float32)
