"""Pairs of atoms within a distance, and the closest ones, in any periodic cell, however skewed or small."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.geometry import minkowski_reduce
from scipy.spatial import cKDTree

from ..contract.arrays import Array
from .crystals import Flags, complete_cell

CONTACT_ANG = 1.0
"""Atoms closer than this are in contact: LiPS-25 counts frames with any distance of 1 Ang or less."""
DENSEST = 1.13
"""In any periodic packing of points of number density n, two are closer than (sqrt(2) / n)^(1/3) = 1.122 n^(-1/3)."""
MOST_IMAGES = 2_000_000
"""More images of atoms mean a cell that has collapsed."""


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


@dataclass(frozen=True)
class Contacts:
    """Contacts in each of F frames.

    :ivar closest_ang: (F,), distance of the two closest atoms, infinite for one atom without periodicity.
    :ivar counts: (F,), number of pairs in contact, each once.
    """

    closest_ang: Array
    counts: npt.NDArray[np.int64]

    @property
    def frames_with_contact(self) -> int:
        """Number of frames with at least one contact."""
        return int((self.counts > 0).sum())


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
    pbc = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    lattice = minkowski_reduce(complete_cell(cell), pbc=pbc)[0] if pbc.any() else np.eye(3)
    inverse = np.linalg.inv(lattice)
    fractional = positions @ inverse
    fractional[:, pbc] -= np.floor(fractional[:, pbc])
    reach = np.where(pbc, cutoff * np.linalg.norm(inverse, axis=0), 0.0)  # in units of the cell, across its faces
    steps = np.ceil(reach).astype(np.int64)
    if len(positions) * np.prod(2.0 * steps + 1.0) > MOST_IMAGES:
        raise ValueError(
            f'a cell of {abs(np.linalg.det(lattice)):.3g} Ang^3 with {len(positions)} atoms is too flat or too small '
            f'for neighbours up to {cutoff:g} Ang'
        )
    shifts = np.array(list(itertools.product(*(range(-step, step + 1) for step in steps))), dtype=float)
    shifts = shifts[np.argsort(abs(shifts).sum(axis=1), kind='stable')]  # none first
    placed = (fractional[None, :, :] + shifts[:, None, :]).reshape(-1, 3)
    origin = np.tile(np.arange(len(positions)), len(shifts))
    near = ((placed >= -reach - 1e-9) & (placed <= 1.0 + reach + 1e-9) | ~pbc).all(axis=1)
    near[: len(positions)] = True
    return np.asarray(placed[near] @ lattice), origin[near]


def closest_distance(positions: Array, cell: Array, pbc: Flags) -> float:
    """Return the smallest distance in Ang between any two atoms or images; infinite for one atom alone."""
    if not np.asarray(pbc).any():
        if len(positions) < 2:
            return float('inf')
        return float(cKDTree(positions).query(positions, k=2)[0][:, 1].min())
    if np.asarray(pbc).all():
        cutoff = DENSEST * (abs(np.linalg.det(cell)) / len(positions)) ** (1.0 / 3.0)
        return float(pairs_within(positions, cell, pbc, cutoff).distances.min())
    lengths = np.linalg.norm(np.asarray(cell)[np.asarray(pbc, dtype=bool)], axis=1)
    return float(pairs_within(positions, cell, pbc, float(lengths.min()) * (1.0 + 1e-9)).distances.min())


def count_contacts(
    frames: Iterable[Array], cells: Iterable[Array], pbc: Flags, distance_ang: float = CONTACT_ANG
) -> Contacts:
    """Return the contacts of frames: positions (n, 3) and cells (3, 3) in Ang, both of any length.

    :raises ValueError: if positions or cell of a frame are not finite, or a cell has collapsed.
    """
    closest, counts = [], []
    for number, (positions, cell) in enumerate(zip(frames, cells)):
        if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
            raise ValueError(f'frame {number} is not finite')
        closest.append(closest_distance(positions, cell, pbc))
        near = closest[-1] <= distance_ang
        counts.append(len(pairs_within(positions, cell, pbc, distance_ang).distances) // 2 if near else 0)
    return Contacts(np.array(closest), np.array(counts, dtype=np.int64))
