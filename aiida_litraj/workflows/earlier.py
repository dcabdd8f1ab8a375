"""What jobs of before have done of the items of a chain: finished them, or been cut off on the way to their end.

Jobs of the same code, potential and parameters count, whichever chain they were of and whatever else was in them. An
item is the same if it has the same name and content, and so has what it refers to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida.orm import CalcJobNode, Data, Dict, QueryBuilder, RemoteData
from aiida.orm.nodes.caching import NodeCaching

from ..calculations.base import LitrajCalcJob
from ..contract.errors import BY_LABEL
from .packing import rate_of
from .resume import HASH, SUBMITTED, alike, was_cut_off

MOST_MEASURED = 20
"""Of the jobs that tell how fast it goes; the newest count."""
WITH_RESULTS = {'attributes': {'has_key': 'exit_status'}}
Wanted = Mapping[str, Mapping[str, str]]
"""By item: label of a link -> hash of the node which a job must have there for its item to be the same."""


@dataclass(frozen=True)
class Stopped:
    """A job that was cut off: its folder, and the items that can go on from there."""

    job: CalcJobNode
    folder: RemoteData
    items: list[str] = field(default_factory=list)


def finished_items(process: type[LitrajCalcJob], inputs: Mapping[str, Any], wanted: Wanted) -> dict[str, CalcJobNode]:
    """Return of each item that an earlier job has finished the newest such job, which has it among its ``results``.

    An item that was given up counts where its fault is a verdict on it, and not on where or how long the job ran.

    :param inputs: of a job of the items.
    """
    query = alike(process, inputs, WITH_RESULTS, _hashes(process, wanted))
    query.append(Dict, with_incoming='job', edge_filters={'label': 'results'}, project='*')
    found: dict[str, CalcJobNode] = {}
    rows = query.order_by({'job': {'ctime': 'desc'}}).all()
    links = _links([job.pk for job, _ in rows])
    for job, results in rows:
        if not job.base.extras.get(NodeCaching._VALID_CACHE_KEY, True):
            continue
        items = results['items']
        for name in wanted:
            entry = items.get(name)
            if name in found or entry is None or entry['status'] == 'unfinished':
                continue
            if _is_verdict(entry) and _has(links[job.pk], wanted[name]):
                found[name] = job
    return found


def stopped_items(process: type[LitrajCalcJob], inputs: Mapping[str, Any], wanted: Wanted) -> list[Stopped]:
    """Return the newest jobs that were cut off with one of the items, each item with one of them, the oldest job first.

    Items that a job has which runs now are in none: it is not to be copied from.

    :param inputs: of a job of the items.
    """
    computer = inputs['metadata'].get('computer', None) or inputs['code'].computer
    query = alike(process, inputs, SUBMITTED, _hashes(process, wanted))
    query.append(RemoteData, with_incoming='job', edge_filters={'label': 'remote_folder'}, project='*')
    rows = query.order_by({'job': {'ctime': 'desc'}}).all()
    links, open_items, found = _links([job.pk for job, _ in rows]), set(wanted), []
    for job, folder in rows:
        names = {name for name in open_items if _has(links[job.pk], wanted[name])}
        if not names or (job.is_terminated and job.computer.uuid != computer.uuid):
            continue
        if not job.is_terminated or (job.exit_status or 0) >= 500 or job.is_finished_ok:
            open_items -= names
        elif was_cut_off(job, process) and not folder.is_cleaned:
            open_items -= names
            found.append(Stopped(job, folder, sorted(names)))
    return found[::-1]


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


def _hashes(process: type[LitrajCalcJob], wanted: Wanted) -> set[str]:
    return {labels[f'{process.items_name()}__{name}'] for name, labels in wanted.items()}


def _has(links: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(links.get(label) == content for label, content in wanted.items())


def _is_verdict(entry: Mapping[str, Any]) -> bool:
    return entry['label'] is None or not BY_LABEL[entry['label']].invalidates_cache


def _links(jobs: Collection[int]) -> dict[int, dict[str, str]]:
    """Return the hashes of the inputs of some jobs, by job and label of the link, by one query."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': sorted(set(jobs))}}, tag='job', project='id')
    query.append(Data, with_outgoing='job', project=f'extras.{HASH}', edge_project='label')
    for pk, content, label in query.all() if jobs else ():
        found[pk][label] = content
    return found
