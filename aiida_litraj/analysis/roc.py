"""Receiver operating characteristic of predicted barriers: how well they tell low barriers from high ones.

A low prediction speaks for a low barrier. The area under the curve is the chance that of a low and a high barrier,
drawn at random, the low one is predicted lower, ties counting half (J. A. Hanley and B. J. McNeil, Radiology 143, 29
(1982)). Its standard error is that of leaving out one material after the other, and its interval Student's t around the
log odds: of samples of few materials many part low from high without exception, and those left would raise its ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from .bootstrap import FEWEST_GROUPS, Bootstrap
from .estimates import Estimate, Integers, Mask, missing, number_materials, too_few


@dataclass(frozen=True)
class Roc:
    """The curve, from (0, 0) to (1, 1), and the area under it.

    :ivar thresholds_ev: (m,) predictions up to which a barrier is called low; the first is -inf: none is.
    :ivar false_low: (m,) share of the high barriers that are called low then.
    :ivar true_low: (m,) share of the low barriers that are.
    """

    thresholds_ev: Array
    false_low: Array
    true_low: Array
    auc: Estimate


def roc(predicted: Array, low: Mask, materials: Sequence[str], bootstrap: Bootstrap) -> Roc | None:
    """Return the curve of predictions (n,), or ``None`` unless there are low barriers and high ones.

    Equal predictions are one point of the curve: between them nothing can be told, so the curve cuts across.

    :param predicted: in eV, may be infinite.
    :param low: (n,) whether the reference is.
    :raises ValueError: if a prediction is not a number.
    """
    if np.isnan(predicted).any():
        raise ValueError(f'prediction {np.flatnonzero(np.isnan(predicted))[0]} is not a number')
    if not low.any() or low.all():
        return None
    levels, level = np.unique(predicted, return_inverse=True)
    level = level.reshape(-1)
    counts = [np.bincount(level[mask], minlength=len(levels)).cumsum() / mask.sum() for mask in (~low, low)]
    false_low, true_low = (np.concatenate([[0.0], count]) for count in counts)
    return Roc(
        np.concatenate([[-np.inf], levels]), false_low, true_low, area_under_curve(predicted, low, materials, bootstrap)
    )


def area_under_curve(predicted: Array, low: Mask, materials: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    """Return the area under the curve of predictions (n,), with an interval on the scale of log odds."""
    which, n_materials = number_materials(materials)
    if not low.any() or low.all():
        return missing('all barriers are on one side of the threshold', n_materials)
    pools = bootstrap.pooled(n_materials)
    n_groups = int(pools.max()) + 1
    value, error = _area_and_error(predicted, low, pools[which], n_groups)
    fewest = min(len(np.unique(which[mask])) for mask in (low, ~low))
    if fewest < FEWEST_GROUPS:
        return Estimate(value, None, n_materials, too_few(fewest, 'material(s) on one side of the threshold'))
    if value in (0.0, 1.0):
        return Estimate(value, None, n_materials, 'no interval: the predictions part low from high without exception')
    centre, spread = np.log(value / (1.0 - value)), error / (value * (1.0 - value))
    least, most = (float(1.0 / (1.0 + np.exp(-centre + t * spread))) for t in reversed(bootstrap.student(n_groups)))
    return Estimate(value, (least, most), n_materials)


def _area_and_error(predicted: Array, low: Mask, groups: Integers, n_groups: int) -> tuple[float, float]:
    """Return the area and its jackknife standard error over groups; both sides are of two groups at least for that."""
    # Pairs in the right order, ties half, by the groups of the low barrier (row) and of the high one (column).
    right = np.zeros((n_groups, n_groups))
    for group in np.unique(groups[~low]):
        theirs = np.sort(predicted[~low & (groups == group)])
        above = [len(theirs) - np.searchsorted(theirs, predicted[low], side) for side in ('left', 'right')]
        right[:, group] = np.bincount(groups[low], weights=0.5 * (above[0] + above[1]), minlength=n_groups)
    lows, highs = (np.bincount(groups[mask], minlength=n_groups).astype(float) for mask in (low, ~low))
    value = right.sum() / (lows.sum() * highs.sum())
    with np.errstate(divide='ignore', invalid='ignore'):
        left = (right.sum() - right.sum(axis=0) - right.sum(axis=1) + right.diagonal()) / (
            (lows.sum() - lows) * (highs.sum() - highs)
        )
    return float(value), float(np.sqrt(np.square(left - value).sum() * (n_groups - 1) / n_groups))
