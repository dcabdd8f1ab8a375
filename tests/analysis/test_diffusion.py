"""Mean-square displacements, their covariance and slopes against what is known on paper or by counting."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.diffusion import (
    covariance_of_walk,
    fit_window,
    mean_square_displacement,
    pooled,
    relative_to_framework,
    slope_of,
    variance_of_mean,
    window_series,
)
from tests.fixtures.walks import gaussian

ROUND_OFF = 1e-9
MEASURED_COVARIANCE = 0.12
"""Relative error of a covariance from 2,000 walks at short lags."""


def test_msd_by_fourier_transform_is_the_one_by_counting() -> None:
    walk = gaussian(np.random.default_rng(0), 37, 3, 0.5) + 1e4  # far from the origin, where digits get lost
    counted = [np.square(walk[lag:] - walk[: 37 - lag]).sum(axis=-1).mean() for lag in range(37)]
    np.testing.assert_allclose(mean_square_displacement(walk), counted, rtol=1e-7, atol=1e-7)


def test_msd_of_even_motion_is_the_square_of_the_way() -> None:
    walk = np.arange(50.0)[:, None, None] * np.array([0.1, 0.2, -0.2])
    np.testing.assert_allclose(mean_square_displacement(walk), 0.09 * np.arange(50.0) ** 2, atol=ROUND_OFF)


def test_pooled_counts_origins() -> None:
    long, short = np.full(4, 2.0), np.full(2, 5.0)
    expected = [(4 * 2.0 + 2 * 5.0) / 6, (3 * 2.0 + 1 * 5.0) / 4, 2.0, 2.0]
    np.testing.assert_allclose(pooled([long, short]), expected)


def test_covariance_of_a_walk_is_the_measured_one() -> None:
    lags, n_frames = np.array([2, 3, 6]), 40
    walks = gaussian(np.random.default_rng(1), n_frames, 6000, 0.5)  # unit variance a step and direction
    squares = np.stack([np.square(walks[lag:] - walks[:-lag]).mean(axis=0).ravel() for lag in lags])
    np.testing.assert_allclose(np.cov(squares), covariance_of_walk(lags, n_frames), rtol=MEASURED_COVARIANCE)


def test_covariance_at_one_step_is_that_of_independent_squares() -> None:
    assert covariance_of_walk(np.array([1]), 101)[0, 0] == pytest.approx(2.0 / 100.0)


@pytest.mark.parametrize('start', [1, 2, 7, 40])
def test_weights_give_the_slope_of_any_straight_line(start: int) -> None:
    window = fit_window(start, 2.0, 400)
    assert window.weights.sum() == pytest.approx(0.0, abs=ROUND_OFF)  # whatever its offset
    assert window.weights @ window.lags == pytest.approx(1.0)
    assert window.lags[0] == start
    assert window.longest == 2 * start


def test_window_must_fit() -> None:
    with pytest.raises(ValueError, match='do not fit into a run of 20'):
        fit_window(10, 2.0, 20)
    with pytest.raises(ValueError, match='no run is longer'):
        slope_of([np.zeros((10, 1, 3))], fit_window(8, 2.0, 100))


def test_series_of_windows_has_the_slope_as_its_mean() -> None:
    """Up to the origins near the end, which only the shorter lags have."""
    walk, window = gaussian(np.random.default_rng(2), 4000, 5, 0.5), fit_window(4, 2.0, 4000)
    assert window_series(walk, window).mean() == pytest.approx(slope_of([walk], window).value, rel=0.01)


def test_variance_of_the_mean_of_a_moving_average() -> None:
    """Sums of four neighbours: the variance of the mean is 16 times that of the independent numbers."""
    generator, measured = np.random.default_rng(3), []
    for _ in range(200):
        series = [np.convolve(generator.normal(size=size), np.ones(4), 'valid') for size in (300, 150)]
        measured.append(variance_of_mean(series, 4) * sum(map(len, series)) / 16.0)
    assert np.mean(measured) == pytest.approx(1.0, abs=4 * np.std(measured) / np.sqrt(200))
    assert np.std(measured) < 0.25


def test_runs_count_by_their_lengths() -> None:
    generator, window = np.random.default_rng(4), fit_window(5, 2.0, 900)
    walks = [gaussian(generator, n_frames, 8, 0.5) for n_frames in (900, 300, 8)]
    single = [slope_of([walk], window).value for walk in walks[:2]]
    together = slope_of(walks, window)
    assert together.value == pytest.approx((890 * single[0] + 290 * single[1]) / 1180)
    assert together.standard_error < slope_of(walks[1:], window).standard_error


def test_repeats_that_differ_have_the_error_of_their_scatter() -> None:
    generator, window = np.random.default_rng(5), fit_window(5, 2.0, 600)
    walks = [gaussian(generator, 600, 8, diffusivity) for diffusivity in (0.3, 0.5, 0.9)]
    slope = slope_of(walks, window)
    assert slope.repeats_differ
    assert slope.degrees_of_freedom == 2
    means = [slope_of([walk], window).value for walk in walks]
    assert slope.standard_error == pytest.approx(np.std(means, ddof=1) / np.sqrt(3))
    assert not slope_of([gaussian(generator, 600, 8, 0.5) for _ in range(3)], window).repeats_differ


def test_framework_is_the_frame_of_reference() -> None:
    generator = np.random.default_rng(6)
    still, masses = generator.normal(size=(1, 4, 3)) * np.ones((20, 1, 1)), np.array([1.0, 2.0, 3.0, 4.0])
    drift = np.cumsum(generator.normal(size=(20, 1, 3)), axis=0)
    seen = relative_to_framework(still + drift, np.array([1, 3]), masses)
    np.testing.assert_allclose(seen - seen[:1], 0.0, atol=ROUND_OFF)
    np.testing.assert_allclose((2.0 * seen[:, 1] + 4.0 * seen[:, 3]) / 6.0, 0.0, atol=ROUND_OFF)
    assert relative_to_framework(drift, np.array([], dtype=np.int64), masses) is drift
