"""Symmetry of crystals, found by spglib: operations as turns of fractional coordinates and permutations of atoms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array


class Operations(NamedTuple):
    """``rotations`` (n_ops, 3, 3) of fractional coordinates; ``permutations`` (n_ops, n_atoms): where atoms go."""

    rotations: npt.NDArray[np.int64]
    permutations: npt.NDArray[np.int64]


def operations(cell: Array, positions: Array, numbers: npt.NDArray[np.int64], tolerance_ang: float) -> Operations:
    """Return the operations that take a crystal onto itself to within a distance; the identity is one of them.

    :param cell: (3, 3) in Ang, rows are the lattice vectors; periodic in all directions.
    :param positions: (n_atoms, 3) in Ang.
    :param numbers: (n_atoms,), equal for atoms that are of one kind.
    :raises ValueError: if no symmetry is found, as with a tolerance larger than distances between atoms.
    """
    import spglib

    scaled = np.linalg.solve(cell.T, positions.T).T
    crystal = (cell.tolist(), scaled.tolist(), numbers.tolist())
    found = spglib.get_symmetry_dataset(crystal, symprec=tolerance_ang)
    if found is None:
        raise ValueError(
            f'no symmetry was found to within {tolerance_ang:g} Ang: choose another tolerance, below the distances '
            'between atoms'
        )
    rotations = np.asarray(found.rotations, dtype=np.int64)
    permutations = []
    for turn, shift in zip(rotations, found.translations, strict=True):
        away = (scaled @ turn.T + shift)[:, None] - scaled[None]
        distance = np.linalg.norm((away - np.rint(away)) @ cell, axis=2)
        distance[numbers[:, None] != numbers[None]] = np.inf
        permutations.append(distance.argmin(axis=1))
    return Operations(rotations, np.array(permutations, dtype=np.int64))
