"""Stochastic cell rescaling: a first-order barostat with the volume fluctuations of the ensemble.

Isotropic: Bernetti and Bussi, J. Chem. Phys. 153, 114107 (2020), in the square root of the volume, where the noise does
not depend on the volume. Full cell: Del Tatto, Raiteri, Bernetti and Bussi, Appl. Sci. 12, 1139 (2022), with a
symmetric strain, which turns nothing.

The cell moves within a step of BAOAB, after the first half of the kick: B, cell, A, O, A, evaluation, B. There the
virial is that of the positions that are scaled, and the velocities are those whose kinetic energy is right, so that
each part of the step is a move of the exact dynamics and one evaluation does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ....contract.arrays import Array
from .integrator import kicked
from .langevin import LangevinBaoab
from .noise import Purpose, normal
from .schedule import Conditions
from .state import State, System, pressure_tensor


@dataclass(frozen=True)
class CellRescalingLangevin:
    """Constant temperature and pressure.

    ``mobility``: compressibility in Ang^3/eV over the time constant of the barostat. Positions and cell are strained
    about the origin, velocities the other way: volume elements of phase space stay what they are.
    """

    langevin: LangevinBaoab
    mobility: float
    full: bool

    @property
    def _system(self) -> System:
        return self.langevin.system

    def start(self, state: State) -> State:
        """Return the state: there are no extended variables."""
        return state

    def advance(self, state: State, now: Conditions) -> State:
        """Return the state after B, the move of the cell, A, O and A."""
        state = kicked(self._system, state, 0.5 * self.langevin.timestep)
        state = self._sheared(state, now) if self.full else self._scaled(state, now)
        return self.langevin.drifted(state, now.kt)

    def _scaled(self, state: State, now: Conditions) -> State:
        """Return the state after an Euler-Maruyama step of the square root of the volume: eq. 7 of the first source."""
        time, volume = self.langevin.timestep, state.volume
        pressure = float(np.trace(pressure_tensor(self._system, state))) / 3.0
        root = math.sqrt(volume)
        noise = float(normal(self._system.seed, state.step + 1, Purpose.BAROSTAT, (1,))[0])
        push = 0.5 * self.mobility * root * (pressure - now.pressure + 0.5 * now.kt / volume)
        moved = root + time * push + math.sqrt(0.5 * now.kt * self.mobility * time) * noise
        # a cell that would be turned inside out has no size: the limits on the volume end the replica
        factor = (moved / root) ** (2.0 / 3.0) if moved > 0.0 else math.nan
        return replace(
            state,
            positions=state.positions * factor,
            cell=state.cell * factor,
            velocities=state.velocities / factor,
        )

    def _sheared(self, state: State, now: Conditions) -> State:
        """Return the state after a step of the whole cell, a random strain in the six symmetric directions.

        On the group of cells, with mobility M/3V per direction, the density V exp(-(H + PV)/kt) (of the invariant
        measure) gives the drift M (P_ij - P delta_ij)/3 and the noise sqrt(2 kt M dt/3V): the trace is eq. 3 of the
        first source. The V of the density and the derivative of the mobility cancel.
        """
        time, volume = self.langevin.timestep, state.volume
        excess = pressure_tensor(self._system, state) - now.pressure * np.eye(3)
        noise = normal(self._system.seed, state.step + 1, Purpose.BAROSTAT, (3, 3))
        strain = time * self.mobility / 3.0 * excess
        strain += math.sqrt(2.0 * now.kt * self.mobility * time / (3.0 * volume)) * noise
        return strained(state, 0.5 * (strain + strain.T))

    def complete(self, state: State, now: Conditions) -> State:
        """Return the state after the last B."""
        return self.langevin.complete(state, now)

    def conserved(self, state: State) -> float | None:
        """Return nothing: the work of the noise on the cell would need forces in the middle of the step."""
        return None


def strained(state: State, strain: Array) -> State:
    """Return the state with positions and cell strained by exp(``strain``) (3, 3), velocities by its inverse."""
    if not np.isfinite(strain).all():
        return replace(state, cell=np.full((3, 3), np.nan))
    values, axes = np.linalg.eigh(strain)
    stretch = (axes * np.exp(values)) @ axes.T
    shrink = (axes * np.exp(-values)) @ axes.T
    return replace(
        state,
        positions=state.positions @ stretch,
        cell=state.cell @ stretch,
        velocities=state.velocities @ shrink,
    )
