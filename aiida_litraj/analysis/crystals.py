"""What a hop asks of a crystal: atoms apart from each other, real elements, a large enough supercell."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import minkowski_reduce

from ..contract.arrays import Array

Flags = npt.NDArray[np.bool_]
MOST_ATOMS = 20_000
"""More atoms in a supercell are a slip of the pen: no potential of a graph evaluates them in one call on a device."""


def minimum_image(vectors: Array, cell: Array, pbc: Flags) -> Array:
    """Return ``vectors`` (n, 3) in Ang, each with its components along the cell vectors rounded to the nearest image.

    That is the shortest image for every vector whose shortest image is shorter than half the smallest distance
    between opposite faces of the cell; good to find neighbours, not to measure long ways.
    """
    if not pbc.any():
        return vectors
    lattice = complete_cell(cell)
    fractional = np.linalg.solve(lattice.T, vectors.T).T
    fractional[:, pbc] -= np.round(fractional[:, pbc])
    return np.asarray(fractional @ lattice)


def nearest_images(vector: Array, cell: Array, pbc: Flags) -> tuple[Array, Array]:
    """Return the shortest periodic image of ``vector`` (3,) in Ang, and the next shortest, of any length of vector."""
    reduced, _ = minkowski_reduce(complete_cell(cell), pbc=pbc)
    wrapped = minimum_image(vector[None, :], reduced, pbc)[0]
    steps = itertools.product(*((-1, 0, 1) if periodic else (0,) for periodic in pbc))
    images = np.array([wrapped + np.array(step) @ reduced for step in steps])
    order = np.linalg.norm(images, axis=1).argsort()
    return images[order[0]], images[order[min(1, len(order) - 1)]]


def complete_cell(cell: Array) -> Array:
    """Return ``cell`` (3, 3) with cell vectors of zero length replaced by unit vectors normal to the others."""
    completed = np.array(cell, dtype=float)
    for i in range(3):
        if not completed[i].any():
            normal = np.cross(completed[(i + 1) % 3], completed[(i + 2) % 3])
            if not normal.any():  # two or three are missing: any direction independent of what is there
                normal = next(
                    unit for unit in np.eye(3) if np.linalg.matrix_rank(np.vstack([completed, unit])) > _rank(completed)
                )
            completed[i] = normal / np.linalg.norm(normal)
    return completed


def _rank(cell: Array) -> int:
    return int(np.linalg.matrix_rank(cell))


def closest_pair(positions: Array, cell: Array, pbc: Flags, below: float) -> tuple[int, int, float] | None:
    """Return indices and distance in Ang of the closest two of ``positions`` (n, 3), or ``None`` if not ``below``.

    Periodic images count; ``below`` must not exceed half the smallest distance between opposite faces of the cell.
    """
    # It brings parts of scipy that most commands and workers do without.
    from ase.neighborlist import primitive_neighbor_list

    if len(positions) < 2:
        return None
    i, j, distances = primitive_neighbor_list('ijd', pbc, complete_cell(cell), positions, below)
    pairs = i < j
    i, j, distances = i[pairs], j[pairs], distances[pairs]
    if not len(distances) or distances.min() >= below:
        return None
    closest = int(distances.argmin())
    return int(i[closest]), int(j[closest]), float(distances[closest])


def check_crystal(atoms: Atoms, site_tolerance_ang: float, name: str = 'structure') -> None:
    """Refuse a crystal with an unknown element or with two atoms on one place.

    :raises ValueError: naming ``name``, the atoms and what to do.
    """
    for index, number in enumerate(atoms.numbers):
        if number < 1:
            raise ValueError(
                f'{name}: site {index} is {atoms[index].symbol!r}, which is not an element; replace or remove it'
            )
    pair = closest_pair(atoms.positions, np.asarray(atoms.cell), np.asarray(atoms.pbc), below=site_tolerance_ang)
    if pair:
        i, j, distance = pair
        raise ValueError(
            f'{name}: atoms {i} ({atoms[i].symbol}) and {j} ({atoms[j].symbol}) are on one place '
            f'({distance:.3f} Ang apart, less than {site_tolerance_ang} Ang); remove one of them'
        )


def shortest_translation(cell: Array, pbc: Flags) -> float:
    """Return the length in Ang of the shortest lattice translation of a crystal; infinite without periodicity.

    The vectors of a Minkowski-reduced cell are its shortest independent translations.
    """
    if not pbc.any():
        return float('inf')
    reduced, _ = minkowski_reduce(complete_cell(cell), pbc=pbc)
    return float(np.linalg.norm(reduced[pbc], axis=1).min())


def choose_repetition(cell: Array, pbc: Flags, min_image_distance_ang: float, n_atoms: int = 1) -> tuple[int, int, int]:
    """Return the smallest diagonal supercell whose shortest translation is at least ``min_image_distance_ang``.

    Among those with equally many atoms, the one with the longest such translation. Only periodic directions repeat.

    :raises ValueError: if it would have more than ``MOST_ATOMS`` atoms, with ``n_atoms`` in the cell.
    """
    lattice = complete_cell(cell)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    lengths = np.linalg.norm(lattice, axis=1)
    # n_i a_i is itself a translation, so it has to be long enough; with all faces far enough apart any cell is.
    lowest = np.where(pbc, np.ceil(min_image_distance_ang / lengths - 1e-9), 1).astype(int).clip(min=1)
    _check_size(lowest, n_atoms, min_image_distance_ang)
    highest = np.where(pbc, np.ceil(min_image_distance_ang / heights - 1e-9), 1).astype(int).clip(min=1)
    candidates = itertools.product(*(range(low, high + 1) for low, high in zip(lowest, highest)))
    fitting: list[tuple[int, float, tuple[int, ...]]] = []
    for candidate in sorted(candidates, key=lambda repeats: int(np.prod(repeats))):
        size = int(np.prod(candidate))
        if fitting and size > fitting[0][0]:
            break
        translation = shortest_translation(lattice * np.array(candidate)[:, None], pbc)
        if translation >= min_image_distance_ang - 1e-9:
            fitting.append((size, -translation, candidate))
    first, second, third = min(fitting)[2]
    _check_size(np.array([first, second, third]), n_atoms, min_image_distance_ang)
    return first, second, third


def _check_size(repeats: npt.NDArray[np.int64], n_atoms: int, min_image_distance_ang: float) -> None:
    total = n_atoms * math.prod(int(number) for number in repeats)
    if total > MOST_ATOMS:
        raise ValueError(
            f'geometry.min_image_distance_ang = {min_image_distance_ang:g}: the supercell would have at least {total} '
            f'atoms ({"x".join(str(number) for number in repeats)} cells of {n_atoms}), more than {MOST_ATOMS}; '
            'a smaller value will do, 8 to 12 Ang are usual'
        )
