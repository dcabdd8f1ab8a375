"""The block in every result which says what ran, where, and at which cost."""

from __future__ import annotations

from pydantic import NonNegativeFloat, NonNegativeInt

from .base import Model
from .potential import PotentialReport


class Audit(Model):
    """Provenance of a result that no input node can hold."""

    engine_version: str
    schema_version: int
    python_version: str
    platform: str
    packages: dict[str, str]
    potential: PotentialReport
    device: str
    """``cpu`` or ``cuda:N``; of several the first."""
    devices: list[str] = []
    """All of them, each with a process of its own if there are several; what is older than this field has none."""
    dtype: str
    kernels: str
    processes: int
    seed: int | None = None
    """Of the job; ``None`` where nothing is random, or each item has its own."""
    model_calls: NonNegativeInt
    """Configurations evaluated, over this run and the runs it resumed."""
    resumed_calls: NonNegativeInt
    """How many of ``model_calls`` came from checkpoints of earlier runs."""
    model_seconds: NonNegativeFloat
    """Time inside the model in this run, summed over the worker processes."""
    seconds_per_call: NonNegativeFloat | None = None
    """Median time of a configuration inside the model, of a CPU processor time; the first calls hardly count."""
    cpu_seconds: NonNegativeFloat
    wall_seconds: NonNegativeFloat
    peak_memory_mb: NonNegativeFloat
    started_at: str
    out_of_memory_halvings: NonNegativeInt = 0
