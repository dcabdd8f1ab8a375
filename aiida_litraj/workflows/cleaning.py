"""Folders of a restarting chain that has finished well, taken away from their computers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiida.orm import CalcJobNode, Data, QueryBuilder

from ..contract.result import ITEMS
from ..usage.folders import Folder, clean, folders_of
from ..usage.jobs import jobs_below

PATIENCE_SECONDS = 120.0
"""A computer that takes longer is left: the chain has its results, and the worker of the daemon waits meanwhile."""
MOST_TOLD = 20
"""Jobs that a report names."""


def clean_up(folders: Iterable[Folder]) -> str | None:
    """Take folders away, and return what to report of it, ``None`` if there was nothing to do.

    Nothing that goes wrong here is the fault of a chain that has finished: what is left is named, and stays.
    """
    chosen = [folder for folder in folders if not folder.cleaned]
    if not chosen:
        return None
    try:
        problems = clean(chosen, seconds=PATIENCE_SECONDS)
    except Exception as error:
        return f'folders are left on the computer: {error or type(error).__name__}'
    gone = [folder.job for folder in chosen if folder.pk not in problems]
    said = [f'cleaned {_counted(gone)}'] if gone else []
    left = [folder for folder in chosen if folder.pk in problems]
    said += [f'left that of job {folder.job}: {problems[folder.pk]}' for folder in left[:MOST_TOLD]]
    if len(left) > MOST_TOLD:
        said.append(f'and {len(left) - MOST_TOLD} more: aiida-litraj clean tries again')
    return '; '.join(said)


def _counted(jobs: list[int]) -> str:
    if len(jobs) > MOST_TOLD:
        return f'the folders of {len(jobs)} jobs'
    plural = '' if len(jobs) == 1 else 's'
    return f'the folder{plural} of job{plural} {", ".join(map(str, jobs))}'


def folders_of_successful(chain: int) -> list[Folder]:
    """Return the folders of all jobs below a chain (its pk) that went well: their numbers have been fetched."""
    jobs = jobs_below([chain])
    if not jobs:
        return []
    well = {'id': {'in': jobs}, 'attributes.exit_status': 0}
    return folders_of(QueryBuilder().append(CalcJobNode, filters=well, project='id').all(flat=True))


def finished_folders(jobs: Iterable[CalcJobNode], task: str) -> list[Folder]:
    """Return the folders that nothing needs of a chain all of whose items have ended, with those that it took up.

    A job that went on with some of the items of another stays with its folder if nobody took that up: the cache would
    not know its work, as an equal launch asks for all items, and finds them done there.
    """
    everything = {job.pk: job for one in jobs for job in _lineage(one)}
    parents = {pk: before.pk for pk, job in everything.items() if (before := _before(job)) is not None}
    names = _names(set(everything), task)
    taken_up = set(parents.values())
    alone = {pk for pk in everything if pk not in parents or names[pk] >= names[parents[pk]]}
    return folders_of(taken_up | alone)


def _before(job: CalcJobNode) -> CalcJobNode | None:
    return job.inputs.parent_folder.creator if 'parent_folder' in job.inputs else None


def _lineage(job: CalcJobNode) -> Iterator[CalcJobNode]:
    """Yield a job that has ended, the one it went on from, and so on."""
    one: CalcJobNode | None = job
    while one is not None and one.is_terminated:
        yield one
        one = _before(one)


def _names(pks: set[int], task: str) -> dict[int, set[str]]:
    """Return the names of the items of each job, by one question however many they are."""
    found: dict[int, set[str]] = {pk: set() for pk in pks}
    prefix = f'{ITEMS[task]}__'
    query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': sorted(pks)}}, tag='job', project='id')
    labels = {'label': {'like': f'{ITEMS[task]}\\_\\_%'}}
    query.append(Data, with_outgoing='job', edge_filters=labels, edge_project='label')
    for pk, label in query.all():
        found[pk].add(label.removeprefix(prefix))
    return found
