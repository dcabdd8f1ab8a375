"""Which of several choices are worth their cost: those that no other beats in error and cost at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOISE = 0.1
"""Part by which two costs differ from run to run of the same: clocks and machines are no steadier."""


def pareto_front(costs: Sequence[float | None], errors: Sequence[float | None]) -> list[int]:
    """Return which points are on the Pareto front, in the order of their costs.

    A point is on it if no other has neither more cost nor more error, and less of one of both. Equal points are on it
    together. What is not known, or not finite, is never on it and beats nothing.

    :param costs: of each point, the less the better; ``errors`` the same.
    :raises ValueError: if there are not as many of both.
    """
    if len(costs) != len(errors):
        raise ValueError(f'{len(costs)} costs and {len(errors)} errors: give one of each for every point')
    points = np.array([[np.nan if one is None else one for one in values] for values in (costs, errors)], dtype=float)
    known = np.flatnonzero(np.isfinite(points).all(axis=0))
    front = [int(one) for one in known if not _is_beaten(points[:, one], points[:, known])]
    return sorted(front, key=lambda one: (points[0, one], points[1, one], one))


def _is_beaten(point: np.ndarray, others: np.ndarray) -> bool:
    no_worse = (others <= point[:, None]).all(axis=0)
    better = (others < point[:, None]).any(axis=0)
    return bool((no_worse & better).any())


def tell_apart(less: float, more: float, spread: float) -> bool:
    """Return whether one cost is beyond doubt less than another: by more than their spread and a tenth."""
    return more - less > max(spread, NOISE * less)


def alike(costs: Sequence[float], spreads: Sequence[float | None]) -> float | None:
    """Return by which part the greatest cost is above the least if these cannot be told apart, else ``None``.

    :param spreads: standard deviation of each cost over its repeats, ``None`` of a single one.
    """
    if len(costs) < 2 or tell_apart(min(costs), max(costs), max((one or 0.0 for one in spreads), default=0.0)):
        return None
    return max(costs) / min(costs) - 1.0 if min(costs) > 0.0 else None


def beyond_noise(costs: Sequence[float], spreads: Sequence[float | None]) -> list[int]:
    """Return which points of a front, in the order of their costs, are cheaper beyond doubt than those that err less.

    The others are on the front by chance: what errs less costs as much, as far as that is known.

    :param spreads: as of :func:`alike`.
    """
    kept = []
    for place, cost in enumerate(costs):
        rest = range(place + 1, len(costs))
        pairs = [(costs[other], max(spreads[place] or 0.0, spreads[other] or 0.0)) for other in rest]
        if all(tell_apart(cost, other, spread) for other, spread in pairs):
            kept.append(place)
    return kept
