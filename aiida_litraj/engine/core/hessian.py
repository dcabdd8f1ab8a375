"""A model of the Hessian from bond lengths alone: the preconditioner of the optimisers.

It changes no answer, only the way there: stiff bonds (P-O, P-S) and soft ones (Li-O, Li-S) differ by a factor of
twenty in curvature, which a plain optimiser has to find out step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from ...contract.units import BOHR_ANG, HARTREE_EV
from .periodic import lattice_vectors

# R. Lindh et al., Chem. Phys. Lett. 241, 423 (1995), table 1: stretches k = 0.45 exp(alpha (r_ref^2 - r^2)) in
# atomic units, alpha and r_ref by the rows of the two elements; elements beyond argon count as the third row.
_STRETCH = 0.45
_ALPHA = np.array([[1.0000, 0.3949, 0.3949], [0.3949, 0.2800, 0.2800], [0.3949, 0.2800, 0.2800]])
_REFERENCE = np.array([[1.35, 2.10, 2.53], [2.10, 2.87, 3.40], [2.53, 3.40, 3.40]])
_CUTOFF = 5.0
"""Ang: where a stretch of the third row has fallen below 0.01 eV/Ang^2."""
_GROUND = 3.0
"""eV/Ang^2: stiffness of every atom against its surroundings, for what stretches leave out (bends, Li in its cage)."""


@dataclass(frozen=True)
class System:
    """What the model needs to know of the atoms besides their positions."""

    numbers: npt.NDArray[np.int64]
    cell: Array
    pbc: npt.NDArray[np.bool_]


def _rows(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.digitize(numbers, [3, 11])


def model_hessian(system: System, positions: Array) -> Array:
    """Return a symmetric positive definite model of the Hessian (3 n_atoms, 3 n_atoms) in eV/Ang^2.

    ``positions`` (n_atoms, 3) in Ang. Stretches after Lindh et al. (1995) over all pairs of atoms and lattice images,
    on a constant ground that keeps the rest of the space from being soft.
    """
    n_atoms = len(positions)
    rows = _rows(system.numbers)
    shifts = lattice_vectors(system.cell, system.pbc, _CUTOFF, positions)
    blocks = np.zeros((n_atoms, n_atoms, 3, 3))
    for a in range(n_atoms):
        vectors = positions[:, None, :] + shifts[None, :, :] - positions[a]
        squared = (vectors**2).sum(axis=-1)
        b, s = np.nonzero((squared < _CUTOFF**2) & (squared > 1e-6))
        near, distance2 = vectors[b, s], squared[b, s] / BOHR_ANG**2
        exponent = _ALPHA[rows[a], rows[b]] * (_REFERENCE[rows[a], rows[b]] ** 2 - distance2)
        # atoms pushed into one another by an interpolation would ask for an absurd stiffness: at most four bonds'
        stiffness = _STRETCH * np.exp(np.minimum(exponent, np.log(4.0))) * HARTREE_EV / BOHR_ANG**2
        pair = (stiffness / squared[b, s])[:, None, None] * near[:, :, None] * near[:, None, :]
        np.add.at(blocks[a], b, -pair)
        blocks[a, a] += pair.sum(axis=0)
    hessian = blocks.transpose(0, 2, 1, 3).reshape(3 * n_atoms, 3 * n_atoms)
    result: Array = 0.5 * (hessian + hessian.T) + _GROUND * np.eye(3 * n_atoms)
    return result


def band_hessian(system: System, positions: Array, along: Array, spring: float) -> Array:
    """Return the model (3 n_atoms, 3 n_atoms) for an image of a band with the unit tangent ``along`` (n_atoms, 3).

    Along the band only the springs act, whose Hessian there is 2 ``spring`` in eV/Ang^2; across it the potential.
    """
    hessian = model_hessian(system, positions)
    unit = along.ravel()
    across = hessian @ unit
    hessian -= np.outer(unit, across) + np.outer(across, unit) - (unit @ across) * np.outer(unit, unit)
    hessian += 2.0 * spring * np.outer(unit, unit)
    return hessian
