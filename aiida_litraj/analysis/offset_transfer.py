"""Where offsets of the elements may be taken to that were fitted to other configurations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from ..contract.arrays import Array
from ..contract.frames import Frames
from .deviations import Mask
from .energy_offsets import OffsetFit
from .frames import composition


@dataclass(frozen=True)
class Transfer:
    """Offsets brought to F configurations.

    :ivar shift_ev: (F,) sum of the offsets over the atoms, in eV; elements that were not in the fit count nothing.
    :ivar determined: (F,) whether the fit says that sum. Without a fit (method ``none``) there is nothing to be said,
        and all are.
    :ivar safe: formulas of the compositions that are determined, and ``unsafe`` of those that are not.
    """

    shift_ev: Array
    determined: Mask
    safe: tuple[str, ...]
    unsafe: tuple[str, ...]


def transfer(fit: OffsetFit, frames: Frames) -> Transfer:
    """Return what offsets say of configurations, whether of those of the fit or others."""
    every = all_counts(frames)
    counts = every[:, [atomic_numbers[symbol] for symbol in fit.elements]]
    kinds, firsts, which = np.unique(every, axis=0, return_index=True, return_inverse=True)
    said = np.array([_says(fit, counts[first], kind) for first, kind in zip(firsts, kinds, strict=True)], dtype=bool)
    names = np.array([composition(kind.astype(np.int64).tobytes())[0] for kind in kinds])
    return Transfer(
        counts @ fit.offsets_ev,
        said[which.reshape(-1)],
        tuple(sorted(set(names[said].tolist()))),
        tuple(sorted(set(names[~said].tolist()))),
    )


def element_counts(frames: Frames) -> tuple[tuple[str, ...], Array]:
    """Return the elements of some configurations, and how many atoms of each one has (F, e)."""
    every = all_counts(frames)
    there = np.flatnonzero(every.sum(axis=0))
    return tuple(chemical_symbols[number] for number in there), every[:, there]


def all_counts(frames: Frames) -> Array:
    """Return how many atoms of each atomic number, from 0, a configuration has."""
    owner = np.repeat(np.arange(frames.n_frames), np.diff(frames.offsets))
    every = np.zeros((frames.n_frames, len(chemical_symbols)))
    np.add.at(every, (owner, frames.numbers), 1.0)
    return every


def _says(fit: OffsetFit, counts: Array, every: Array) -> bool:
    if fit.method == 'none':
        return True
    return bool(counts.sum() == every.sum() and fit.determines(counts))
