"""MAE, RMSE, Pearson r, slope and R2 of predicted barriers, as LiTraj has them, with intervals over materials.

The definitions are those of ``litraj.metrics.get_metrics(y, y_hat)`` of the package litraj 0.1 (Dembitskiy et al., npj
Comput. Mater. 11, 131 (2025)) with the reference as ``y``: the straight line predicted = a + slope reference is fitted
by least squares, and R2 = 1 - sum (reference - predicted)^2 / sum (reference - its mean)^2 judges the prediction
itself, not that line, so that it may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from .bootstrap import Bootstrap
from .estimates import Estimate, Scale, missing, number_materials, smooth


@dataclass(frozen=True)
class BarrierErrors:
    """What predicted barriers of ``n_paths`` are off the reference; energies in eV, each path counts the same.

    :ivar mean_error_ev: of predicted minus reference; negative for barriers that are too low.
    :ivar pearson_r: of predicted and reference.
    :ivar slope: of predicted over reference, with an intercept.
    :ivar r2: coefficient of determination of the predictions themselves.
    """

    n_paths: int
    n_materials: int
    mae_ev: Estimate
    rmse_ev: Estimate
    mean_error_ev: Estimate
    pearson_r: Estimate
    slope: Estimate
    r2: Estimate


def barrier_errors(
    reference_ev: Array, predicted_ev: Array, materials: Sequence[str], bootstrap: Bootstrap | None = None
) -> BarrierErrors:
    """Return the errors of predicted barriers (n_paths,) in eV.

    :param materials: of each path its material; these are drawn for the intervals.
    :raises ValueError: if lengths differ or a number is not finite.
    """
    _check(reference_ev, predicted_ev, materials)
    bootstrap = bootstrap or Bootstrap()
    n_materials = number_materials(materials)[1]
    if not len(reference_ev):
        none = missing('there is no path')
        return BarrierErrors(0, 0, none, none, none, none, none, none)
    off = predicted_ev - reference_ev
    # Counted from their mean, the squares lose no digits to it; nothing here depends on where energies count from.
    x, y = reference_ev - reference_ev.mean(), predicted_ev - reference_ev.mean()
    columns = [np.ones(len(x)), np.abs(off), off, off**2, x, y, x * x, x * y, y * y]

    def with_interval(value: float | None, scale: str, reason: str = '') -> Estimate:
        if value is None:
            return missing(reason, n_materials)
        of_sums, back = _SCALES[scale]
        return smooth(value, columns, materials, of_sums, back, bootstrap)

    flat, still = 'all reference barriers are the same', 'all predicted barriers are the same'
    correlation, slope, r2 = _line(x, y, off)
    return BarrierErrors(
        n_paths=len(off),
        n_materials=n_materials,
        mae_ev=with_interval(float(np.abs(off).mean()), 'mae'),
        rmse_ev=with_interval(float(np.sqrt(np.square(off).mean())), 'rmse'),
        mean_error_ev=with_interval(float(off.mean()), 'mean'),
        pearson_r=with_interval(correlation, 'r', flat if slope is None else still),
        slope=with_interval(slope, 'slope', flat),
        r2=with_interval(r2, 'r2', flat),
    )


def mean_size(sizes: Array, materials: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    """Return the mean of sizes (n_paths,), such as path errors in Ang, with its interval over materials."""
    if not len(sizes):
        return missing('there is no path')
    ones = np.ones(len(sizes))
    of_sums, back = _SCALES['mae']
    return smooth(float(np.mean(sizes)), [ones, sizes], materials, of_sums, back, bootstrap)


def ratio_of_means(sizes: Array, others: Array, materials: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    """Return the mean of sizes over that of ``others``, both of the same paths (n_paths,), with its paired interval.

    What makes a material hard for both doesn't blur it: below one all along its interval, the first are the smaller.
    """
    if not len(sizes) or not np.sum(others) > 0.0:
        return missing('there is nothing to compare with')
    of_sums, back = _SCALES['mae']
    return smooth(float(np.sum(sizes) / np.sum(others)), [others, sizes], materials, of_sums, back, bootstrap)


def _line(x: Array, y: Array, off: Array) -> tuple[float | None, float | None, float | None]:
    """Return Pearson r, slope and R2 of numbers (n_paths,) that count from the mean of ``x``, which need not vary."""
    if np.ptp(x) == 0.0:
        return None, None, None
    away = y - y.mean()
    across = float(x @ x)
    slope = float(x @ away) / across
    r2 = 1.0 - float(off @ off) / across
    if np.ptp(y) == 0.0:
        return None, slope, r2
    return float(np.clip(x @ away / np.sqrt(across * (away @ away)), -1.0, 1.0)), slope, r2


def _check(reference_ev: Array, predicted_ev: Array, materials: Sequence[str]) -> None:
    if not len(reference_ev) == len(predicted_ev) == len(materials):
        raise ValueError(
            f'{len(reference_ev)} reference and {len(predicted_ev)} predicted barriers of {len(materials)} materials'
        )
    for name, values in (('reference', reference_ev), ('predicted', predicted_ev)):
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ValueError(f'{name} barrier {wrong[0]} is {values[wrong[0]]}: leave out the paths that have none')


def _correlation(s: Array) -> Array:
    n, x, y, xx, xy, yy = s[0], s[4], s[5], s[6], s[7], s[8]
    return np.asarray((xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n)))


_SCALES: dict[str, tuple[Scale, Callable[[float], float]]] = {
    'mae': (lambda s: np.log(s[1] / s[0]), np.exp),
    'rmse': (lambda s: 0.5 * np.log(s[3] / s[0]), np.exp),
    'mean': (lambda s: s[2] / s[0], float),
    'r': (lambda s: np.arctanh(_correlation(s)), np.tanh),
    'slope': (lambda s: (s[7] - s[4] * s[5] / s[0]) / (s[6] - s[4] ** 2 / s[0]), float),
    'r2': (lambda s: np.log(s[3] / (s[6] - s[4] ** 2 / s[0])), lambda end: 1.0 - np.exp(end)),
}
"""By number its scale of the sums, and the way back: sizes by their logarithm, r by Fisher's transformation, R2 by that
of what is left unexplained."""
