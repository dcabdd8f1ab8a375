"""Root mean square, mean absolute deviation and slope of predicted numbers, with intervals over groups.

All of them are made of ratios of sums over configurations, so that to draw groups of configurations again costs a
product of matrices, however many atoms there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array
from .bootstrap import Bootstrap, Interval

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Deviation:
    """What ``n`` predicted numbers of ``n_frames`` configurations are off their reference, in the units of these.

    ``None`` where there are no numbers; the slope also where it means nothing, as of energies.
    """

    n: int = 0
    n_frames: int = 0
    n_groups: int = 0
    rmse: float | None = None
    mae: float | None = None
    slope: float | None = None
    rmse_interval: Interval | None = None
    mae_interval: Interval | None = None
    slope_interval: Interval | None = None


@dataclass(frozen=True)
class Sums:
    """Sums over the numbers of each configuration, (n_frames, 5): of 1, |d|, d^2, reference predicted, reference^2."""

    values: Array

    @classmethod
    def of(cls, reference: Array, predicted: Array, frame: Integers, n_frames: int) -> Sums:
        """Return the sums of components (n, k) in rows that belong to configurations ``frame`` (n,)."""
        off = predicted - reference
        columns = (np.ones_like(off), np.abs(off), off**2, reference * predicted, reference**2)
        summed = [np.bincount(frame, weights=column.sum(axis=1), minlength=n_frames) for column in columns]
        return cls(np.stack(summed, axis=1))

    def deviation(
        self, groups: Integers, bootstrap: Bootstrap, here: Mask | None = None, slope: bool = True
    ) -> Deviation:
        """Return the deviation of the configurations ``here``, by default all.

        :param groups: (n_frames,), to which group each belongs: these are drawn.
        """
        counted = self.values[:, 0] > 0
        if here is not None:
            counted &= here
        if not counted.any():
            return Deviation()
        names, which = np.unique(groups[counted], return_inverse=True)
        pools = bootstrap.pooled(len(names))
        per_group = np.zeros((int(pools.max()) + 1, self.values.shape[1]))
        np.add.at(per_group, pools[which.reshape(-1)], self.values[counted])
        n, absolute, squared, cross, own = per_group.T
        rmse, mae, tilt = _ratio(squared, n) ** 0.5, _ratio(absolute, n), _ratio(cross, own) if slope else np.nan
        mean_square = bootstrap.interval(squared, n, positive=True)
        return Deviation(
            n=int(n.sum()),
            n_frames=int(counted.sum()),
            n_groups=len(names),
            rmse=rmse,
            mae=mae,
            slope=float(tilt) if np.isfinite(tilt) else None,
            rmse_interval=None if mean_square is None else (mean_square[0] ** 0.5, mean_square[1] ** 0.5),
            mae_interval=bootstrap.interval(absolute, n, positive=True),
            slope_interval=bootstrap.interval(cross, own, positive=False) if np.isfinite(tilt) else None,
        )


def _ratio(above: Array, below: Array) -> float:
    total = float(below.sum())
    return float(above.sum()) / total if total > 0.0 else float('nan')
