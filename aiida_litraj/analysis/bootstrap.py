"""Confidence intervals over whole groups of data, materials or trajectories, not single frames.

Frames of one trajectory, or of one material, resemble each other: drawn one by one they would seem to be far more
independent evidence than they are, and the interval would be too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from ..contract.arrays import Array

FEWEST_GROUPS = 5
"""With fewer some samples have almost no spread of their own, and the interval goes anywhere."""
FEW_GROUPS = 10
"""With fewer, an interval for 95 % holds some 90 % where a few groups dominate."""
GROUPS_TO_DRAW = 20
"""With fewer, samples in which groups happen to agree have so little spread of their own that an end of the interval of
an error may lie a thousandfold away; Student's t holds the truth as often with ends that say something."""
MOST_GROUPS = 2000
"""More are pooled, so that neither time nor memory grows with them."""
ROUND_OFF = 1e-6
"""Relative spread below which groups do not differ: the variance is a difference of squares, good to 1e-16."""

Interval = tuple[float, float]
Weights = npt.NDArray[np.float64] | npt.NDArray[np.int64]
Estimator = Callable[[Weights], tuple[Array, Array]]
"""From how often each group is drawn, (samples, n_groups), an estimate and its standard error, (samples,) each."""


@dataclass(frozen=True)
class Bootstrap:
    """How often groups are drawn, with which seed, and how much of the truth the interval shall hold."""

    samples: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def pooled(self, n_groups: int) -> npt.NDArray[np.int64]:
        """Return to which of at most ``MOST_GROUPS`` pools each group goes, (n_groups,): what is drawn are the pools.

        Independent groups pooled at random are independent groups, with the same spread of their mean.
        """
        if n_groups <= MOST_GROUPS:
            return np.arange(n_groups)
        return np.random.default_rng(self.seed).permutation(n_groups) % MOST_GROUPS

    def interval(self, above: Array, below: Array, positive: bool) -> Interval | None:
        """Return the interval of the ratio sum(above) / sum(below), each (n_groups,); ``None`` for too few groups.

        Bootstrap-t: of each sample the ratio's distance from that of all, in units of the sample's own standard error,
        by the linearised ratio; the quantiles of that are laid around the ratio in units of its standard error. It
        holds the truth about as often as it says from some ten groups on; percentiles of the samples, for 95 %, hold
        it in 85 to 90 % with twenty (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), 12.5).
        Below ``GROUPS_TO_DRAW`` nothing is drawn: the quantiles are those of Student's t with a degree of freedom less
        than there are groups.

        :param positive: whether the ratio is a size, whose logarithm has the more even spread.
        """
        n_groups = len(above)
        if n_groups < FEWEST_GROUPS:
            return None
        ratio, error = _ratio(np.ones((1, n_groups)), above, below)
        centre, spread = float(ratio[0]), float(error[0])
        if not np.isfinite(centre):
            return None
        if spread <= ROUND_OFF * abs(centre):
            return centre, centre

        def estimator(weights: Weights) -> tuple[Array, Array]:
            ratios, errors = _ratio(weights, above, below)
            return (np.log(ratios / centre), errors / ratios) if positive else (ratios - centre, errors)

        quantiles = self._quantiles(estimator, 0.0, n_groups)
        if quantiles is None:
            return None
        least, most = quantiles
        if positive:
            return float(centre * np.exp(-most * spread / centre)), float(centre * np.exp(-least * spread / centre))
        return float(centre - most * spread), float(centre - least * spread)

    def around(self, estimator: Estimator, n_groups: int) -> Interval | None:
        """Return the interval of any estimate that knows its standard error, by the same bootstrap-t.

        The estimate should be on a scale on which its spread is even, such as the logarithm of a size; the interval is
        on that scale too. ``None`` for too few groups, and where the estimate or its error is not finite.
        """
        if n_groups < FEWEST_GROUPS:
            return None
        with np.errstate(divide='ignore', invalid='ignore'):
            value, error = estimator(np.ones((1, n_groups)))
        centre, spread = float(value[0]), float(error[0])
        if not (np.isfinite(centre) and np.isfinite(spread)):
            return None
        if spread <= ROUND_OFF * max(1.0, abs(centre)):
            return centre, centre
        quantiles = self._quantiles(estimator, centre, n_groups)
        return None if quantiles is None else (centre - quantiles[1] * spread, centre - quantiles[0] * spread)

    def _quantiles(self, estimator: Estimator, centre: float, n_groups: int) -> Interval | None:
        """Return how far below and above the estimate of all that of a sample is, in its own standard errors."""
        tail = 0.5 * (1.0 - self.confidence)
        if n_groups < GROUPS_TO_DRAW:
            return self.student(n_groups)
        with np.errstate(divide='ignore', invalid='ignore'):
            values, errors = estimator(_drawn(self.seed, self.samples, n_groups))
            away = (values - centre) / errors
        away = away[np.isfinite(away)]
        if 2 * len(away) < self.samples:
            return None
        least, most = np.quantile(away, [tail, 1.0 - tail])
        return float(least), float(most)

    def student(self, n_groups: int) -> Interval:
        """Return the quantiles of Student's t with a degree of freedom less than there are groups."""
        tail = 0.5 * (1.0 - self.confidence)
        return float(stdtrit(n_groups - 1, tail)), float(stdtrit(n_groups - 1, 1.0 - tail))


def _ratio(weights: Weights, above: Array, below: Array) -> tuple[Array, Array]:
    """Return the ratio of weighted sums and its standard error, (samples,) each."""
    n_groups = len(above)
    columns = np.stack([above, below, above**2, above * below, below**2], axis=1)
    with np.errstate(divide='ignore', invalid='ignore'):
        a, b, aa, ab, bb = (weights @ columns).T
        ratio = a / b
        variance = np.maximum(aa - 2.0 * ratio * ab + ratio**2 * bb, 0.0) * n_groups / (n_groups - 1)
        return ratio, np.sqrt(variance) / np.abs(b)


@lru_cache(maxsize=4)
def _drawn(seed: int, samples: int, n_groups: int) -> npt.NDArray[np.int64]:
    """Return how often each group is in each sample, (samples, n_groups)."""
    return np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1.0 / n_groups), size=samples)
