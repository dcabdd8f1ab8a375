"""One replica as a machine that says where it wants forces next, and takes them: one evaluation a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....contract.arrays import Array
from ....contract.md import Limits
from .integrator import Integrator
from .limits import Verdict, Watch
from .schedule import Schedule
from .state import NO_STRESS, State, System

_OVERFLOW = (ArithmeticError, np.linalg.LinAlgError)
"""What is raised where numbers of Python's own overflow, or a matrix is not finite."""


class Replica:
    """A replica on its way: ``state`` is the last whole step, ``pending`` where it waits for an evaluation.

    ``state`` is all there is to remember: a replica made anew from it goes on to the same last bit.

    :param timestep: in units of time; ``cutoff`` of the potential in Ang, ``None`` where it has none to tell.
    :param volume: in Ang^3 at the start, ``energy`` in eV, ``None`` until the first evaluation.
    """

    def __init__(
        self,
        system: System,
        schedule: Schedule,
        integrator: Integrator,
        timestep: float,
        limits: Limits,
        cutoff: float | None,
        state: State,
        volume: float,
        energy: float | None = None,
    ) -> None:
        self.system, self.schedule, self.integrator = system, schedule, integrator
        self.state = state
        self.pending: State | None = None
        self._watch = Watch(limits, system, timestep, cutoff, volume, energy)

    @property
    def begun(self) -> bool:
        """Whether there are forces at ``state``."""
        return self._watch.energy is not None

    @property
    def done(self) -> bool:
        """Whether the schedule is at its end."""
        return self.begun and self.state.step >= self.schedule.n_steps

    @property
    def start_energy(self) -> float | None:
        """Potential energy in eV of the start."""
        return self._watch.energy

    @property
    def start_volume(self) -> float:
        """In Ang^3."""
        return self._watch.volume

    def ask(self) -> Verdict | None:
        """Go to where the next forces are wanted, ``pending``; return why they must not be asked for, or ``None``."""
        if not self.begun:
            self.pending = self.state
        else:
            try:
                with np.errstate(all='ignore'):  # what becomes infinite is found by the watch
                    place = self.integrator.advance(self.state, self.schedule.at(self.state.step + 1))
            except _OVERFLOW as error:
                self.pending = None
                return Verdict('non_finite', f'the integrator lost its numbers: {error}')
            self.pending = place.evaluated(np.nan, np.full_like(place.forces, np.nan), None)
        return self._watch.before(self.pending)

    def take(self, energy: float, forces: Array, stress: Array | None) -> Verdict | None:
        """Finish the step with what the potential says of ``pending``; return what the replica died of, or ``None``.

        Of a dead one ``state`` stays the last whole step that lived, and ``pending`` is where it died.
        """
        assert self.pending is not None
        pending = self.pending.evaluated(energy, forces, stress)
        self.pending = pending
        verdict = self._watch.answer(energy, forces, stress)
        if verdict is not None:
            return verdict
        now = self.schedule.at(pending.step)
        if self.begun:
            try:
                with np.errstate(all='ignore'):
                    pending = self.integrator.complete(pending, now)
            except _OVERFLOW as error:
                return Verdict('non_finite', f'the integrator lost its numbers: {error}')
        verdict = self._watch.after(pending, now.kt)
        if verdict is not None:
            self.pending = pending
            return verdict
        if not self.begun:
            self._watch = replace(self._watch, energy=energy)
        self.state, self.pending = pending, None
        return None


def at_start(integrator: Integrator, positions: Array, velocities: Array, cell: Array) -> State:
    """Return the state of step 0, which has no forces yet."""
    blank = np.full_like(positions, np.nan)
    return integrator.start(State(0, positions, velocities, cell, np.nan, blank, NO_STRESS))
