"""What single jobs have cost, from all that is known of them, and their sums. Numbers only: no database is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from ..contract.calls import calls_of
from ..contract.errors import stands
from .allocation import Allocation, cores_asked, from_sacct, gpus_asked

ENDED = ('finished', 'killed', 'excepted')
"""States of a process that has."""
OURS = 'litraj.'
DIRECT = 'core.direct'
TRAINING = 'litraj.train'


@dataclass(frozen=True)
class Job:
    """What the graph knows of a calculation job.

    :ivar kind: its entry point, for example ``litraj.neb``.
    :ivar cached_from: uuid of the job whose outputs it got instead of running.
    :ivar submitted: whether it has reached a scheduler.
    :ivar scheduler_state: what AiiDA last heard of it from the scheduler.
    :ivar directives: lines of its own for the scheduler.
    :ivar device: where its engine was told to evaluate, ``None`` if it was not told.
    :ivar without_gpu: whether its environment saw no GPU when it was set up, in the place where its jobs run.
    :ivar accounting: what the scheduler's accounting printed of it.
    :ivar last_look: what the scheduler said of it when AiiDA last asked and it was still there.
    :ivar audit: of the engine; ``None`` if it left none, or the job is another code's.
    :ivar items: how its items ended, of a training and of a job that was cut off.
    :ivar own_clock_s: what another code says that it took.
    :ivar polled_s: without a queue, the time between its upload and the poll that found it over.
    :ivar goes_on_from: pk of the job whose folder it took up.
    :ivar callers: pks of all chains above it, the topmost last.
    """

    pk: int
    uuid: str
    kind: str
    created: datetime | None = None
    state: str | None = None
    exit_status: int | None = None
    computer: str | None = None
    scheduler: str | None = None
    code: str | None = None
    potential: str | None = None
    cached_from: str | None = None
    submitted: bool = True
    scheduler_state: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    directives: str = ''
    device: str | None = None
    without_gpu: bool = False
    accounting: str | None = None
    last_look: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    items: Mapping[str, Any] | None = None
    own_clock_s: float | None = None
    polled_s: float | None = None
    goes_on_from: int | None = None
    callers: tuple[int, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether the engine ran."""
        return self.kind.startswith(OURS)

    @property
    def has_ended(self) -> bool:
        """Whether it is over, in whatever way."""
        return self.state in ENDED

    @property
    def may_still_run(self) -> bool:
        """Whether AiiDA has lost it, and the scheduler never said that it is over."""
        return self.state == 'excepted' and self.scheduler_state != 'done'

    @property
    def did_its_work(self) -> bool:
        """Whether what it computed stands: it went well, or the engine says that physics said no."""
        if self.state != 'finished' or self.exit_status is None:
            return False
        return stands(self.exit_status) if self.is_ours else self.exit_status == 0

    @cached_property
    def accounted(self) -> Allocation | None:
        """What accounting says of it."""
        return from_sacct(self.accounting)


@dataclass(frozen=True)
class Cost:
    """Of one job; ``None`` is not known.

    :ivar source: who says how long it ran: ``accounting``, ``engine``, ``code``, ``scheduler`` (when it was last asked,
        so that the job may have run a little longer), ``polls`` (of AiiDA, where nothing queues), or ``None``.
    :ivar lost_share: of its time, what was spent on evaluations that no other job took up and nobody got.
    """

    wall_s: float | None
    core_s: float | None
    gpu_s: float | None
    model_calls: int | None
    source: str | None
    lost_calls: int | None
    lost_share: float


def costs_of(jobs: Iterable[Job]) -> dict[int, Cost]:
    """Return the cost of each job by its pk; of one from the cache, what it would have cost.

    All jobs that took each other up have to be among them: what one has lost is known from the next.
    """
    known = {job.pk: job for job in jobs}
    heirs: dict[int, list[Job]] = {}
    for job in known.values():
        if job.goes_on_from is not None and job.cached_from is None:
            heirs.setdefault(job.goes_on_from, []).append(job)
    return {pk: _cost(job, known, heirs) for pk, job in known.items()}


def _cost(job: Job, known: Mapping[int, Job], heirs: Mapping[int, list[Job]]) -> Cost:
    wall, source = _wall(job)
    calls = _own_calls(job, known, heirs)
    lost_calls, lost_share = _lost(job, calls, heirs.get(job.pk, []))
    gpus = 0 if wall == 0.0 else _gpus(job)
    return Cost(
        wall_s=wall,
        core_s=_core_seconds(job, wall),
        gpu_s=None if gpus is None or (wall is None and gpus) else gpus * (wall or 0.0),
        model_calls=calls,
        source=source,
        lost_calls=lost_calls,
        lost_share=lost_share,
    )


def _wall(job: Job) -> tuple[float | None, str | None]:
    """Return how many seconds a job ran, and who says so."""
    if not job.submitted:
        return 0.0, None
    if job.accounted is not None and job.accounted.elapsed_s is not None and job.has_ended:
        return job.accounted.elapsed_s, 'accounting'
    look = (job.last_look or {}).get('wallclock_time_seconds') or None  # of one that is over it may say 0
    # The engine does not see its own start, and AiiDA does not look at the very end: both say less than it was.
    said = [(job.audit or {}).get('wall_seconds'), job.own_clock_s, look]
    sources = ('engine', 'code', 'scheduler')
    found = [(float(value), source) for value, source in zip(said, sources) if value is not None]
    if found:
        return max(found)
    if job.polled_s is not None:
        return job.polled_s, 'polls'
    queued = (job.last_look or {}).get('job_state') in ('queued', 'queued held')
    return (0.0, 'scheduler') if queued and not job.has_ended else (None, None)


def _core_seconds(job: Job, wall: float | None) -> float | None:
    """Return allocated cores times time; where nothing is allocated, the processor time that the engine took."""
    if wall == 0.0:
        return 0.0
    accounted = job.accounted
    if accounted is not None and accounted.cores is not None and wall is not None:
        return accounted.cores * wall
    used = (job.audit or {}).get('cpu_seconds')
    if job.scheduler == DIRECT and used is not None:
        return float(used)
    cores = cores_asked(job.resources)
    return None if cores is None or wall is None else cores * wall


def _gpus(job: Job) -> int | None:
    """Return the GPUs that a job had: by accounting, else those it asked for, else those its engine used."""
    if job.accounted is not None and job.accounted.gpus is not None:
        return job.accounted.gpus
    asked = gpus_asked(job.directives, job.resources)
    if asked is not None:
        return asked
    audit = job.audit or {}
    # The list is younger than the single name; of a job on the CPU it is that.
    devices = audit.get('devices') or [audit.get('device')]
    if devices[0] is not None:
        return sum(str(device).startswith('cuda') for device in devices)
    return 0 if not job.is_ours or _is_for_processors(job) else None


def _is_for_processors(job: Job) -> bool:
    """Return whether a job of which nothing is known but what it was launched with can have had no GPU.

    A queue gives none that was not asked for; where a partition brings them along, the job is told to use them. Without
    a queue the engine takes what it finds.
    """
    if (job.device or 'auto') != 'auto':
        return job.device == 'cpu'
    return job.without_gpu if job.scheduler == DIRECT else job.scheduler is not None


def _reached(job: Job, heirs: Mapping[int, list[Job]]) -> int | None:
    """Return the evaluations that a job came to, with those it took up; of one without an audit at least those."""
    if job.audit is not None:
        return int(job.audit['model_calls'])
    taken = [heir.audit['resumed_calls'] for heir in heirs.get(job.pk, []) if heir.audit is not None]
    return max(map(int, taken)) if taken else None


def _own_calls(job: Job, known: Mapping[int, Job], heirs: Mapping[int, list[Job]]) -> int | None:
    """Return the evaluations that a job itself made; 0 of another code, which has none to count."""
    if not job.is_ours or not job.submitted:
        return 0
    reached = _reached(job, heirs)
    if reached is None:
        return None
    if job.audit is not None:
        return reached - int(job.audit['resumed_calls'])
    before = known.get(job.goes_on_from or 0)
    return max(reached - ((before and _reached(before, heirs)) or 0), 0)


def _lost(job: Job, calls: int | None, heirs: list[Job]) -> tuple[int | None, float]:
    """Return how many evaluations nobody got anything of, and which share of the job's time that was.

    Those of items that ended stand. Of the others stands what the jobs have taken up that went on from there.
    """
    if job.did_its_work or not job.has_ended:
        return 0, 0.0
    if not job.is_ours or calls is None or job.audit is None:
        return (None if job.is_ours else 0), 0.0 if heirs else 1.0
    if any(heir.audit is None for heir in heirs):  # one that runs has the folder, and may take up all of it
        return 0, 0.0
    ended = [one for one in (job.items or {}).values() if one.get('status') != 'unfinished']
    if job.kind == TRAINING or not calls:  # epochs are no evaluations: those that are whole are taken up
        return 0, 0.0 if heirs or ended else 1.0
    kept = sum(calls_of(one) for one in ended) + sum(int(heir.audit['resumed_calls']) for heir in heirs if heir.audit)
    lost = max(int(job.audit['model_calls']) - kept, 0)
    return lost, min(lost / calls, 1.0)


def seconds_of_training(items: Mapping[str, Any] | None) -> float:
    """Return how long the epochs took of trainings that came to an end, by the median epoch of each."""
    ended = [one for one in (items or {}).values() if one.get('status') != 'unfinished']
    return sum(float(one.get('seconds_per_epoch') or 0.0) * int(one.get('n_epochs') or 0) for one in ended)
