"""The barostat of Martyna, Tobias and Klein, J. Chem. Phys. 101, 4177 (1994), isotropic and full cell.

With Nose-Hoover chains on atoms and cell, integrated as in Martyna, Tuckerman, Tobias and Klein, Mol. Phys. 87, 1117
(1996). A row vector x of the cell follows dx/dt = x g with g the symmetric strain rate, which turns nothing; of the
isotropic kind g is a multiple of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ....contract.arrays import Array
from .integrator import total_energy
from .nose_hoover import Chain, chained
from .schedule import Conditions
from .state import State, System

_IDENTITY: Array = np.eye(3)
DEGREES = {False: 1, True: 6}
"""Independent components of a strain rate, isotropic or full: what its chain counts."""


@dataclass(frozen=True)
class MartynaTobiasKlein:
    """Constant temperature and pressure; ``timestep`` and ``tau`` in units of time.

    The inertia of the cell is (f + 3) kt tau^2, isotropic, or a third of it per component, full, with f the number of
    independent momenta of the atoms.
    """

    system: System
    timestep: float
    chain: Chain
    piston_chain: Chain
    tau: float
    full: bool

    def start(self, state: State) -> State:
        """Return the state with thermostats and cell at rest."""
        return replace(
            state,
            chain=(0.0,) * self.chain.length,
            piston_chain=(0.0,) * self.piston_chain.length,
            strain_rate=np.zeros((3, 3)),
        )

    def advance(self, state: State, now: Conditions) -> State:
        """Return the state after the chains, the push on the cell, half a kick, and the drift of atoms and cell."""
        state = self._piston_chained(state, now)
        state = chained(self.system, state, self.chain, now.kt, self.timestep)
        state = self._pushed(state, now)
        if not np.isfinite(_rate(state)).all():
            return replace(state, step=state.step + 1, cell=np.full((3, 3), np.nan))
        return self._drifted(self._kicked(state), now)

    def complete(self, state: State, now: Conditions) -> State:
        """Return the state after the same in the opposite order."""
        state = self._pushed(self._kicked(state), now)
        state = chained(self.system, state, self.chain, now.kt, self.timestep)
        return self._piston_chained(state, now)

    def conserved(self, state: State) -> float | None:
        """Return the energy in eV of atoms, cell and thermostats and the work against the pressure."""
        return total_energy(self.system, state)

    def _inertia(self, kt: float) -> float:
        """Return the inertia of one component of the strain rate; the isotropic one has three equal components."""
        return (self.system.degrees + 3) * kt * self.tau * self.tau / 3.0

    def _piston_chained(self, state: State, now: Conditions) -> State:
        rate = _rate(state)
        doubled = self._inertia(now.kt) * float((rate * rate).sum())
        done = self.piston_chain.act(state.piston_chain, doubled, now.kt, 0.5 * self.timestep)
        scaled = done.scale * rate
        gained = 0.5 * doubled * (done.scale * done.scale - 1.0)
        return replace(
            state,
            strain_rate=scaled,
            piston_chain=done.rates,
            reservoir=state.reservoir + done.energy + gained,
        )

    def _pushed(self, state: State, now: Conditions) -> State:
        """Return the state with the pressure having acted on the cell for half a step."""
        volume, kinetic = state.volume, self.system.kinetic_tensor(state.velocities)
        isotropic = float(np.trace(kinetic)) / self.system.degrees - volume * now.pressure
        if self.full:
            excess = kinetic - volume * state.stress + isotropic * _IDENTITY
        else:
            excess = (float(np.trace(kinetic) - volume * np.trace(state.stress)) / 3.0 + isotropic) * _IDENTITY
        inertia, rate = self._inertia(now.kt), _rate(state)
        pushed = rate + 0.5 * self.timestep / inertia * excess
        gained = 0.5 * inertia * float((pushed * pushed).sum() - (rate * rate).sum())
        return replace(state, strain_rate=pushed, reservoir=state.reservoir + gained)

    def _kicked(self, state: State) -> State:
        """Return the state with forces and strain rate having acted on the velocities for half a step."""
        time, accelerations = 0.5 * self.timestep, self.system.accelerations(state.forces)
        values, axes = self._modes(state)
        drag = [-time * (value + sum(values) / self.system.degrees) for value in values]
        velocities = _along(state.velocities, axes) * [math.exp(x) for x in drag]
        velocities += _along(accelerations, axes) * [time * _mean_exponential(x) for x in drag]
        return replace(state, velocities=_back(velocities, axes))

    def _drifted(self, state: State, now: Conditions) -> State:
        """Return the state with velocities and strain rate having moved atoms and cell for a step."""
        time = self.timestep
        values, axes = self._modes(state)
        stretch = [math.exp(time * value) for value in values]
        positions = _along(state.positions, axes) * stretch
        positions += _along(state.velocities, axes) * [time * _mean_exponential(time * value) for value in values]
        moved = replace(
            state,
            step=state.step + 1,
            positions=_back(positions, axes),
            cell=_back(_along(state.cell, axes) * stretch, axes),
        )
        work = now.pressure * (moved.volume - state.volume)
        return replace(moved, reservoir=state.reservoir + work)

    def _modes(self, state: State) -> tuple[list[float], Array | None]:
        """Return the principal strain rates and their axes (3, 3) in columns; isotropic, any axes will do."""
        if not self.full:
            return [float(_rate(state)[0, 0])] * 3, None
        values, axes = np.linalg.eigh(_rate(state))
        return values.tolist(), axes


def _rate(state: State) -> Array:
    assert state.strain_rate is not None
    return state.strain_rate


def _along(vectors: Array, axes: Array | None) -> Array:
    return vectors if axes is None else vectors @ axes


def _back(vectors: Array, axes: Array | None) -> Array:
    return vectors if axes is None else vectors @ axes.T


def _mean_exponential(x: float) -> float:
    """Return the mean of exp from 0 to ``x``, (exp(x) - 1)/x."""
    return math.expm1(x) / x if x else 1.0
