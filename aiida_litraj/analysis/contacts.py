"""Pairs of atoms within a distance in any periodic cell, however skewed or small."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.geometry import minkowski_reduce
from scipy.spatial import cKDTree

from ..contract.arrays import Array
from .crystals import Flags, complete_cell

MOST_IMAGES = 2_000_000
"""More images of atoms mean a cell that has collapsed, or a cutoff that nobody means."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of atoms within a distance, each from both sides; an atom and its own image are a pair too.

    :ivar first: (n_pairs,), index of an atom.
    :ivar second: (n_pairs,), index of the other one.
    :ivar distances: (n_pairs,) in Ang.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    distances: Array


def pairs_within(positions: Array, cell: Array, pbc: Flags, cutoff: float) -> Pairs:
    """Return all pairs of atoms, images included, with distances up to ``cutoff`` in Ang.

    Exact for any cell, also where the cutoff is larger than the cell: images are laid around the reduced cell as far
    as the cutoff asks for.

    :param positions: (n, 3) in Ang, in the cell or not.
    :raises ValueError: if the cell is so flat or small that it would take more than ``MOST_IMAGES`` images.
    """
    n_atoms = len(positions)
    images, origin = _images(positions, cell, pbc, cutoff)
    here = images[:n_atoms]
    found = cKDTree(here).sparse_distance_matrix(cKDTree(images), cutoff, output_type='ndarray')
    other = found['i'] != found['j']  # an image of an atom stands behind the first n_atoms
    first, image = found['i'][other], found['j'][other]
    return Pairs(np.asarray(first, dtype=np.int64), origin[image], np.asarray(found['v'][other], dtype=float))


def _images(positions: Array, cell: Array, pbc: Flags, cutoff: float) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return wrapped positions (n, 3) followed by images that can be within the cutoff of one of them, and whose."""
    lattice, reach = reach_of(len(positions), cell, pbc, cutoff)
    pbc = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    inverse = np.linalg.inv(lattice)
    fractional = positions @ inverse
    fractional[:, pbc] -= np.floor(fractional[:, pbc])
    steps = np.ceil(reach).astype(np.int64)
    shifts = np.array(list(itertools.product(*(range(-step, step + 1) for step in steps))), dtype=float)
    shifts = shifts[np.argsort(abs(shifts).sum(axis=1), kind='stable')]  # none first
    placed = (fractional[None, :, :] + shifts[:, None, :]).reshape(-1, 3)
    origin = np.tile(np.arange(len(positions)), len(shifts))
    near = ((placed >= -reach - 1e-9) & (placed <= 1.0 + reach + 1e-9) | ~pbc).all(axis=1)
    near[: len(positions)] = True
    return np.asarray(placed[near] @ lattice), origin[near]


def reach_of(n_atoms: int, cell: Array, pbc: Flags, cutoff: float) -> tuple[Array, Array]:
    """Return the reduced cell (3, 3) and how far a cutoff reaches across its faces (3,), in units of the cell.

    :raises ValueError: if atoms would have more than ``MOST_IMAGES`` images as far as that.
    """
    pbc = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    lattice = minkowski_reduce(complete_cell(cell), pbc=pbc)[0] if pbc.any() else np.eye(3)
    reach = np.where(pbc, cutoff * np.linalg.norm(np.linalg.inv(lattice), axis=0), 0.0)
    if n_atoms * np.prod(2.0 * np.ceil(reach) + 1.0) > MOST_IMAGES:
        raise ValueError(
            f'a cell of {abs(np.linalg.det(lattice)):.3g} Ang^3 with {n_atoms} atoms is too flat or too small for '
            f'neighbours up to {cutoff:g} Ang'
        )
    return lattice, reach
