"""Lattice vectors around a cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from ...contract.cells import heights


def lattice_vectors(cell: Array, pbc: npt.NDArray[np.bool_], cutoff: float, positions: Array) -> Array:
    """Return the lattice vectors (n, 3) in Ang that can bring an image of an atom within ``cutoff`` of another.

    ``positions`` (..., 3) in Ang may lie outside the cell. The zero vector is in the middle of the list, and v and -v
    are at mirrored places.
    """
    if not pbc.any():
        return np.zeros((1, 3))
    fractional = np.linalg.solve(cell.T, positions.reshape(-1, 3).T).T
    spread = fractional.max(axis=0) - fractional.min(axis=0)
    reach = np.where(pbc, np.ceil(cutoff / heights(cell) + spread), 0).astype(int)
    grid = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing='ij')
    vectors: Array = np.stack(grid, axis=-1).reshape(-1, 3) @ cell
    return vectors
