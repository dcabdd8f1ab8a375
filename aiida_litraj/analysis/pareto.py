"""Which of several choices are worth their cost: those that no other beats in error and cost at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
