"""Going on from a job of before that was killed: its checkpoint lies where it ran."""

from __future__ import annotations

from typing import Any

from aiida.engine import ProcessState
from aiida.orm import AbstractCode, CalcJobNode, QueryBuilder, RemoteData

from ..calculations.neb import NebCalculation
from ..calculations.validation import check_parent
from ..data.path import PathData
from ..data.potential import PotentialData
from .barrier import ITEM

MOST = 20
"""Jobs of the same code and potential that are compared, the newest first."""


def go_on(builder: Any, path: PathData) -> CalcJobNode | None:
    """Let the builder of a barrier go on from a job that was killed; return that job, ``None`` if there is none.

    :param path: what the chain will optimise, ``straight_path`` of the builder.
    """
    neb = builder.neb.neb
    inputs = {'potential': builder.potential, 'parameters': neb.parameters, 'paths': {ITEM: path}}
    found = interrupted_job(neb.code, neb.metadata.get('computer', None) or neb.code.computer, inputs)
    if found is None:
        return None
    job, neb.parent_folder = found
    return job


def interrupted_job(code: AbstractCode, computer: Any, inputs: dict[str, Any]) -> tuple[CalcJobNode, RemoteData] | None:
    """Return the newest job on the way to the same numbers, and its folder, if it was killed; ``None`` if not.

    Same are code, computer, potential, parameters and all the paths: what it has evaluated is what would be evaluated
    again. The engine judges the checkpoint once more, and leaves alone what does not fit.

    :param inputs: ``potential``, ``parameters`` and ``paths`` of the job to come, as nodes, stored or not.
    """
    submitted = {'attributes': {'has_key': 'job_id'}}
    query = QueryBuilder().append(NebCalculation, filters=submitted, tag='job', project='*')
    query.append(AbstractCode, with_outgoing='job', filters={'uuid': code.uuid})
    query.append(PotentialData, with_outgoing='job', filters={'uuid': inputs['potential'].uuid})
    query.append(RemoteData, with_incoming='job', edge_filters={'label': 'remote_folder'}, project='*')
    query.order_by({'job': {'ctime': 'desc'}}).limit(MOST)
    for job, folder in query.iterall():
        if job.computer.uuid == computer.uuid and _same(job, folder, inputs):
            # One that has finished is for the cache, one that runs is not to be copied from.
            stopped = job.process_state in (ProcessState.KILLED, ProcessState.EXCEPTED)
            return (job, folder) if stopped and not folder.is_cleaned else None
    return None


def _same(job: CalcJobNode, folder: RemoteData, inputs: dict[str, Any]) -> bool:
    if set(inputs['paths']) != set(job.inputs.paths):
        return False
    try:
        check_parent(folder, inputs, NebCalculation.task)
    except ValueError:
        return False
    return True
