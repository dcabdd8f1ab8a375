"""How far two paths of one hop lie apart, in space and in energy, image by image.

The path error is that of Dembitskiy et al. (npj Comput. Mater. 11, 131 (2025), PA_MAE): the mean over all images, ends
included, of the mean over all atoms of the displacement between the two paths, by the minimum image. Their barrier is
the range of the energies over the images, highest minus lowest; ``analysis.barriers`` has highest minus first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.geometry import find_mic, minkowski_reduce
from ase.geometry.geometry import general_find_mic, naive_find_mic

from ..contract.arrays import Array


@dataclass(frozen=True)
class PathDifference:
    """A path beside a reference; energies in eV, lengths in Ang, (n_images,) each.

    :ivar path_error_ang: mean over images of the mean over atoms of their distance.
    :ivar image_errors_ang: the mean over atoms, of each image.
    :ivar largest_ang: the largest distance of any atom in any image.
    :ivar mobile_errors_ang: distance of the mobile ion in each image, ``None`` if the path has no single one.
    :ivar energy_differences_ev: of each image, both paths counted from their own first image.
    :ivar range_difference_ev: of the barriers as LiTraj has them, highest minus lowest image.
    :ivar barrier_difference_ev: of highest minus first image.
    """

    path_error_ang: float
    image_errors_ang: Array
    largest_ang: float
    mobile_errors_ang: Array | None
    energy_differences_ev: Array
    range_difference_ev: float
    barrier_difference_ev: float


def displacements(one: Array, other: Array, cell: Array, pbc: npt.ArrayLike) -> Array:
    """Return the distance in Ang of each atom between two paths, (n_images, n_atoms), by the minimum image.

    :param one: positions (n_images, n_atoms, 3) in Ang; ``other`` the same atoms in the same order.
    :param cell: (3, 3) in Ang, rows are the lattice vectors; skewed ones are reduced first.
    :raises ValueError: if the shapes differ.
    """
    if one.shape != other.shape or one.ndim != 3:
        raise ValueError(
            f'paths of {_shape(one)} and {_shape(other)} cannot be compared: they need the same images and atoms'
        )
    away = (one - other).reshape(-1, 3)
    if np.any(pbc):
        # find_mic takes a way shorter than half the shortest edge for the shortest: of a reduced cell it is.
        edges = minkowski_reduce(cell)[0] if np.all(pbc) and np.linalg.det(cell) else cell
        away = find_mic(away, edges, pbc)[0]
    distances: Array = np.linalg.norm(away, axis=1).reshape(one.shape[:2])
    return distances


def path_error(one: Array, other: Array, cell: Array, pbc: npt.ArrayLike) -> float:
    """Return PA_MAE in Ang: the mean over images and atoms of :func:`displacements`."""
    return float(displacements(one, other, cell, pbc).mean())


def litraj_path_error(positions: Array, reference_positions: Array, reference_cells: Array) -> float:
    """Return PA_MAE in Ang as ``litraj.metrics.PA_MAE`` of the package litraj 0.1 has it, to round-off.

    That is :func:`path_error` with two choices of theirs: the cell is that of the reference, image by image, and
    periodic in all three directions whatever the files say. In a cell so skewed that a lattice vector is shorter than
    each edge, theirs may miss the nearest image of an atom, and is followed in that; elsewhere it is
    :func:`path_error`.

    :param positions: (n_images, n_atoms, 3) in Ang; ``reference_positions`` the same atoms in the same order.
    :param reference_cells: (3, 3), or (n_images, 3, 3), in Ang.
    :raises ValueError: if the shapes differ; the package leaves out what one of the paths does not have.
    """
    if positions.shape != reference_positions.shape or positions.ndim != 3:
        raise ValueError(
            f'paths of {_shape(positions)} and {_shape(reference_positions)} cannot be compared: they need the same '
            'images and atoms'
        )
    cells = np.broadcast_to(reference_cells, (len(positions), 3, 3))
    means = []
    for cell, away in zip(cells, positions - reference_positions):
        _, lengths = naive_find_mic(away, cell)
        far = lengths >= 0.5 * np.linalg.norm(cell, axis=1).min()
        if far.any():
            lengths[far] = general_find_mic(away[far], cell, pbc=[True] * 3)[1]
        means.append(lengths.mean())
    return float(np.mean(means))


def compare_paths(
    positions: Array,
    energies: Array,
    reference_positions: Array,
    reference_energies: Array,
    cell: Array,
    pbc: npt.ArrayLike,
    mobile: int | None = None,
) -> PathDifference:
    """Return how a path differs from a reference; differences of energies are of the path minus the reference.

    :param positions: (n_images, n_atoms, 3) in Ang; ``energies`` (n_images,) in eV.
    :param mobile: index of the ion that hops.
    :raises ValueError: if the paths do not have the same images and atoms.
    """
    distances = displacements(positions, reference_positions, cell, pbc)
    if not len(distances) == len(energies) == len(reference_energies):
        raise ValueError(f'{len(energies)} and {len(reference_energies)} energies for {len(distances)} images')
    own, other = energies - energies[0], reference_energies - reference_energies[0]
    return PathDifference(
        path_error_ang=float(distances.mean()),
        image_errors_ang=distances.mean(axis=1),
        largest_ang=float(distances.max()),
        mobile_errors_ang=None if mobile is None else distances[:, mobile],
        energy_differences_ev=own - other,
        range_difference_ev=float(np.ptp(own) - np.ptp(other)),
        barrier_difference_ev=float(own.max() - other.max()),
    )


def _shape(positions: Array) -> str:
    shape: Sequence[int] = positions.shape
    return f'{shape[0]} images of {shape[1]} atoms' if len(shape) == 3 else f'the shape {tuple(shape)}'
