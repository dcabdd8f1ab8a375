"""Recognising that two ends of different paths are the same configuration, so that it is relaxed once."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array

_RESOLUTION = 1e-5
"""Ang: positions that round to the same multiple are the same; a miss costs a relaxation, never a wrong answer."""

Order = npt.NDArray[np.int64]


def canonical(
    numbers: npt.NDArray[np.int64],
    positions: Array,
    cell: Array,
    pbc: npt.NDArray[np.bool_],
    fixed: npt.NDArray[np.bool_],
) -> tuple[str, Order]:
    """Return a fingerprint of the configuration, whatever the order of its atoms, and the order that sorts them.

    ``positions`` (n_atoms, 3) in Ang may lie outside the cell; whole lattice vectors between two configurations are
    the same configuration, a different origin is not.
    """
    wrapped = positions
    if pbc.any():
        fractional = np.linalg.solve(cell.T, positions.T).T
        # half a resolution more than zero, so that -1e-9 and 0 do not end up on opposite sides of the cell
        nudge = 0.5 * _RESOLUTION / np.linalg.norm(cell, axis=1).clip(min=1.0)
        folded = (fractional + nudge) - np.floor(fractional + nudge)
        fractional = np.where(pbc, folded, fractional)
        wrapped = fractional @ cell
    grid = np.floor(wrapped / _RESOLUTION + 0.25).astype(np.int64)
    order = np.lexsort((grid[:, 2], grid[:, 1], grid[:, 0], fixed, numbers))
    digest = hashlib.sha256()
    for part in (
        np.rint(cell / _RESOLUTION).astype(np.int64),
        pbc.astype(np.int8),
        numbers[order].astype(np.int64),
        fixed[order].astype(np.int8),
        grid[order],
    ):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest(), order


def carry_over(array: Array, from_order: Order, to_order: Order) -> Array:
    """Return per-atom rows of one configuration in the atom order of another with the same fingerprint."""
    result = np.empty_like(array)
    result[to_order] = array[from_order]
    return result
