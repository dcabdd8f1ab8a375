"""How a potential errs in the stages of a melt-quench: their order, each snapshot, and the mean over repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from ..contract.arrays import Array
from ..contract.frames import Frames

NO_STAGE = 'other'
"""Of snapshots that name none."""


@dataclass(frozen=True)
class Snapshots:
    """What is known of each of F snapshots: their stages in the order of time, and where each is.

    :ivar stages: names, in order.
    :ivar stage_of: (F,) names.
    :ivar times_ps: (F,), or ``None`` if one of them has no time.
    """

    stages: tuple[str, ...]
    stage_of: tuple[str, ...]
    times_ps: Array | None


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (with n - 1) of a number over n repeats; ``std`` is ``None`` for one."""

    mean: float
    std: float | None
    n: int


def snapshots_of(stages: Sequence[str | None], times_ps: Sequence[float | None]) -> Snapshots:
    """Return snapshots with their stages ordered by their mean time, or as they first occur where times are unknown."""
    names = tuple(NO_STAGE if name is None else str(name) for name in stages)
    order = list(dict.fromkeys(names))
    if any(time is None for time in times_ps):
        return Snapshots(tuple(order), names, None)
    times = np.array(times_ps, dtype=float)
    member = np.array(names)
    order.sort(key=lambda name: float(times[member == name].mean()))
    return Snapshots(tuple(order), names, times)


def force_rmse(reference: Frames, predicted: Frames) -> Array:
    """Return the root mean square over the force components of each frame (F,) in eV/Ang, NaN where one is unknown."""
    if reference.forces is None or predicted.forces is None:
        return np.full(reference.n_frames, np.nan)
    squares = np.square(predicted.forces - reference.forces).mean(axis=1)
    return np.sqrt(_means(squares, reference))


def energy_errors(reference: Frames, predicted: Frames, offsets_ev: Mapping[str, float]) -> Array:
    """Return predicted minus reference energy of each frame (F,) in eV per atom, after offsets; NaN where unknown.

    :param offsets_ev: by element what the potential is short of the reference; elements without one have none.
    """
    if reference.energies is None or predicted.energies is None:
        return np.full(reference.n_frames, np.nan)
    shift = np.array([offsets_ev.get(chemical_symbols[number], 0.0) for number in range(len(chemical_symbols))])
    per_atom = (predicted.energies - reference.energies) / np.diff(reference.offsets)
    return np.asarray(per_atom + _means(shift[reference.numbers], reference))


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of repeats.

    :raises ValueError: if there are none.
    """
    if not len(values):
        raise ValueError('there are no repeats to average')
    many = len(values) > 1
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if many else None, len(values))


def _means(per_atom: Array, frames: Frames) -> Array:
    """Return the mean over the atoms of each frame."""
    return np.add.reduceat(per_atom, frames.offsets[:-1]) / np.diff(frames.offsets)
