"""Differences of paths on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.path_error import compare_paths, displacements, path_error

CELL = np.diag([10.0, 10.0, 10.0])
PERIODIC = np.ones(3, dtype=bool)
ROUND_OFF = 1e-12


def path() -> np.ndarray:
    """An ion that goes from x = 1 to 3 by way of 2, and one that stays at 5."""
    positions = np.zeros((3, 2, 3))
    positions[:, 0, 0], positions[:, 1, 0] = [1.0, 2.0, 3.0], 5.0
    return positions


def test_mean_over_images_and_atoms() -> None:
    """0.3 of one atom in one image of three, 0.6 of the other in all: (0.3 + 3 x 0.6) / (3 x 2) = 0.35."""
    other = path()
    other[1, 0] += [0.0, 0.3, 0.0]
    other[:, 1] += [0.0, 0.0, 0.6]
    assert path_error(other, path(), CELL, PERIODIC) == pytest.approx(0.35, abs=ROUND_OFF)


def test_displacement_is_a_length_not_its_components() -> None:
    other = path()
    other[:, 0] += [0.3, 0.4, 0.0]  # 0.5 long
    assert path_error(other, path(), CELL, PERIODIC) == pytest.approx(0.25, abs=ROUND_OFF)


def test_an_atom_in_another_periodic_image_is_where_it_was() -> None:
    other = path()
    other[:, 0, 0] += 10.0
    other[2, 1] -= [0.0, 20.0, 9.8]  # 0.2 beside its copy
    assert path_error(other, path(), CELL, PERIODIC) == pytest.approx(0.2 / 6, abs=ROUND_OFF)


def test_without_periodicity_it_is_not() -> None:
    other = path()
    other[:, 0, 0] += 10.0
    assert path_error(other, path(), CELL, [False] * 3) == pytest.approx(5.0, abs=ROUND_OFF)
    assert path_error(other, path(), CELL, [False, True, True]) == pytest.approx(5.0, abs=ROUND_OFF)


def test_in_a_skewed_cell_the_shortest_way_is_not_that_of_the_fractions() -> None:
    """0.49 of (4, 0, 0) and of (3.6, 1, 0): both fractions round to zero, yet the second vector less is shorter."""
    cell = np.array([[4.0, 0.0, 0.0], [3.6, 1.0, 0.0], [0.0, 0.0, 9.0]])
    one = np.zeros((1, 1, 3))
    other = one + 0.49 * cell[0] + 0.49 * cell[1]  # (3.724, 0.49, 0)
    expected = np.hypot(3.724 - 3.6, 0.49 - 1.0)
    np.testing.assert_allclose(displacements(other, one, cell, PERIODIC), [[expected]], atol=ROUND_OFF)


def test_nor_is_a_way_shorter_than_half_an_edge() -> None:
    """-0.49 of the first and 0.3 of the second edge: 0.93 Ang; second less first edge away from it, 0.85."""
    cell = np.array([[4.0, 0.0, 0.0], [3.6, 1.0, 0.0], [0.0, 0.0, 9.0]])
    one = np.zeros((1, 1, 3))
    other = one - 0.49 * cell[0] + 0.3 * cell[1]  # (-0.88, 0.3, 0)
    expected = np.hypot(-0.88 + 0.4, 0.3 - 1.0)
    np.testing.assert_allclose(displacements(other, one, cell, PERIODIC), [[expected]], atol=ROUND_OFF)


def test_energies_from_the_first_image_and_both_barriers() -> None:
    """The path: 0, 0.5, -0.1, so a barrier of 0.5 and a range of 0.6; the reference: 0, 0.4, 0.2, 0.4 both."""
    found = compare_paths(
        path(), np.array([-7.0, -6.5, -7.1]), path(), np.array([3.0, 3.4, 3.2]), CELL, PERIODIC, mobile=0
    )
    np.testing.assert_allclose(found.energy_differences_ev, [0.0, 0.1, -0.3], atol=ROUND_OFF)
    assert found.barrier_difference_ev == pytest.approx(0.1, abs=ROUND_OFF)
    assert found.range_difference_ev == pytest.approx(0.2, abs=ROUND_OFF)
    assert found.path_error_ang == 0.0


def test_mobile_ion_and_largest_are_told_apart_from_the_mean() -> None:
    other = path()
    other[1, 0, 1] = 0.9
    other[2, 1, 2] = 1.2
    found = compare_paths(other, np.zeros(3), path(), np.zeros(3), CELL, PERIODIC, mobile=0)
    assert found.mobile_errors_ang is not None
    np.testing.assert_allclose(found.mobile_errors_ang, [0.0, 0.9, 0.0], atol=ROUND_OFF)
    np.testing.assert_allclose(found.image_errors_ang, [0.0, 0.45, 0.6], atol=ROUND_OFF)
    assert found.largest_ang == pytest.approx(1.2, abs=ROUND_OFF)


def test_paths_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match='2 images of 2 atoms and 3 images of 2 atoms'):
        path_error(path()[:2], path(), CELL, PERIODIC)
    with pytest.raises(ValueError, match='3 images of 1 atoms and 3 images of 2 atoms'):
        path_error(path()[:, :1], path(), CELL, PERIODIC)
    with pytest.raises(ValueError, match='2 and 3 energies for 3 images'):
        compare_paths(path(), np.zeros(2), path(), np.zeros(3), CELL, PERIODIC)
