"""Chains of Nose-Hoover thermostats: Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635 (1992).

Integrated as in Martyna, Tuckerman, Tobias and Klein, Mol. Phys. 87, 1117 (1996): a chain for half a step, velocity
Verlet, the chain for the other half; the chain itself in three parts after Yoshida (fourth order).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from .integrator import kicked, total_energy
from .schedule import Conditions
from .state import State, System

_OUTER = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
_YOSHIDA = (_OUTER, 1.0 - 2.0 * _OUTER, _OUTER)
"""H. Yoshida, Phys. Lett. A 150, 262 (1990)."""


class Chained(NamedTuple):
    """What a chain has done: the factor on the velocities, its new rates, and the energy in eV it has taken up."""

    scale: float
    rates: tuple[float, ...]
    energy: float


@dataclass(frozen=True)
class Chain:
    """A chain that keeps ``degrees`` momenta at a temperature, with the time constant ``tau``.

    The inertia of its first member is ``inertia`` kt tau^2, by default ``degrees`` kt tau^2, that of the others
    kt tau^2. It follows the temperature of a ramp, and what is integrated is the rates of the thermostats rather than
    their momenta, so a ramp changes neither rates nor time constants.
    """

    degrees: float
    tau: float
    length: int
    inertia: float | None = None

    def act(self, rates: tuple[float, ...], doubled_kinetic: float, kt: float, time: float) -> Chained:
        """Return what the chain does to momenta with twice a kinetic energy of ``doubled_kinetic`` in a time."""
        degrees, inertia, last = self.degrees, self.inertia or self.degrees, self.length - 1
        square, exp = self.tau * self.tau, math.exp
        v = list(rates)
        scale, turned = 1.0, 0.0
        before = self._kinetic(v, kt)
        for part in _YOSHIDA:
            whole = part * time
            half, quarter = 0.5 * whole, 0.25 * whole
            for inwards in (True, False):
                for j in range(last, -1, -1) if inwards else range(self.length):
                    brake = exp(-quarter * v[j + 1]) if j < last else 1.0
                    if j == 0:
                        push = (doubled_kinetic - degrees * kt) / (inertia * kt * square)
                    else:
                        push = (inertia if j == 1 else 1.0) * v[j - 1] * v[j - 1] - 1.0 / square
                    v[j] = (v[j] * brake + half * push) * brake
                if inwards:
                    slow = exp(-whole * v[0])
                    scale *= slow
                    doubled_kinetic *= slow * slow
                    turned += whole * (degrees * v[0] + sum(v[1:]))
        return Chained(scale, tuple(v), kt * turned + self._kinetic(v, kt) - before)

    def _kinetic(self, rates: list[float], kt: float) -> float:
        """Return the kinetic energy of the thermostats in eV."""
        first = (self.inertia or self.degrees) * rates[0] * rates[0]
        return 0.5 * kt * self.tau * self.tau * (first + sum(rate * rate for rate in rates[1:]))


@dataclass(frozen=True)
class NoseHooverChain:
    """Canonical sampling; ``timestep`` in units of time."""

    system: System
    timestep: float
    chain: Chain

    def start(self, state: State) -> State:
        """Return the state with the thermostats at rest."""
        return replace(state, chain=(0.0,) * self.chain.length)

    def advance(self, state: State, now: Conditions) -> State:
        """Return the state after half a chain, half a kick and the drift."""
        state = kicked(self.system, chained(self.system, state, self.chain, now.kt, self.timestep), 0.5 * self.timestep)
        return replace(state, step=state.step + 1, positions=state.positions + self.timestep * state.velocities)

    def complete(self, state: State, now: Conditions) -> State:
        """Return the state after half a kick and half a chain."""
        state = kicked(self.system, state, 0.5 * self.timestep)
        return chained(self.system, state, self.chain, now.kt, self.timestep)

    def conserved(self, state: State) -> float | None:
        """Return the energy in eV of atoms and thermostats."""
        return total_energy(self.system, state)


def chained(system: System, state: State, chain: Chain, kt: float, timestep: float) -> State:
    """Return the state after the chain has acted on the velocities for half a timestep."""
    done = chain.act(state.chain, system.doubled_kinetic(state.velocities), kt, 0.5 * timestep)
    return replace(
        state,
        velocities=done.scale * state.velocities,
        chain=done.rates,
        reservoir=state.reservoir + done.energy,
    )
