"""Going on from a job of before that was cut off: its checkpoint lies where it ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiida.engine import ProcessState
from aiida.orm import AbstractCode, CalcJobNode, Data, Dict, QueryBuilder, RemoteData
from aiida.orm.nodes.caching import NodeCaching

from ..calculations.base import LitrajCalcJob
from ..calculations.validation import check_same, node_hash
from ..contract.errors import BY_LABEL, FIRST_VERDICT
from ..data.potential import PotentialData

ENDED = (ProcessState.FINISHED, ProcessState.KILLED, ProcessState.EXCEPTED)
HASH = NodeCaching._HASH_EXTRA_KEY
"""Extra of every stored node that its content is found by."""
SUBMITTED = {'attributes': {'has_key': 'job_id'}}
RUNNING = SUBMITTED | {
    'attributes.process_state': {'in': [state.value for state in ProcessState if state not in ENDED]}
}
_FIRST_OF_OURS = 200
"""Exit codes below are those of schedulers and monitors."""
_CUT_OFF = {
    BY_LABEL[label].status
    for label in (
        'ERROR_OUT_OF_TIME',
        'ERROR_DEVICE_MEMORY',
        'ERROR_RESULT_MISSING',
        'ERROR_RESULT_INVALID',
        'ERROR_RESULT_ARRAYS',
        'ERROR_ENGINE_CRASHED',
    )
}


def stopped_job(process: type[LitrajCalcJob], inputs: Mapping[str, Any]) -> tuple[CalcJobNode, RemoteData] | None:
    """Return the newest job on the way to the same numbers, and its folder, if there is more to do there; or ``None``.

    Same are code, computer, potential, parameters and all the items: what it has evaluated is what would be evaluated
    again. The engine judges the checkpoint once more, and leaves alone what does not fit. A job that itself went on
    from others stands for their items too, for its folder has them.

    :param inputs: of the job to come, as nodes, stored or not.
    """
    computer = inputs['metadata'].get('computer', None) or inputs['code'].computer
    given = set(inputs[process.items_name()])
    hashes = {str(node_hash(item)) for item in inputs[process.items_name()].values()}
    # All at once: to leave an iteration in the middle would leave a transaction open, in which nothing can be written.
    for (running,) in alike(process, inputs, RUNNING, hashes).all():
        if running.computer.uuid == computer.uuid and _items_with(running, inputs, process) == given:
            return None  # one that runs is not to be copied from
    query = alike(process, inputs, SUBMITTED, hashes)
    query.append(RemoteData, with_incoming='job', edge_filters={'label': 'remote_folder'}, project='*')
    for job, folder in query.order_by({'job': {'ctime': 'desc'}}).all():
        if not job.is_terminated or job.computer.uuid != computer.uuid or _items_with(job, inputs, process) != given:
            continue
        if was_cut_off(job, process) or set(job.inputs[process.items_name()]) != given:
            if not folder.is_cleaned:
                return job, folder
        elif (job.exit_status or 0) >= FIRST_VERDICT or job.is_finished_ok:
            return None  # for the cache
    return None


def alike(
    process: type[LitrajCalcJob],
    inputs: Mapping[str, Any],
    filters: dict[str, Any],
    items: Iterable[str] | None = None,
    parameters: bool = True,
) -> QueryBuilder:
    """Return the query for jobs, tagged ``job``, with the code, the potential and the parameters of some inputs.

    :param items: hashes, of which a job has to have one among its items; by default it may have any.
    :param parameters: whether these have to be the same.
    """
    query = QueryBuilder().append(process, filters=filters, tag='job', project='*').distinct()
    query.append(AbstractCode, with_outgoing='job', filters={'uuid': inputs['code'].uuid})
    # by content, as a chain may make both anew at each launch
    if inputs.get('potential', None) is not None:  # jobs that do without have other parameters than those with one
        same = {f'extras.{HASH}': node_hash(inputs['potential'])}
        query.append(PotentialData, with_outgoing='job', edge_filters={'label': 'potential'}, filters=same)
    if parameters:
        same = {f'extras.{HASH}': node_hash(inputs['parameters'])}
        query.append(Dict, with_outgoing='job', edge_filters={'label': 'parameters'}, filters=same)
    if items is not None:
        named = {'label': {'like': f'{process.items_name()}\\_\\_%'}}
        same = {f'extras.{HASH}': {'in': sorted(set(items))}}
        query.append(Data, with_outgoing='job', edge_filters=named, filters=same)
    return query


def was_cut_off(job: CalcJobNode, process: type[LitrajCalcJob]) -> bool:
    """Return whether a job that has ended left a checkpoint from which another goes on to the same numbers."""
    if job.process_state in (ProcessState.KILLED, ProcessState.EXCEPTED):
        return True
    cut_off = _CUT_OFF | {BY_LABEL[label].status for label in process.resumable}
    return bool(job.exit_status) and (job.exit_status < _FIRST_OF_OURS or job.exit_status in cut_off)


def _items_with(job: CalcJobNode, inputs: Mapping[str, Any], process: type[LitrajCalcJob]) -> set[str] | None:
    """Return the names of the items that the folder of a job is about, ``None`` if it is about anything else."""
    names: set[str] = set()
    for one in lineage(job):
        try:
            check_same(one, inputs, process.task)
        except ValueError:
            return None
        names |= set(one.inputs[process.items_name()])
    return names


def lineage(job: CalcJobNode) -> Iterator[CalcJobNode]:
    """Yield a job, the one it went on from, and so on."""
    one: CalcJobNode | None = job
    while one is not None:
        yield one
        one = job_before(one)


def job_before(job: CalcJobNode) -> CalcJobNode | None:
    """Return the job whose folder a job took up, ``None`` if it began anew."""
    return job.inputs.parent_folder.creator if 'parent_folder' in job.inputs else None


def resumed_from(job: CalcJobNode) -> CalcJobNode | None:
    """Return the job of an earlier launch that a job went on from, ``None`` if it began anew or took up its sibling."""
    if 'parent_folder' not in job.inputs or job.base.caching.is_created_from_cache:
        return None
    before = job.inputs.parent_folder.creator
    if before is None or (job.caller is not None and before.caller is not None and before.caller.pk == job.caller.pk):
        return None
    return before  # type: ignore[no-any-return]
