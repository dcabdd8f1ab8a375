"""From runs at constant pressure to the mean cell of each temperature, and what is to be run in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.engine import ExitCode, calcfunction
from aiida.orm import Dict, StructureData
from ase import Atoms

from ...analysis.conductivity import ConductivitySettings, name_of, production_replica
from ...analysis.mean_cell import COMPONENTS, MeanCell, mean_cell, start_in
from ...contract.arrays import AnyArray, Array
from ...contract.errors import BY_LABEL
from ...data.trajectory import MdTrajectoryData
from .plan_equilibration import read_settings

CELL, REPLICA, REPORT = 'cell_', 'replica_', 'report'
"""Prefixes of the outputs that are starts and replicas by the name of the run, and the name of the account."""


@calcfunction
def mean_cells(settings: Dict, results: Dict, **trajectories: MdTrajectoryData) -> dict[str, Any] | ExitCode:
    """Return where each run at constant volume starts, its replica, and a ``report``.

    The cell is the mean of all repeats at that temperature; the atoms are where those of its own repeat were at the
    end, so that the repeats are as independent as their runs at constant pressure.

    :param settings: the fields of ``analysis.conductivity.ConductivitySettings``.
    :param results: how the runs at constant pressure ended.
    :param trajectories: theirs, by name. Runs that did not reach their end are left out, with a warning in the report.
    """
    choices = read_settings(settings.get_dict())
    made: dict[str, Any] = {}
    entries, warnings = [], []
    for temperature in choices.temperatures_k:
        runs, lost = _runs_at(temperature, choices, results['items'], trajectories)
        warnings += [f'{name}: left out, the run at constant pressure {reason}' for name, reason in lost.items()]
        if not runs:
            warnings.append(f'{temperature:g} K: left out, no run at constant pressure is of use')
            continue
        mean = _mean(list(runs.values()), choices)
        entries.append({'temperature_k': temperature, 'repeats': list(runs), **_entry(mean)})
        warnings += [f'{temperature:g} K: {doubt}' for doubt in mean.doubts()]
        for repeat, trajectory in runs.items():
            name = name_of(temperature, repeat)
            made[f'{CELL}{name}'] = _structure(trajectory, mean.cell, start_of(trajectory, mean.cell, choices))
            made[f'{REPLICA}{name}'] = Dict(production_replica(choices, temperature, repeat))
    if not entries:
        return ExitCode(BY_LABEL['ERROR_UNSTABLE'].status, f'no temperature is left: {"; ".join(warnings)}')
    return {**made, REPORT: Dict({'temperatures': entries, 'warnings': warnings})}


def _runs_at(
    temperature: float,
    settings: ConductivitySettings,
    items: Mapping[str, Any],
    trajectories: Mapping[str, MdTrajectoryData],
) -> tuple[dict[int, MdTrajectoryData], dict[str, str]]:
    """Return the runs that can be used, by number of the repeat, and why the others cannot, by name."""
    runs, lost = {}, {}
    for repeat in range(1, settings.repeats + 1):
        name = name_of(temperature, repeat)
        item = items.get(name, {'status': 'missing', 'reason': 'it did not run'})
        if item['status'] != 'finished' or name not in trajectories:
            lost[name] = f'failed: {item["reason"] or "it left no trajectory"}'
            continue
        try:
            _mean([trajectories[name]], settings)
            start_of(trajectories[name], np.eye(3), settings)
        except ValueError as error:
            lost[name] = f'is of no use: {error}'
            continue
        runs[repeat] = trajectories[name]
    return runs, lost


def used(trajectory: MdTrajectoryData, settings: ConductivitySettings) -> AnyArray:
    """Return which frames (F,) of a run at constant pressure count."""
    return np.asarray(trajectory.times_ps >= settings.equilibration.discard_ps - 1e-9)


def _mean(runs: list[MdTrajectoryData], settings: ConductivitySettings) -> MeanCell:
    """Return the mean of what is left of runs after the time that is discarded, strained from where they began."""
    kept = [(run, used(run, settings)) for run in runs]
    cells, stresses = [run.cells[there] for run, there in kept], [run.stresses[there] for run, there in kept]
    return mean_cell(runs[0].cells[0], cells, stresses)


def start_of(trajectory: MdTrajectoryData, cell: Array, settings: ConductivitySettings) -> Array:
    """Return positions (n, 3) in Ang of the end of a run, brought into another cell.

    :raises ValueError: if there is no frame to start from.
    """
    there = used(trajectory, settings)
    return start_in(cell, trajectory.cells[there], trajectory.positions[there], trajectory.closest[there])


def _structure(trajectory: MdTrajectoryData, cell: Array, positions: Array) -> StructureData:
    atoms = Atoms(trajectory.numbers, positions=positions, cell=cell, pbc=trajectory.pbc)
    atoms.wrap()
    return StructureData(ase=atoms)


def _entry(mean: MeanCell) -> dict[str, Any]:
    """Return what the report says of a mean cell."""
    stress, error = mean.shape_stress_gpa, mean.shape_stress_error_gpa
    return {
        'volume_ang3': mean.volume_ang3,
        'volume_drift': mean.drift,
        'volume_fluctuation': mean.fluctuation,
        'strain': dict(zip(COMPONENTS, mean.strain.tolist())),
        'strain_error': dict(zip(COMPONENTS, mean.strain_error.tolist())),
        'shape_stress_gpa': stress if math.isfinite(stress) else None,
        'shape_stress_error_gpa': error if math.isfinite(error) else None,
    }
