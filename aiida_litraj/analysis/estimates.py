"""Numbers with the interval that materials leave them, or with the reason why there is none.

Paths of one material resemble each other, so that materials are drawn, not paths (``bootstrap``). Whatever is a smooth
function of sums over paths, such as a correlation, gets its standard error by the jackknife, one material left out
after the other, and its interval by bootstrap-t on a scale on which its spread is even. Linearisation instead of the
jackknife is too sure of itself where a few materials with high barriers decide on a slope. Shares of paths have
intervals that hold at none and all as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit

from ..contract.arrays import Array
from .bootstrap import FEWEST_GROUPS, Bootstrap, Interval, Weights

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Scale = Callable[[Array], Array]

AT_ONCE = 2_000_000
"""Numbers that are held at once."""


@dataclass(frozen=True)
class Estimate:
    """A number of a benchmark with its interval over materials.

    :ivar value: ``None`` where it is not defined.
    :ivar interval: ``None`` where there is none to give.
    :ivar n_materials: those that took part.
    :ivar reason: why there is no value or no interval; ``None`` where both are there.
    """

    value: float | None
    interval: Interval | None
    n_materials: int
    reason: str | None = None


def missing(reason: str, n_materials: int = 0) -> Estimate:
    """Return what stands for a number that is not defined."""
    return Estimate(None, None, n_materials, reason)


def too_few(n_materials: int, what: str = 'material(s)') -> str:
    """Return why so few materials have no interval."""
    return f'no interval: {n_materials} {what}, at least {FEWEST_GROUPS} are needed'


def number_materials(materials: Sequence[str]) -> tuple[Integers, int]:
    """Return the number of each path's material (n_paths,), and how many there are."""
    names, which = np.unique(np.asarray(materials, dtype=str), return_inverse=True)
    return which.reshape(-1).astype(np.int64), len(names)


def smooth(
    value: float,
    columns: Sequence[Array],
    materials: Sequence[str],
    scale: Scale,
    back: Callable[[float], float],
    bootstrap: Bootstrap,
) -> Estimate:
    """Return ``value`` with the interval of a smooth function of sums over paths.

    :param columns: numbers of each path, (n_paths,) each, which are summed.
    :param scale: from sums (n_columns, samples) the function on a scale with an even spread, (samples,). It must not
        change when all sums are multiplied alike: a function of means.
    :param back: from that scale to the value; monotonic.
    """
    which, n_materials = number_materials(materials)
    if n_materials < FEWEST_GROUPS:
        return Estimate(value, None, n_materials, too_few(n_materials))
    pools = bootstrap.pooled(n_materials)
    sums = np.zeros((int(pools.max()) + 1, len(columns)))
    np.add.at(sums, pools[which], np.stack(columns, axis=1))
    interval = bootstrap.around(lambda weights: _jackknifed(weights, sums, scale), len(sums))
    if interval is None:
        at_end = 'no interval: the number, or most samples of it, are at the end of what it can be'
        return Estimate(value, None, n_materials, at_end)
    low, high = sorted(float(back(end)) for end in interval)
    return Estimate(value, (low, high), n_materials)


def _jackknifed(weights: Weights, sums: Array, scale: Scale) -> tuple[Array, Array]:
    """Return the function and its standard error of each sample of groups, by leaving out one group after the other."""
    n_groups, n_columns = sums.shape
    totals = weights @ sums
    values = scale(totals.T)
    variance = np.empty(len(values))
    rows = max(1, AT_ONCE // (n_groups * n_columns))
    for at in range(0, len(values), rows):
        some = slice(at, at + rows)
        left = scale((totals[some, None, :] - sums).reshape(-1, n_columns).T).reshape(-1, n_groups)
        away = np.where(weights[some] > 0, left - values[some, None], 0.0)
        variance[some] = (weights[some] * away**2).sum(axis=1)
    return values, np.sqrt(variance * (n_groups - 1) / n_groups)


def share(hit: Mask, materials: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    """Return the share of paths that are a ``hit`` (n_paths,), with an interval that holds at 0 and 1 as well.

    Clopper and Pearson's exact interval for as many independent paths as the clustered ones are worth (E. L. Korn and
    B. I. Graubard, Survey Methodology 24, 193 (1998)); where all materials agree, one path of each material counts.
    """
    which, n_materials = number_materials(materials)
    n_paths = len(hit)
    if not n_paths:
        return missing('there is no path')
    value = float(np.mean(hit))
    if n_materials < FEWEST_GROUPS:
        return Estimate(value, None, n_materials, too_few(n_materials))
    tail = 0.5 * (1.0 - bootstrap.confidence)
    off = np.bincount(which, weights=hit - value, minlength=n_materials)
    variance = float(np.square(off).sum()) / n_paths**2 * n_materials / (n_materials - 1)
    worth = n_materials if variance == 0.0 else value * (1.0 - value) / variance
    worth *= float(stdtrit(n_paths - 1, tail) / stdtrit(n_materials - 1, tail)) ** 2
    worth = min(worth, n_paths)
    hits, misses = value * worth, (1.0 - value) * worth
    low = 0.0 if value == 0.0 else float(betaincinv(hits, misses + 1.0, tail))
    high = 1.0 if value == 1.0 else float(betaincinv(hits + 1.0, misses, 1.0 - tail))
    return Estimate(value, (low, high), n_materials)
