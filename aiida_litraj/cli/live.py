"""The state of a running job, as its engine writes it every few seconds into the working directory."""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..contract.files import PROGRESS
from ..contract.result import ITEMS, ActiveItem, Progress

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode

TRAIN = 'train'
COUNTED = ('md', 'evaluate', TRAIN)
"""Tasks whose items have a number of steps to go, of one evaluation or epoch each, and no force to come below."""
_PACE_CALLS = 50
"""Evaluations before a pace is spoken of: the first ones take far longer."""
_PHASES = {'source': 'relaxing the source', 'target': 'relaxing the target', 'band': 'band', 'saddle': 'saddle check'}


def read_progress(job: CalcJobNode) -> Progress | None:
    """Return what the engine of a job last wrote, through the computer's transport; ``None`` if nothing yet."""

    async def connect_and_read() -> Progress | None:
        async with job.get_transport() as transport:
            return await read_progress_through(transport, job)

    return asyncio.run(connect_and_read())


async def read_progress_through(transport: Any, job: CalcJobNode) -> Progress | None:
    """Return the same through a transport that is open already."""
    place = str(PurePosixPath(str(job.get_remote_workdir())) / PROGRESS)
    if not await transport.isfile_async(place):
        return None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PROGRESS)
        await transport.getfile_async(place, str(copy))
        return _parse(copy)


def _parse(path: Path) -> Progress | None:
    try:
        return Progress.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def describe(progress: Progress) -> str:
    """Return the state in one line: items done, phase, step, residual force or time left."""
    return describe_with(progress, seconds_left(progress))


def describe_with(progress: Progress, left: float | None) -> str:
    """Return the same with the seconds that are left, if they are known."""
    parts = []
    if progress.n_items > 1:
        parts.append(f'{progress.n_finished} of {progress.n_items} {ITEMS.get(progress.task, "items")} done')
    given_up = progress.n_finished - progress.n_converged
    if progress.task == 'md' and given_up:
        parts.append(f'{given_up} of them died')
    if progress.active:
        parts.append(describe_item(slowest(progress), named=progress.n_items > 1))
    else:
        parts.append('starting' if progress.n_finished < progress.n_items else 'all done')
    if progress.task != TRAIN:
        parts.append(f'{progress.model_calls} model calls')
    if left is not None:
        parts.append(f'about {duration_text(left)} left')
    return ', '.join(parts)


def seconds_left(progress: Progress) -> float | None:
    """Return how long dynamics or evaluations still take at the pace they had so far, ``None`` if that cannot be said.

    Replicas that wait are taken to be as long as those under way, and none to die.
    """
    if progress.task == TRAIN:
        return _training_left(progress)
    made, lengths = progress.model_calls - progress.resumed_calls, [item.max_steps or 0 for item in progress.active]
    if progress.task not in COUNTED or made < _PACE_CALLS or not all(lengths) or not lengths:
        return None
    waiting = max(progress.n_items - progress.n_finished - len(lengths), 0)
    steps = sum(lengths) - sum(item.step for item in progress.active) + waiting * sum(lengths) / len(lengths)
    return steps * progress.wall_seconds / made


def _training_left(progress: Progress) -> float | None:
    """Return the same of trainings, one after the other: those that wait are as long as the one under way."""
    if not progress.active or progress.active[0].seconds_left is None:
        return None
    item, waiting = progress.active[0], max(progress.n_items - progress.n_finished - len(progress.active), 0)
    ahead = (item.max_steps or 0) - item.step
    whole = item.seconds_left * (item.max_steps or 0) / ahead if ahead > 0 else 0.0
    return item.seconds_left + waiting * whole if ahead > 0 or not waiting else None


def duration_text(seconds: float) -> str:
    """Return a time in the unit in which a person thinks of it."""
    for unit, length in (('days', 86400.0), ('h', 3600.0), ('min', 60.0)):
        if seconds >= 2.0 * length:
            return f'{seconds / length:.0f} {unit}'
    return f'{seconds:.0f} s'


def describe_item(item: ActiveItem, named: bool = False) -> str:
    """Return phase, step and residual force of one path."""
    if item.phase == 'training':
        text = f'epoch {item.step} of {item.max_steps}' + (f', validation loss {item.loss:.4g}' if item.loss else '')
        return f'{item.id}: {text}' if named else text
    phase = _PHASES.get(item.phase, item.phase)
    text = f'{item.id}: {phase}' if named else phase
    text += f' step {item.step}'
    if item.max_steps:
        text += f' of {"" if _is_run(item) else "at most "}{item.max_steps}'
    if item.fmax_ev_per_ang is not None:
        text += f', residual force {item.fmax_ev_per_ang:.3f}'
        text += f' → {item.target_ev_per_ang:g} eV/Å' if item.target_ev_per_ang else ' eV/Å'
    return text


def slowest(progress: Progress) -> ActiveItem:
    """Return the item under way that is farthest from its end."""
    if progress.task in COUNTED:
        return min(progress.active, key=_share)
    return max(progress.active, key=_distance)


def _is_run(item: ActiveItem) -> bool:
    """Whether an item has a number of steps to go, and not a force to come below."""
    return item.phase.startswith('segment') or item.phase == 'evaluation'


def _share(item: ActiveItem) -> float:
    """Return the part of its steps that an item has made."""
    return min(item.step / item.max_steps, 1.0) if item.max_steps else 0.0


def _distance(item: ActiveItem) -> float:
    """Return how many times the residual force is above what is asked for, as a logarithm."""
    if not item.fmax_ev_per_ang or not item.target_ev_per_ang:
        return math.inf
    return max(math.log(item.fmax_ev_per_ang / item.target_ev_per_ang), 0.0)


class Gauge:
    """How far a job has come, between 0 and 1, never going back.

    Paths that are done count fully. Of those under way counts the residual force, on a logarithmic scale from where
    a phase began to what is asked for; the relaxation of each end is worth a fifth of a path. Of replicas under way
    counts the share of their steps.
    """

    _END, _ALMOST = 0.2, 0.98

    def __init__(self) -> None:
        self._start: dict[tuple[str, str], float] = {}
        self._reached: dict[tuple[str, str], float] = {}
        self._value = 0.0

    def update(self, progress: Progress) -> float:
        """Return the value after ``progress``."""
        if progress.task in COUNTED:
            under_way = sum(_share(item) for item in progress.active)
            self._value = max(self._value, min((progress.n_finished + under_way) / max(progress.n_items, 1), 1.0))
            return self._value
        for item in progress.active:
            key, distance = (item.id, item.phase), _distance(item)
            if not math.isinf(distance):
                start = self._start.setdefault(key, max(distance, 1e-9))
                self._reached[key] = max(self._reached.get(key, 0.0), min(max(1.0 - distance / start, 0.0), 1.0))
        under_way = sum(self._path(name) for name in {item.id for item in progress.active})
        self._value = max(self._value, min((progress.n_finished + under_way) / max(progress.n_items, 1), 1.0))
        return self._value

    def _path(self, name: str) -> float:
        if (name, 'saddle') in self._start:
            return self._ALMOST
        if (name, 'band') in self._start:
            ends = 2 * self._END
            return min(ends + (1.0 - ends) * self._reached[name, 'band'], self._ALMOST)
        return self._END * sum(self._reached.get((name, end), 0.0) for end in ('source', 'target'))
