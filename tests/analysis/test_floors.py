"""What a constant and an initial guess score, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.benchmark_errors import Outcomes
from aiida_litraj.analysis.floors import (
    constant_barriers,
    constant_floor,
    initial_floor,
    mae_over_constant,
    share_closer_than_initial,
)

ROUND_OFF = 1e-12
MATERIALS = ('a', 'a', 'b', 'c')
REFERENCE = np.array([0.1, 0.3, 0.5, 0.9])


def test_the_constant_is_the_median_of_the_other_materials() -> None:
    """Without a: 0.5 and 0.9; without b: 0.1, 0.3, 0.9; without c: 0.1, 0.3, 0.5."""
    barriers, source = constant_barriers(REFERENCE, MATERIALS)
    np.testing.assert_allclose(barriers, [0.7, 0.7, 0.3, 0.3], atol=ROUND_OFF)
    assert source == 'other materials'
    floor = constant_floor(REFERENCE, MATERIALS)
    assert floor.mae_ev.value == pytest.approx((0.6 + 0.4 + 0.2 + 0.6) / 4, abs=ROUND_OFF)


def test_no_hop_is_told_its_own_answer_nor_that_of_its_material() -> None:
    before, _ = constant_barriers(REFERENCE, MATERIALS)
    after, _ = constant_barriers(REFERENCE + np.array([0.0, 9.0, 0.0, 0.0]), MATERIALS)
    np.testing.assert_array_equal(before[:2], after[:2])
    assert after[2] != before[2] or after[3] != before[3]


def test_training_data_take_the_place_of_the_others() -> None:
    barriers, source = constant_barriers(REFERENCE, ('a',) * 4, np.array([0.2, 0.4, 5.0]))
    np.testing.assert_array_equal(barriers, [0.4] * 4)
    assert source == 'training data'
    with pytest.raises(ValueError, match='give those of training data'):
        constant_barriers(REFERENCE, ('a',) * 4)
    with pytest.raises(ValueError, match='training barriers have to be numbers'):
        constant_barriers(REFERENCE, MATERIALS, np.array([]))


def test_initial_guess_as_it_is() -> None:
    floor = initial_floor(REFERENCE, REFERENCE + 0.2, np.array([0.1, 0.2, 0.3, 0.4]), MATERIALS)
    assert floor.barriers is not None
    assert floor.barriers.mae_ev.value == pytest.approx(0.2, abs=ROUND_OFF)
    assert floor.path_error_ang.value == pytest.approx(0.25, abs=ROUND_OFF)
    assert initial_floor(REFERENCE, None, None, MATERIALS).path_error_ang.reason == 'path errors were not computed'


def test_a_potential_beside_the_floors() -> None:
    """Converged: off by 0.1 and 0.1 where the constant is off by 0.6 and 0.2; of four paths one is closer."""
    outcomes = Outcomes(
        'forward',
        MATERIALS,
        REFERENCE,
        np.array([0.2, 0.3, 0.6, np.nan]),
        np.array([True, False, True, False]),
        np.array([0.05, 0.01, 0.31, np.nan]),
    )
    barriers, _ = constant_barriers(REFERENCE, MATERIALS)
    assert mae_over_constant(outcomes, barriers).value == pytest.approx(0.2 / 0.8, abs=ROUND_OFF)
    closer = share_closer_than_initial(outcomes, np.array([0.1, 0.2, 0.3, 0.4]))
    assert closer.value == 1 / 4  # the second failed, the third is farther than the guess
