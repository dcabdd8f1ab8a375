"""How far energies, forces and stresses at one setting of a code are from those at its finest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..contract.frames import Frames
from ..contract.units import EV_PER_ANG3_OF_GPA

MEV = 1e3


@dataclass(frozen=True)
class Differences:
    """Differences of configurations at two settings.

    :ivar n_frames: how many configurations were compared.
    :ivar energy_mev_per_atom: mean of the differences of the energy per atom, with its sign: what all share of it goes
        out of every difference of energies.
    :ivar energy_spread_mev_per_atom: standard deviation of the same over the configurations, which does not; None of a
        single one.
    :ivar rmse_force_mev_per_ang: root mean square over all components.
    :ivar max_force_mev_per_ang: largest norm of the difference of a force.
    :ivar max_stress_gpa: largest difference of a component; None if either has no stress.
    """

    n_frames: int
    energy_mev_per_atom: float
    energy_spread_mev_per_atom: float | None
    rmse_force_mev_per_ang: float
    max_force_mev_per_ang: float
    max_stress_gpa: float | None


def differences(finest: Frames, other: Frames) -> Differences:
    """Return how far ``other`` is from ``finest``, the same configurations in the same order.

    :raises ValueError: if they are not the same, or have no energies or forces.
    """
    if not np.array_equal(finest.offsets, other.offsets) or not np.array_equal(finest.numbers, other.numbers):
        raise ValueError('the configurations at the two settings are not the same')
    if finest.energies is None or other.energies is None or finest.forces is None or other.forces is None:
        raise ValueError('the configurations have no energies or forces')
    energies = MEV * (other.energies - finest.energies) / np.diff(finest.offsets)
    forces = MEV * (other.forces - finest.forces)
    stress = None
    if finest.stresses is not None and other.stresses is not None:
        stress = float(np.abs(other.stresses - finest.stresses).max()) / EV_PER_ANG3_OF_GPA
    return Differences(
        n_frames=finest.n_frames,
        energy_mev_per_atom=float(energies.mean()),
        energy_spread_mev_per_atom=float(energies.std(ddof=1)) if len(energies) > 1 else None,
        rmse_force_mev_per_ang=float(np.sqrt(np.square(forces).mean())),
        max_force_mev_per_ang=float(np.linalg.norm(forces, axis=1).max()),
        max_stress_gpa=stress,
    )
