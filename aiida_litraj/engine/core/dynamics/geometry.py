"""Positions brought back into the cell, and how close two atoms come."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from ....contract.arrays import Array

_PAIRS_AT_ONCE = 1 << 20
"""Memory: 24 bytes and some temporaries of the same size each."""


def _turns(positions: Array, lattice: Array) -> Array:
    """Return positions (n_atoms, 3) in units of the lattice vectors (k, 3); what is across them does not show."""
    inverse = np.linalg.inv(lattice) if len(lattice) == 3 else np.linalg.pinv(lattice)
    result: Array = positions @ inverse
    return result


def wrapped(positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> Array:
    """Return positions (n_atoms, 3) in Ang brought into the cell along its periodic directions.

    Single precision has no digits to spare for how far an atom has come.
    """
    if not pbc.any():
        return positions
    lattice = cell[pbc]
    result: Array = positions - np.floor(_turns(positions, lattice)) @ lattice
    return result


def closest(positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> float:
    """Return the shortest distance in Ang between two atoms or an atom and its own image.

    Exact below half the distance between opposite faces of the cell, where only one image can be that near; in a
    very skewed cell a larger one may be overestimated.
    """
    n_atoms, lattice = len(positions), cell[pbc]
    shortest = np.inf
    if len(lattice):
        images = np.array([c for c in product((-1, 0, 1), repeat=len(lattice)) if any(c)])
        shortest = float(((images @ lattice) ** 2).sum(axis=1).min())
        turns = _turns(positions, lattice)
    rows = max(1, _PAIRS_AT_ONCE // max(1, n_atoms))
    for first in range(0, n_atoms - 1, rows):
        last = min(first + rows, n_atoms - 1)
        vectors = positions[None, first + 1 :] - positions[first:last, None]
        if len(lattice):
            vectors -= np.rint(turns[None, first + 1 :] - turns[first:last, None]) @ lattice
        squared = np.einsum('ijk,ijk->ij', vectors, vectors)
        squared[np.tril_indices(last - first, -1, squared.shape[1])] = np.inf  # each pair once, no atom with itself
        shortest = min(shortest, float(squared.min()))
    return float(np.sqrt(shortest))
