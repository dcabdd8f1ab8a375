"""From runs at constant pressure to the mean cell of each temperature, and what is to be run in it."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, calcfunction
from aiida.orm import Dict, StructureData
from ase import Atoms

from ...analysis.conductivity import ConductivitySettings, MeanCell, mean_cell, name_of, production_replicas
from ...contract.errors import BY_LABEL
from ...data.trajectory import MdTrajectoryData
from .plan_equilibration import read_settings

CELL, REPLICA, REPORT = 'cell_', 'replica_', 'report'
"""Prefixes of the outputs that are cells by temperature and replicas by name, and the name of the account."""


@calcfunction
def mean_cells(settings: Dict, results: Dict, **trajectories: MdTrajectoryData) -> dict[str, Any] | ExitCode:
    """Return the mean cell of each temperature, its replicas at constant volume, and a ``report``.

    :param settings: the fields of ``analysis.conductivity.ConductivitySettings``.
    :param results: how the runs at constant pressure ended.
    :param trajectories: theirs, by the name of the temperature. Temperatures whose run did not reach its end are left
        out, with a warning in the report.
    """
    choices = read_settings(settings.get_dict())
    made: dict[str, Any] = {}
    entries, warnings = [], []
    for temperature in choices.temperatures_k:
        name = name_of(temperature)
        item = results['items'].get(name, {'status': 'missing', 'reason': 'it did not run'})
        if item['status'] != 'finished' or name not in trajectories:
            warnings.append(f'{temperature:g} K: left out, the run at constant pressure failed: {item["reason"]}')
            continue
        try:
            mean = _mean(trajectories[name], choices)
        except ValueError as error:
            warnings.append(f'{temperature:g} K: left out, the run at constant pressure is of no use: {error}')
            continue
        entry = {'volume_ang3': mean.volume_ang3, 'volume_drift': mean.drift, 'volume_fluctuation': mean.fluctuation}
        entries.append({'temperature_k': temperature, **entry})
        if not mean.settled:
            warnings.append(
                f'{temperature:g} K: the volume has not come to rest, the second half of the run at constant pressure '
                f'has {100.0 * mean.drift:+.1f} %; equilibrate longer'
            )
        made[f'{CELL}{name}'] = _structure(trajectories[name], mean)
        for replica, values in production_replicas(choices, temperature).items():
            made[f'{REPLICA}{replica}'] = Dict(values)
    if not entries:
        return ExitCode(BY_LABEL['ERROR_UNSTABLE'].status, f'no temperature is left: {"; ".join(warnings)}')
    return {**made, REPORT: Dict({'temperatures': entries, 'warnings': warnings})}


def _mean(trajectory: MdTrajectoryData, settings: ConductivitySettings) -> MeanCell:
    """Return the mean of what is left of a run after the time that is discarded."""
    used = trajectory.times_ps >= settings.equilibration.discard_ps - 1e-9
    return mean_cell(trajectory.cells[used], trajectory.positions[used], trajectory.closest[used])


def _structure(trajectory: MdTrajectoryData, mean: MeanCell) -> StructureData:
    """Return the frame to start from in the mean cell."""
    atoms = Atoms(trajectory.numbers, positions=mean.positions, cell=mean.cell, pbc=trajectory.pbc)
    atoms.wrap()
    return StructureData(ase=atoms)
