"""Folders of a restarting chain that has finished well, taken away from their computers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder
from aiida.schedulers import JobState

from ..usage.folders import Folder, clean, folders_of
from ..usage.jobs import jobs_below
from ..usage.reasons import asked_to_stay, items_of, with_items_left
from .resume import job_before, lineage

PATIENCE_SECONDS = 120.0
"""A computer that takes longer is left: the chain has its results, and the worker of the daemon waits meanwhile."""
MOST_TOLD = 20
"""Jobs that a report names."""


def clean_up(find: Callable[[], Iterable[Folder]]) -> str | None:
    """Take away the folders that are found, and return what to report of it, ``None`` if there was nothing to do.

    Nothing that goes wrong here is the fault of a chain that has finished: what is left is named, and stays.
    """
    try:
        chosen = [folder for folder in find() if not folder.cleaned]
        if not chosen:
            return None
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


def finished_folders(jobs: Iterable[CalcJobNode]) -> list[Folder]:
    """Return the folders that nobody needs of a chain all of whose items have ended, with those that it took up.

    A job stays with its folder

    - as long as it has items that neither it nor a job that went on from it has ended: another launch may go on with
      them;
    - if nobody took it up, and it had only some of the items that its folder is about: the cache would not know its
      work, as an equal launch asks for all items, and finds them done there;
    - if a chain that has not ended called it, which may yet go on from there; but for the chains of ``jobs``;
    - if it was to keep it, or may still run.
    """
    own = list(jobs)
    everything = {one.pk: one for job in own for one in _ended(job)}
    parents = {pk: before.pk for pk, job in everything.items() if (before := job_before(job)) is not None}
    taken_up = {before for pk, before in parents.items() if pk in everything}
    callers = {pk: list(_above(job)) for pk, job in everything.items()}
    ours = {chain.pk for job in own for chain in _above(job)}
    alive = {
        pk for pk, chains in callers.items() if any(not one.is_terminated and one.pk not in ours for one in chains)
    }
    stay = alive | asked_to_stay({pk: [chain.pk for chain in chains] for pk, chains in callers.items()})
    stay |= {pk for pk, job in everything.items() if _may_still_run(job)} | with_items_left(everything)
    names = items_of(everything)
    for pk in everything:
        if pk not in taken_up and names[pk] < set().union(*(names[one.pk] for one in _ended(everything[pk]))):
            stay.add(pk)
    return folders_of(set(everything) - stay)


def _ended(job: CalcJobNode) -> Iterator[CalcJobNode]:
    """Return a job that has ended, the one it went on from, and so on."""
    return takewhile(lambda one: one.is_terminated, lineage(job))


def _above(job: CalcJobNode) -> Iterator[ProcessNode]:
    """Yield the chains above a job, the topmost last."""
    one: ProcessNode | None = job.caller
    while one is not None:
        yield one
        one = one.caller


def _may_still_run(job: CalcJobNode) -> bool:
    """Return whether AiiDA has lost a job of which the scheduler never said that it is over."""
    return bool(job.is_excepted) and job.get_scheduler_state() is not JobState.DONE
