"""Energy above the convex hull of a set's own entries."""

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
