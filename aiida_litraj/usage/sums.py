"""Costs of jobs added up by chain, potential, code, computer or kind; each job once, however chains are nested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .cost import TRAINING, Cost, Job, costs_of, seconds_of_training

HOUR = 3600.0
NONE = 'none'
"""Under which are added up what has none: trainings from scratch, and the jobs of codes that are no engine."""


@dataclass
class Sum:
    """Cost of some jobs. Numbers are of what is known; ``unknown`` says of how many jobs they lack something.

    ``unknown_losses`` are jobs that have lost model calls, nobody knows how many.

    Jobs from the cache cost nothing: ``saved_...`` is what they would have cost.
    """

    jobs: int = 0
    cached_jobs: int = 0
    running_jobs: int = 0
    failed_jobs: int = 0
    wall_hours: float = 0.0
    gpu_hours: float = 0.0
    core_hours: float = 0.0
    model_calls: int = 0
    lost_wall_hours: float = 0.0
    lost_gpu_hours: float = 0.0
    lost_core_hours: float = 0.0
    lost_model_calls: int = 0
    unknown_losses: int = 0
    saved_wall_hours: float = 0.0
    saved_gpu_hours: float = 0.0
    saved_core_hours: float = 0.0
    saved_model_calls: int = 0
    trainings: int = 0
    seconds_of_training: float = 0.0
    unknown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEASURED, 0))
    sources: dict[str, int] = field(default_factory=dict)

    def add(self, job: Job, cost: Cost) -> None:
        """Count one more job."""
        self.jobs += 1
        if job.cached_from is not None:
            self.cached_jobs += 1
            self._add('saved_', cost, 1.0)
            return
        self.running_jobs += not job.has_ended
        self.failed_jobs += job.has_ended and not job.did_its_work
        self._add('', cost, 1.0)
        self._add('lost_', cost, cost.lost_share)
        self.lost_model_calls += cost.lost_calls or 0
        self.unknown_losses += cost.lost_calls is None and cost.lost_share > 0.0
        values = (cost.wall_s, cost.gpu_s, cost.core_s, cost.model_calls)
        for name, value in zip(MEASURED, values):
            self.unknown[name] += value is None
        source = cost.source or ('unknown' if cost.wall_s is None else None)
        if source is not None:
            self.sources[source] = self.sources.get(source, 0) + 1
        if job.kind == TRAINING:
            self.trainings += sum(one.get('status') != 'unfinished' for one in (job.items or {}).values())
            self.seconds_of_training += seconds_of_training(job.items)

    def _add(self, prefix: str, cost: Cost, share: float) -> None:
        for name, seconds in (('wall', cost.wall_s), ('gpu', cost.gpu_s), ('core', cost.core_s)):
            key = f'{prefix}{name}_hours'
            setattr(self, key, getattr(self, key) + share * (seconds or 0.0) / HOUR)
        if prefix != 'lost_':
            key = f'{prefix}model_calls'
            setattr(self, key, getattr(self, key) + (cost.model_calls or 0))

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by stable names; ``None`` for one of which of no job anything is known."""
        ran = self.jobs - self.cached_jobs
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name, key in zip(MEASURED, ('wall_hours', 'gpu_hours', 'core_hours', 'model_calls')):
            if ran and self.unknown[name] == ran:
                content[key] = content[f'lost_{key}'] = None
        if self.unknown_losses and not self.lost_model_calls:
            content['lost_model_calls'] = None
        content['lost_share'] = self.lost_wall_hours / self.wall_hours if self.wall_hours else None
        return content


MEASURED = ('wall', 'gpu', 'core', 'model_calls')


def add_up(
    jobs: Sequence[Job], keys_of: Callable[[Job], Iterable[Any]], lineage: Iterable[Job] = ()
) -> tuple[dict[Any, Sum], Sum]:
    """Return the sum for each key, and that of all jobs, in which each counts once whatever its keys.

    :param keys_of: under what a job is counted, which may be several: chains within chains.
    :param lineage: jobs that took one of these up, or were taken up, and are not counted themselves.
    """
    jobs = list({job.pk: job for job in jobs}.values())
    costs = costs_of([*lineage, *jobs])
    sums: dict[Any, Sum] = {}
    total = Sum()
    for job in jobs:
        total.add(job, costs[job.pk])
        for key in dict.fromkeys(keys_of(job)):
            sums.setdefault(key, Sum()).add(job, costs[job.pk])
    return sums, total


def key_of(job: Job, by: str) -> str:
    """Return under what a job is counted by anything but its chain."""
    found: str | None = getattr(job, by)
    return found or NONE
