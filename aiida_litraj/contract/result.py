"""What the results of all tasks have in common: how a job and each of its items ended, and how far it is."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from .audit import Audit
from .base import SCHEMA_VERSION, Model

ItemStatus = Literal['finished', 'failed', 'unfinished']
"""``finished``: ran to its end (converged or out of steps); ``failed``: given up with a reason; ``unfinished``: cut
off by the clock or a signal, resumable from the checkpoint."""


ITEMS = {'neb': 'paths', 'relax': 'structures', 'md': 'replicas', 'evaluate': 'frames', 'train': 'trainings'}
"""What the items of each task are called, before people and among the inputs of its calculation."""


class ItemResult(Model):
    """How one item of a job ended; a task adds fields of its own."""

    id: str
    status: ItemStatus
    converged: bool
    """Whether it came to what was asked for."""
    label: str | None = None
    """Label in the error table (``contract.errors``) when the item is not converged."""
    reason: str | None = None
    """The same for a person, with the values."""
    n_steps: NonNegativeInt = 0


class ExitReport(Model):
    """How the job as a whole ended, by the table in ``contract.errors``."""

    status: NonNegativeInt
    label: str
    message: str


ItemResultT = TypeVar('ItemResultT', bound=ItemResult)


class JobResult(Model, Generic[ItemResultT]):
    """Content of ``result.json``; ``audit`` is ``None`` only if the potential did not load."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: str = ''
    """Empty where the job was too broken to name its task."""
    exit: ExitReport
    items: list[ItemResultT] = []
    audit: Audit | None = None


class Progress(Model):
    """Content of ``progress.json``, rewritten while a job runs."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: str
    n_items: NonNegativeInt
    n_finished: NonNegativeInt
    n_converged: NonNegativeInt
    n_active: NonNegativeInt
    model_calls: NonNegativeInt
    resumed_calls: NonNegativeInt = 0
    wall_seconds: NonNegativeFloat
    updated_at: str
    active: list[ActiveItem] = []
    audit: Audit | None = None
    """As it stands: what is known of the run if it is killed."""


class ActiveItem(Model):
    """What is under way: an item, or a part of one."""

    id: str
    phase: str
    step: NonNegativeInt
    max_steps: NonNegativeInt | None = None
    fmax_ev_per_ang: NonNegativeFloat | None = None
    target_ev_per_ang: PositiveFloat | None = None
    loss: float | None = None
    """Of a training, on its validation set, after the last whole epoch."""
    seconds_left: NonNegativeFloat | None = None


Progress.model_rebuild()
