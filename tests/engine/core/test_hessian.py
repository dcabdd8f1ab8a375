"""The model of the Hessian: the numbers of its source, and what any Hessian of a crystal must hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.hessian import System, band_hessian, model_hessian

BOHR, HARTREE = 0.529177210903, 27.211386245988
GROUND = 3.0
"""eV/Ang^2: what every atom has besides its stretches."""
ROUND_OFF = 1e-9


def pair(first: int, second: int, distance: float) -> Array:
    """The model of two atoms on the x axis, ``distance`` in Bohr apart."""
    system = System(np.array([first, second]), np.eye(3), np.zeros(3, dtype=bool))
    return model_hessian(system, np.array([[0.0, 0.0, 0.0], [distance * BOHR, 0.0, 0.0]]))


@pytest.mark.parametrize(
    ('first', 'second', 'alpha', 'reference'),
    [
        (1, 1, 1.0, 1.35),  # H-H
        (1, 8, 0.3949, 2.10),  # H-O
        (1, 16, 0.3949, 2.53),  # H-S
        (3, 8, 0.28, 2.87),  # Li-O
        (15, 8, 0.28, 3.40),  # P-O
        (15, 16, 0.28, 3.40),  # P-S
        (3, 53, 0.28, 3.40),  # Li-I: iodine counts as the third row
    ],
)
def test_stretches_are_those_of_lindh(first: int, second: int, alpha: float, reference: float) -> None:
    """0.45 Hartree/Bohr^2 at the reference length of the two rows, and a Gaussian of it 0.4 Bohr farther out."""
    for beyond in (0.0, 0.4):
        distance = reference + beyond
        expected = 0.45 * np.exp(alpha * (reference**2 - distance**2)) * HARTREE / BOHR**2
        hessian = pair(first, second, distance) - GROUND * np.eye(6)
        stretch = np.zeros((6, 6))
        stretch[np.ix_([0, 3], [0, 3])] = expected * np.array([[1.0, -1.0], [-1.0, 1.0]])
        np.testing.assert_allclose(hessian, stretch, rtol=1e-6, atol=1e-6)


def test_atoms_on_top_of_each_other_are_not_infinitely_stiff() -> None:
    assert np.linalg.eigvalsh(pair(8, 8, 0.2)).max() < 2 * 4 * 0.45 * HARTREE / BOHR**2 + GROUND + ROUND_OFF


@pytest.fixture
def crystal(vacancy_hop: Any) -> Any:
    hop = vacancy_hop(noise=0.1)
    return hop.replace(numbers=np.array([3, 8, 15, 16])[np.arange(len(hop.numbers)) % 4])


def of(hop: Any) -> Array:
    return model_hessian(System(hop.numbers, hop.cell, hop.pbc), hop.positions[0])


def test_model_is_symmetric_and_stiff_everywhere(crystal: Any) -> None:
    hessian = of(crystal)
    np.testing.assert_array_equal(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian).min() >= GROUND - ROUND_OFF
    assert np.linalg.eigvalsh(hessian).max() > 15.0


def test_moving_the_crystal_as_a_whole_stretches_nothing(crystal: Any) -> None:
    everywhere = np.tile(np.eye(3), (len(crystal.numbers), 1))
    np.testing.assert_allclose(of(crystal) @ everywhere, GROUND * everywhere, atol=ROUND_OFF)


def test_model_is_the_same_seen_from_elsewhere(crystal: Any) -> None:
    """Origin, periodic images, order of the atoms and orientation."""
    hessian, rng = of(crystal), np.random.default_rng(0)
    n_atoms = len(crystal.numbers)
    np.testing.assert_allclose(of(crystal.translated(np.array([1.0, -2.0, 0.5]))), hessian, atol=ROUND_OFF)
    images = rng.integers(-2, 3, size=(n_atoms, 3)) @ crystal.cell
    np.testing.assert_allclose(of(crystal.translated(images)), hessian, atol=ROUND_OFF)
    order = rng.permutation(n_atoms)
    blocks = hessian.reshape(n_atoms, 3, n_atoms, 3)[order][:, :, order]
    np.testing.assert_allclose(of(crystal.permuted(order)), blocks.reshape(3 * n_atoms, -1), atol=ROUND_OFF)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turns = np.kron(np.eye(n_atoms), turn)
    np.testing.assert_allclose(of(crystal.turned(turn)), turns @ hessian @ turns.T, atol=ROUND_OFF)


def test_along_the_band_there_are_only_springs(crystal: Any) -> None:
    """The tangent is an eigenvector with twice the spring constant; across it the model is as it was."""
    system = System(crystal.numbers, crystal.cell, crystal.pbc)
    along = np.random.default_rng(1).normal(size=crystal.positions[0].shape)
    along /= np.linalg.norm(along)
    banded, plain = band_hessian(system, crystal.positions[0], along, 5.0), of(crystal)
    np.testing.assert_allclose(banded @ along.ravel(), 10.0 * along.ravel(), atol=ROUND_OFF)
    across = np.eye(along.size) - np.outer(along, along)
    np.testing.assert_allclose(across @ banded @ across, across @ plain @ across, atol=ROUND_OFF)
    assert np.linalg.eigvalsh(banded).min() > 0.0
