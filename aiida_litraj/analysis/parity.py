"""Predicted beside reference numbers, as points of a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from ..contract.arrays import Array
from ..contract.frames import Frames
from ..contract.units import EV_PER_ANG3_OF_GPA

SEVERAL = 2
"""Configurations of a composition, on average, from which on their energies are shown above its lowest."""


@dataclass(frozen=True)
class Parity:
    """Pairs of reference and prediction, (n, 2) each: what both have, and nothing else.

    :ivar energies: in eV per atom after the offsets; above the lowest reference of each composition if ``above``.
    :ivar forces: components in eV/Ang, with the ``symbols`` (n,) of their atoms.
    :ivar stresses: components in GPa.
    """

    energies: Array
    above: bool
    forces: Array
    symbols: npt.NDArray[np.str_]
    stresses: Array


def parity(reference: Frames, predicted: Frames, offsets_ev: Mapping[str, float]) -> Parity:
    """Return the points of labelled configurations and what a potential says of them, in the same order.

    :param offsets_ev: by element what the potential is short of the reference, per atom; none where there is none.
    """
    energies, above = _energies(reference, predicted, offsets_ev)
    forces, symbols = np.zeros((0, 2)), np.zeros(0, dtype='<U2')
    if reference.forces is not None and predicted.forces is not None:
        forces = np.stack([reference.forces.reshape(-1), predicted.forces.reshape(-1)], axis=1)
        symbols = np.repeat(np.array(chemical_symbols)[reference.numbers], 3)
        known = np.isfinite(forces).all(axis=1)
        forces, symbols = forces[known], symbols[known]
    stresses = np.zeros((0, 2))
    if reference.stresses is not None and predicted.stresses is not None:
        stresses = np.stack([reference.stresses.reshape(-1), predicted.stresses.reshape(-1)], axis=1)
        stresses = stresses[np.isfinite(stresses).all(axis=1)] / EV_PER_ANG3_OF_GPA
    return Parity(energies, above, forces, symbols, stresses)


def _energies(reference: Frames, predicted: Frames, offsets_ev: Mapping[str, float]) -> tuple[Array, bool]:
    if reference.energies is None or predicted.energies is None:
        return np.zeros((0, 2)), False
    sizes = np.diff(reference.offsets)
    shift = np.array([offsets_ev.get(symbol, 0.0) for symbol in chemical_symbols])
    corrected = predicted.energies + np.add.reduceat(shift[reference.numbers], reference.offsets[:-1])
    pairs = np.stack([reference.energies, corrected], axis=1) / sizes[:, None]
    known = np.isfinite(pairs).all(axis=1)
    fractions = [np.bincount(one.numbers, minlength=len(chemical_symbols)) / one.n_atoms() for one in reference]
    if not known.any():
        return np.zeros((0, 2)), False
    _, which = np.unique(np.round(np.array(fractions)[known], 9), axis=0, return_inverse=True)
    which, pairs = which.reshape(-1), pairs[known]
    if len(pairs) < SEVERAL * (which.max() + 1):
        return pairs, False
    lowest = np.full(which.max() + 1, np.inf)
    np.minimum.at(lowest, which, pairs[:, 0])
    return pairs - lowest[which][:, None], True
