"""Which folders of jobs may go: those of chains that have finished well, or of all that have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..contract.errors import stands
from .cost import ENDED, OURS, Job
from .folders import Folder, folders_of, in_use
from .jobs import Chain, Found, find_jobs
from .reasons import asked_to_stay, items_of, with_items_left

UNDER_WAY, IN_USE, NOT_WELL, TOO_YOUNG = 'under way', 'in use', 'not well', 'too young'
ASKED, MAY_RUN = 'kept', 'may still run'
KEPT = {
    UNDER_WAY: 'of what is under way',
    IN_USE: 'from which a job goes on',
    NOT_WELL: 'of what was cut off or failed, from which a launch may go on',
    TOO_YOUNG: 'of what has ended later',
    ASKED: 'that shall be kept, by an option or an input; --kept takes them',
    MAY_RUN: 'of what broke in AiiDA and may still run on its computer',
}
"""Why folders stay, as it is said to a person."""
_BASE = '.base'


@dataclass(frozen=True)
class Plan:
    """What would go, and how many folders stay for which reason.

    :ivar chain_of: by the pk of a folder, the topmost chain or the job itself that it belongs to.
    :ivar resumable: pks of jobs whose work can no longer be gone on from, by no launch.
    :ivar several: pks of restarting chains whose last job had only some of their items, so that the cache does not know
        them: an equal launch finds their work in its folder only.
    """

    folders: list[Folder]
    chain_of: dict[int, Chain]
    kept: dict[str, int] = field(default_factory=dict)
    resumable: list[int] = field(default_factory=list)
    several: list[int] = field(default_factory=list)


def plan(pks: Iterable[int] = (), before: datetime | None = None, failed: bool = False, asked: bool = False) -> Plan:
    """Return which folders may go.

    :param pks: of processes; without any, all jobs of this plugin's chains.
    :param before: leave what has ended later.
    :param failed: take along what was cut off or failed.
    :param asked: take along what was launched to keep its folder.
    """
    found = find_jobs(pks)
    jobs = {job.pk: job for job in found.jobs}
    folders = [folder for folder in folders_of(jobs) if not folder.cleaned]
    used, kept = in_use(folders), Counter[str]()
    well = _well(found)
    wanted = set() if asked else asked_to_stay({folder.job: jobs[folder.job].callers for folder in folders})
    going: list[Folder] = []
    for folder in folders:
        job = jobs[folder.job]
        why = _reason(job, found, before, failed or job.pk in well) or (IN_USE if folder.pk in used else None)
        why = why or (ASKED if job.pk in wanted else None)
        if why is None:
            going.append(folder)
        else:
            kept[why] += 1
    last = [jobs[folder.job] for folder in going]
    return Plan(
        folders=going,
        chain_of={folder.pk: found.chains[_top(jobs[folder.job])] for folder in going},
        kept=dict(kept),
        resumable=[job.pk for job in last if job.pk not in well],
        several=_several([job for job in last if job.pk in well], found),
    )


def _reason(job: Job, found: Found, before: datetime | None, may_go: bool) -> str | None:
    """Return why the folder of a job stays, but for what goes on from it; ``None`` if it may go."""
    above = [found.chains[pk] for pk in job.callers]
    if not job.has_ended or any(chain.state not in ENDED for chain in above):
        return UNDER_WAY
    if before is not None and found.chains[_top(job)].changed > before:
        return TOO_YOUNG
    if may_go:
        return None
    return MAY_RUN if job.may_still_run else NOT_WELL


def _top(job: Job) -> int:
    return job.callers[-1] if job.callers else job.pk


def _well(found: Found) -> set[int]:
    """Return the pks of jobs of whose work nothing is left to be done, by them or by others that took it up."""
    everything = {job.pk: job for job in (*found.jobs, *found.lineage)}
    well = {pk for pk, job in everything.items() if _is_well(job, found.chains)}
    taken_up: set[int] = set()
    ahead = list(well)
    while ahead:
        before = everything[ahead.pop()].goes_on_from
        if before in everything and before not in well | taken_up:
            taken_up.add(before)
            ahead.append(before)
    return {pk for pk in well | (taken_up - with_items_left(taken_up, well)) if not everything[pk].may_still_run}


def _is_well(job: Job, chains: dict[int, Chain]) -> bool:
    """Return whether nothing of what a job was to do is left: its restarting chain, or the job alone, has finished."""
    caller = chains[job.callers[0]] if job.callers else None
    if caller is None or not caller.kind.endswith(_BASE):
        return job.did_its_work
    if caller.state != 'finished' or caller.exit_status is None:
        return False
    return stands(caller.exit_status) if caller.kind.startswith(OURS) else caller.exit_status == 0


def _several(going: Sequence[Job], found: Found) -> list[int]:
    """Return the chains that the cache does not know; one whose last job had all of their items it knows by that."""
    everything = {job.pk: job for job in (*found.jobs, *found.lineage)}
    taken_up = {job.goes_on_from for job in everything.values()}
    lines: dict[int, list[int]] = {}
    for job in going:
        if job.callers and job.is_ours and job.goes_on_from in everything and job.pk not in taken_up:
            lines[job.pk] = _line(job, everything)
    names = items_of({pk for line in lines.values() for pk in line})
    some = [pk for pk, line in lines.items() if names[pk] < set().union(*(names[one] for one in line))]
    return sorted({everything[pk].callers[0] for pk in some})


def _line(job: Job, everything: Mapping[int, Job]) -> list[int]:
    """Return a job, the one that it went on from, and so on."""
    line: list[int] = []
    one: Job | None = job
    while one is not None and one.pk not in line:
        line.append(one.pk)
        one = everything.get(one.goes_on_from or 0)
    return line
