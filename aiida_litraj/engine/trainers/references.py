"""Energies of the elements that a potential counts from, by least squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...contract.arrays import Array
from ...contract.frames import Frames
from ..models.elements import SYMBOLS
from ..models.interface import Configuration, Evaluator

MOST_EVALUATED = 1000
"""Frames that offsets from a parent are fitted to, spread over the set: there are a few unknowns only."""
_AT_ONCE = 16


def spread(n_frames: int, most: int) -> list[int]:
    """Return at most so many frames, evenly over all."""
    if n_frames <= most:
        return list(range(n_frames))
    return [int(index) for index in np.unique(np.linspace(0, n_frames - 1, most).round())]


def configuration(frames: Frames, index: int) -> Configuration:
    """Return a frame to be evaluated."""
    atoms = slice(frames.offsets[index], frames.offsets[index + 1])
    return Configuration(
        frames.numbers[atoms].astype(np.int64), frames.positions[atoms], frames.cells[index], frames.pbc[index]
    )


def fit(frames: Frames, energies: Array, which: Sequence[int]) -> dict[str, float]:
    """Return the energy of each element in eV whose sums over the atoms come closest to ``energies``.

    Of all that come equally close, as where all frames have the same composition, the one with the smallest sum of
    squares.
    """
    numbers = np.unique(frames.numbers)
    counts = np.array(
        [
            (frames.numbers[frames.offsets[index] : frames.offsets[index + 1], None] == numbers).sum(axis=0)
            for index in which
        ],
        dtype=float,
    )
    sizes = counts.sum(axis=1, keepdims=True)  # by atom: a large frame counts no more than a small one
    found = np.linalg.lstsq(counts / sizes, energies / sizes[:, 0], rcond=None)[0]
    return {SYMBOLS[number]: float(value) for number, value in zip(numbers, found)}


def references(frames: Frames) -> dict[str, float]:
    """Return the energies of the elements fitted to those of a set.

    :raises ValueError: if it has no energies.
    """
    if frames.energies is None:
        raise ValueError('the set has no energies')
    return fit(frames, frames.energies, range(len(frames)))


def offsets(frames: Frames, parent: Evaluator) -> tuple[dict[str, float], int]:
    """Return the offsets of the elements between a set and a potential, and how many frames were evaluated.

    :raises ValueError: if the set has no energies.
    """
    if frames.energies is None:
        raise ValueError('the set has no energies')
    which = spread(len(frames), MOST_EVALUATED)
    found: list[float] = []
    for start in range(0, len(which), _AT_ONCE):
        asked = [configuration(frames, index) for index in which[start : start + _AT_ONCE]]
        found.extend(answer.energy for answer in parent.evaluate(asked))
    return fit(frames, frames.energies[which] - np.array(found), which), len(which)
