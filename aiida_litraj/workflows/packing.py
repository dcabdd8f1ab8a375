"""How the items of a chain are shared out among jobs: what a user says of it, and how fast it goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ..analysis.packing import Limits
from ..calculations.validation import validated
from ..contract.base import Model

WALLTIME, GPUS, DEVICE, PROCESSES = 'max_wallclock_seconds', 'gpus', 'device', 'processes'
"""Names among ``metadata.options`` of a job."""
PACKED_EXTRA = 'litraj_packed'
"""Of a packed chain, for those who ask how far it is: its items, those of them that jobs of before had finished, and
those that wait."""
SECONDS_PER_HOUR = 3600.0


class Packing(Model):
    """The knobs; each has a default, so that ``{}`` is a packing.

    Nothing of it can change a number, so none of it is in the hash of a job.
    """

    max_jobs: PositiveInt = 10
    """How many jobs are under way at a time; a part that goes on after its walltime is still one."""
    walltime_seconds: PositiveInt | None = None
    """Of each job, as ``max_wallclock_seconds`` of its options, which it stands for where those have none."""
    gpus: PositiveInt | None = None
    """Of each job, as ``gpus`` of its options, which it stands for where those have none."""
    fill: float = Field(default=0.8, gt=0.0, le=1.0)
    """Share of a walltime that a part may be estimated to take; the rest is for what an estimate does not know."""
    min_job_seconds: NonNegativeFloat = 1800.0
    """A job shorter than this is not worth its place in a queue: then there are fewer parts than ``max_jobs``."""
    sample_items: PositiveInt | None = None
    """Items of the job that is run first, and alone, to measure what a unit of cost takes; by default the task's."""
    seconds_per_unit: PositiveFloat | None = None
    """What one unit of cost takes a process or GPU, where you know better than the jobs of before."""
    piece_atoms: PositiveInt = 50_000
    """A block of configurations with more atoms than this is cut into pieces, which can be in different parts."""
    reuse: bool = True
    """Whether items are taken that an equal job of before has finished; ``disable_cache`` of the jobs says no too."""


def read_packing(values: Mapping[str, Any], name: str = 'packing') -> Packing:
    """Return a packing from its fields.

    :raises ValueError: naming each field that is not known or out of range.
    """
    return validated(values, Packing, name)


def settle_options(packing: Packing, options: Mapping[str, Any], known: Collection[str], name: str) -> dict[str, Any]:
    """Return the options of jobs with the walltime and the GPUs of a packing.

    :param known: names of the options that a job has.
    :param name: of the packing, to the one who gave it.
    :raises ValueError: if both say something, and not the same, or jobs know of no GPUs.
    """
    settled = dict(options)
    for field, option in (('walltime_seconds', WALLTIME), ('gpus', GPUS)):
        asked, given = getattr(packing, field), options.get(option, None)
        if asked is None:
            continue
        if given is not None and given != asked:
            raise ValueError(
                f'{name}.{field} = {asked}, but metadata.options.{option} = {given}: say it once, in one of both'
            )
        if option not in known:
            raise ValueError(f'{name}.{field} = {asked}: jobs of this engine use one GPU; leave it out')
        settled[option] = asked
    return settled


def limits_of(packing: Packing, options: Mapping[str, Any]) -> Limits:
    """Return what parts have to keep to, given the settled options of the jobs."""
    walltime = options.get(WALLTIME, None)
    return Limits(
        max_jobs=packing.max_jobs,
        walltime_seconds=None if walltime is None else float(walltime),
        fill=packing.fill,
        min_job_seconds=max(packing.min_job_seconds, 1.0),
    )


def rate_of(costs: Mapping[str, float], account: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a unit of cost took a process or GPU in s, with ``processes`` and ``device``, by one account.

    The time counts that was spent inside the potential, over all processes: that is where the time goes, while the
    wall time of a small job has the start of the engine in it and processes that had nothing to do. Items that failed
    cost time too, and count for nothing. ``None`` where an account cannot tell: items are unfinished, or some of their
    evaluations are of earlier jobs.
    """
    audit = account.get('audit')
    items = account['items']
    if audit is None or any(entry['status'] == 'unfinished' for entry in items.values()):
        return None
    if audit['resumed_calls'] and account.get('n_jobs', 1) == 1:
        return None
    units = sum(costs.get(name, 0.0) for name, entry in items.items() if entry['status'] == 'finished')
    spent = audit['model_seconds'] or audit['wall_seconds']
    if units <= 0.0 or spent <= 0.0:
        return None
    return {'seconds': spent, 'units': units, 'processes': audit['processes'], 'device': audit['device']}


def workers_of(options: Mapping[str, Any], measured: Mapping[str, Any] | None) -> int:
    """Return how many processes or GPUs share the work of a job, as far as it is known."""
    asked = options.get(GPUS, None) or options.get(PROCESSES, None)
    return int(asked or (measured or {}).get('processes', None) or 1)


def estimate_text(n_parts: int, seconds: tuple[float, float] | None, device: str | None, limits: Limits) -> str:
    """Return in words how work is shared out, and what it is estimated to take.

    :param seconds: of a process or GPU for all of it, and of the longest part from its start to its end.
    """
    at_a_time = f', {limits.max_jobs} at a time' if n_parts > limits.max_jobs else ''
    if seconds is None:
        return f'{n_parts} job(s) of about the same cost{at_a_time}'
    spent, longest = seconds
    kind = 'GPU' if str(device).startswith('cuda') else 'process'
    said = f'{spent / SECONDS_PER_HOUR:.3g} {kind} hours estimated, {n_parts} job(s) of {told(longest)}{at_a_time}'
    if limits.walltime_seconds is not None and longest > limits.walltime_seconds:
        rounds = longest / limits.walltime_seconds
        said += f'; with a walltime of {told(limits.walltime_seconds)} the longest takes {rounds:.1f} of them'
    return said


def told(seconds: float) -> str:
    """Return a time in words: seconds, minutes or hours."""
    for unit, name in ((SECONDS_PER_HOUR, 'h'), (60.0, 'min')):
        if seconds >= 1.5 * unit:
            return f'{seconds / unit:.3g} {name}'
    return f'{seconds:.3g} s'
