"""Pairs of atoms and closest distances in cells of every shape, against sums over many images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase.build import bulk

from aiida_litraj.analysis.contacts import closest_distance, count_contacts, pairs_within

ALL = np.ones(3, dtype=bool)
NONE = np.zeros(3, dtype=bool)
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


@pytest.mark.parametrize('name', CELLS)
@pytest.mark.parametrize('n_atoms', [1, 2, 7])
def test_closest_distance_in_any_cell(name: str, n_atoms: int) -> None:
    positions = np.random.default_rng(1).uniform(0.0, 1.0, (n_atoms, 3)) @ CELLS[name]
    for pbc in (ALL, np.array([False, True, True])):
        expected = by_images(positions, CELLS[name], pbc, np.inf, 6)[0]
        assert closest_distance(positions, CELLS[name], pbc) == pytest.approx(expected, abs=ROUND_OFF)


def test_closest_distance_of_the_densest_packing() -> None:
    """The face-centred lattice, where no closer pair than its neighbours can be guaranteed."""
    copper = bulk('Cu', 'fcc', a=4.0)
    assert closest_distance(copper.positions, np.asarray(copper.cell), ALL) == pytest.approx(np.sqrt(8.0))


def test_without_periodicity() -> None:
    assert closest_distance(np.zeros((1, 3)), np.zeros((3, 3)), NONE) == np.inf
    assert closest_distance(np.array([[0.0, 0, 0], [0, 3, 4]]), np.zeros((3, 3)), NONE) == pytest.approx(5.0)


def test_atoms_on_one_place_are_a_contact() -> None:
    positions = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    found = count_contacts([positions], [6.0 * np.eye(3)], ALL)
    assert found.closest_ang[0] == 0.0
    assert found.counts[0] == 1


def test_contacts_of_frames() -> None:
    """A pair that approaches across the boundary of a cell that shrinks."""
    cells = [length * np.eye(3) for length in (10.0, 9.0, 8.0)]
    frames = [np.array([[0.0, 0, 0], [length - gap, 0, 0]]) for length, gap in ((10.0, 2.5), (9.0, 0.999), (8.0, 0.4))]
    found = count_contacts(frames, cells, ALL)
    np.testing.assert_allclose(found.closest_ang, [2.5, 0.999, 0.4])
    np.testing.assert_array_equal(found.counts, [0, 1, 1])
    assert found.frames_with_contact == 2


def test_an_atom_touches_its_own_image() -> None:
    found = count_contacts([np.zeros((1, 3))], [np.diag([9.0, 9.0, 0.9])], ALL)
    np.testing.assert_allclose(found.closest_ang, [0.9])
    assert found.counts[0] == 1  # above and below are one pair and its copy


def test_what_has_no_distances_is_refused() -> None:
    with pytest.raises(ValueError, match='frame 1 is not finite'):
        count_contacts([np.zeros((1, 3)), np.full((1, 3), np.nan)], [np.eye(3)] * 2, ALL)
    with pytest.raises(ValueError, match='too flat or too small'):
        pairs_within(np.zeros((1, 3)), np.diag([1.0, 1.0, 1e-7]), ALL, 3.0)
