"""Pairs of atoms in cells of every shape, against sums over many images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aiida_litraj.analysis.contacts import pairs_within

ALL = np.ones(3, dtype=bool)
ROUND_OFF = 1e-10


def by_images(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float, n_images: int) -> np.ndarray:
    """Distances of all pairs up to a cutoff, sorted, from so many images to every side."""
    steps = itertools.product(*(range(-n_images, n_images + 1) if periodic else (0,) for periodic in pbc))
    shifts = np.array([np.array(step) @ cell for step in steps])
    apart = positions[None, :, None] + shifts[None, None] - positions[:, None, None]
    distances = np.linalg.norm(apart, axis=-1)
    itself = np.eye(len(positions), dtype=bool)[:, :, None] & (abs(shifts).sum(axis=1) == 0)[None, None]
    return np.sort(distances[(distances <= cutoff) & ~itself])


CELLS = {
    'cubic': 4.0 * np.eye(3),
    'skewed': np.array([[4.0, 0.0, 0.0], [3.7, 2.0, 0.0], [3.0, 1.8, 2.2]]),
    'very skewed': np.array([[3.0, 0.0, 0.0], [7.5, 3.0, 0.0], [-5.0, 5.5, 3.5]]),
    'left-handed': np.array([[0.0, 4.0, 0.0], [5.0, 0.5, 0.0], [0.0, 0.3, 3.0]]),
    'flat': np.diag([9.0, 9.0, 0.9]),
}


@pytest.mark.parametrize('name', CELLS)
@pytest.mark.parametrize('pbc', [(True, True, True), (True, False, True), (False, False, False)])
def test_pairs_are_those_of_all_images(name: str, pbc: tuple[bool, bool, bool]) -> None:
    generator, cell, periodic = np.random.default_rng(0), CELLS[name], np.array(pbc)
    positions = generator.uniform(-1.0, 2.0, (5, 3)) @ cell  # some outside the cell
    for cutoff in (0.95, 3.2, 5.0):
        found = pairs_within(positions, cell, periodic, cutoff)
        np.testing.assert_allclose(
            np.sort(found.distances), by_images(positions, cell, periodic, cutoff, 14), atol=ROUND_OFF
        )
        assert sorted(zip(found.first, found.second)) == sorted(zip(found.second, found.first))


def test_atoms_on_one_place_are_a_pair() -> None:
    positions = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    found = pairs_within(positions, 6.0 * np.eye(3), ALL, 1.0)
    assert list(zip(found.first, found.second, found.distances)) == [(0, 1, 0.0), (1, 0, 0.0)]


def test_an_atom_is_a_neighbour_of_its_own_image() -> None:
    found = pairs_within(np.zeros((1, 3)), np.diag([9.0, 9.0, 0.9]), ALL, 1.0)
    np.testing.assert_allclose(found.distances, [0.9, 0.9])  # above and below


def test_cell_with_too_many_images_is_refused() -> None:
    with pytest.raises(ValueError, match='too flat or too small'):
        pairs_within(np.zeros((1, 3)), np.diag([1.0, 1.0, 1e-7]), ALL, 3.0)
