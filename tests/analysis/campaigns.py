"""Synthetic benchmarks: hops of materials in which a potential is off in a way of the material's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Campaign:
    materials: tuple[str, ...]
    reference: np.ndarray
    predicted: np.ndarray
    converged: np.ndarray


def campaign(rng: np.random.Generator, n_materials: int) -> Campaign:
    """Barriers in eV of one to six hops a material; softening, offset, scatter and luck differ from one to the next."""
    sizes = rng.integers(1, 7, n_materials)
    of = np.repeat(np.arange(n_materials), sizes)
    reference = rng.gamma(3.0, 0.2, n_materials)[of] * np.exp(0.3 * rng.normal(size=len(of)))
    slope = 0.9 + 0.1 * rng.normal(size=n_materials)
    offset = 0.05 * rng.normal(size=n_materials)
    scatter = 0.05 * np.exp(0.5 * rng.normal(size=n_materials))
    predicted = slope[of] * reference + offset[of] + scatter[of] * rng.normal(size=len(of))
    chance = rng.beta(4.0, 1.0, n_materials)
    return Campaign(tuple(of.astype(str)), reference, predicted, rng.random(len(of)) < chance[of])
