"""Lower convex hulls: of a set's own entries, and of crystals on a line between two compounds."""

from __future__ import annotations

import numpy as np

from ..contract.arrays import Array

COMPOSITION_DIGITS = 9
"""Fractions that agree to so many digits are one composition."""
MOST_COMPOSITIONS = 4000
"""The hull takes a linear programme for each composition, about 10 ms at this number."""


def energies_above_hull(fractions: Array, energies: Array) -> Array:
    """Return the energy per atom (n,) in eV above the lowest mixture of entries with the same overall composition.

    References of the elements cancel: a sum over atoms is the same for an entry and for the mixture it is compared
    with. What no other entry can be mixed to lies on the hull by itself, as do the most stable at the corners.

    :param fractions: (n, elements), atomic fractions.
    :param energies: (n,) in eV per atom, all from one level of theory.
    :raises ValueError: if there are too many compositions.
    """
    compositions, which = np.unique(np.round(fractions, COMPOSITION_DIGITS), axis=0, return_inverse=True)
    which = which.reshape(-1)
    if len(compositions) > MOST_COMPOSITIONS:
        raise ValueError(f'{len(compositions)} compositions are too many for a hull, at most {MOST_COMPOSITIONS}')
    lowest = np.full(len(compositions), np.inf)
    np.minimum.at(lowest, which, energies)
    hull = np.array([_mixture(compositions, lowest, index) for index in range(len(compositions))])
    return np.asarray(np.maximum(energies - hull[which], 0.0))


def lower_hull(shares: Array, energies: Array) -> tuple[list[int], Array]:
    """Return the corners of the lower convex hull of points on a line, by rising share, and the heights above it.

    A corner is the lowest point of its share; points that lie on an edge are none. Heights are in the unit of the
    energies and not negative.

    :param shares: (n,), such that energies of mixtures are linear in them.
    :param energies: (n,).
    :raises ValueError: if there is no point.
    """
    if len(shares) == 0:
        raise ValueError('there is no point to make a hull of')
    corners: list[int] = []
    for index in np.lexsort((energies, shares)):
        if corners and shares[index] == shares[corners[-1]]:
            continue  # a higher one of the same composition
        while len(corners) > 1 and _is_not_below(shares, energies, corners[-2], corners[-1], index):
            corners.pop()
        corners.append(int(index))
    height = np.interp(shares, shares[corners], energies[corners])
    return corners, np.maximum(energies - height, 0.0)


def _is_not_below(shares: Array, energies: Array, left: int, middle: int, right: int) -> bool:
    """Return whether the middle one of three points lies on or above the line between the others."""
    rise = (energies[middle] - energies[left]) * (shares[right] - shares[left])
    return bool(rise >= (energies[right] - energies[left]) * (shares[middle] - shares[left]))


def _mixture(compositions: Array, lowest: Array, index: int) -> float:
    """Return the lowest energy per atom of mixtures with one composition."""
    from scipy.optimize import linprog

    here = compositions[index]
    fitting = np.flatnonzero((compositions[:, here == 0] == 0).all(axis=1))
    if len(fitting) == 1:
        return float(lowest[index])
    present = here > 0
    solved = linprog(
        lowest[fitting], A_eq=np.vstack([compositions[np.ix_(fitting, present)].T]), b_eq=here[present], method='highs'
    )
    return float(solved.fun) if solved.success else float(lowest[index])
