"""The curve and its area by hand, with ties, and beside counting all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.bootstrap import Bootstrap
from aiida_litraj.analysis.roc import area_under_curve, roc

from .campaigns import campaign

ROUND_OFF = 1e-12
BOOTSTRAP = Bootstrap()
THRESHOLD = 0.5
CAMPAIGNS = 300


def counted(predicted: np.ndarray, low: np.ndarray) -> float:
    """Share of pairs of a low and a high one in the right order, ties half."""
    own, others = predicted[low][:, None], predicted[~low][None]
    return float(((own < others) + 0.5 * (own == others)).mean())


def test_five_barriers_by_hand() -> None:
    """Low ones at 0.1, 0.3, 0.3, high ones at 0.3, 0.5: five of six pairs, two of them as halves."""
    found = roc(
        np.array([0.3, 0.1, 0.5, 0.3, 0.3]), np.array([True, True, False, True, False]), list('abcde'), BOOTSTRAP
    )
    assert found is not None
    np.testing.assert_array_equal(found.thresholds_ev, [-np.inf, 0.1, 0.3, 0.5])
    np.testing.assert_allclose(found.false_low, [0.0, 0.0, 0.5, 1.0], atol=ROUND_OFF)
    np.testing.assert_allclose(found.true_low, [0.0, 1 / 3, 1.0, 1.0], atol=ROUND_OFF)
    assert found.auc.value == pytest.approx(5 / 6, abs=ROUND_OFF)
    assert found.auc.reason == 'no interval: 2 material(s) on one side of the threshold, at least 5 are needed'


@pytest.mark.parametrize('digits', [0, 1, 8])
def test_area_is_that_of_the_curve_and_of_counted_pairs(digits: int) -> None:
    one = campaign(np.random.default_rng(digits), 40)
    predicted, low = one.predicted.round(digits), one.reference <= THRESHOLD
    found = roc(predicted, low, one.materials, BOOTSTRAP)
    assert found is not None
    trapezia = np.diff(found.false_low) * 0.5 * (found.true_low[1:] + found.true_low[:-1])
    assert found.auc.value == pytest.approx(trapezia.sum(), abs=ROUND_OFF)
    assert found.auc.value == pytest.approx(counted(predicted, low), abs=ROUND_OFF)


def test_equal_predictions_tell_nothing_and_the_opposite_ones_the_opposite() -> None:
    one = campaign(np.random.default_rng(5), 30)
    low = one.reference <= THRESHOLD
    flat = roc(np.full(len(low), 0.4), low, one.materials, BOOTSTRAP)
    assert flat is not None and flat.auc.value == pytest.approx(0.5, abs=ROUND_OFF)
    np.testing.assert_array_equal(flat.true_low, flat.false_low)
    forward, backward = (area_under_curve(sign * one.predicted, low, one.materials, BOOTSTRAP) for sign in (1, -1))
    assert backward.value == pytest.approx(1.0 - forward.value, abs=ROUND_OFF)  # type: ignore[operator]
    mirrored = tuple(1.0 - end for end in reversed(forward.interval or ()))
    assert backward.interval == pytest.approx(mirrored, abs=1e-9)


def test_the_interval_is_that_of_leaving_out_materials() -> None:
    """By the definition: each material left out, its pairs counted anew, Student's t around the log odds."""
    one = campaign(np.random.default_rng(6), 12)
    names, low = np.array(one.materials), one.reference <= THRESHOLD
    left = np.array([counted(one.predicted[names != name], low[names != name]) for name in np.unique(names)])
    value = counted(one.predicted, low)
    error = np.sqrt(11 / 12 * ((left - value) ** 2).sum()) / (value * (1 - value))
    centre = np.log(value / (1 - value))
    expected = 1 / (1 + np.exp(-(centre + np.array([-1.0, 1.0]) * 2.200985160082949 * error)))
    found = area_under_curve(one.predicted, low, one.materials, BOOTSTRAP)
    assert found.interval == pytest.approx(tuple(expected), abs=1e-9)


def test_without_both_sides_or_any_mistake_there_is_a_reason() -> None:
    materials = [str(number) for number in range(12)]
    low = np.arange(12) < 6
    assert roc(np.arange(12.0), np.ones(12, dtype=bool), materials, BOOTSTRAP) is None
    perfect = area_under_curve(np.arange(12.0), low, materials, BOOTSTRAP)
    assert perfect.value == 1.0 and perfect.interval is None
    assert perfect.reason == 'no interval: the predictions part low from high without exception'
    with pytest.raises(ValueError, match='prediction 3 is not a number'):
        roc(np.where(np.arange(12) == 3, np.nan, 0.5), low, materials, BOOTSTRAP)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    many = campaign(np.random.default_rng(99), 1_500)
    truth = counted(many.predicted, many.reference <= THRESHOLD)
    held = []
    for number in range(CAMPAIGNS):
        one = campaign(np.random.default_rng([1, number]), 25)
        found = area_under_curve(one.predicted, one.reference <= THRESHOLD, one.materials, BOOTSTRAP)
        if found.interval is not None:
            held.append(found.interval[0] <= truth <= found.interval[1])
    assert len(held) > 0.95 * CAMPAIGNS
    assert 0.91 <= np.mean(held) <= 0.98
