"""What an integrator is, and the plain one: velocity Verlet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from .schedule import Conditions
from .state import State, System


class Integrator(Protocol):
    """One step in two parts, with the one evaluation of the step between them.

    ``advance`` takes a whole step's state, with its forces, to where forces are needed next; ``complete`` takes it
    from there, now with the new forces, to the end of the step. Both are functions of their arguments alone.
    """

    def start(self, state: State) -> State:
        """Return the state with the extended variables at rest."""
        ...

    def advance(self, state: State, now: Conditions) -> State:
        """Return the state where the forces of the step are to be evaluated."""
        ...

    def complete(self, state: State, now: Conditions) -> State:
        """Return the state at the end of the step."""
        ...

    def conserved(self, state: State) -> float | None:
        """Return the energy in eV that would be constant were the timestep zero; ``None`` if there is none."""
        ...


@dataclass(frozen=True)
class VelocityVerlet:
    """Newton's equations: Swope et al., J. Chem. Phys. 76, 637 (1982). ``timestep`` in units of time."""

    system: System
    timestep: float

    def start(self, state: State) -> State:
        """Return the state: there are no extended variables."""
        return state

    def advance(self, state: State, now: Conditions) -> State:
        """Return the state after half a kick and the drift."""
        velocities = state.velocities + (0.5 * self.timestep) * self.system.accelerations(state.forces)
        return replace(
            state,
            step=state.step + 1,
            velocities=velocities,
            positions=state.positions + self.timestep * velocities,
        )

    def complete(self, state: State, now: Conditions) -> State:
        """Return the state after the other half of the kick."""
        return kicked(self.system, state, 0.5 * self.timestep)

    def conserved(self, state: State) -> float | None:
        """Return the total energy in eV."""
        return total_energy(self.system, state)


def kicked(system: System, state: State, time: float) -> State:
    """Return the state with the forces having acted on the velocities for a time."""
    return replace(state, velocities=state.velocities + time * system.accelerations(state.forces))


def total_energy(system: System, state: State) -> float:
    """Return potential and kinetic energy and what has gone into the reservoirs, in eV."""
    return state.energy + 0.5 * system.doubled_kinetic(state.velocities) + state.reservoir
