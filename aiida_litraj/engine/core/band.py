"""Forces on a nudged elastic band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...contract.arrays import Array


@dataclass(frozen=True)
class BandForces:
    """``forces`` (n_images - 2, n_atoms, 3) on the inner images, and the index of the highest inner image."""

    forces: Array
    highest: int


def tangent(positions: Array, energies: Array, i: int) -> Array:
    """Return the unit tangent (n_atoms, 3) at image ``i``.

    Improved tangent, eqs. 8-11 of G. Henkelman and H. Jonsson, J. Chem. Phys. 113, 9978 (2000).
    """
    forward = positions[i + 1] - positions[i]
    backward = positions[i] - positions[i - 1]
    before, here, after = energies[i - 1], energies[i], energies[i + 1]
    if after > here > before:
        vector = forward
    elif after < here < before:
        vector = backward
    else:
        larger = max(abs(after - here), abs(before - here))
        smaller = min(abs(after - here), abs(before - here))
        vector = forward * larger + backward * smaller if after > before else forward * smaller + backward * larger
    length = np.linalg.norm(vector)
    unit: Array = vector / length if length > 0 else vector
    return unit


def highest_image(energies: Array) -> int:
    """Return the index of the highest inner image, the one that climbs."""
    return 1 + int(np.argsort(energies[1:-1])[-1])


def band_forces(
    positions: Array, energies: Array, forces: Array, spring: float, climb: bool, free: Array
) -> BandForces:
    """Return the forces the inner images feel on the band.

    ``positions`` and ``forces`` (n_images, n_atoms, 3) in Ang, continuous along the path, and eV/Ang; ``energies``
    (n_images,) in eV; ``spring`` in eV/Ang^2; ``free`` (n_atoms, 1), 0 where an atom is frozen. Inner images feel the
    force across the tangent and springs along it (eq. 12 of J. Chem. Phys. 113, 9978 (2000)); the highest one, if it
    climbs, the full force with its component along the tangent turned round, and no springs (eq. 5 of
    J. Chem. Phys. 113, 9901 (2000)).
    """
    highest = highest_image(energies)
    result = np.empty_like(forces[1:-1])
    for i in range(1, len(positions) - 1):
        direction = tangent(positions, energies, i)
        force = forces[i] * free
        along = np.vdot(force, direction)
        if climb and i == highest:
            force = force - 2.0 * along * direction
        else:
            stretch = np.linalg.norm(positions[i + 1] - positions[i]) - np.linalg.norm(positions[i] - positions[i - 1])
            force = force - along * direction + spring * stretch * direction
        result[i - 1] = force * free
    return BandForces(result, highest)


def residual(forces: Array, criterion: str) -> float:
    """Return the largest force, as norm of an atom or as component, of an array (..., 3) in eV/Ang."""
    if forces.size == 0:
        return 0.0
    if criterion == 'component':
        return float(np.abs(forces).max())
    return float(np.sqrt((forces**2).sum(axis=-1)).max())
