"""Errors over converged hops and over all, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_litraj.analysis.benchmark_errors import (
    Fallback,
    Outcomes,
    barrier_of,
    benchmark_errors,
    charged_errors,
    mae_ratio,
)
from aiida_litraj.analysis.floors import constant_barriers

from .campaigns import campaign

ROUND_OFF = 1e-12
REFERENCE = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 0.3])
OUTCOMES = Outcomes(
    'range',
    ('a', 'b', 'c', 'd', 'e', 'f'),
    REFERENCE,
    np.array([0.3, 0.4, np.nan, 0.79, 1.2, 0.3]),
    np.array([True, True, False, False, True, True]),
    np.array([0.01, 0.02, np.nan, 0.5, 0.03, 0.02]),
)
"""Third hop without a band, fourth with one that did not converge although it is all but right."""
FALLBACK = Fallback(np.full(6, 0.5), np.array([0.1, 0.1, 0.2, 0.3, 0.1, 0.1]))


def test_two_definitions_of_a_barrier() -> None:
    """First image at -3: up to -2.5, down to -3.1."""
    energies = np.array([-3.0, -2.5, -2.9, -3.1])
    assert barrier_of(energies, 'range') == pytest.approx(0.6, abs=ROUND_OFF)
    assert barrier_of(energies, 'forward') == pytest.approx(0.5, abs=ROUND_OFF)
    assert np.isnan(barrier_of(np.array([0.0, np.nan, 0.0]), 'range'))
    with pytest.raises(ValueError, match="range or forward, not 'height'"):
        barrier_of(energies, 'height')  # type: ignore[arg-type]


def test_converged_only_as_published() -> None:
    """Errors 0.1, 0, 0.2, 0 of four, path errors 0.01, 0.02, 0.03, 0.02."""
    found = benchmark_errors(OUTCOMES)
    assert (found.n_paths, found.n_converged, found.n_unconverged, found.n_without_barrier) == (6, 4, 1, 1)
    assert found.convergence_rate.value == pytest.approx(2 / 3)
    assert found.converged_only.n_paths == 4
    assert found.converged_only.mae_ev.value == pytest.approx(0.075, abs=ROUND_OFF)
    assert found.path_error_ang_converged_only.value == pytest.approx(0.02, abs=ROUND_OFF)
    assert found.charged is None


def test_failures_are_charged_by_name() -> None:
    """With 0.5 for the failed ones: 0.1, 0, 0.1, 0.3, 0.2, 0; as infinite: 0, 0, 0.1, 0.2, inf, inf."""
    found = charged_errors(OUTCOMES, FALLBACK, tolerances_ev=(0.05, 0.15))
    assert (found.n_paths, found.n_failed) == (6, 2)
    assert found.mae_ev_failed_as_constant.value == pytest.approx(0.7 / 6, abs=ROUND_OFF)
    assert found.rmse_ev_failed_as_constant.value == pytest.approx(np.sqrt(0.15 / 6), abs=ROUND_OFF)
    assert found.path_error_ang_failed_as_initial.value == pytest.approx(0.58 / 6, abs=ROUND_OFF)
    median = found.median_error_ev_failed_as_infinite
    assert median.value == pytest.approx(0.15, abs=ROUND_OFF)
    assert median.interval is not None and median.interval[0] == 0.0 and median.interval[1] == np.inf
    shares = found.share_within_failed_as_missed
    assert shares[0.05].value == pytest.approx(2 / 6) and shares[0.15].value == pytest.approx(3 / 6)


def test_to_fail_on_all_scores_just_the_floor() -> None:
    one = campaign(np.random.default_rng(0), 20)
    constants, _ = constant_barriers(one.reference, one.materials)
    nothing = np.full(len(constants), np.nan)
    failed = Outcomes('range', one.materials, one.reference, nothing, np.zeros(len(constants), dtype=bool))
    found = benchmark_errors(failed, Fallback(constants))
    assert found.converged_only.n_paths == 0 and found.converged_only.mae_ev.value is None
    assert found.charged is not None
    floor = np.abs(constants - one.reference).mean()
    assert found.charged.mae_ev_failed_as_constant.value == pytest.approx(floor, abs=ROUND_OFF)
    assert found.charged.median_error_ev_failed_as_infinite.reason == 'the median is a failed path'
    assert all(share.value == 0.0 for share in found.charged.share_within_failed_as_missed.values())


def test_one_more_failure_never_raises_the_share_within_nor_lowers_the_median() -> None:
    """Unlike the MAE of converged hops, which falls when the worst ones fail."""
    one = campaign(np.random.default_rng(1), 30)
    n = len(one.reference)
    fallback = Fallback(np.full(n, 0.6))
    outcomes = Outcomes('range', one.materials, one.reference, one.predicted, np.ones(n, dtype=bool))
    worst = np.abs(one.predicted - one.reference) < np.quantile(np.abs(one.predicted - one.reference), 0.8)
    before, after = (benchmark_errors(each, fallback) for each in (outcomes, replace(outcomes, converged=worst)))
    assert after.converged_only.mae_ev.value < before.converged_only.mae_ev.value  # type: ignore[operator]
    assert before.charged is not None and after.charged is not None
    for tolerance, share in after.charged.share_within_failed_as_missed.items():
        assert share.value <= before.charged.share_within_failed_as_missed[tolerance].value  # type: ignore[operator]
    assert (
        after.charged.median_error_ev_failed_as_infinite.value
        >= before.charged.median_error_ev_failed_as_infinite.value  # type: ignore[operator]
    )


def test_the_interval_of_the_median_holds_the_truth() -> None:
    def median(seed: list[int], n_materials: int) -> tuple[float, tuple[float, float] | None]:
        one = campaign(np.random.default_rng(seed), n_materials)
        outcomes = Outcomes('range', one.materials, one.reference, one.predicted, one.converged)
        found = charged_errors(outcomes, Fallback(np.full(len(one.reference), 0.5)), tolerances_ev=())
        value = found.median_error_ev_failed_as_infinite
        assert value.value is not None
        return value.value, value.interval

    truth, _ = median([99], 5_000)
    intervals = np.array([median([3, number], 25)[1] for number in range(60)])
    held = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert 0.88 <= held.mean() <= 0.99
    assert np.median(np.ptp(intervals, axis=1)) < truth


def test_two_potentials_are_compared_where_both_converged() -> None:
    """First, second and last hop: 0.1 + 0 + 0 beside 0.1 + 0.2 + 0.1."""
    other = replace(
        OUTCOMES,
        predicted_ev=REFERENCE + np.array([0.1, -0.2, 9.0, 9.0, np.nan, 0.1]),
        converged=np.array([True, True, True, True, False, True]),
        path_errors_ang=None,
    )
    assert mae_ratio(OUTCOMES, other).value == pytest.approx(0.25, abs=ROUND_OFF)
    with pytest.raises(ValueError, match='range cannot be compared with those by forward'):
        mae_ratio(OUTCOMES, replace(other, definition='forward'))
    with pytest.raises(ValueError, match='not given the same hops'):
        mae_ratio(OUTCOMES, replace(other, reference_ev=REFERENCE[::-1]))


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match='predicted_ev of hop 2 is nan'):
        replace(OUTCOMES, converged=np.ones(6, dtype=bool))
    with pytest.raises(ValueError, match=r'reference_ev has the shape \(5,\), there are 6 hops'):
        replace(OUTCOMES, reference_ev=REFERENCE[:5])
    with pytest.raises(ValueError, match='fallback barriers_ev of hop 2 is nan'):
        charged_errors(OUTCOMES, Fallback(np.full(6, np.nan)))
    with pytest.raises(ValueError, match='a fallback of 5 hops for 6'):
        charged_errors(OUTCOMES, Fallback(np.zeros(5)))
