"""What two levels of theory differ by for each atom of an element: fitted, with what the compositions cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array

Method = Literal['least_squares', 'ridge', 'none']
RANK_TOLERANCE = 1e-6
"""Of atomic fractions: combinations of elements that occur less than this do not occur."""


@dataclass(frozen=True)
class OffsetFit:
    """Energies per element that a predicted energy is short of the reference, and how far they are determined.

    :ivar elements: (e,) symbols.
    :ivar offsets_ev: (e,) in eV per atom.
    :ivar rank: how many combinations of them the compositions determine, at most e.
    :ivar basis: ``rank`` compositions (rank, e) in atoms, from which all others of the fit can be combined.
    """

    elements: tuple[str, ...]
    offsets_ev: Array
    rank: int
    basis: Array
    method: Method

    @property
    def unique(self) -> bool:
        """Whether every single offset is determined."""
        return self.rank == len(self.elements)

    def determines(self, counts: npt.ArrayLike) -> bool:
        """Return whether the sum of the offsets over atoms ``counts`` (e,) is determined: it is one of the basis."""
        return len(_independent(np.vstack([self.basis, counts]))) == self.rank


def fit_offsets(
    counts: Array, short_ev: Array, elements: Sequence[str], method: Method = 'least_squares', alpha: float = 1e-5
) -> OffsetFit:
    """Return the energy of each element by which predictions are short of a reference.

    ``least_squares`` minimises the sum over configurations of the square of what is left per atom, which is what the
    error afterwards is made of; where compositions do not determine the offsets it takes the shortest vector of all
    that do as well. ``ridge`` minimises the squares of total energies plus ``alpha`` times that of the offsets, without
    an intercept, as graph-pes does (``add_auto_offset``) and with it LiPS-25 (arXiv 2511.16569). ``none`` leaves zeros.

    :param counts: (configurations, e) atoms of each element.
    :param short_ev: (configurations,) reference minus prediction, in eV.
    """
    n_elements = len(elements)
    if method == 'none' or not len(counts):
        return OffsetFit(tuple(elements), np.zeros(n_elements), 0, np.zeros((0, n_elements)), method)
    if method == 'ridge':
        normal = counts.T @ counts + alpha * np.eye(n_elements)
        offsets = np.linalg.solve(normal, counts.T @ short_ev)
    else:
        n_atoms = counts.sum(axis=1)
        offsets = np.linalg.lstsq(counts / n_atoms[:, None], short_ev / n_atoms, rcond=RANK_TOLERANCE)[0]
    known = np.unique(counts, axis=0)
    basis = known[_independent(known)]
    return OffsetFit(tuple(elements), offsets, len(basis), basis, method)


def _independent(compositions: Array) -> list[int]:
    """Return which rows of compositions (n, e) all others are combinations of, in their order."""
    left = compositions / compositions.sum(axis=1, keepdims=True)
    chosen: list[int] = []
    while len(chosen) < left.shape[1]:
        lengths = np.linalg.norm(left, axis=1)
        if not len(lengths) or lengths.max() < RANK_TOLERANCE:
            break
        # Of those as independent as the most independent one the first, so that the choice is stable.
        row = int(np.flatnonzero(lengths > 0.5 * lengths.max())[0])
        chosen.append(row)
        direction = left[row] / lengths[row]
        left = left - np.outer(left @ direction, direction)
    return sorted(chosen)
