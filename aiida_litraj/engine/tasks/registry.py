"""The tasks by their names in a job; a task is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..batch import BatchRun

TASKS = {
    'neb': ('neb', 'NebRun'),
    'relax': ('relax', 'RelaxRun'),
    'md': ('md', 'MdRun'),
    'evaluate': ('evaluate', 'EvaluateRun'),
    'train': ('train', 'TrainRun'),
}
"""Name of a task -> module in this folder and class in it."""


def run_class(task: str) -> type[BatchRun[Any, Any]]:
    """Return the class that runs jobs of a task."""
    module, name = TASKS[task]
    found: type[BatchRun[Any, Any]] = getattr(import_module(f'{__package__}.{module}'), name)
    return found
