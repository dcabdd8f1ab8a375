"""Calculation jobs as the database has them, with the chains above them, by a handful of questions for any number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiida.common.links import LinkType
from aiida.orm import (
    AbstractCode,
    CalcJobNode,
    Computer,
    Dict,
    QueryBuilder,
    RemoteData,
    WorkflowNode,
)

from ..contract.errors import FIRST_VERDICT
from ..data.potential import PotentialData
from .cost import DIRECT, OURS, TRAINING, Job

CACHED_FROM = '_aiida_cached_from'
DEVICES = 'extras.litraj_probe.devices'
"""Of a code: the devices that the probe of its environment saw."""
CALLS = {'type': {'in': [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}}
_ACCOUNTS = {'label': {'in': ['results', 'output_parameters']}}
"""Of the engine, and of the codes of other plugins that say there how long they took."""
# All attributes at once: each column of its own costs more than the few that are not needed.
_COLUMNS = ('id', 'uuid', 'process_type', 'ctime', 'attributes', f'extras.{CACHED_FROM}')


@dataclass(frozen=True)
class Chain:
    """A process that jobs are counted under.

    :ivar kind: its entry point, or the name of its class.
    :ivar changed: when it was last written to, which of one that has ended is its end, or later.
    """

    pk: int
    uuid: str
    kind: str
    label: str
    created: datetime
    changed: datetime
    state: str | None
    exit_status: int | None


@dataclass(frozen=True)
class Found:
    """Jobs with all they need to be counted.

    :ivar lineage: further jobs, which took one of them up or were taken up.
    :ivar chains: by pk, the processes above them; a job that nothing has called stands for itself.
    """

    jobs: list[Job]
    lineage: list[Job]
    chains: dict[int, Chain]


def find_jobs(pks: Iterable[int] = (), since: datetime | None = None) -> Found:
    """Return the jobs below some processes, or of all chains of this plugin.

    :param pks: of processes; a job stands for itself. Without any: all jobs of the engine, and all that a chain of this
        plugin called.
    :param since: leave out jobs made before.
    """
    pks = list(pks)
    parents = _parents()
    chosen = jobs_below(pks) if pks else None
    fetched = None if chosen is None else sorted(_related(chosen, parents))
    made = list(_made(fetched, _callers(), parents))
    chains = _chains({pk for job in made for pk in job.callers or (job.pk,)})
    ours = {pk for pk, chain in chains.items() if chain.kind.startswith(OURS)}
    wanted = None if chosen is None else set(chosen)
    jobs, lineage = [], []
    for job in made:
        meant = job.pk in wanted if wanted is not None else job.is_ours or not ours.isdisjoint(job.callers)
        late = since is None or (job.created is not None and job.created >= since)
        (jobs if meant and late else lineage).append(job)
    return Found(jobs, lineage, chains)


def _related(chosen: Iterable[int], parents: Mapping[int, int]) -> set[int]:
    """Return jobs with all that they took up or that took them up, over any number of steps."""
    beside: dict[int, list[int]] = {}
    for pk, before in parents.items():
        beside.setdefault(pk, []).append(before)
        beside.setdefault(before, []).append(pk)
    found: set[int] = set()
    layer = list(chosen)
    while layer:
        found.update(layer)
        layer = [other for pk in layer for other in beside.get(pk, ()) if other not in found]
    return found


def jobs_below(pks: list[int]) -> list[int]:
    """Return the pks of the jobs below some processes, themselves included; one question for each generation."""
    found = set(QueryBuilder().append(CalcJobNode, filters={'id': {'in': pks}}, project='id').all(flat=True))
    layer = set(pks)
    seen: set[int] = set()
    while layer := layer - seen:
        seen |= layer
        within = {'id': {'in': sorted(layer)}}
        query = QueryBuilder().append(WorkflowNode, filters=within, tag='caller')
        query.append(CalcJobNode, with_incoming='caller', edge_filters=CALLS, project='id')
        found |= set(query.all(flat=True))
        query = QueryBuilder().append(WorkflowNode, filters=within, tag='caller')
        query.append(WorkflowNode, with_incoming='caller', edge_filters=CALLS, project='id')
        layer = set(query.all(flat=True))
    return sorted(found)


def _callers() -> dict[int, int]:
    """Return the pk of the caller of each job and chain that has one."""
    found: dict[int, int] = {}
    for called in (CalcJobNode, WorkflowNode):
        query = QueryBuilder().append(WorkflowNode, tag='caller', project='id')
        query.append(called, with_incoming='caller', edge_filters=CALLS, project='id')
        found |= {below: above for above, below in query.all()}
    return found


def _among(jobs: list[int] | None) -> dict[str, Any]:
    return {} if jobs is None else {'id': {'in': jobs}}


def _made(jobs: list[int] | None, callers: Mapping[int, int], parents: Mapping[int, int]) -> Iterator[Job]:
    """Yield the jobs with these pks, or all of the profile."""
    if jobs is not None and not jobs:
        return
    query = QueryBuilder().append(CalcJobNode, tag='job', filters=_among(jobs), project=list(_COLUMNS))
    query.append(Computer, with_node='job', project=['label', 'scheduler_type'])
    accounts, items, codes, potentials = _accounts(jobs), _items(jobs), _codes(jobs), _potentials(jobs)
    uploads = _uploads(jobs)
    rows = query.order_by({'job': 'id'}).all()
    for pk, uuid, kind, ctime, known, cached, computer, scheduler in rows:
        audit, clock = accounts.get(pk, (None, None))
        code, seen = codes.get(pk, (None, None))
        polled = _between(uploads.get(pk), known.get('scheduler_lastchecktime')) if scheduler == DIRECT else None
        yield Job(
            pk=pk,
            uuid=uuid,
            kind=(kind or '').partition(':')[2] or str(kind),
            created=ctime,
            state=known.get('process_state'),
            exit_status=known.get('exit_status'),
            computer=computer,
            scheduler=scheduler,
            code=code,
            potential=potentials.get(pk),
            cached_from=cached,
            submitted=known.get('job_id') is not None,
            scheduler_state=known.get('scheduler_state'),
            resources=known.get('resources') or {},
            directives=known.get('custom_scheduler_commands') or '',
            device=_option(known, 'device'),
            without_gpu=seen == ['cpu'],
            accounting=(known.get('detailed_job_info') or {}).get('stdout'),
            last_look=known.get('last_job_info'),
            audit=audit,
            items=items.get(pk),
            own_clock_s=clock,
            polled_s=polled,
            goes_on_from=parents.get(pk),
            callers=tuple(_above(pk, callers)),
        )


def _between(start: datetime | None, end: str | None) -> float | None:
    return None if start is None or end is None else max((datetime.fromisoformat(end) - start).total_seconds(), 0.0)


def _uploads(jobs: list[int] | None) -> dict[int, datetime]:
    """Return when each job was brought to a computer without a queue, where it starts at once."""
    query = QueryBuilder().append(Computer, filters={'scheduler_type': DIRECT}, tag='computer')
    query.append(CalcJobNode, with_computer='computer', tag='job', filters=_among(jobs), project='id')
    query.append(RemoteData, with_incoming='job', edge_filters={'label': 'remote_folder'}, project='ctime')
    return dict(query.all())


def _above(pk: int, callers: Mapping[int, int]) -> Iterable[int]:
    while (above := callers.get(pk)) is not None:
        yield above
        pk = above


def _accounts(jobs: list[int] | None) -> dict[int, tuple[dict[str, Any] | None, float | None]]:
    """Return the engine's audit of each job, and the seconds that another code says it took."""
    query = QueryBuilder().append(CalcJobNode, tag='job', filters=_among(jobs), project='id')
    query.append(
        Dict,
        with_incoming='job',
        edge_filters=_ACCOUNTS,
        project=['attributes.audit', 'attributes.wall_time_seconds'],
    )
    return {pk: (audit, clock) for pk, audit, clock in query.all()}


def _items(jobs: list[int] | None) -> dict[int, dict[str, Any]]:
    """Return how the items ended of trainings, and of jobs of which some may have been cut off."""
    status = 'attributes.exit_status'
    cut_off = {'and': [{status: {'!==': 0}}, {status: {'!>=': FIRST_VERDICT}}]}
    filters: dict[str, Any] = {'or': [{'process_type': f'aiida.calculations:{TRAINING}'}, cut_off]}
    filters = {'and': [filters, _among(jobs)]} if jobs is not None else filters
    query = QueryBuilder().append(CalcJobNode, tag='job', filters=filters, project='id')
    query.append(Dict, with_incoming='job', edge_filters={'label': 'results'}, project='attributes.items')
    return {pk: items for pk, items in query.all() if isinstance(items, dict)}


def _option(known: Mapping[str, Any], name: str) -> Any:
    """Return an option that says nothing of what is computed, and so is no attribute of its own."""
    return (((known.get('metadata_inputs') or {}).get('metadata') or {}).get('options') or {}).get(name)


def _codes(jobs: list[int] | None) -> dict[int, tuple[str, list[str] | None]]:
    """Return what the code of each job is called, and the devices that its environment saw when it was set up."""
    query = QueryBuilder().append(CalcJobNode, tag='job', filters=_among(jobs), project='id')
    query.append(AbstractCode, with_outgoing='job', edge_filters={'label': 'code'}, project=['label', DEVICES])
    return {pk: (label, devices) for pk, label, devices in query.all()}


def _potentials(jobs: list[int] | None) -> dict[int, str]:
    """Return what the potential of each job is called, with its checksum: a name may be given twice."""
    columns = ['id', 'label', 'attributes.family', 'attributes.name', 'attributes.sha256']
    names = {pk: _named(*rest) for pk, *rest in QueryBuilder().append(PotentialData, project=columns).all()}
    query = QueryBuilder().append(CalcJobNode, tag='job', filters=_among(jobs), project='id')
    query.append(PotentialData, with_outgoing='job', edge_filters={'label': 'potential'}, project='id')
    return {job: names[pk] for job, pk in query.all()}


def _named(label: str, family: str | None, name: str | None, sha256: str | None) -> str:
    called = label or '/'.join(part for part in (family, name) if part)
    return f'{called} {sha256[:8]}' if sha256 else called


def _parents() -> dict[int, int]:
    """Return the job whose folder each job took up, of those that took up any."""
    query = QueryBuilder().append(CalcJobNode, tag='before', project='id')
    query.append(RemoteData, with_incoming='before', tag='folder')
    query.append(CalcJobNode, with_incoming='folder', edge_filters={'label': 'parent_folder'}, project='id')
    return {pk: before for before, pk in query.all()}


def _chains(pks: set[int]) -> dict[int, Chain]:
    """Return the processes with these pks."""
    if not pks:
        return {}
    columns = ['id', 'uuid', 'process_type', 'attributes.process_label', 'label', 'ctime', 'mtime']
    columns += ['attributes.process_state', 'attributes.exit_status']
    found: dict[int, Chain] = {}
    for kind in (WorkflowNode, CalcJobNode):
        query = QueryBuilder().append(kind, filters={'id': {'in': sorted(pks)}}, project=columns)
        for pk, uuid, entry, process_label, label, ctime, mtime, state, status in query.all():
            name = (entry or '').partition(':')[2] or process_label or str(entry)
            found[pk] = Chain(pk, uuid, name, label or '', ctime, mtime, state, status)
    return found
