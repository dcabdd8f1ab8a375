"""When a replica is dead, and of what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ....contract.arrays import Array
from ....contract.md import Death, Limits
from .state import State, System, temperature
from .units import BOLTZMANN


class Verdict(NamedTuple):
    """What ended a replica, and the same for a person."""

    death: Death
    reason: str


@dataclass(frozen=True)
class Watch:
    """Looks at a replica before and after each evaluation.

    ``volume`` in Ang^3 and ``energy`` in eV at the start; ``timestep`` in units of time; ``cutoff`` of the potential in
    Ang, ``None`` where it has none to tell.
    """

    limits: Limits
    system: System
    timestep: float
    cutoff: float | None
    volume: float
    energy: float | None = None

    def before(self, state: State) -> Verdict | None:
        """Return why the potential must not be asked about a state, or ``None``."""
        if not np.isfinite(state.cell).all():
            return Verdict('volume', 'the cell collapsed or blew up within one step')
        if not (np.isfinite(state.positions).all() and np.isfinite(state.velocities).all()):
            return Verdict('non_finite', 'positions or velocities that are not finite')
        squared = np.einsum('ij,ij->i', state.velocities, state.velocities)
        atom = int(squared.argmax())
        moved = math.sqrt(squared[atom]) * self.timestep
        if moved > self.limits.max_displacement_ang:
            limit = f'{self.limits.max_displacement_ang:g}'
            return Verdict('atom_lost', f'atom {atom} moved {moved:.3g} Ang in one step, above {limit}')
        return self._crowded(state) if self.system.pbc.all() else None

    def _crowded(self, state: State) -> Verdict | None:
        volume, limits = state.volume, self.limits
        ratio = volume / self.volume
        if not limits.volume_ratio_min <= ratio <= limits.volume_ratio_max:
            within = f'{limits.volume_ratio_min:g} to {limits.volume_ratio_max:g}'
            return Verdict('volume', f'{ratio:.3g} times the volume of the start, outside {within}')
        if self.cutoff is not None:
            neighbours = len(self.system) / volume * 4.0 / 3.0 * math.pi * self.cutoff**3
            if neighbours > limits.max_neighbours:
                return Verdict(
                    'neighbours',
                    f'{neighbours:.0f} neighbours per atom within {self.cutoff:g} Ang, above {limits.max_neighbours:g}',
                )
        return None

    def answer(self, energy: float, forces: Array, stress: Array | None) -> Verdict | None:
        """Return why an evaluation cannot be gone on with, or ``None``."""
        if not (math.isfinite(energy) and np.isfinite(forces).all()):
            return Verdict('non_finite', 'the potential returned an energy or force that is not finite')
        if stress is not None and not np.isfinite(stress).all():
            return Verdict('non_finite', 'the potential returned a stress that is not finite')
        if self.energy is not None:
            change = (energy - self.energy) / len(forces)
            if abs(change) > self.limits.energy_change_ev_per_atom:
                limit = f'{self.limits.energy_change_ev_per_atom:g}'
                return Verdict('energy', f'the energy changed by {change:.3g} eV/atom since the start, above {limit}')
        return None

    def after(self, state: State, kt: float) -> Verdict | None:
        """Return why a state at the end of a step is dead, or ``None``; ``kt`` in eV is its target."""
        found, limits = temperature(self.system, state), self.limits
        most = limits.temperature_factor * max(kt / BOLTZMANN, limits.temperature_floor_k)
        if not found <= most:
            return Verdict('temperature', f'{found:.4g} K, above {most:.4g}')
        return None
