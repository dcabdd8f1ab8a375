"""The ``relax`` task: any number of structures, atoms and by choice cells at a pressure, to where nothing pulls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...contract.arrays import AnyArray
from ...contract.errors import BY_LABEL
from ...contract.relax import RelaxationParameters, RelaxItem, RelaxItemResult, RelaxJob, RelaxResult
from ...contract.units import EV_PER_ANG3_OF_GPA
from ..core.hessian import System
from ..core.relaxation import Crystal, RelaxedCrystal, Symmetry, relax_crystal
from ..ends import fingerprint
from ..failure import Failure
from ..scheduler import Task
from ..stage_run import StageRun
from .reading import ItemArrays


def read_crystal(
    item: RelaxItem, arrays: Mapping[str, AnyArray], parameters: RelaxationParameters, elements: list[str] | None
) -> Crystal:
    """Return the structure of an item.

    :raises StageFailed: naming what is wrong with it: a missing array, shapes that do not match, numbers that are not
        finite, a cell to relax that is not periodic in all directions, a symmetry that is none, an element the
        potential lacks.
    """
    given = ItemArrays(item.id, arrays)
    numbers = given.read('numbers', np.int64)
    n_atoms = numbers.size
    if not n_atoms:
        raise given.invalid('there are no atoms')
    positions = given.read('positions', np.float64, (n_atoms, 3))
    cell, pbc = given.read('cell', np.float64, (3, 3)), given.read('pbc', np.bool_, (3,))
    given.check(positions, cell, pbc, numbers, elements)
    if parameters.cell != 'fixed' and not pbc.all():
        raise given.invalid(
            f'periodic in {pbc.sum()} directions only, so its cell cannot be relaxed: set cell to fixed'
        )
    symmetry = None if parameters.symmetry_tolerance_ang is None else _read_symmetry(given, n_atoms)
    return Crystal(System(numbers, cell, pbc), positions, symmetry)


def _read_symmetry(given: ItemArrays, n_atoms: int) -> Symmetry:
    rotations, permutations = given.read('rotations', np.int64), given.read('permutations', np.int64)
    n_ops = len(permutations)
    if not n_ops or rotations.shape != (n_ops, 3, 3) or permutations.shape != (n_ops, n_atoms):
        raise given.invalid(f'rotations of shape {rotations.shape} and permutations of shape {permutations.shape}')
    if not (np.sort(permutations, axis=1) == np.arange(n_atoms)).all():
        raise given.invalid('an operation of the symmetry does not take each atom to one of its own')
    return Symmetry(rotations, permutations)


@dataclass(frozen=True)
class _Entry:
    item: RelaxItem
    crystal: Crystal
    fingerprint: str


class RelaxTasks:
    """The stages of a job's structures."""

    def __init__(self, job: RelaxJob, salt: str) -> None:
        self._parameters = job.parameters
        self._salt = fingerprint(salt, job.parameters.model_dump_json())
        self._entries: dict[str, _Entry] = {}
        self.titles: dict[str, str] = {}

    def add(self, item: RelaxItem, arrays: Mapping[str, AnyArray], elements: list[str] | None) -> list[Task]:
        """Return the task of one more structure.

        :raises StageFailed: naming what is wrong with it.
        """
        crystal = read_crystal(item, arrays, self._parameters, elements)
        system, symmetry = crystal.system, crystal.symmetry
        operations = () if symmetry is None else (symmetry.rotations, symmetry.permutations)
        atoms = (system.numbers, system.cell, system.pbc, crystal.positions)
        entry = _Entry(item, crystal, fingerprint(self._salt, *atoms, *operations))
        self._entries[item.id], self.titles[item.id] = entry, item.id
        return [
            Task(
                id=item.id,
                numbers=system.numbers,
                cell=system.cell,
                pbc=system.pbc,
                fingerprint=entry.fingerprint,
                start=lambda _: relax_crystal(crystal, self._parameters),
            )
        ]

    def owns(self, name: str) -> bool:
        """Return whether a task is that of a structure: all are."""
        return name in self._entries

    def needs(self, name: str) -> tuple[str, ...]:
        """Return what a structure needs: nothing."""
        return ()

    def fingerprint(self, name: str) -> str:
        """Return what the result of a structure depends on, as a hash."""
        return self._entries[name].fingerprint

    def result(
        self, name: str, outcome: Any, spent: Mapping[str, Counter[str]]
    ) -> tuple[RelaxItemResult, Mapping[str, AnyArray]]:
        """Return the entry of a structure in the result, and its arrays."""
        calls = spent[name].total() if name in spent else 0
        if isinstance(outcome, Failure):
            failed = RelaxItemResult(
                id=name, status='failed', converged=False, label=outcome.label, reason=outcome.reason, model_calls=calls
            )
            return failed, {}
        assert isinstance(outcome, RelaxedCrystal)
        return self._summary(name, outcome, calls), _arrays(outcome)

    def _summary(self, name: str, relaxed: RelaxedCrystal, calls: int) -> RelaxItemResult:
        parameters, start = self._parameters, abs(float(np.linalg.det(self._entries[name].crystal.system.cell)))
        volume = abs(float(np.linalg.det(relaxed.cell)))
        label, reason = (None, None) if relaxed.converged else _why(relaxed, parameters)
        pressure = parameters.pressure_gpa * EV_PER_ANG3_OF_GPA
        return RelaxItemResult(
            id=name,
            status='finished',
            converged=relaxed.converged,
            label=label,
            reason=reason,
            n_steps=relaxed.n_steps,
            energy_ev=relaxed.energy,
            enthalpy_ev=relaxed.energy + pressure * volume,
            fmax_ev_per_ang=relaxed.fmax,
            stress_left_gpa=relaxed.stress_left_gpa,
            volume_ang3=volume,
            volume_ratio=volume / start if start > 0.0 else None,
            model_calls=calls,
        )


def _arrays(relaxed: RelaxedCrystal) -> dict[str, AnyArray]:
    arrays: dict[str, AnyArray] = {
        'positions': relaxed.positions,
        'cell': relaxed.cell,
        'energy': np.array(relaxed.energy),
        'forces': relaxed.forces,
    }
    return arrays if relaxed.stress is None else arrays | {'stress': relaxed.stress}


def _why(relaxed: RelaxedCrystal, parameters: RelaxationParameters) -> tuple[str, str]:
    """Return label and reason of a structure that ran out of steps."""
    if relaxed.fmax >= parameters.fmax_ev_per_ang:
        code = BY_LABEL['ERROR_NOT_CONVERGED']
        target = f'{parameters.fmax_ev_per_ang:g} ({parameters.criterion})'
        return code.label, code.message.format(fmax=f'{relaxed.fmax:.4f}', steps=relaxed.n_steps, target=target)
    code = BY_LABEL['ERROR_STRESS_LEFT']
    stress, target = f'{relaxed.stress_left_gpa:.3f}', f'{parameters.stress_gpa:g} GPa'
    return code.label, code.message.format(stress=stress, steps=relaxed.n_steps, target=target)


class RelaxRun(StageRun[RelaxJob, RelaxItemResult]):
    """One run of a ``relax`` job."""

    job_model = RelaxJob
    result_model = RelaxResult
    item_model = RelaxItemResult

    def stage_tasks(self) -> RelaxTasks:
        """Return the stages of the job's structures."""
        return RelaxTasks(self._job, self._salt)
