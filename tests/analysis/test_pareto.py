"""Fronts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.pareto import alike, beyond_noise, pareto_front

CASES = {
    'stairs': ([1, 2, 3, 4], [9, 5, 6, 1], [0, 1, 3]),
    'one is best': ([3, 1, 2], [2, 1, 3], [1]),
    'same cost': ([1, 1, 2], [5, 4, 4], [1]),
    'same error': ([2, 1, 3], [4, 4, 3], [1, 2]),
    'equal points': ([1, 1, 2], [2, 2, 2], [0, 1]),
    'unknown': ([1.0, None, 2.0, np.nan, 0.5], [3.0, 0.1, 2.0, 0.0, np.inf], [0, 2]),
    'order of cost': ([30, 10, 20], [1, 3, 2], [1, 2, 0]),
    'none': ([], [], []),
}


@pytest.mark.parametrize('case', CASES)
def test_front(case: str) -> None:
    costs, errors, front = CASES[case]
    assert pareto_front(costs, errors) == front


def test_front_beats_all_else() -> None:
    rng = np.random.default_rng(0)
    costs, errors = rng.random((2, 60))
    front = pareto_front(list(costs), list(errors))
    assert (np.diff(costs[front]) > 0).all() and (np.diff(errors[front]) < 0).all()
    for one in set(range(60)) - set(front):
        assert ((costs[front] <= costs[one]) & (errors[front] <= errors[one])).any()


def test_as_many_of_both() -> None:
    with pytest.raises(ValueError, match='2 costs and 1 errors'):
        pareto_front([1, 2], [1])


def test_costs_are_told_apart_beyond_spread_and_a_tenth() -> None:
    assert alike([1.0, 1.09], [None, None]) == pytest.approx(0.09)
    assert alike([1.0, 1.11], [None, None]) is None
    assert alike([1.0, 1.4, 1.2], [0.5, None, 0.1]) == pytest.approx(0.4)
    assert alike([1.0], [None]) is None and alike([], []) is None
    assert beyond_noise([1.0, 1.05, 2.0, 2.5], [None, None, 0.6, None]) == [1, 3]
    assert beyond_noise([1.0, 1.2, 2.0], [None] * 3) == [0, 1, 2]
