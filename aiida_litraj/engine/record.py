"""Every configuration that a task has had evaluated, in the order of its steps: labelled frames on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import AnyArray, Array
from ..contract.neb import CONFIGURATIONS, STAGES
from .core.stages import Demand
from .failure import Failure
from .models.interface import Evaluation


@dataclass(frozen=True)
class _Entry:
    stage: int
    step: int
    image: int
    positions: Array
    answer: Evaluation


class Record:
    """What tasks have had evaluated, by their ids.

    It is made of the answers alone, which the checkpoint has, so a resumed run has the record of an unbroken one.
    What is not finite, or was not answered, is no label and is left out.
    """

    def __init__(self) -> None:
        self._entries: dict[str, list[_Entry]] = {}

    def note(self, task: str, demand: Demand, answers: Sequence[Evaluation | Failure | None]) -> None:
        """Add the answers to a demand."""
        kept = self._entries.setdefault(task, [])
        stage = STAGES.index(demand.phase)
        for k, answer in enumerate(answers):
            if isinstance(answer, Evaluation) and np.isfinite(answer.energy) and np.isfinite(answer.forces).all():
                # the stage goes on with the array that it has asked with
                kept.append(_Entry(stage, demand.step, k, np.array(demand.positions[k]), answer))

    def arrays(self, tasks: Sequence[str], n_images: int) -> dict[str, AnyArray]:
        """Return the arrays of the wire (``contract.neb``) for some tasks together, empty if there is nothing.

        :param n_images: of the path that the tasks belong to, by which the target has its number.
        """
        entries = [entry for task in tasks for entry in self._entries.get(task, ())]
        if not entries:
            return {}
        first = {'source': 0, 'target': n_images - 1, 'band': 1, 'saddle': 0}
        found: dict[str, AnyArray] = {
            'positions': np.array([entry.positions for entry in entries], dtype=np.float64),
            'energies': np.array([entry.answer.energy for entry in entries], dtype=np.float64),
            'forces': np.array([entry.answer.forces for entry in entries], dtype=np.float64),
            'stages': np.array([entry.stage for entry in entries], dtype=np.uint8),
            'steps': np.array([entry.step for entry in entries], dtype=np.int64),
            'images': np.array([entry.image + first[STAGES[entry.stage]] for entry in entries], dtype=np.int64),
        }
        return {f'{CONFIGURATIONS}/{name}': values for name, values in found.items()}
