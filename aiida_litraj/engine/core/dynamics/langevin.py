"""Langevin dynamics in the BAOAB splitting: Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34 (2013).

Of the splittings with one evaluation a step it has the smallest error in averages over positions: none at all for
harmonic forces. The velocities at the end of a step are slightly cold instead, by (omega dt)^2/4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .integrator import kicked, total_energy
from .noise import Purpose, normal
from .schedule import Conditions
from .state import State, System


@dataclass(frozen=True)
class LangevinBaoab:
    """Canonical sampling; ``timestep`` and the inverse of ``friction`` in units of time."""

    system: System
    timestep: float
    friction: float

    def start(self, state: State) -> State:
        """Return the state: there are no extended variables."""
        return state

    def advance(self, state: State, now: Conditions) -> State:
        """Return the state after B, A, O and A."""
        return self.drifted(kicked(self.system, state, 0.5 * self.timestep), now.kt)

    def drifted(self, state: State, kt: float) -> State:
        """Return the state after A, O and A: drift, friction and noise, drift."""
        system, half = self.system, 0.5 * self.timestep
        step = state.step + 1
        positions = state.positions + half * state.velocities
        keep = math.exp(-self.friction * self.timestep)
        noise = normal(system.seed, step, Purpose.THERMOSTAT, positions.shape)
        # Noise without its centre of mass, and friction of one rate for all: on the momenta left over this is the
        # exact Ornstein-Uhlenbeck process, so they are canonical with three degrees of freedom less.
        velocities = system.resting(keep * state.velocities + np.sqrt((1.0 - keep * keep) * kt / system.column) * noise)
        heat = 0.5 * (system.doubled_kinetic(velocities) - system.doubled_kinetic(state.velocities))
        return replace(
            state,
            step=step,
            velocities=velocities,
            positions=positions + half * velocities,
            reservoir=state.reservoir - heat,
        )

    def complete(self, state: State, now: Conditions) -> State:
        """Return the state after the last B."""
        return kicked(self.system, state, 0.5 * self.timestep)

    def conserved(self, state: State) -> float | None:
        """Return the total energy less the heat from the bath, in eV."""
        return total_energy(self.system, state)
