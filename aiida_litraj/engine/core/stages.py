"""The stages of a path as generators: they yield positions to evaluate and receive evaluations.

A stage never calls a potential and never touches a file. Who drives it may evaluate one by one or in large batches,
stop at any moment, and replay what it has received before: a stage is a function of its evaluations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

import numpy as np

from ...contract.arrays import Array
from ...contract.errors import BY_LABEL
from ...contract.neb import BandParameters, RelaxParameters
from .band import band_forces, residual
from .hessian import System, band_hessian, model_hessian
from .optimisers import LBFGS_CURVATURE, FireState, LbfgsState, fire_step, lbfgs_step

_LBFGS_MEMORY = 100
_RUNAWAY = 4.0
_RUNAWAY_FORCE = 1.0
"""eV/Ang: below it a growing residual is the way over a ridge, not a runaway."""
_PATIENCE = 30


@dataclass(frozen=True)
class Demand:
    """Positions (k, n_atoms, 3) in Ang to evaluate, and how far the stage is.

    ``cells`` (k, 3, 3) in Ang where they are not that of the task; ``stress``: whether it is asked for.
    """

    positions: Array
    phase: str
    step: int
    max_steps: int | None = None
    fmax: float | None = None
    target: float | None = None
    cells: Array | None = None
    stress: bool = False

    def cell_of(self, index: int) -> Array | None:
        """Return the cell of one configuration, ``None`` if it is that of the task."""
        return None if self.cells is None else self.cells[index]


@dataclass(frozen=True)
class Evaluated:
    """Answer to a demand: ``energies`` (k,) in eV, ``forces`` (k, n_atoms, 3) in eV/Ang.

    ``stresses`` (k, 3, 3) in eV/Ang^3, positive under tension, if they were asked for; NaN where there is none.
    """

    energies: Array
    forces: Array
    stresses: Array | None = None


class StageFailed(Exception):
    """A stage cannot go on; ``label`` is in the table of errors."""

    def __init__(self, label: str, **fields: object) -> None:
        self.label = label
        super().__init__(BY_LABEL[label].message.format(**fields))


def guard(evaluated: Evaluated, limit: float, phase: str) -> None:
    """Give up on energies or forces that are not finite, or on a force above ``limit`` in eV/Ang."""
    if not (np.isfinite(evaluated.energies).all() and np.isfinite(evaluated.forces).all()):
        raise StageFailed('ERROR_NON_FINITE', phase=phase)
    largest = residual(evaluated.forces, 'norm')
    if largest > limit:
        raise StageFailed('ERROR_EXPLODED', fmax=f'{largest:.3g}', phase=phase, limit=f'{limit:g}')


class Stepper:
    """One of the optimisers with its state, over arrays (n_images, n_atoms, 3).

    L-BFGS has no line search (the force of a band is not the gradient of a function), so it can run away where the
    landscape has kinks, or wander. When the residual has grown to ``_RUNAWAY`` times the smallest one, or that one is
    ``_PATIENCE`` steps old, the stepper goes back to it and carries on with FIRE: slower, and safe.

    ``hessians`` (n_images, 3 n_atoms, 3 n_atoms) in eV/Ang^2 is only called for by ``lbfgs_model_hessian``.
    """

    def __init__(self, name: str, hessians: Callable[[], Array]) -> None:
        self._fire: FireState | None = FireState() if name == 'fire' else None
        inverse: Array | float = 1.0 / LBFGS_CURVATURE
        if name == 'lbfgs_model_hessian':
            inverse = np.linalg.inv(hessians()).astype(np.float64)
        self._lbfgs = LbfgsState(inverse, _LBFGS_MEMORY)
        self._best: tuple[float, Array, Array] | None = None
        self._waited = 0
        self.gain: Array | None = None
        """Energy (n_images,) in eV which a full quasi-Newton step would still change; ``None`` with FIRE."""

    def __call__(self, positions: Array, forces: Array, fmax: float) -> Array:
        """Return the next positions from the present ones, the forces there and their residual."""
        if self._fire is None:
            self._waited += 1
            if self._best is None or fmax < self._best[0]:
                self._best, self._waited = (fmax, positions, forces), 0
            elif fmax > max(_RUNAWAY_FORCE, _RUNAWAY * self._best[0]) or self._waited > _PATIENCE:
                _, positions, forces = self._best
                self._fire, self.gain = FireState(), None
        if self._fire is not None:
            self._fire, step = fire_step(self._fire, forces.ravel())
        else:
            self._lbfgs, step, full = lbfgs_step(self._lbfgs, forces.ravel())
            self.gain = 0.5 * np.abs((forces * full.reshape(forces.shape)).sum(axis=(1, 2)))
        return positions + step.reshape(forces.shape)

    def new_law(self) -> None:
        """Note that the forces follow another law from now on: their change since the last step is no curvature."""
        self._lbfgs = replace(self._lbfgs, last_force=None, last_step=None)

    def forget_best(self) -> None:
        """Start a new record of the smallest residual: the forces have changed their meaning."""
        self._best, self._waited = None, 0

    def settled(self, tolerance: float | None, image: int = 0) -> bool:
        """Return whether the energy of ``image`` is known to be within ``tolerance`` in eV."""
        return tolerance is None or (self.gain is not None and bool(self.gain[image] < tolerance))

    def may_stop(self, tolerance: float | None, image: int = 0) -> bool:
        """Return whether the energy does not speak against stopping; FIRE cannot tell, so then the force decides."""
        return self.gain is None or self.settled(tolerance, image)


@dataclass(frozen=True)
class Relaxed:
    """A relaxed end: ``positions`` and ``forces`` (n_atoms, 3), ``energy`` in eV.

    ``settled``: whether the energy tolerance, if there is one, was reached.
    """

    positions: Array
    energy: float
    forces: Array
    n_steps: int
    calls: int
    settled: bool = True


def relax(
    positions: Array, parameters: RelaxParameters, system: System, free: Array, limit: float, phase: str
) -> Generator[Demand, Evaluated, Relaxed]:
    """Return the configuration relaxed until its largest force is below the parameter, or out of steps.

    ``positions`` (n_atoms, 3) in Ang; ``free`` (n_atoms, 1), 0 where an atom is frozen; ``limit`` in eV/Ang.
    """
    positions, n_steps, fmax = positions.copy(), 0, None
    stepper = Stepper(parameters.optimizer, lambda: model_hessian(system, positions)[None])
    while True:
        evaluated = yield Demand(
            positions[None], phase, n_steps, parameters.max_steps, fmax, parameters.fmax_ev_per_ang
        )
        guard(evaluated, limit, phase)
        forces = evaluated.forces[0] * free
        fmax = residual(forces, parameters.criterion)
        following = stepper(positions[None], forces[None], fmax)[0]
        converged = fmax < parameters.fmax_ev_per_ang and stepper.may_stop(parameters.energy_tolerance_ev)
        if converged or (parameters.max_steps is not None and n_steps >= parameters.max_steps):
            settled = stepper.settled(parameters.energy_tolerance_ev)
            return Relaxed(positions, float(evaluated.energies[0]), evaluated.forces[0], n_steps, n_steps + 1, settled)
        positions = np.where(free > 0, following, positions)
        n_steps += 1


@dataclass(frozen=True)
class Band:
    """An optimised band: arrays over all images, ends included; ``neb_forces`` are zero at the ends."""

    positions: Array
    energies: Array
    forces: Array
    neb_forces: Array
    n_steps: int
    calls: int
    climbing: int | None
    settled: bool
    history: list[float] = field(default_factory=list)


def optimise_band(
    path: Array,
    source: Relaxed,
    target: Relaxed,
    parameters: BandParameters,
    system: System,
    free: Array,
    limit: float,
) -> Generator[Demand, Evaluated, Band]:
    """Return the band optimised from ``path`` (n_images, n_atoms, 3) between two relaxed ends.

    Converged when the residual force of every inner image, the climbing one included, is below the parameter.
    """
    n_images = len(path)
    path = path.copy()
    path[0], path[-1] = source.positions, target.positions
    energies = np.empty(n_images)
    forces = np.empty_like(path)
    energies[0], energies[-1], forces[0], forces[-1] = source.energy, target.energy, source.forces, target.forces
    stepper = Stepper(parameters.optimizer, lambda: _band_hessians(path, parameters, system))
    n_steps, fmax, climbing, history = 0, None, None, []
    climb = parameters.climb and parameters.climb_below_ev_per_ang is None
    while True:
        evaluated = yield Demand(path[1:-1], 'band', n_steps, parameters.max_steps, fmax, parameters.fmax_ev_per_ang)
        guard(evaluated, limit, 'band')
        energies[1:-1], forces[1:-1] = evaluated.energies, evaluated.forces
        felt = band_forces(path, energies, forces, parameters.spring_constant_ev_per_ang2, climb, free)
        fmax = residual(felt.forces, parameters.criterion)
        history.append(fmax)
        waiting = parameters.climb and not climb
        if waiting and fmax < (parameters.climb_below_ev_per_ang or 0.0):
            climb = True
            stepper.forget_best()
            felt = band_forces(path, energies, forces, parameters.spring_constant_ev_per_ang2, climb, free)
            fmax = residual(felt.forces, parameters.criterion)
        if climb and felt.highest != climbing:
            climbing = felt.highest
            stepper.new_law()
        following = stepper(path[1:-1].copy(), felt.forces, fmax)
        may_stop = stepper.may_stop(parameters.energy_tolerance_ev, felt.highest - 1)
        converged = fmax < parameters.fmax_ev_per_ang and may_stop and climb == parameters.climb
        if converged or n_steps >= parameters.max_steps:
            break
        path[1:-1] = np.where(free > 0, following, path[1:-1])
        n_steps += 1
    neb_forces = np.zeros_like(forces)
    neb_forces[1:-1] = felt.forces
    return Band(
        positions=path,
        energies=energies,
        forces=forces,
        neb_forces=neb_forces,
        n_steps=n_steps,
        calls=(n_steps + 1) * (n_images - 2),
        climbing=climbing,
        settled=stepper.settled(parameters.energy_tolerance_ev, felt.highest - 1),
        history=history,
    )


def _chords(path: Array) -> Array:
    """Return the unit vectors (n_images - 2, n_atoms, 3) from the image before to the image after each inner one."""
    chords = path[2:] - path[:-2]
    lengths = np.sqrt((chords**2).sum(axis=(1, 2), keepdims=True))
    result: Array = chords / np.where(lengths > 0.0, lengths, 1.0)
    return result


def _band_hessians(path: Array, parameters: BandParameters, system: System) -> Array:
    """Return the model Hessians (n_images - 2, 3 n_atoms, 3 n_atoms) of the inner images."""
    spring = parameters.spring_constant_ev_per_ang2
    return np.array([band_hessian(system, x, along, spring) for x, along in zip(path[1:-1], _chords(path))])


def path_residuals(band: Band, free: Array) -> tuple[float, float]:
    """Return the largest residual force as norm and as component in eV/Ang, over inner images and both ends."""
    everything = band.neb_forces.copy()
    everything[0], everything[-1] = band.forces[0] * free, band.forces[-1] * free
    return residual(everything, 'norm'), residual(everything, 'component')
