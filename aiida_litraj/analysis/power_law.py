"""How fast an error falls with the number of configurations that are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_SIZES = 3
"""With two a line goes through both, and nothing says whether it is one."""


@dataclass(frozen=True)
class PowerLaw:
    """error = ``prefactor`` x number ** -``exponent``; ``exponent_error`` is the standard error of the exponent."""

    prefactor: float
    exponent: float
    exponent_error: float

    def at(self, number: float) -> float:
        """Return the error at a number of configurations."""
        return float(self.prefactor * number**-self.exponent)


def fit_power_law(numbers: Sequence[float], errors: Sequence[float]) -> PowerLaw | None:
    """Return the power law through errors, by least squares of their logarithms; ``None`` for less than three sizes.

    :param numbers: of configurations, one for each of the ``errors``, repeats among them.
    """
    known = [(n, error) for n, error in zip(numbers, errors, strict=True) if n > 0 and error > 0 and np.isfinite(error)]
    if len({n for n, _ in known}) < FEWEST_SIZES:
        return None
    x, y = np.log(np.array(known, dtype=float)).T
    away = x - x.mean()
    slope = float((away * y).sum() / (away**2).sum())
    left = y - y.mean() - slope * away
    error = np.sqrt((left**2).sum() / (len(x) - 2) / (away**2).sum())
    return PowerLaw(float(np.exp(y.mean() - slope * x.mean())), -slope, float(error))
