"""Mean-square displacements, and diffusivities as their slope with an error bar.

A run is a trajectory of unwrapped positions at equal time steps. The slope is a weighted sum of mean-square
displacements at a few lags; so it is also the time average of a series, and its variance follows from the
autocovariance of that series, whatever the ions do together within a window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, stats

from ..contract.arrays import Array

Indices = npt.NDArray[np.int64]

ONE_SIGMA = 0.841344746068543
"""Quantile whose interval, from its mirror image up to it, holds 68.27 %."""
MOST_LAGS = 7
"""Lags of a fit: neighbouring ones tell the same, so more of them change a slope little."""
LEAST_SHARE_OF_WALK = 0.5
"""The variance that the series shows is not taken to be less than this share of that of independent walkers: in runs
of few windows it is itself uncertain, and by chance often far too small."""
REPEATS_DIFFER = 0.01
"""Probability below which repeats are said not to agree."""
_CHUNK = 4_000_000
"""Numbers transformed at once."""


@dataclass(frozen=True)
class Scatter:
    """What lies behind an estimate from several runs: two errors of its logarithm, with their degrees of freedom.

    :ivar noise: from within the runs.
    :ivar noise_freedom: from the number of independent windows of time.
    :ivar spread: from the scatter of the runs, one degree of freedom less than there are runs.
    """

    noise: float
    noise_freedom: float
    spread: float
    spread_freedom: float


@dataclass(frozen=True)
class Estimate:
    """A positive quantity with its 68 % interval, symmetric in the logarithm.

    :ivar value: in the unit that the name of the field says.
    :ivar low: lower end of the interval.
    :ivar high: upper end of the interval.
    :ivar log_error: standard error of the logarithm; the interval is ``value exp(-+ t log_error)``.
    :ivar degrees_of_freedom: of Student's t, from the number of independent windows of time.
    :ivar scatter: ``None`` if there was one run.
    """

    value: float
    low: float
    high: float
    log_error: float
    degrees_of_freedom: float
    scatter: Scatter | None = None

    @classmethod
    def of(cls, value: float, log_error: float, degrees_of_freedom: float, scatter: Scatter | None = None) -> Estimate:
        """Return the estimate with the interval of Student's t distribution."""
        reach = math.exp(float(stats.t.ppf(ONE_SIGMA, degrees_of_freedom)) * log_error)
        return cls(value, value / reach, value * reach, log_error, degrees_of_freedom, scatter)

    def times(self, factor: float) -> Estimate:
        """Return the estimate in another unit, or of a quantity proportional to it."""
        return replace(self, value=self.value * factor, low=self.low * factor, high=self.high * factor)


@dataclass(frozen=True, eq=False)
class Window:
    """Lags of a fit in frames, and the weights that make the slope of the mean-square displacements there.

    The slope per frame is ``weights @ msd[lags]``; a constant offset, such as that of vibrations, cancels.
    """

    lags: Indices
    weights: Array

    @property
    def longest(self) -> int:
        """Longest lag: displacements from origins that far apart share no step."""
        return int(self.lags[-1])


@dataclass(frozen=True, eq=False)
class Slope:
    """Slope of a mean-square displacement, in Ang^2 per frame.

    :ivar value: of all runs together.
    :ivar standard_error: of it.
    :ivar degrees_of_freedom: independent windows of time behind the standard error.
    :ivar repeats_differ: whether runs scatter more than their errors explain; the standard error is then that of the
        scatter, with one degree of freedom less than there are runs.
    :ivar noise: standard error from within the runs alone: what tells a slope from none.
    :ivar noise_freedom: independent windows of time behind that.
    :ivar spread: standard error from the scatter of the runs alone, not a number if there is but one.
    :ivar series: of each run that counts, the slope at every time origin.
    :ivar walk_variance: relative variance if this were one free walker.
    :ivar reach: steps from which on the values of a series are independent.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float
    repeats_differ: bool
    noise: float
    noise_freedom: float
    spread: float
    series: tuple[Array, ...]
    walk_variance: float
    reach: int

    def estimate(self, factor: float) -> Estimate:
        """Return the slope times ``factor`` as an estimate of a positive quantity."""
        scatter = None
        if len(self.series) > 1:
            errors = self.noise / self.value, self.noise_freedom, self.spread / self.value
            scatter = Scatter(*errors, float(len(self.series) - 1))
        return Estimate.of(self.value * factor, self.standard_error / self.value, self.degrees_of_freedom, scatter)


def relative_to_framework(positions: Array, framework: Indices, masses: Array) -> Array:
    """Return positions (F, N, 3) in Ang seen from the centre of mass of the framework, which starts at the origin.

    Without a framework (every atom is mobile) they are returned as they are: nothing is there to be seen from.

    :param positions: unwrapped, (F, N, 3).
    :param framework: indices of its atoms.
    :param masses: (N,), in any unit.
    """
    if not len(framework):
        return positions
    share = masses[framework] / masses[framework].sum()
    centre = np.einsum('fax,a->fx', positions[:, framework], share)
    return np.asarray(positions - centre[:, None, :])


def mean_square_displacement(positions: Array) -> Array:
    """Return the mean-square displacement (F,) in Ang^2 of atoms at (F, N, 3) over all time origins, by lag.

    By Fourier transform in F log F, as in G. R. Kneller et al., Comput. Phys. Commun. 91, 191 (1995).
    """
    n_frames, n_atoms = positions.shape[:2]
    counts = np.arange(n_frames, 0, -1)
    size = fft.next_fast_len(2 * n_frames, real=True)
    squares, products = np.zeros(n_frames), np.zeros(n_frames)
    step = max(1, _CHUNK // (3 * size))
    for first in range(0, n_atoms, step):
        part = positions[:, first : first + step].reshape(n_frames, -1)
        part = part - part.mean(axis=0)  # far from the origin the difference below would lose digits
        squares += np.square(part).sum(axis=1)
        spectrum = fft.rfft(part, size, axis=0)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        products += fft.irfft(power.sum(axis=1), size)[:n_frames]
    left = np.cumsum(squares)[::-1]  # origins 0 ... F-1-lag
    right = np.cumsum(squares[::-1])[::-1]  # their ends lag ... F-1
    return np.asarray(np.maximum((left + right - 2.0 * products) / (counts * n_atoms), 0.0))


def pooled(curves: Sequence[Array]) -> Array:
    """Return the mean of curves by lag (each of the length of its run), weighted with their numbers of origins."""
    length = max(len(curve) for curve in curves)
    total, counts = np.zeros(length), np.zeros(length)
    for curve in curves:
        origins = np.arange(len(curve), 0, -1)
        total[: len(curve)] += origins * curve
        counts[: len(curve)] += origins
    return np.asarray(total / counts)


def covariance_of_walk(lags: Indices, n_frames: int) -> Array:
    """Return the covariance of mean-square displacements of a random walk in one dimension over all time origins.

    In units of the squared variance of one step. Two displacements that share k steps have squares of covariance
    2 k^2 (Isserlis); the sum over all pairs of origins as in H. Qian et al., Biophys. J. 60, 910 (1991).
    """
    covariance = np.empty((len(lags), len(lags)))
    for row, first in enumerate(lags):
        for column, second in enumerate(lags[row:], row):
            shift = np.arange(1 - second, first)
            shared = np.minimum(first, shift + second) - np.maximum(0, shift)
            pairs = np.minimum(n_frames - first, n_frames - second - shift) - np.maximum(0, -shift)
            total = float((np.maximum(pairs, 0) * np.square(shared, dtype=float)).sum())
            value = 2.0 * total / float((n_frames - first) * (n_frames - second))
            covariance[row, column] = covariance[column, row] = value
    return covariance


@lru_cache(maxsize=256)
def fit_window(start: int, factor: float, n_frames: int) -> Window:
    """Return lags from ``start`` to ``factor`` times that, with the weights of generalised least squares.

    Straight line with a free offset; the covariance is that of a random walk, which makes the slope the best linear
    unbiased one for walkers with vibrations on top (compare X. Michalet, Phys. Rev. E 82, 041914 (2010)).

    :raises ValueError: if the window does not fit into ``n_frames``.
    """
    stop = max(round(factor * start), start + 1)
    if stop >= n_frames:
        raise ValueError(f'lags up to {stop} frames do not fit into a run of {n_frames}')
    lags = np.unique(np.linspace(start, stop, MOST_LAGS).round().astype(np.int64))
    line = np.stack([lags.astype(float), np.ones(len(lags))], axis=1)
    solved = np.linalg.solve(covariance_of_walk(lags, n_frames), line)
    return Window(lags, np.linalg.solve(line.T @ solved, solved.T)[0])


def window_series(positions: Array, window: Window) -> Array:
    """Return for every time origin with all lags of the window the slope (F - longest,) in Ang^2 per frame.

    That is the weighted sum of squared displacements from this origin, averaged over the atoms of (F, N, 3).
    """
    n_origins = len(positions) - window.longest
    series = np.zeros(n_origins)
    for lag, weight in zip(window.lags, window.weights):
        moved = positions[lag : lag + n_origins] - positions[:n_origins]
        series += weight * np.einsum('fax,fax->f', moved, moved) / positions.shape[1]
    return series


def variance_of_mean(series: Sequence[Array], reach: int) -> float:
    """Return the variance of the mean of time series whose values are independent if ``reach`` or more steps apart.

    Sum of the autocovariance up to that distance, with the deviations taken from the common mean, for which the
    result is corrected. Can be negative by chance if series are short.
    """
    total = sum(len(one) for one in series)
    mean = sum(float(one.sum()) for one in series) / total
    summed, overlapping = 0.0, 0.0
    for one in series:
        length, span = len(one), min(reach, len(one))
        spectrum = fft.rfft(one - mean, fft.next_fast_len(2 * length, real=True))
        covariance = fft.irfft(np.abs(spectrum) ** 2, fft.next_fast_len(2 * length, real=True))[:span]
        summed += float(covariance[0] + 2.0 * covariance[1:].sum())
        overlapping += length * (2 * span - 1) - span * (span - 1)
    used = overlapping / total**2
    return summed / total**2 / (1.0 - used) if used < 1.0 else math.nan


def slope_of(walks: Sequence[Array], window: Window) -> Slope:
    """Return the slope of the mean-square displacement of walkers in independent runs (F, N, 3) in Ang.

    Runs count by their lengths, not by their own errors: these are proportional to their slopes, and weights that go
    by them would favour what is low by chance. Runs no longer than the window don't count.

    :raises ValueError: if no run is longer than the window.
    """
    used = [walk for walk in walks if len(walk) > window.longest]
    if not used:
        raise ValueError(f'no run is longer than the window of {window.longest} frames')
    means = np.array([_slope_of_run(walk, window) for walk in used])
    lengths = np.array([len(walk) - window.longest for walk in used], dtype=float)
    value = float(means @ lengths / lengths.sum())
    walk_variance = 1.0 / sum(1.0 / _walk_variance(window, len(walk)) for walk in used)
    series = tuple(window_series(walk, window) for walk in used)
    variance = _variance(series, window.longest, value**2 * walk_variance / used[0].shape[1])
    windows = max(1.0, sum(len(walk) for walk in used) / (2.0 * window.longest))
    spread = _scatter(means, lengths, value)
    differ = _differ(spread, variance, len(used) - 1, windows)
    return Slope(
        value=value,
        standard_error=spread if differ else math.sqrt(variance),
        degrees_of_freedom=float(len(used) - 1) if differ else windows,
        repeats_differ=differ,
        noise=math.sqrt(variance),
        noise_freedom=windows,
        spread=spread,
        series=series,
        walk_variance=walk_variance,
        reach=window.longest,
    )


def ratio_of(first: Slope, collective: Slope, n_walkers: int) -> Estimate:
    """Return the ratio of the slopes of the walkers and of their sum, both positive, from the same windows.

    The two go up and down together, the more so the fewer walkers there are: with one they are the same.
    """
    value = first.value / collective.value
    if first.repeats_differ or collective.repeats_differ:
        parts = [(one.standard_error / one.value) ** 2 for one in (first, collective)]
        return Estimate.of(value, math.sqrt(sum(parts)), min(first.degrees_of_freedom, collective.degrees_of_freedom))
    series = [one / first.value - two / collective.value for one, two in zip(first.series, collective.series)]
    variance = _variance(series, first.reach, collective.walk_variance * (1.0 - 1.0 / n_walkers))
    return Estimate.of(value, math.sqrt(variance), first.degrees_of_freedom)


@lru_cache(maxsize=1024)
def _walk_variance(window: Window, n_frames: int) -> float:
    """Return the relative variance of the slope of one free walker in three dimensions."""
    return float(window.weights @ covariance_of_walk(window.lags, n_frames) @ window.weights) / 3.0


def _variance(series: Sequence[Array], reach: int, of_walk: float) -> float:
    """Return the variance of the mean that the series show, but not much less than that of independent walkers."""
    seen = variance_of_mean(series, reach)
    if not math.isfinite(seen):  # shorter than one window: they show nothing
        return of_walk / LEAST_SHARE_OF_WALK
    return max(seen, LEAST_SHARE_OF_WALK * of_walk)


def _slope_of_run(walk: Array, window: Window) -> float:
    """Return the slope from all time origins of each lag."""
    squares = [float(np.square(walk[lag:] - walk[:-lag]).sum()) / (len(walk) - lag) for lag in window.lags]
    return float(window.weights @ np.array(squares) / walk.shape[1])


def _scatter(means: Array, lengths: Array, value: float) -> float:
    """Return the standard error of the mean as runs scatter, with variances inversely proportional to their lengths."""
    if len(means) < 2:
        return math.nan
    return math.sqrt(float((lengths * (means - value) ** 2).sum()) / lengths.sum() / (len(means) - 1))


def _differ(spread: float, variance: float, freedom: int, windows: float) -> bool:
    """Return whether runs scatter by more than the variance within them explains."""
    if not (freedom > 0 and variance > 0.0):
        return False
    # The variance is itself estimated: Fisher's F rather than chi squared.
    return bool(stats.f.sf(spread**2 / variance, freedom, windows) < REPEATS_DIFFER)
