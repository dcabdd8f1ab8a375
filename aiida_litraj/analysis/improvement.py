"""Potentials side by side on the same configurations: what each is off, and whether one is better than another.

An improvement is the ratio of two root mean square errors of the same configurations. It is paired: groups of
configurations count for both at once, so that what makes a group hard for both does not blur it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from ..contract.frames import Frames
from .bootstrap import Bootstrap, Interval
from .deviations import Deviation, Integers, Mask, Sums

_SQUARES = 2
"""Column of ``Sums`` with the squares of the deviations."""


@dataclass(frozen=True)
class Judged:
    """What a potential is off: forces in eV/Ang by components, energies in eV per atom."""

    force: Deviation
    energy: Deviation
    force_sums: Sums
    energy_sums: Sums


@dataclass(frozen=True)
class Ratio:
    """A root mean square error over that of another; below one it is the better. ``None``: too few groups to say."""

    value: float
    interval: Interval | None
    n_groups: int

    def is_below(self, bound: float) -> bool | None:
        """Return whether the whole interval is below ``bound``; ``None`` without an interval."""
        return None if self.interval is None else self.interval[1] < bound

    def is_above(self, bound: float) -> bool | None:
        """Return whether the whole interval is above ``bound``; ``None`` without an interval."""
        return None if self.interval is None else self.interval[0] > bound


def judge(
    reference: Frames,
    predicted: Mapping[str, Frames],
    groups: Sequence[str] | None,
    bootstrap: Bootstrap,
    shifts_ev: Mapping[str, Array] | None = None,
    comparable: Mask | None = None,
) -> dict[str, Judged]:
    """Return what each potential is off on the configurations that all of them have evaluated.

    :param groups: of each configuration to what it belongs, which is drawn whole; ``None``: each is its own.
    :param shifts_ev: by potential (F,) what is added to its energies in eV before they are compared.
    :param comparable: (F,) of which configurations energies can be compared; by default of all.
    """
    drawn = numbered(groups, reference.n_frames)
    forces = {name: _force_differences(reference, one) for name, one in predicted.items()}
    energies = {
        name: _energy_differences(reference, one, (shifts_ev or {}).get(name)) for name, one in predicted.items()
    }
    with_forces = _common([_whole(reference, one) for one in forces.values()], reference.n_frames)
    with_energy = _common([np.isfinite(one) for one in energies.values()], reference.n_frames)
    if comparable is not None:
        with_energy &= comparable
    return {
        name: _judged(reference, forces[name], energies[name], with_forces, with_energy, drawn, bootstrap)
        for name in predicted
    }


def ratio(after: Sequence[Sums], before: Sequence[Sums], groups: Sequence[str] | None, bootstrap: Bootstrap) -> Ratio:
    """Return the root of the mean square error of some repeats over that of others, with its paired interval.

    :param after: of each repeat its sums over the same configurations; their mean squares are averaged.
    :param before: the same of what it is compared with.
    :raises ValueError: if there are no numbers, or the errors compared with are all zero.
    """
    above, below = (np.mean([one.values[:, _SQUARES] for one in side], axis=0) for side in (after, before))
    counted = before[0].values[:, 0] > 0
    if not counted.any() or not below[counted].sum() > 0.0:
        raise ValueError('there is no error to compare with')
    drawn = numbered(groups, len(above))[counted]
    names, which = np.unique(drawn, return_inverse=True)
    pools = bootstrap.pooled(len(names))[which.reshape(-1)]
    per_group = np.zeros((2, int(pools.max()) + 1))
    np.add.at(per_group[0], pools, above[counted])
    np.add.at(per_group[1], pools, below[counted])
    squared = bootstrap.interval(per_group[0], per_group[1], positive=True)
    value = float(np.sqrt(per_group[0].sum() / per_group[1].sum()))
    interval = None if squared is None else (float(squared[0] ** 0.5), float(squared[1] ** 0.5))
    return Ratio(value, interval, len(names))


def numbered(groups: Sequence[str] | None, n_frames: int) -> Integers:
    """Return the group of each configuration (n_frames,) as a number."""
    if groups is None:
        return np.arange(n_frames)
    return np.unique(np.array(groups), return_inverse=True)[1].reshape(-1)


def _judged(
    reference: Frames, forces: Array, energies: Array, with_forces: Mask, with_energy: Mask, drawn: Integers,
    bootstrap: Bootstrap,
) -> Judged:  # fmt: skip
    owner = np.repeat(np.arange(reference.n_frames), np.diff(reference.offsets))
    here = with_forces[owner]
    own = np.zeros((int(here.sum()), 3)) if reference.forces is None else reference.forces[here]
    force = Sums.of(own, own + forces[here], owner[here], reference.n_frames)
    there = np.flatnonzero(with_energy)
    none = np.zeros((len(there), 1))
    energy = Sums.of(none, energies[there, None], there, reference.n_frames)
    return Judged(force.deviation(drawn, bootstrap), energy.deviation(drawn, bootstrap, slope=False), force, energy)


def _force_differences(reference: Frames, predicted: Frames) -> Array:
    if reference.forces is None or predicted.forces is None:
        return np.full(reference.positions.shape, np.nan)
    return np.asarray(predicted.forces - reference.forces)


def _energy_differences(reference: Frames, predicted: Frames, shift_ev: Array | None) -> Array:
    if reference.energies is None or predicted.energies is None:
        return np.full(reference.n_frames, np.nan)
    short = predicted.energies - reference.energies + (0.0 if shift_ev is None else shift_ev)
    return np.asarray(short / np.diff(reference.offsets))


def _whole(reference: Frames, differences: Array) -> Mask:
    """Return of which configurations all components are known."""
    unknown = (~np.isfinite(differences)).sum(axis=1)
    return np.asarray(np.add.reduceat(unknown, reference.offsets[:-1]) == 0)


def _common(masks: Sequence[Mask], n_frames: int) -> Mask:
    return np.logical_and.reduce(masks) if masks else np.zeros(n_frames, dtype=bool)
