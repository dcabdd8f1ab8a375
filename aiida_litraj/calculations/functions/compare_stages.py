"""From the errors of potentials on labelled snapshots to what they are in each stage of a melt-quench."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from ...analysis.stage_errors import NO_STAGE, Snapshots, energy_errors, force_rmse, snapshots_of, spread
from ...contract.arrays import Array
from ...contract.frames import Frames
from ...contract.units import FEMTOSECONDS_OF_PS
from ...data.frames import FramesData
from .compare_labels import families_of

MEV = 1000.0
STAGE = 'stage'
"""Key of a frame's ``info`` that names its stage, by which errors are grouped where there is one."""
ALL = 'all'
ERRORS, PREDICTED = 'errors_', 'predicted_'
"""Before the names of potentials, what of them an input is."""
NUMBERS = (
    'rmse_force_mev_per_ang', 'mae_force_mev_per_ang', 'slope_force', 'rmse_energy_mev_per_atom',
    'mae_energy_mev_per_atom', 'rmse_stress_gpa', 'slope_stress',
)  # fmt: skip


@calcfunction
def compare_stages(
    asked: FramesData, labelled: FramesData, report: Dict | None = None, ensembles: Dict | None = None, **found: Data
) -> Dict:
    """Return the errors of each potential in all snapshots and in each stage, in the order of time.

    :param asked: the snapshots that were to be labelled.
    :param labelled: those that have a label, with the name of the stage and the time in ``info``.
    :param report: how the labelling went, as ``litraj.label`` says it.
    :param ensembles: by name the potentials that are repeats of one training.
    :param found: of each potential ``errors_<name>``, as ``litraj.evaluate`` has them by stage, and
        ``predicted_<name>``, its energies and forces of the labelled snapshots.
    """
    frames = labelled.frames
    of_one = next(node.get_dict() for name, node in found.items() if name.startswith(ERRORS))
    snapshots = stages_of(labelled, frames, of_one['family_key'])
    potentials = {
        name.removeprefix(ERRORS): describe(node.get_dict(), found[PREDICTED + name.removeprefix(ERRORS)], frames)
        for name, node in found.items()
        if name.startswith(ERRORS)
    }
    failed = failures(asked.frames, {} if report is None else report.get_dict())
    return Dict(
        {
            'n_snapshots': asked.n_frames,
            'n_labelled': labelled.n_frames,
            'failed': failed,
            'level': labelled.base.attributes.get('level', None),
            'stages': list(snapshots.stages),
            'stage_of': list(snapshots.stage_of),
            'times_ps': None if snapshots.times_ps is None else snapshots.times_ps.tolist(),
            'potentials': potentials,
            'ensembles': means({} if ensembles is None else ensembles.get_dict(), potentials, snapshots.stages),
            'warnings': warnings(failed, potentials),
        }
    )


def stages_of(node: FramesData, frames: Frames, key: str | None) -> Snapshots:
    """Return stages and times of labelled snapshots; those of no stages are in one.

    :param key: what the errors were grouped by.
    """
    times = [info.get('time_fs') for info in frames.info]
    in_ps = [None if time is None else float(time) / FEMTOSECONDS_OF_PS for time in times]
    names = families_of(node, frames, key)[1]
    return snapshots_of(names if names is not None else [NO_STAGE] * frames.n_frames, in_ps)


def describe(errors: Mapping[str, Any], predicted: FramesData, labelled: Frames) -> dict[str, Any]:
    """Return what is said of one potential: its errors in each stage and in all, and those of each snapshot."""
    frames = predicted.frames
    # Where errors are in no groups, all are in one.
    stages = {**(errors['per_family'] or {NO_STAGE: errors}), ALL: errors}
    energies = energy_errors(labelled, frames, errors['offsets'] or {})
    return {
        'stages': {name: _block(one) for name, one in stages.items()},
        'snapshots': {
            'rmse_force_mev_per_ang': _listed(MEV * force_rmse(labelled, frames)),
            'energy_error_mev_per_atom': _listed(MEV * energies),
        },
        'offsets': errors['offsets'],
        'offset_rank': errors['offset_rank'],
        'warnings': errors['warnings'],
    }


def _block(errors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of one stage, each with its interval."""
    keys = [key for number in NUMBERS for key in (number, f'{number}_interval')]
    return {'n_frames': errors['n_frames'], **{key: errors.get(key) for key in keys}}


def _listed(values: Array) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def failures(asked: Frames, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the snapshots without a label, each with its stage and time, and the reason that the report gives."""
    said = [item for item in report.get('items', {}).values() if item['status'] != 'labelled']
    return [
        {
            'index': item['index'],
            'stage': asked.info[item['index']].get(STAGE),
            'time_fs': asked.info[item['index']].get('time_fs'),
            'label': item['label'],
            'reason': item['reason'],
        }
        for item in said
    ]


def means(
    ensembles: Mapping[str, list[str]], potentials: Mapping[str, Any], stages: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return mean and standard deviation over the potentials of each ensemble, in each stage and in all.

    Potentials that could not be evaluated are left out, and an ensemble without any.
    """
    found = {}
    for name, names in ensembles.items():
        members = [member for member in names if member in potentials]
        if members:
            blocks = {stage: [potentials[one]['stages'].get(stage, {}) for one in members] for stage in (*stages, ALL)}
            found[name] = {'members': members, 'stages': {stage: _spreads(many) for stage, many in blocks.items()}}
    return found


def _spreads(blocks: list[Mapping[str, Any]]) -> dict[str, Any]:
    every = {key: [block[key] for block in blocks if block.get(key) is not None] for key in NUMBERS}
    return {key: vars(spread(values)) if values else None for key, values in every.items()}


def warnings(failed: list[dict[str, Any]], potentials: Mapping[str, Any]) -> list[str]:
    """Return what a person should know before using the numbers."""
    said = []
    if failed:
        reasons = '; '.join(dict.fromkeys(str(item['reason'] or item['label']) for item in failed))
        number = len(failed)
        lack = '1 snapshot has no label and counts' if number == 1 else f'{number} snapshots have no label and count'
        said.append(f'{lack} for nothing: {reasons}')
    for warning in dict.fromkeys(warning for one in potentials.values() for warning in one['warnings']):
        of = [name for name, one in potentials.items() if warning in one['warnings']]
        said.append(warning if len(of) == len(potentials) else f'{", ".join(of)}: {warning}')
    return said


def read_ensembles(ensembles: Mapping[str, Any], potentials: Iterable[str]) -> dict[str, list[str]]:
    """Return ensembles, each with its potentials.

    :raises ValueError: naming one that is empty, or a member that is no potential or is given twice.
    """
    known, taken = list(potentials), set()
    for name, members in ensembles.items():
        if not isinstance(members, list | tuple) or not members:
            raise ValueError(f'ensembles.{name} = {members!r}: give the names of the potentials that are averaged')
        for member in members:
            if member not in known:
                raise ValueError(f'ensembles.{name}: no potential is called {member!r}; there are: {", ".join(known)}')
            if member in taken:
                raise ValueError(f'ensembles.{name}: {member} is in an ensemble already; each potential is in one')
            taken.add(member)
    return {name: list(members) for name, members in ensembles.items()}
