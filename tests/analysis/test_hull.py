"""Hulls whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.hull import MOST_COMPOSITIONS, energies_above_hull
from aiida_litraj.analysis.overview import REST, overview

TOLERANCE_EV = 1e-9


def test_a_binary_hull() -> None:
    x = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 0.5])
    fractions = np.column_stack([x, 1 - x])
    energies = np.array([-1.0, -1.0, -2.0, -1.6, -2.0, -1.7])
    # The line from (0, -1) to (0.5, -2) passes -1.5 at 0.25; from there to (1, -2) it is level.
    np.testing.assert_allclose(energies_above_hull(fractions, energies), [0, 0.5, 0, 0.4, 0, 0.3], atol=TOLERANCE_EV)


def test_references_of_the_elements_cancel() -> None:
    generator = np.random.default_rng(0)
    fractions = generator.dirichlet(np.ones(3), 40)
    energies = generator.normal(size=40)
    shifted = energies + fractions @ np.array([5.0, -3.0, 100.0])
    np.testing.assert_allclose(
        energies_above_hull(fractions, energies), energies_above_hull(fractions, shifted), atol=1e-7
    )


def test_it_is_the_convex_hull_of_scipy() -> None:
    from scipy.spatial import ConvexHull

    generator = np.random.default_rng(1)
    fractions = np.vstack([np.eye(3), generator.dirichlet(np.ones(3), 30)])
    energies = np.concatenate([np.zeros(3), generator.uniform(-1, 1, 30)])
    points = np.column_stack([fractions[:, :2], energies])
    hull = ConvexHull(points)
    lower = hull.equations[hull.equations[:, 2] < 0]
    heights = np.max(-(points[:, :2] @ lower[:, :2].T + lower[:, 3]) / lower[:, 2], axis=1)
    np.testing.assert_allclose(energies_above_hull(fractions, energies), energies - heights, atol=1e-7)


def test_what_nothing_can_be_mixed_to_is_on_the_hull() -> None:
    fractions = np.array([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(energies_above_hull(fractions, np.array([1.0, 7.0, 3.0])), [0, 0, 2], atol=TOLERANCE_EV)


def test_too_many_compositions_are_refused() -> None:
    x = np.linspace(0, 1, MOST_COMPOSITIONS + 1)
    with pytest.raises(ValueError, match='too many for a hull'):
        energies_above_hull(np.column_stack([x, 1 - x]), x)


def test_overview_leaves_out_what_is_not_known() -> None:
    made = overview(
        ['val', 'train', 'train'], [{'Li': 1}, {'Li': 1, 'S': 1}, {'S': 1}], [1, 2, 1], [None] * 3, [0.2, None, 0.3]
    )
    assert made.groups == ('train', 'val') and made.member.tolist() == [1, 0, 0]
    assert made.energies is None and made.above_hull is None
    assert made.barriers is not None and np.isnan(made.barriers[1])
    np.testing.assert_allclose(made.fraction_of('Li'), [1, 0.5, 0])
    assert not made.fraction_of('P').any()


def test_many_families_become_eight() -> None:
    names = [f'family {number}' for number in range(20) for _ in range(number + 1)]
    count = len(names)
    made = overview(names, [{'Li': 1}] * count, [1] * count, [0.0] * count, [None] * count)
    assert len(made.groups) == 8 and made.groups[0] == 'family 19' and made.groups[-1] == REST
    assert np.bincount(made.member)[-1] == sum(range(1, 14))
