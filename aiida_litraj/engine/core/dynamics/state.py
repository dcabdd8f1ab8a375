"""Where a replica stands: atoms, cell, extended variables; and what can be read off it.

Lengths in Ang, energies in eV, masses in u, times in the unit of ``units``, so velocities in (eV/u)^(1/2). A cell has
its vectors in rows, and positions are rows: a strain ``e`` takes both ``x`` to ``x @ (1 + e)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ....contract.arrays import Array
from .noise import Purpose, normal
from .units import BOLTZMANN


@dataclass(frozen=True)
class System:
    """What does not change: ``masses`` (n_atoms,) in u, ``pbc`` (3,), and the seed of the noise.

    ``free_centre``: whether the centre of mass moves as the forces say. Otherwise it rests, its share of the forces
    is taken out exactly, and the whole has three degrees of freedom less.
    """

    masses: Array
    pbc: npt.NDArray[np.bool_]
    seed: int = 0
    free_centre: bool = False

    def __len__(self) -> int:
        return len(self.masses)

    @cached_property
    def degrees(self) -> int:
        """How many independent momenta there are; the temperature counts them."""
        return 3 * len(self.masses) - 3

    @cached_property
    def column(self) -> Array:
        """Masses (n_atoms, 1) in u."""
        return self.masses[:, None]

    @cached_property
    def _total(self) -> float:
        return float(self.masses.sum())

    def resting(self, velocities: Array) -> Array:
        """Return velocities (n_atoms, 3) without that of the centre of mass."""
        result: Array = velocities - (self.column * velocities).sum(axis=0) / self._total
        return result

    def accelerations(self, forces: Array) -> Array:
        """Return the accelerations (n_atoms, 3), without that of the centre of mass where it rests."""
        result: Array = forces / self.column
        return result if self.free_centre else result - forces.sum(axis=0) / self._total

    def doubled_kinetic(self, velocities: Array) -> float:
        """Return twice the kinetic energy in eV."""
        return float((self.column * velocities * velocities).sum())

    def kinetic_tensor(self, velocities: Array) -> Array:
        """Return the sum of m v v (3, 3) over the atoms in eV."""
        result: Array = (self.column * velocities).T @ velocities
        return result


@dataclass(frozen=True)
class State:
    """A replica after a whole step, or in the middle of one.

    ``positions``, ``velocities``, ``forces`` (n_atoms, 3); ``cell`` (3, 3); ``energy`` in eV; ``stress`` (3, 3) of the
    potential in eV/Ang^3, positive under tension, not a number where it was not asked for. ``chain`` and
    ``piston_chain``: rates of the thermostats of a Nose-Hoover chain; ``strain_rate`` (3, 3) symmetric. ``reservoir``:
    energy in eV that has gone into thermostat and barostat; with the energy of the atoms it is conserved.
    """

    step: int
    positions: Array
    velocities: Array
    cell: Array
    energy: float
    forces: Array
    stress: Array
    chain: tuple[float, ...] = ()
    piston_chain: tuple[float, ...] = ()
    strain_rate: Array | None = None
    reservoir: float = 0.0

    @property
    def volume(self) -> float:
        """In Ang^3."""
        rows: list[list[float]] = self.cell.tolist()
        a, b, c = rows
        return abs(
            a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
        )

    def evaluated(self, energy: float, forces: Array, stress: Array | None) -> State:
        """Return the same place with what the potential says of it."""
        return replace(self, energy=energy, forces=forces, stress=NO_STRESS if stress is None else stress)


NO_STRESS: Array = np.full((3, 3), np.nan)


def pressure_tensor(system: System, state: State) -> Array:
    """Return the instantaneous pressure (3, 3) in eV/Ang^3 with its kinetic part, positive under compression."""
    result: Array = system.kinetic_tensor(state.velocities) / state.volume - state.stress
    return result


def temperature(system: System, state: State) -> float:
    """Return the instantaneous temperature in K."""
    return system.doubled_kinetic(state.velocities) / (system.degrees * BOLTZMANN)


def maxwell_boltzmann(system: System, kt: float) -> Array:
    """Return velocities (n_atoms, 3) drawn at the temperature ``kt`` in eV, with the centre of mass at rest.

    They are a sample of the ensemble: the kinetic energy is not scaled to its mean.
    """
    noise = normal(system.seed, 0, Purpose.VELOCITIES, (len(system), 3))
    return system.resting(noise * np.sqrt(kt / system.column))
