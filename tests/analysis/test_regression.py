"""Errors of barriers on cases worked out by hand, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.bootstrap import Bootstrap
from aiida_litraj.analysis.regression import BarrierErrors, barrier_errors, mean_size, ratio_of_means

from .campaigns import Campaign, campaign

ROUND_OFF = 1e-12
COVERAGE = (0.86, 0.98)
"""For 95 %; where materials differ in softening and scatter, r, RMSE and R2 of few of them hold some 90 %."""
CAMPAIGNS = 400
NAMES = ('mae_ev', 'rmse_ev', 'mean_error_ev', 'pearson_r', 'slope', 'r2')


def values(errors: BarrierErrors) -> dict[str, float | None]:
    return {name: getattr(errors, name).value for name in NAMES}


def test_three_barriers_by_hand() -> None:
    """Off by 0, 0, 2; about their means x is -1, 0, 1 and y -5/3, -2/3, 7/3: xy 4, xx 2, yy 26/3."""
    found = values(barrier_errors(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 4.0]), ['a', 'b', 'c']))
    by_hand = {
        'mae_ev': 2 / 3, 'rmse_ev': np.sqrt(4 / 3), 'mean_error_ev': 2 / 3, 'pearson_r': 4 / np.sqrt(2 * 26 / 3),
        'slope': 2.0, 'r2': 1 - 4 / 2,
    }  # fmt: skip
    assert found == pytest.approx(by_hand, abs=ROUND_OFF)


def test_the_first_argument_is_the_truth() -> None:
    """Exchanged, only size of errors and correlation stay: slope 4 / (26/3), R2 1 - 4 / (26/3)."""
    found = values(barrier_errors(np.array([0.0, 1.0, 4.0]), np.array([0.0, 1.0, 2.0]), ['a', 'b', 'c']))
    assert found['slope'] == pytest.approx(6 / 13, abs=ROUND_OFF)
    assert found['r2'] == pytest.approx(7 / 13, abs=ROUND_OFF)
    assert found['mean_error_ev'] == pytest.approx(-2 / 3, abs=ROUND_OFF)


def test_what_is_not_defined_says_why() -> None:
    flat = barrier_errors(np.full(3, 0.4), np.array([0.3, 0.4, 0.5]), ['a', 'b', 'c'])
    assert values(flat)['pearson_r'] is None and flat.slope.reason == 'all reference barriers are the same'
    still = barrier_errors(np.array([0.3, 0.4, 0.5]), np.full(3, 0.4), ['a', 'b', 'c'])
    assert still.pearson_r.value is None and still.pearson_r.reason == 'all predicted barriers are the same'
    assert still.slope.value == pytest.approx(0.0, abs=ROUND_OFF) and still.r2.value == pytest.approx(0.0, abs=1e-12)
    none = barrier_errors(np.zeros(0), np.zeros(0), [])
    assert none.n_paths == 0 and none.mae_ev.reason == 'there is no path'


def test_too_few_materials_have_numbers_without_intervals_and_say_so() -> None:
    reference = np.linspace(0.1, 1.0, 12)
    few = barrier_errors(reference, reference + 0.1 * np.sin(9 * reference), list('aaabbbcccddd'))
    assert few.mae_ev.value is not None and few.mae_ev.interval is None
    assert few.mae_ev.reason == 'no interval: 4 material(s), at least 5 are needed'
    enough = barrier_errors(reference, reference + 0.1 * np.sin(9 * reference), list('aaabbbcccdde'))
    assert enough.mae_ev.interval is not None and enough.mae_ev.reason is None
    assert enough.mae_ev.interval[0] < enough.mae_ev.value < enough.mae_ev.interval[1]


def test_a_perfect_potential_has_no_spread_to_judge() -> None:
    reference = np.linspace(0.1, 1.0, 12)
    perfect = barrier_errors(reference, reference, list('abcdefghijkl'))
    assert perfect.mae_ev.value == 0.0 and perfect.mae_ev.interval is None
    assert perfect.mae_ev.reason is not None and 'at the end of what it can be' in perfect.mae_ev.reason


def test_where_energies_count_from_does_not_matter_but_to_the_mean_error() -> None:
    one = campaign(np.random.default_rng(4), 30)
    errors = barrier_errors(one.reference, one.predicted, one.materials)
    moved = barrier_errors(one.reference + 1000.0, one.predicted + 1000.0, one.materials)
    for name in NAMES:
        assert getattr(moved, name).interval == pytest.approx(getattr(errors, name).interval, rel=1e-6), name


def test_what_is_drawn_is_the_number_itself() -> None:
    """With few materials intervals are even around it, each on its own scale."""
    one = campaign(np.random.default_rng(8), 12)
    errors = barrier_errors(one.reference, one.predicted, one.materials)
    scales = {'mae_ev': np.log, 'rmse_ev': np.log, 'pearson_r': np.arctanh, 'r2': lambda r2: np.log(1.0 - r2)}
    for name in NAMES:
        found = getattr(errors, name)
        low, high, value = (scales.get(name, float)(one) for one in (*found.interval, found.value))
        assert 0.5 * (low + high) == pytest.approx(value, abs=1e-9), name


def test_ratio_is_paired() -> None:
    """Twice the error on each path is twice the error, however much materials differ: no doubt is left."""
    sizes = np.random.default_rng(0).gamma(0.5, 0.2, 40)
    materials = [str(one // 4) for one in range(40)]
    found = ratio_of_means(2.0 * sizes, sizes, materials, Bootstrap())
    assert found.value == pytest.approx(2.0) and found.interval == pytest.approx((2.0, 2.0), rel=1e-6)
    alone = mean_size(sizes, materials, Bootstrap()).interval
    assert alone is not None and alone[1] / alone[0] > 1.5


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match='predicted barrier 1 is nan'):
        barrier_errors(np.zeros(2), np.array([0.0, np.nan]), ['a', 'b'])
    with pytest.raises(ValueError, match='2 reference and 3 predicted barriers of 2 materials'):
        barrier_errors(np.zeros(2), np.zeros(3), ['a', 'b'])


@pytest.fixture(scope='module')
def truth() -> dict[str, float | None]:
    """Of so many materials that hardly any doubt is left."""
    return values(errors_of(campaign(np.random.default_rng(99), 40_000), Bootstrap(samples=2)))


@pytest.mark.parametrize('n_materials', [12, 25])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n_materials: int, truth: dict[str, float]) -> None:
    """Materials of one to six hops, in each of which the potential is off in a way of its own."""
    held = dict.fromkeys(NAMES, 0)
    for number in range(CAMPAIGNS):
        found = errors_of(campaign(np.random.default_rng([1, number]), n_materials), Bootstrap(samples=200))
        for name in NAMES:
            interval = getattr(found, name).interval
            held[name] += interval[0] <= truth[name] <= interval[1]
    shares = {name: n / CAMPAIGNS for name, n in held.items()}
    assert all(COVERAGE[0] <= one <= COVERAGE[1] for one in shares.values()), shares


def test_hops_drawn_one_by_one_would_be_too_sure(truth: dict[str, float]) -> None:
    held = 0
    for number in range(CAMPAIGNS):
        one = campaign(np.random.default_rng([1, number]), 12)
        alone = [str(path) for path in range(len(one.reference))]
        interval = barrier_errors(one.reference, one.predicted, alone, Bootstrap(samples=200)).mean_error_ev.interval
        assert interval is not None
        held += interval[0] <= truth['mean_error_ev'] <= interval[1]
    assert held / CAMPAIGNS < COVERAGE[0]


def errors_of(one: Campaign, bootstrap: Bootstrap) -> BarrierErrors:
    return barrier_errors(one.reference, one.predicted, one.materials, bootstrap)
