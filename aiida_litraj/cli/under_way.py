"""How far the jobs of a process are that run now: each counted with what jobs before it have finished, and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..contract.result import ITEMS, Progress
from .live import Gauge, describe_with, seconds_left

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, ProcessNode, WorkChainNode

ALIVE = ['created', 'running', 'waiting']
"""States of a process that has not ended."""
NOT_ENDED = {
    'or': [{'attributes.process_state': {'in': ALIVE}}, {'attributes': {'!has_key': 'process_state'}}]
}  # fmt: skip
"""One that has only just been stored has no state yet."""


def running_jobs(process: ProcessNode) -> list[CalcJobNode]:
    """Return the jobs of a process that are on a computer now, in the order in which they were made.

    Those that have ended are not looked at: a chain may have had thousands.
    """
    from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder

    found, layer = [], [process] if not process.is_terminated else []
    while layer:
        found += [node for node in layer if isinstance(node, CalcJobNode)]
        query = QueryBuilder().append(ProcessNode, filters={'id': {'in': [node.pk for node in layer]}}, tag='above')
        layer = query.append(ProcessNode, with_incoming='above', filters=NOT_ENDED).all(flat=True)
    return sorted((job for job in found if job.get_remote_workdir() is not None), key=lambda job: job.pk)


def in_chain(process: ProcessNode, job: CalcJobNode, progress: Progress) -> Progress:
    """Return the progress of a job with the items counted that jobs before it, of the same chain, have finished.

    :param process: what is asked about: of a single job, nothing else counts.
    """
    from .processes import jobs_of

    before: dict[str, bool] = {}
    for other in jobs_of(process):
        if other.pk < job.pk and _chain(other) == _chain(job) and 'results' in other.outputs:
            items = other.outputs.results['items']
            before |= {name: item['converged'] for name, item in items.items() if item['status'] != 'unfinished'}
    again = _names(job, progress.task) if before else set()
    done = [converged for name, converged in before.items() if name not in again]
    counted = {'n_items': len(done), 'n_finished': len(done), 'n_converged': sum(done)}
    return progress.model_copy(update={name: getattr(progress, name) + more for name, more in counted.items()})


def _chain(job: CalcJobNode) -> int | None:
    """Return the pk of the restarting chain that a job is of, or of the job if it was run without one."""
    caller = job.caller
    return job.pk if caller is None else caller.pk


def _names(job: CalcJobNode, task: str) -> set[str]:
    """Return the names of the items of a job, by one query however many there are."""
    from aiida.orm import CalcJobNode, Data, QueryBuilder

    prefix = f'{ITEMS.get(task, "items")}__'
    query = QueryBuilder().append(CalcJobNode, filters={'id': job.pk}, tag='job')
    query.append(Data, with_outgoing='job', edge_filters={'label': {'like': f'{prefix}%'}}, edge_project='label')
    return {label.removeprefix(prefix) for label in query.all(flat=True)}


def stage_of(job: CalcJobNode) -> str:
    """Return how the chain that was launched calls the chain of a job, empty where there is none above it.

    Of a part of a packed chain that is how the packed one is called: its parts are one to whoever asks.
    """
    from aiida.common.links import LinkType

    chain = packed_of(job) or job.caller
    if chain is None:
        return ''
    call = chain.base.links.get_incoming(link_type=LinkType.CALL_WORK).first()
    return '' if call is None else str(call.link_label)


def packed_of(job: CalcJobNode) -> WorkChainNode | None:
    """Return the packed chain that a job is part of, ``None`` if it is part of none."""
    from ..workflows.packing import PACKED_EXTRA

    above = None if job.caller is None else job.caller.caller
    return above if above is not None and PACKED_EXTRA in above.base.extras.all else None


def by_stage(process: ProcessNode, seen: Mapping[int, Progress]) -> dict[str, Progress]:
    """Return how far each stage of a process is, of which a job runs, all its parts together.

    :param seen: by pk, what the engines of the jobs wrote last that are on a computer now.
    """
    jobs = [job for job in running_jobs(process) if job.pk in seen]
    states: dict[str, list[Progress]] = {}
    packed: dict[str, WorkChainNode] = {}
    for job in jobs:
        stage, above = stage_of(job), packed_of(job)
        states.setdefault(stage, []).append(in_chain(process, job, seen[job.pk]))
        if above is not None and process.pk not in (job.pk, job.caller.pk):
            packed[stage] = above
    return {
        stage: in_packed(packed[stage], together(one)) if stage in packed else together(one)
        for stage, one in states.items()
    }


def in_packed(chain: WorkChainNode, running: Progress) -> Progress:
    """Return the progress of the running parts of a packed chain with those counted that have ended, or wait."""
    from ..workflows.packing import PACKED_EXTRA

    about = chain.base.extras.get(PACKED_EXTRA)
    converged = [True] * about['earlier']
    for part in chain.called:
        if part.is_terminated and 'results' in part.outputs:
            items = part.outputs.results['items'].values()
            converged += [item['converged'] for item in items if item['status'] != 'unfinished']
    counted = {'n_finished': len(converged), 'n_converged': sum(converged)}
    done = {name: getattr(running, name) + more for name, more in counted.items()}
    return running.model_copy(update={**done, 'n_items': max(about['total'], running.n_items)})


def left_of(process: ProcessNode, seen: Mapping[int, Progress]) -> float | None:
    """Return how many seconds are left until all jobs are done, ``None`` if that cannot be said.

    It cannot where items wait of which no job has begun to tell.
    """
    from ..workflows.packing import PACKED_EXTRA

    jobs = [job for job in running_jobs(process) if job.pk in seen]
    for job in jobs:
        above = packed_of(job)
        if above is not None and process.pk != job.pk and above.base.extras.get(PACKED_EXTRA)['waiting']:
            return None
    return longest([seen[job.pk] for job in jobs])


def together(states: Sequence[Progress]) -> Progress:
    """Return the progress of jobs that run beside each other as that of one; of several tasks one is told of.

    It is that of the last job with something under way.

    :param states: of at least one job.
    """
    if len(states) == 1:
        return states[0]
    task = ([state for state in states if state.active] or states)[-1].task
    chosen = [state for state in states if state.task == task]
    names = ('n_items', 'n_finished', 'n_converged', 'n_active', 'model_calls', 'resumed_calls')
    return chosen[-1].model_copy(
        update={
            **{name: sum(getattr(state, name) for state in chosen) for name in names},
            'wall_seconds': max(state.wall_seconds for state in chosen),
            'active': [item for state in chosen for item in state.active],
            'audit': None,
        }
    )


def longest(states: Sequence[Progress]) -> float | None:
    """Return how many seconds are left until the last of the jobs is done, ``None`` if that cannot be said."""
    times = [seconds_left(state) for state in states]
    known = [one for one in times if one is not None]
    return max(known) if known and len(known) == len(times) else None


class Round:
    """The bar of jobs that run beside each other; one that has ended is counted as long as others go on.

    The jobs of a chain that was resumed are one. When none of those that were seen runs any more the next stage has
    begun, and the bar begins anew.
    """

    def __init__(self) -> None:
        self._gauges: dict[int | None, Gauge] = {}
        self._last: dict[int | None, Progress] = {}

    def update(self, process: ProcessNode, seen: Sequence[tuple[CalcJobNode, Progress]]) -> tuple[float, str]:
        """Return fraction and text after jobs, at least one, were seen to be that far."""
        running = {_chain(job): in_chain(process, job, progress) for job, progress in seen}
        if not running.keys() & self._last.keys():
            self._gauges, self._last = {}, {}
        ended = {key: one.model_copy(update={'active': [], 'n_active': 0}) for key, one in self._last.items()}
        self._last = {**ended, **running}
        values = [self._gauges.setdefault(key, Gauge()).update(one) for key, one in self._last.items()]
        text = describe_with(together(list(self._last.values())), longest(list(running.values())))
        return sum(values) / len(values), text
