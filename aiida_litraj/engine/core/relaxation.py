"""Relaxation of atoms and cell together, as a stage: positions and cells out, energies, forces and stresses in.

The coordinates are the positions x in the cell of the start and a symmetric strain A: the atoms are at (I + A) x and
the cell is (I + A) h. Minimised is the enthalpy E + P V. Its gradients are, with stress s (positive under tension),

    dH/dx = -(I + A) F,      dH/dA = sym[V (s + P) (I + A)^-1],

those of E. B. Tadmor et al., Phys. Rev. B 59, 235 (1999), as ASE's unit cell filter has them. Only symmetric strains
are taken, so the cell does not turn. The strain enters the optimiser as lengths, in a unit for which the stiffness of a
common solid equals that of a bond; without that the cell would take many more steps than the atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from ...contract.relax import RelaxationParameters
from ...contract.units import EV_PER_ANG3_OF_GPA
from .band import residual
from .hessian import System, model_hessian
from .optimisers import LBFGS_CURVATURE, FireState, LbfgsState, fire_step, lbfgs_step
from .stages import Demand, Evaluated, StageFailed, guard

_MEMORY = 100
_ELASTIC_MODULUS_GPA = 60.0
"""Of a common ionic solid; what the strain is scaled by. A wrong one costs steps, not accuracy."""
_NOISE = 1e-7
"""Relative: how far an enthalpy may rise before a step counts as uphill; float32 knows seven digits of an energy."""
_SHORTER = 0.4
"""What is left of a step that went uphill."""
_TRIES = 5
"""Shortened so many times in a row, a direction is given up with the curvatures that it came from."""
_LARGEST_STRAIN = 0.9
"""Of a single coordinate, either way: beyond, the strained cell is none."""


@dataclass(frozen=True)
class Symmetry:
    """Operations of a crystal: ``rotations`` (n_ops, 3, 3) of fractional coordinates, ``permutations`` (n_ops, n).

    Operation o takes atom i to where atom ``permutations[o, i]`` is.
    """

    rotations: npt.NDArray[np.int64]
    permutations: npt.NDArray[np.int64]

    def _cartesian(self, cell: Array) -> Array:
        # x = s h for rows, s' = s W^T: x' = x h^-1 W^T h
        turns: Array = np.linalg.inv(cell) @ np.swapaxes(self.rotations, 1, 2) @ cell
        return turns

    def of_vectors(self, vectors: Array, cell: Array) -> Array:
        """Return vectors (n_atoms, 3) of atoms averaged over the operations."""
        turned = vectors @ self._cartesian(cell)
        averaged = np.zeros_like(vectors)
        for moved, target in zip(turned, self.permutations):
            averaged[target] += moved
        return averaged / len(self.rotations)

    def of_tensor(self, tensor: Array, cell: Array) -> Array:
        """Return a symmetric tensor (3, 3) averaged over the operations."""
        turns = self._cartesian(cell)
        averaged: Array = (np.swapaxes(turns, 1, 2) @ tensor @ turns).mean(axis=0)
        return averaged


@dataclass(frozen=True)
class Crystal:
    """What is relaxed: atoms in a cell, ``positions`` (n_atoms, 3) in Ang; perhaps a symmetry to be kept."""

    system: System
    positions: Array
    symmetry: Symmetry | None = None


@dataclass(frozen=True)
class RelaxedCrystal:
    """A relaxed structure, with what it feels: ``stress`` in eV/Ang^3 is ``None`` where it was not asked for."""

    positions: Array
    cell: Array
    energy: float
    forces: Array
    stress: Array | None
    fmax: float
    stress_left_gpa: float | None
    n_steps: int
    converged: bool


class _Descent:
    """L-BFGS on a function whose value is known: a step that goes uphill is taken back and made shorter.

    That is all it needs to be safe far from the minimum, where the quadratic picture is wrong, and it leaves the steps
    near it alone. By choice FIRE instead, as ASE has it, which does not look at the value.
    """

    def __init__(self, name: str, hessian: Callable[[], Array]) -> None:
        self._fire = FireState() if name == 'fire' else None
        self._inverse: Array | float = 1.0 / LBFGS_CURVATURE
        if name == 'lbfgs_model_hessian':
            self._inverse = np.linalg.inv(hessian())[None].astype(np.float64)
        self._forget()
        self._base: tuple[Array, float, Array] | None = None
        self._step: Array = np.zeros(0)

    def _forget(self) -> None:
        self._lbfgs, self._tries = LbfgsState(self._inverse, _MEMORY), 0

    def __call__(self, coordinates: Array, value: float, forces: Array) -> Array:
        """Return the next coordinates (n, 3) from the present ones, the value there and minus its gradient."""
        if self._fire is not None:
            self._fire, step = fire_step(self._fire, forces.ravel())
            return coordinates + step.reshape(forces.shape)
        if self._base is not None and _uphill(value, self._base[1]):
            self._tries += 1
            if self._tries <= _TRIES:
                self._step = _SHORTER * self._step
                return self._base[0] + self._step
            coordinates, value, forces = self._base
            self._forget()
        elif self._base is not None:
            self._tries = 0
            if self._lbfgs.last_step is not None:
                self._lbfgs = replace(self._lbfgs, last_step=self._step.ravel())
        self._base = (coordinates, value, forces)
        self._lbfgs, step, _ = lbfgs_step(self._lbfgs, forces.ravel())
        self._step = step.reshape(forces.shape)
        return coordinates + self._step


def _uphill(value: float, reached: float) -> bool:
    """Return whether a function has risen from the value that was reached."""
    return value > reached + _NOISE * max(1.0, abs(value))


def _scale(volume: float) -> float:
    """Return the length in Ang that stands for a strain of one."""
    return float(np.sqrt(volume * _ELASTIC_MODULUS_GPA * EV_PER_ANG3_OF_GPA / LBFGS_CURVATURE))


def _hessian(crystal: Crystal) -> Array:
    """Return the model Hessian (3 n + 9, 3 n + 9) of positions and strain, without their coupling."""
    atoms = model_hessian(crystal.system, crystal.positions)
    n = len(atoms)
    whole = np.zeros((n + 9, n + 9))
    whole[:n, :n] = atoms
    whole[n:, n:] = LBFGS_CURVATURE * np.eye(9)
    return whole


def _felt(evaluated: Evaluated, crystal: Crystal, cell: Array) -> tuple[Array, Array | None]:
    """Return forces and stress as the symmetry wants them."""
    forces = evaluated.forces[0]
    stress = None if evaluated.stresses is None else evaluated.stresses[0]
    if stress is not None and not np.isfinite(stress).all():
        raise StageFailed('ERROR_NO_STRESS', potential='of this job', task='the relaxation of a cell')
    if crystal.symmetry is not None:
        forces = crystal.symmetry.of_vectors(forces, cell)
        stress = None if stress is None else crystal.symmetry.of_tensor(stress, cell)
    return forces, stress


def relax_crystal(crystal: Crystal, parameters: RelaxationParameters) -> Generator[Demand, Evaluated, RelaxedCrystal]:
    """Return the structure with its enthalpy at a minimum, or the lowest that was reached when the steps ran out.

    :raises StageFailed: if a number is not finite, a force or the volume beyond its limits, or there is no stress.
    """
    movable = parameters.cell != 'fixed'
    cell0, volume0 = crystal.system.cell, abs(float(np.linalg.det(crystal.system.cell)))
    pressure = parameters.pressure_gpa * EV_PER_ANG3_OF_GPA
    scale = _scale(volume0) if movable else 1.0
    coordinates = np.concatenate([crystal.positions, np.zeros((3, 3))])
    descend = _Descent(parameters.optimizer, lambda: _hessian(crystal))
    n_steps, fmax = 0, None
    reached: tuple[float, RelaxedCrystal] | None = None
    while True:
        turn = np.eye(3) + coordinates[-3:] / scale
        cell, positions = cell0 @ turn, coordinates[:-3] @ turn
        volume = abs(float(np.linalg.det(cell)))
        if movable:
            _check_volume(volume / volume0, turn, parameters)
        evaluated = yield Demand(
            positions[None], 'relax', n_steps, parameters.max_steps, fmax, parameters.fmax_ev_per_ang,
            cell[None] if movable else None, movable,
        )  # fmt: skip
        guard(evaluated, parameters.max_force_ev_per_ang, 'relax')
        forces, stress = _felt(evaluated, crystal, cell)
        pull = np.zeros((3, 3))
        left = None
        if stress is not None:
            excess = stress + pressure * np.eye(3)
            if parameters.cell == 'isotropic':
                excess = np.trace(excess) / 3.0 * np.eye(3)
            left = float(np.abs(excess).max()) / EV_PER_ANG3_OF_GPA
            gradient = volume * excess @ np.linalg.inv(turn)
            pull = -0.5 * (gradient + gradient.T) / scale
        fmax = residual(forces, parameters.criterion)
        done = fmax < parameters.fmax_ev_per_ang and (left is None or left < parameters.stress_gpa)
        energy = float(evaluated.energies[0])
        enthalpy = energy + pressure * volume
        if done or reached is None or not _uphill(enthalpy, reached[0]):
            own = None if evaluated.stresses is None else evaluated.stresses[0]
            here = RelaxedCrystal(positions, cell, energy, evaluated.forces[0], own, fmax, left, n_steps, done)
            reached = enthalpy, here
        if done or n_steps >= parameters.max_steps:
            # What was tried last may be a step too long, which the next one would have taken back.
            return replace(reached[1], n_steps=n_steps)
        coordinates = descend(coordinates, enthalpy, np.concatenate([forces @ turn, pull]))
        n_steps += 1


def _check_volume(ratio: float, turn: Array, parameters: RelaxationParameters) -> None:
    """Give up on a cell that is collapsing or flying apart, before a potential is shown it."""
    least, most = parameters.volume_ratio_min, parameters.volume_ratio_max
    if np.linalg.eigvalsh(turn).min() < 1.0 - _LARGEST_STRAIN or not least <= ratio <= most:
        raise StageFailed('ERROR_VOLUME', ratio=f'{ratio:.3g}', least=f'{least:g}', most=f'{most:g}')
