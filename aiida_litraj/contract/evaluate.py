"""Job and result of the ``evaluate`` task: what a potential says of many configurations as they are.

An item is a block of configurations (frames) of any sizes, F frames with N atoms in all, as ``contract.frames`` has
them. A frame that cannot be evaluated is named in the result of its block, and the others go on.

Arrays of a job, in ``arrays.npz``, per item ``<id>``: ``<id>/offsets`` (F + 1,) integers, frame i has the atoms
``offsets[i]:offsets[i + 1]``; ``<id>/numbers`` (N,); ``<id>/positions`` (N, 3) in Ang; ``<id>/cells`` (F, 3, 3) in Ang;
``<id>/pbc`` (F, 3) bool.

Arrays of a result, in ``result.npz``, per item: ``<id>/energies`` (F,) in eV; ``<id>/forces`` (N, 3) in eV/Ang;
``<id>/stresses`` (F, 6) in eV/Ang^3, xx yy zz yz xz xy, positive under tension. What a frame has not is NaN: all of a
frame that failed; the stress also of one that is not periodic in all directions, and where the potential gives none or
it was not asked for.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from .base import Model
from .job import Item, Job, Parameters
from .result import ItemResult, JobResult


class EvaluationParameters(Parameters):
    """Every number of the science, without defaults: a protocol fills them."""

    stress: bool
    """Whether the stress is asked for, of frames that are periodic in all directions; it may cost time and memory."""


class EvaluateItem(Item):
    """One block of configurations of a job."""


class EvaluateJob(Job[EvaluationParameters, EvaluateItem]):
    """Content of ``job.json`` of an ``evaluate`` job."""

    task: Literal['evaluate'] = 'evaluate'
    elements: list[str] | None = None
    """Those that the potential covers by the account of whoever imported it, beside what it says itself."""


class FrameFailure(Model):
    """Why there is nothing of a frame; label and reason as in an item."""

    frame: NonNegativeInt
    """Its place in the block, from 0."""
    label: str
    reason: str


class EvaluateItemResult(ItemResult):
    """How a block ended: ``converged`` if all its frames were evaluated; ``n_steps`` stays 0."""

    n_frames: NonNegativeInt = 0
    n_evaluated: NonNegativeInt = 0
    failures: list[FrameFailure] = []
    """In the order of the frames; the first of them if there are very many, but ``n_frames`` and ``n_evaluated`` tell
    how many there are."""
    model_calls: NonNegativeInt = 0


class EvaluateResult(JobResult[EvaluateItemResult]):
    """Content of ``result.json`` of an ``evaluate`` job."""

    task: Literal['evaluate'] = 'evaluate'


class ComparisonSettings(Model):
    """How predictions are compared with reference labels; a protocol fills them."""

    offsets: Literal['least_squares', 'ridge', 'none']
    """How the energy of each element is fitted before energies are compared: see ``analysis.energy_offsets``."""
    ridge_alpha: PositiveFloat
    family: str | None
    """What configurations are grouped by in the tables: a key of their info, or ``dataset`` or ``material``; ``auto``
    takes the first that they have of label, stage, dataset; ``None`` does not."""
    unit: Literal['auto', 'material', 'trajectory', 'frame']
    """What is drawn for intervals: ``auto`` takes materials where these are known, else trajectories, else frames."""
    samples: PositiveInt = Field(ge=100)
    seed: NonNegativeInt
    confidence: NonNegativeFloat = Field(gt=0.0, lt=1.0)
