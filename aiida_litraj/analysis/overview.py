"""A data set at a glance: the numbers of its entries that a figure shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array
from .hull import MOST_COMPOSITIONS, energies_above_hull
from .selection import fractions_of

MOST_GROUPS = 8
"""Families that can be told apart in a figure; of more the smallest become one."""
REST = 'others'
FAR = 5.0
MOST_OUTSIDE = 0.05


@dataclass(frozen=True)
class Overview:
    """Numbers of n entries.

    :ivar groups: names of splits or families, the largest first.
    :ivar member: (n,) index into ``groups``.
    :ivar elements: of the columns of ``fractions``.
    :ivar fractions: (n, elements), atomic fractions.
    :ivar sizes: (n,), numbers of atoms.
    :ivar energies: (n,) in eV per atom, NaN where not known, or None.
    :ivar above_hull: (n,) in eV per atom, NaN where not known, or None.
    :ivar barriers: (n,) in eV, NaN where not known, or None.
    :ivar barrier_name: which barrier that is, in words.
    :ivar conductivities: (n,) in S/cm, NaN where only a bound or nothing is known, or None.
    :ivar bounded: number of entries of whose conductivity only a bound is known.
    :ivar of_bands: whether an entry is a band or path, so that its energy is the lowest of its images.
    """

    groups: tuple[str, ...]
    member: npt.NDArray[np.int64]
    elements: tuple[str, ...]
    fractions: Array
    sizes: npt.NDArray[np.int64]
    energies: Array | None
    above_hull: Array | None
    barriers: Array | None
    barrier_name: str = 'Barrier'
    conductivities: Array | None = None
    bounded: int = 0
    of_bands: bool = False

    def fraction_of(self, element: str) -> Array:
        """Return the atomic fraction (n,) of one element."""
        if element not in self.elements:
            return np.zeros(len(self.sizes))
        return np.asarray(self.fractions[:, self.elements.index(element)])


def overview(
    groups: Sequence[str],
    compositions: Sequence[Mapping[str, float]],
    sizes: Sequence[int],
    energies: Sequence[float | None],
    barriers: Sequence[float | None],
    barrier_name: str = 'Barrier',
    conductivities: Sequence[float | None] = (),
    bounded: int = 0,
    of_bands: bool = False,
) -> Overview:
    """Return the overview of entries from what is known of each, in one order.

    :param energies: in eV per atom.
    :param barriers: in eV.
    :param conductivities: in S/cm.
    """
    names = _group_names(groups)
    place = {name: index for index, name in enumerate(names)}
    fractions = fractions_of(compositions)
    known = _numbers(energies)
    above = None
    if known is not None:
        there = np.isfinite(known)
        if len(np.unique(np.round(fractions[there], 9), axis=0)) <= MOST_COMPOSITIONS:
            above = np.full(len(known), np.nan)
            above[there] = energies_above_hull(fractions[there], known[there])
    return Overview(
        groups=names,
        member=np.array([place.get(name, place.get(REST, 0)) for name in groups], dtype=np.int64),
        elements=tuple(sorted({symbol for one in compositions for symbol in one})),
        fractions=fractions,
        sizes=np.asarray(sizes, dtype=np.int64),
        energies=known,
        above_hull=above,
        barriers=_numbers(barriers),
        barrier_name=barrier_name,
        conductivities=_numbers(conductivities),
        bounded=bounded,
        of_bands=of_bands,
    )


def usual_range(values: Array) -> tuple[float, float]:
    """Return the range of the finite ones of some values without far outliers, by which a histogram has narrow bins.

    Far is more than five times the distance of the quartiles beyond them (Tukey's far fence is three). If more than
    a twentieth would lie outside, they are no outliers, and the range is that of all.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    first, third = np.quantile(finite, (0.25, 0.75))
    reach = FAR * (third - first)
    within = finite[(finite >= first - reach) & (finite <= third + reach)]
    if not reach or len(within) < (1 - MOST_OUTSIDE) * len(finite):
        return low, high
    return float(within.min()), float(within.max())


def _numbers(values: Sequence[float | None]) -> Array | None:
    if all(value is None for value in values):
        return None
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _group_names(groups: Sequence[str]) -> tuple[str, ...]:
    """Return the groups in the order train, val, test, or by size; of too many the largest and the rest."""
    counts = Counter(groups)
    splits = ('train', 'val', 'test')
    order = sorted(counts, key=lambda name: (splits.index(name) if name in splits else 3, -counts[name], name))
    return tuple(order) if len(order) <= MOST_GROUPS else (*order[: MOST_GROUPS - 1], REST)
