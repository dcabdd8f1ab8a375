"""Random numbers that are a function of seed, step and purpose: no state to store, no order to keep.

The generator is Philox (Salmon et al., SC '11), which encrypts a counter with a key: the same three numbers give the
same noise, in whichever batch, after whichever interruption.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from ....contract.arrays import Array


class Purpose(IntEnum):
    """What noise is for: each has a stream of its own."""

    VELOCITIES = 0
    THERMOSTAT = 1
    BAROSTAT = 2


def normal(seed: int, step: int, purpose: Purpose, shape: tuple[int, ...]) -> Array:
    """Return independent standard normal numbers."""
    key = np.array([seed, purpose], dtype=np.uint64)
    counter = np.array([0, 0, 0, step], dtype=np.uint64)  # the lowest word counts within a step
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).standard_normal(shape)
