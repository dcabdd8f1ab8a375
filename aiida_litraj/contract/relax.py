"""Job and result of the ``relax`` task: geometry optimisation of atoms and, by choice, of the cell under a pressure.

Arrays of a job, in ``arrays.npz``, per item ``<id>``: ``<id>/positions`` (n_atoms, 3) in Ang; ``<id>/cell`` (3, 3) in
Ang; ``<id>/pbc`` (3,) bool; ``<id>/numbers`` (n_atoms,) atomic numbers. If the symmetry is to be kept:
``<id>/rotations`` (n_ops, 3, 3) integers, by which fractional coordinates are turned, and ``<id>/permutations``
(n_ops, n_atoms), to which atom each one goes.

Arrays of a result, in ``result.npz``, per item that has any: ``<id>/positions`` (n_atoms, 3) in Ang; ``<id>/cell``
(3, 3) in Ang; ``<id>/energy`` in eV; ``<id>/forces`` (n_atoms, 3) in eV/Ang; where the cell was relaxed ``<id>/stress``
(3, 3) in eV/Ang^3, positive under tension.
"""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from .base import Pressure
from .job import Item, Job, Parameters
from .neb import Criterion, Optimizer
from .result import ItemResult, JobResult


class RelaxationParameters(Parameters):
    """Every number of the science, without defaults: a protocol fills them.

    ``cell``: ``fixed``; ``isotropic``, only its volume; ``full``, its six strains. ``pressure_gpa`` is only felt by a
    cell that can change. ``stress_gpa``: the largest component of the stress, less the pressure, at which it has
    converged; with ``isotropic`` of the mean of its diagonal.
    """

    optimizer: Optimizer
    fmax_ev_per_ang: PositiveFloat
    criterion: Criterion
    max_steps: NonNegativeInt
    cell: Literal['fixed', 'isotropic', 'full']
    pressure_gpa: Pressure
    stress_gpa: PositiveFloat
    symmetry_tolerance_ang: PositiveFloat | None
    """Where given, the operations of each structure to within this distance are kept: forces and stress are averaged
    over them. ``None`` leaves atoms and cell free to break the symmetry."""
    max_force_ev_per_ang: PositiveFloat
    """An item with a larger force has exploded and is given up."""
    volume_ratio_min: PositiveFloat
    volume_ratio_max: PositiveFloat
    """Outside these, relative to the volume at the start, an item is given up."""

    @model_validator(mode='after')
    def _consistent(self) -> RelaxationParameters:
        if self.cell == 'fixed' and self.pressure_gpa != 0.0:
            raise ValueError(
                f'pressure_gpa = {self.pressure_gpa:g} with a fixed cell has no effect: set cell to isotropic or full'
            )
        if not self.volume_ratio_min < 1.0 < self.volume_ratio_max:
            raise ValueError(
                f'volume_ratio_min = {self.volume_ratio_min:g} must be below 1, volume_ratio_max = '
                f'{self.volume_ratio_max:g} above it'
            )
        return self


class RelaxItem(Item):
    """One structure of a job."""


class RelaxJob(Job[RelaxationParameters, RelaxItem]):
    """Content of ``job.json`` of a ``relax`` job."""

    task: Literal['relax'] = 'relax'


class RelaxItemResult(ItemResult):
    """How one structure ended. The fields that are ``None`` it did not get to."""

    energy_ev: FiniteFloat | None = None
    enthalpy_ev: FiniteFloat | None = None
    """Energy plus pressure times volume."""
    fmax_ev_per_ang: NonNegativeFloat | None = None
    """Largest force left, by the criterion of the parameters."""
    stress_left_gpa: NonNegativeFloat | None = None
    """Largest component of the stress that is not the pressure asked for; ``None`` for a fixed cell."""
    volume_ang3: NonNegativeFloat | None = None
    volume_ratio: NonNegativeFloat | None = None
    """Final volume by that of the start."""
    model_calls: NonNegativeInt = 0


class RelaxResult(JobResult[RelaxItemResult]):
    """Content of ``result.json`` of a ``relax`` job."""

    task: Literal['relax'] = 'relax'
