"""What jobs of before have done of the items of a chain: finished them, or been cut off on the way to their end.

Jobs of the same code, potential and parameters count, whichever chain they were of and whatever else was in them. An
item is the same if it has the same name and content, and so has what it refers to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Data, Dict, QueryBuilder, RemoteData, load_node
from aiida.orm.nodes.caching import NodeCaching

from ..calculations.base import LitrajCalcJob
from ..contract.errors import FIRST_VERDICT
from ..contract.verdict import is_end
from .packing import rate_of
from .resume import HASH, RUNNING, SUBMITTED, alike, was_cut_off

MOST_MEASURED = 20
"""Of the jobs that tell how fast it goes; the newest count."""
WITH_RESULTS = {'attributes': {'has_key': 'exit_status'}}
UNDER_WAY = {'attributes.process_state': RUNNING['attributes.process_state']}
Wanted = Mapping[str, Mapping[str, str]]
"""By item: label of a link -> hash of the node which a job must have there for its item to be the same."""


@dataclass(frozen=True)
class Finished:
    """A job that has brought an item to its end, and whether that converged."""

    job: CalcJobNode
    converged: bool


@dataclass(frozen=True)
class Stopped:
    """A job that was cut off: its folder, and the items that can go on from there."""

    job: CalcJobNode
    folder: RemoteData
    items: list[str] = field(default_factory=list)


def finished_items(
    process: type[LitrajCalcJob], inputs: Mapping[str, Any], wanted: Wanted, among: Collection[int] | None = None
) -> dict[str, Finished]:
    """Return of each item that an earlier job has finished the newest such job, which has it among its ``results``.

    An item that was given up counts where its fault is a verdict on it, and not on where or how long the job ran. A job
    of another ``CACHE_VERSION`` gave other numbers, and none of it counts.

    :param inputs: of a job of the items.
    :param among: the pks of the only jobs that count; by default any may.
    """
    same = {'attributes.cache_version.calc_job': process.CACHE_VERSION}
    jobs = _jobs_with(process, inputs, WITH_RESULTS | same, wanted)
    rows = _with_output('results', Dict, jobs if among is None else [pk for pk in jobs if pk in among])
    found: dict[str, Finished] = {}
    links = _links([job.pk for job, _ in rows])
    for job, results in rows:
        if not job.base.extras.get(NodeCaching._VALID_CACHE_KEY, True):
            continue
        items = results['items']
        for name in wanted:
            entry = items.get(name)
            if name in found or entry is None:
                continue
            if is_end(entry) and _has(links[job.pk], wanted[name]):
                found[name] = Finished(job, entry['converged'])
    return found


def stopped_items(process: type[LitrajCalcJob], inputs: Mapping[str, Any], wanted: Wanted) -> list[Stopped]:
    """Return the newest jobs that were cut off with one of the items, each item with one of them, the oldest job first.

    Items that a job has which runs now are in none: it is not to be copied from.

    :param inputs: of a job of the items.
    """
    computer = inputs['metadata'].get('computer', None) or inputs['code'].computer
    rows = _with_output('remote_folder', RemoteData, _jobs_with(process, inputs, SUBMITTED, wanted))
    links, open_items, found = _links([job.pk for job, _ in rows]), set(wanted), []
    for job, folder in rows:
        names = {name for name in open_items if _has(links[job.pk], wanted[name])}
        if not names or (job.is_terminated and job.computer.uuid != computer.uuid):
            continue
        if not job.is_terminated or (job.exit_status or 0) >= FIRST_VERDICT or job.is_finished_ok:
            open_items -= names
        elif was_cut_off(job, process) and not folder.is_cleaned:
            open_items -= names
            found.append(Stopped(job, folder, sorted(names)))
    return found[::-1]


def running_items(process: type[LitrajCalcJob], inputs: Mapping[str, Any], wanted: Wanted) -> dict[int, list[str]]:
    """Return the items that jobs have which have not ended, wherever they run, by the pk of the job.

    :param inputs: of a job of the items.
    """
    links = _links(_jobs_with(process, inputs, UNDER_WAY, wanted))
    return {pk: sorted(name for name in wanted if _has(links[pk], wanted[name])) for pk in sorted(links)}


def outputs_of(jobs: Mapping[str, str], namespace: str) -> dict[str, Data]:
    """Return what jobs have made of items.

    :param jobs: by the name of an item the uuid of its job.
    :param namespace: of the outputs.
    """
    made = {
        uuid: load_node(uuid).base.links.get_outgoing(link_type=LinkType.CREATE).nested().get(namespace, {})
        for uuid in set(jobs.values())
    }
    return {name: made[uuid][name] for name, uuid in jobs.items() if name in made[uuid]}


def known_rate(
    process: type[LitrajCalcJob],
    inputs: Mapping[str, Any],
    costs: Callable[[Mapping[str, Any]], Mapping[str, float]],
    any_parameters: bool,
    device: str | None,
) -> dict[str, Any] | None:
    """Return what a unit of cost took in earlier jobs of the code and the potential: ``seconds``, ``units`` and more.

    :param costs: of the inputs of a job, the cost of each of its items.
    :param any_parameters: whether these do not change what a unit of cost takes.
    :param device: which the jobs are to run on, ``None`` where that is not known before.
    """
    query = alike(process, inputs, WITH_RESULTS, parameters=not any_parameters)
    query.append(Dict, with_incoming='job', edge_filters={'label': 'results'}, project='*')
    computer = inputs['metadata'].get('computer', None) or inputs['code'].computer
    total: dict[str, Any] | None = None
    for job, results in query.order_by({'job': {'ctime': 'desc'}}).limit(MOST_MEASURED).all():
        if job.computer is None or job.computer.uuid != computer.uuid:
            continue
        one = rate_of(costs(job.inputs), results.get_dict())
        if one is None or (device is not None and not one['device'].startswith(device.partition(':')[0])):
            continue
        if total is None:
            total = {**one, 'n_jobs': 1}
        elif one['device'] == total['device']:
            added = {key: total[key] + one[key] for key in ('seconds', 'units')}
            total = {**total, **added, 'n_jobs': total['n_jobs'] + 1}
    return total


def _jobs_with(
    process: type[LitrajCalcJob], inputs: Mapping[str, Any], filters: dict[str, Any], wanted: Wanted
) -> list[int]:
    """Return the pks of jobs that have one of the items.

    There is a row for each item that a job has: with its account in it, that would be read as often.
    """
    hashes = {labels[f'{process.items_name()}__{name}'] for name, labels in wanted.items()}
    query = alike(process, inputs, filters, hashes)
    query.add_projection('job', 'id')
    return query.all(flat=True)


def _with_output(label: str, kind: type[Data], jobs: Collection[int]) -> list[list[Any]]:
    """Return jobs that have an output of that label, with it, the newest job first."""
    query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': sorted(jobs)}}, tag='job', project='*')
    query.append(kind, with_incoming='job', edge_filters={'label': label}, project='*')
    return query.order_by({'job': {'ctime': 'desc'}}).all() if jobs else []


def _has(links: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(links.get(label) == content for label, content in wanted.items())


def _links(jobs: Collection[int]) -> dict[int, dict[str, str]]:
    """Return the hashes of the inputs of some jobs, by job and label of the link, by one query."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': sorted(set(jobs))}}, tag='job', project='id')
    query.append(Data, with_outgoing='job', project=f'extras.{HASH}', edge_project='label')
    for pk, content, label in query.all() if jobs else ():
        found[pk][label] = content
    return found
