"""Initial paths: straight, moved along, and even in their pair distances."""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
import pytest
from ase.mep import NEB
from ase.mep.neb import IDPP

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.interpolation import idpp, linear, shift

ROUND_OFF = 1e-12
IDPP_FORCE = 0.01
"""The residual force at which the IDPP band stops, and its springs, both in the units of S per Ang."""
IDPP_SPRING = 0.1
SAME_PATH = 1e-6
"""Ang: two IDPP runs that differ in round-off alone."""


def distances(image: Array, cell: Array | None = None) -> Array:
    """All pair distances, those to periodic images included where there is a cell."""
    shifts = np.zeros((1, 3))
    if cell is not None:
        shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing='ij'), axis=-1).reshape(-1, 3) @ cell
        image = (image @ np.linalg.inv(cell) % 1.0) @ cell
    vectors = image[:, None, None] - image[None, :, None] + shifts
    found = np.linalg.norm(vectors, axis=-1).ravel()
    return np.sort(found[found > 1e-9])


def cluster_hop() -> tuple[Array, Array]:
    """An atom that passes another on a line 0.1 Ang beside it, six more around, no two farther apart than 6 Ang."""
    others = np.array(
        [[0.0, 0.0, 0.0], [0.3, 2.1, 0.2], [-0.1, -2.2, 0.0], [0.1, 0.2, 2.3], [0.0, -0.1, -2.0], [1.2, 1.9, 1.4]]
    )
    source = np.vstack([[-1.9, 0.1, 0.0], others])
    target = np.vstack([[2.0, 0.1, 0.05], others + 0.02])
    return source, target


def of_cluster(n_images: int, free: Array | None = None) -> Array:
    source, target = cluster_hop()
    no_lattice = (np.eye(3), np.zeros(3, dtype=bool))
    return idpp(source, target, n_images, *no_lattice, np.ones((7, 1)) if free is None else free)


def of_hop(hop: Any) -> Array:
    return idpp(
        hop.positions[0], hop.positions[-1], len(hop.positions), hop.cell, hop.pbc, np.ones((len(hop.numbers), 1))
    )


def test_linear_is_straight_and_evenly_spaced() -> None:
    source, target = np.random.default_rng(0).normal(size=(2, 4, 3))
    path = linear(source, target, 6)
    np.testing.assert_allclose(np.diff(path, n=2, axis=0), 0.0, atol=ROUND_OFF)
    np.testing.assert_array_equal(path[0], source)
    np.testing.assert_allclose(path[-1], target, atol=ROUND_OFF)


def test_shift_moves_a_path_along_with_its_ends_and_keeps_its_shape() -> None:
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(size=(5, 4, 3)), axis=0)
    np.testing.assert_array_equal(shift(path, path[0], path[-1]), path)
    source, target = path[0] + rng.normal(size=(4, 3)), path[-1] + rng.normal(size=(4, 3))
    moved = shift(path, source, target)
    np.testing.assert_allclose(moved[[0, -1]], [source, target], atol=ROUND_OFF)
    np.testing.assert_allclose(np.diff(moved, n=2, axis=0), np.diff(path, n=2, axis=0), atol=ROUND_OFF)


def test_shift_of_a_straight_path_is_the_straight_path_between_the_new_ends() -> None:
    rng = np.random.default_rng(1)
    source, target, new_source, new_target = rng.normal(size=(4, 3, 3))
    moved = shift(linear(source, target, 7), new_source, new_target)
    np.testing.assert_allclose(moved, linear(new_source, new_target, 7), atol=ROUND_OFF)


@pytest.mark.parametrize('n_images', [5, 6])
def test_idpp_is_a_stationary_band_of_ases_objective(n_images: int) -> None:
    """The residual of our path on the image dependent pair potential as ASE implements it."""
    path = of_cluster(n_images)
    first, last = (np.linalg.norm(path[k][:, None] - path[k][None, :], axis=-1) for k in (0, -1))
    images = []
    for k, positions in enumerate(path):
        atoms = ase.Atoms('Li7', positions=positions)
        atoms.calc = IDPP(first + (last - first) * k / (n_images - 1), mic=False)
        images.append(atoms)
    felt = NEB(images, k=IDPP_SPRING, method='improvedtangent').get_forces()
    assert np.linalg.norm(felt, axis=1).max() < IDPP_FORCE


def test_idpp_goes_round_where_the_line_goes_through() -> None:
    source, target = cluster_hop()
    assert min(distances(image).min() for image in linear(source, target, 7)) < 0.2
    path = of_cluster(7)
    assert min(distances(image).min() for image in path) > 1.4
    np.testing.assert_array_equal(path[0], source)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=(1, 2))
    assert steps.max() < 1.5 * steps.min()  # springs keep it even


def test_idpp_widens_the_window_of_a_crystal(vacancy_hop: Any) -> None:
    """The ion of an fcc vacancy hop squeezes through a rectangle of four atoms: they give way, none comes closer."""
    hop = vacancy_hop(n_images=5)
    path = of_hop(hop)
    nearest = [[distances(image, hop.cell)[0] for image in p] for p in (hop.positions, path)]
    assert all(ours >= line - 1e-3 for line, ours in zip(*nearest))
    assert nearest[1][2] > nearest[0][2] + 0.05
    corners = np.abs(np.diff(path, n=2, axis=0)).max()
    assert corners < 0.3 * np.abs(np.diff(path, axis=0)).max()  # smooth


@pytest.mark.parametrize('n_images', [5, 6])
def test_idpp_is_the_same_from_both_sides(n_images: int, vacancy_hop: Any) -> None:
    hop = vacancy_hop(n_images=n_images, drop=(2,), noise=0.1)
    np.testing.assert_allclose(of_hop(hop), of_hop(hop.reversed())[::-1], atol=SAME_PATH)


def test_idpp_does_not_care_where_the_cell_is_cut(vacancy_hop: Any) -> None:
    """The same hop inside the cell, across its faces, with each atom in any periodic image, and turned."""
    hop = vacancy_hop(drop=(2,), noise=0.1)
    expected = of_hop(hop)
    rng = np.random.default_rng(0)
    moved = np.array([1.0, -0.8, 0.6])
    np.testing.assert_allclose(of_hop(hop.translated(moved)) - moved, expected, atol=SAME_PATH)
    images = rng.integers(-2, 3, size=(len(hop.numbers), 3)) @ hop.cell
    np.testing.assert_allclose(of_hop(hop.translated(images)) - images, expected, atol=SAME_PATH)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    np.testing.assert_allclose(of_hop(hop.turned(turn)) @ turn, expected, atol=SAME_PATH)


def test_idpp_leaves_a_rigid_shift_alone(vacancy_hop: Any) -> None:
    """Where no distance changes there is nothing to improve on the straight line."""
    hop = vacancy_hop(n_images=5)
    target = hop.positions[0] + np.array([0.3, 0.2, -0.4])
    rigid = hop.replace(positions=linear(hop.positions[0], target, 5))
    np.testing.assert_allclose(of_hop(rigid), rigid.positions, atol=1e-9)


def test_idpp_leaves_frozen_atoms_alone() -> None:
    free = np.ones((7, 1))
    free[[1, 3]] = 0.0
    source, target = cluster_hop()
    path = of_cluster(7, free)
    np.testing.assert_allclose(path[:, [1, 3]], linear(source, target, 7)[:, [1, 3]], atol=ROUND_OFF)
    assert min(distances(image).min() for image in path) > 1.0


def test_idpp_survives_atoms_on_one_place() -> None:
    """Two atoms that change places meet in the middle of the straight line: the path stays finite."""
    source = np.array([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    path = idpp(source, source[::-1].copy(), 5, np.eye(3), np.zeros(3, dtype=bool), np.ones((2, 1)))
    assert np.isfinite(path).all()
